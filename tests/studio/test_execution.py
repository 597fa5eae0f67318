"""One job in the hands of a worker, with an easel that does what the test says."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch

from impasto.media import image as media
from impasto.storage import StorageDown
from impasto.studio import execution
from impasto.studio.box import Box, BoxDied, Message, Stopped, Tell
from impasto.studio.database import RUNNING
from impasto.studio.execution import Execution, Workshop
from impasto.studio.worker import EASEL, GRACE

from .conftest import Studio, order

Play = Callable[[Path, Tell], Message]


class Easel(Box):
    """No process: a function of the test."""

    def __init__(self, play: Play) -> None:
        super().__init__(EASEL)
        self.play = play

    def call(
        self,
        task: Mapping[str, object],
        seconds: float | None = None,
        tell: Tell = print,
        stop: Callable[[], bool] = bool,
    ) -> Message:
        done = self.play(Path(str(task["folder"])), tell)
        while not done and not stop():
            pass
        return done


def preview(folder: Path, tell: Tell) -> None:
    data = media.encode(torch.rand(1, 3, 30, 40), ".webp")
    (folder / "preview.webp").write_bytes(data)
    tell({"event": "preview", "file": "preview.webp"})


def finish(folder: Path) -> Message:
    (folder / "result.png").write_bytes(b"painted")
    facts = {"recipe": None, "result": "result.png", "seconds": 1.0, "width": 4, "height": 3}
    return {**facts, "interrupted": False}


def carried_out(studio: Studio, play: Play, before: Callable[[], None] = lambda: None) -> str:
    """A job after its execution.  ->  its id

    before: done when all is ready for that
    """
    id = studio.order().id
    with studio.jobs.database.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE workflow_status SET status = '{RUNNING}'"))
    workshop = Workshop(
        executor="here",
        database=studio.jobs.database,
        storage=studio.storage,
        limits=studio.limits,
        easel=Easel(play),
        scratch=studio.folder / "scratch",
        device="cpu",
        leaving=threading.Event(),
    )
    execution = Execution(workshop, id, order())
    before()
    execution.run()
    return id


def newest(studio: Studio) -> str:
    return studio.jobs.list("a")[0][0].id


@pytest.mark.parametrize("end", [Stopped("Stopped."), BoxDied("It ran out of memory.")])
def test_killed_after_a_stop_the_last_preview_is_the_result(studio: Studio, end: Exception) -> None:
    def play(folder: Path, tell: Tell) -> Message:
        preview(folder, tell)
        studio.jobs.cancel("a", newest(studio))
        raise end

    if isinstance(end, BoxDied):
        end.again = False
    view = studio.jobs.get("a", carried_out(studio, play))
    assert (view.state, view.width, view.height) == ("cancelled", 40, 30)
    assert view.result
    data = studio.result(view)
    assert data.startswith(b"\x89PNG")
    assert media.read(data).pixels.shape == (1, 3, 30, 40)


def test_stopped_before_there_was_a_picture(studio: Studio) -> None:
    def play(folder: Path, tell: Tell) -> Message:
        studio.jobs.cancel("a", newest(studio))
        raise Stopped("Stopped.")

    view = studio.jobs.get("a", carried_out(studio, play))
    assert (view.state, view.result) == ("cancelled", None)


def test_of_a_deleted_job_nothing_is_kept(studio: Studio) -> None:
    def play(folder: Path, tell: Tell) -> Message:
        preview(folder, tell)
        studio.jobs.delete("a", newest(studio))
        preview(folder, tell)
        raise Stopped("Stopped.")

    carried_out(studio, play)
    assert studio.storage.list("jobs/") == []


def test_what_another_worker_has_taken_is_not_overwritten(studio: Studio) -> None:
    def play(folder: Path, tell: Tell) -> Message:
        preview(folder, tell)
        studio.jobs.database.update(newest(studio), hand="another")
        studio.storage.put(f"jobs/{newest(studio)}/result.png", b"of another")
        return finish(folder) | {"interrupted": True}

    id = carried_out(studio, play)
    assert studio.storage.get(f"jobs/{id}/result.png") == b"of another"


def test_a_storage_that_is_away_costs_a_preview_and_no_result(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put, tries = studio.storage.put, {"preview.webp": 0, "result.png": 0, "fetch": 0}
    fetch = studio.storage.fetch

    def flaky(name: str, most: int) -> None:
        tries[name] += 1
        if tries[name] <= most:
            raise StorageDown("The storage does not answer.")

    def flaky_put(key: str, data: bytes) -> None:
        flaky(key.rpartition("/")[2], 1 if key.endswith("webp") else 3)
        put(key, data)

    def flaky_fetch(key: str, path: Path) -> None:
        flaky("fetch", 2)
        fetch(key, path)

    def play(folder: Path, tell: Tell) -> Message:
        preview(folder, tell)
        return finish(folder)

    fakes: dict[str, Any] = {"put": flaky_put, "fetch": flaky_fetch}
    for name, fake in fakes.items():
        monkeypatch.setattr(studio.storage, name, fake)
    monkeypatch.setattr(execution, "PATIENCE", 0.01)
    id = carried_out(studio, play)
    outcome = (studio.jobs.database.row(id) or pytest.fail()).attributes["outcome"]
    assert (outcome["done"], outcome["result"]) == (True, "result.png")
    assert tries == {"preview.webp": 1, "result.png": 4, "fetch": 3}
    assert studio.storage.get(f"jobs/{id}/result.png") == b"painted"
    assert "does not answer" in caplog.text


def test_the_easel_has_time_to_write_a_large_picture() -> None:
    with Box(EASEL, grace=GRACE) as easel:
        assert easel.grace >= 10
    with Box(EASEL) as decoder:
        assert decoder.grace == 1.5


def test_a_database_that_is_away_as_a_job_begins(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits: nothing is wrong with the job."""
    failed = set[str]()

    def flaky(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **facts: object) -> Any:
            if name not in failed:
                failed.add(name)
                raise sa.exc.OperationalError("", None, Exception("the database is away"))
            return real(*args, **facts)

        return call

    database = studio.jobs.database
    monkeypatch.setattr(execution, "PATIENCE", 0.01)

    def play(folder: Path, tell: Tell) -> Message:
        return finish(folder)

    def leave() -> None:
        for name in ("row", "update"):
            monkeypatch.setattr(database, name, flaky(name, getattr(database, name)))

    id = carried_out(studio, play, leave)
    outcome = (database.row(id) or pytest.fail()).attributes["outcome"]
    assert outcome["done"] and failed == {"row", "update"}
