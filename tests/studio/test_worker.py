"""Workers as processes: painting, cancelled, killed, out of memory, asked to end."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from impasto.media import image as media
from impasto.recipe import Recipe
from impasto.studio.database import RUNNING
from impasto.studio.jobs import NoSuchJob
from impasto.studio.orders import JobView

from .conftest import PATIENCE, Studio, kill

LONG: dict[str, Any] = {"method": "gatys", "iterations": 2000, "size": 128}
SCALES: dict[str, Any] = {"method": "gatys", "iterations": 24, "size": 320, "seed": 5}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Any]:
    """Studios with limits of their own."""
    studios: list[Studio] = []

    def make(**limits: Any) -> Studio:
        studios.append(Studio(tmp_path, **limits))
        return studios[-1]

    yield make
    for studio in studios:
        studio.close()


def shown(view: JobView) -> bool:
    return view.preview is not None


def running(view: JobView) -> bool:
    return view.progress is not None


def easel_of(worker: Any) -> psutil.Process:
    """The child that paints."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(IndexError):
            return psutil.Process(worker.pid).children()[0]
        time.sleep(0.05)
    raise AssertionError("no easel")


def test_a_picture_is_painted(working: Studio) -> None:
    view = working.ended(working.order().id)
    assert (view.state, view.reason, view.width, view.height) == ("done", None, 64, 64)
    assert view.started
    assert view.finished
    assert view.created <= view.started <= view.finished < str(view.expires)
    assert view.seconds is not None
    inside = media.read(working.result(view)).recipe
    assert Recipe.model_validate_json(inside or "") == view.recipe
    assert view.recipe.strength == 1.0  # settled
    assert working.storage.exists(f"jobs/{view.id}/preview.webp")
    assert not (working.folder / "data" / "scratch" / view.id).exists()


def test_uploads_are_found(working: Studio) -> None:
    upload = "u" + 32 * "a"
    data = media.encode(torch.rand(1, 3, 50, 60), ".png")
    working.storage.put(f"uploads/a/{upload}/picture.png", data)
    settings = {"photo": upload, "styles": ({"source": upload},)}
    assert working.ended(working.order(**settings).id).state == "done"
    other = working.ended(working.order("b", **settings).id, "b")
    assert (other.state, other.reason) == (
        "failed",
        "A picture that it needs has expired meanwhile: upload it again.",
    )


def test_what_cannot_be_painted_fails_in_words(working: Studio) -> None:
    view = working.ended(working.order(method="gatys", finish=False).id)
    assert view.state == "failed"
    assert "no such control" in str(view.reason)
    assert view.result is None


def test_previews_and_progress(working: Studio) -> None:
    id = working.order(**LONG).id
    first = working.until(id, shown)
    assert first.state == "running"
    later = working.until(id, lambda view: view.preview != first.preview)
    assert later.progress is not None
    assert 0 < later.progress.fraction < 1
    assert later.progress.total == 2000
    working.jobs.delete("a", id)


def test_cancelled_it_keeps_its_picture(working: Studio) -> None:
    id = working.order(**LONG).id
    working.until(id, shown)
    start = time.monotonic()
    assert working.jobs.cancel("a", id).state == "cancelled"
    view = working.until(id, lambda view: view.result)
    assert time.monotonic() - start < 2
    assert view.state == "cancelled"
    assert media.read(working.result(view)).pixels.shape == (1, 3, 128, 128)


def test_deleted_it_leaves_nothing(working: Studio) -> None:
    id = working.order(**LONG).id
    working.until(id, shown)
    working.jobs.delete("a", id)
    with pytest.raises(NoSuchJob):
        working.jobs.get("a", id)
    assert working.ended(working.order().id).state == "done"  # the worker is free again
    assert working.storage.list(f"jobs/{id}/") == []
    assert not (working.folder / "data" / "scratch" / id).exists()


def test_the_heart_beats_and_tells_the_speed(working: Studio) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        cards = [json.loads(working.storage.get(s.key)) for s in working.storage.list("workers/")]
        if cards and {"adain", "gatys/best"} <= set(cards[0]["speeds"]):
            break
        time.sleep(0.1)
    assert len(cards) == 1
    assert cards[0]["device"] == "cpu"
    assert abs(cards[0]["seen"] - time.time()) < 60


@pytest.mark.slow
def test_the_easel_killed_the_job_goes_on(working: Studio) -> None:
    id = working.order(**LONG | {"iterations": 100}).id
    working.until(id, running)
    easel_of(working.workers[0]).kill()
    assert working.ended(id).state == "done"


@pytest.mark.slow
def test_the_easel_killed_twice_the_job_has_failed(working: Studio) -> None:
    id = working.order(**LONG).id
    for _ in range(2):
        working.until(id, running)
        easel = easel_of(working.workers[0])
        easel.kill()
        psutil.wait_procs([easel], timeout=PATIENCE)
        working.jobs.database.update(id, progress=None)
    view = working.ended(id)
    assert view.state == "failed"
    assert "memory" in str(view.reason)


@pytest.mark.slow
def test_a_killed_worker_goes_on_after_the_last_scale(fresh: Any) -> None:
    studio = fresh()
    worker = studio.hire()
    whole = studio.ended(studio.order(**SCALES).id)
    id = studio.order(**SCALES).id
    end = time.monotonic() + PATIENCE
    while not studio.storage.exists(f"jobs/{id}/scale.safetensors") and time.monotonic() < end:
        time.sleep(0.005)
    easel = easel_of(worker)
    kill(worker)
    assert psutil.wait_procs([easel], timeout=5)[1] == []
    assert studio.jobs.get("a", id).state == "running"
    studio.hire()
    view = studio.ended(id)
    assert view.state == "done"
    assert studio.result(view) == studio.result(whole)
    assert view.seconds < whole.seconds
    assert studio.jobs.counts()["done"] == 2
    assert not studio.storage.exists(f"jobs/{id}/scale.safetensors")


@pytest.mark.slow
def test_asked_to_end_it_finishes_or_gives_back(fresh: Any) -> None:
    studio = fresh()
    worker = studio.hire()
    id = studio.order(**LONG).id
    studio.until(id, lambda view: view.progress and view.progress.eta_seconds is not None)
    start = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - start < 20
    assert studio.jobs.get("a", id).state in ("queued", "done")
    assert studio.storage.list("workers/") == []


def test_time_and_memory_have_limits(fresh: Any) -> None:
    studio = fresh(job_seconds=1.0)
    studio.hire()
    view = studio.ended(studio.order(**LONG).id)
    assert view.state == "failed"
    assert "took longer than" in str(view.reason)


def test_a_job_of_the_dead_is_taken_over(studio: Studio) -> None:
    """As a worker on another machine leaves it behind."""
    id = studio.order().id
    database = studio.jobs.database
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE workflow_status SET status = '{RUNNING}', executor_id = 'elsewhere', "
            "updated_at = updated_at - 15000"
        )
    assert database.requeue(idle=30) == 0
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE workflow_status SET updated_at = updated_at - 20000")
    assert database.requeue(idle=30) == 1
    assert database.requeue(idle=30) == 0
    assert studio.jobs.get("a", id).state == "queued"


def test_an_outcome_is_not_painted_again(fresh: Any) -> None:
    """Killed between its outcome and the end of the workflow."""
    studio = fresh()
    id = studio.order().id
    outcome = {"done": True, "result": "result.png", "seconds": 123.0}
    studio.jobs.database.update(id, outcome=outcome)
    studio.hire()
    assert studio.ended(id).seconds == 123.0
    assert studio.storage.list(f"jobs/{id}/") == []
