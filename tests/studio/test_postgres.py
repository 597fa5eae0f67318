"""Several workers on one PostgreSQL server."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from impasto.studio import worker

from .conftest import Studio, kill

LONG = {"method": "gatys", "iterations": 200, "size": 128}


@pytest.fixture
def shared(postgres: str, tmp_path: Path) -> Iterator[Studio]:
    """A studio on a database of its own, which the first process makes."""
    studio = Studio(tmp_path, f"{postgres}/studio_{time.time_ns()}")
    yield studio
    studio.close()


def test_the_queue(shared: Studio) -> None:
    ids = [shared.order("a").id for _ in range(2)]
    assert shared.order("b").position == 2
    shared.jobs.star("a", ids[0], True)
    assert shared.jobs.get("a", ids[0]).starred
    assert shared.jobs.cancel("a", ids[1]).state == "cancelled"
    assert len(shared.jobs.active()) == 3
    shared.jobs.delete("a", ids[0])
    assert shared.jobs.counts()["cancelled"] == 1
    assert shared.jobs.expire(time.time() + 1e6) == [("a", ids[1])]
    assert shared.jobs.check() is None


def cards(studio: Studio, count: int) -> None:
    """Wait until so many workers are there."""
    while len(studio.storage.list("workers/")) < count:
        time.sleep(0.05)


@pytest.mark.slow
def test_a_dead_workers_job_is_taken_over(shared: Studio) -> None:
    """As on another machine, it does not come back; the other one sees it by the lease."""
    for count in (1, 2):
        shared.hire(f"machine-{count}")
        cards(shared, count)
    id = shared.order(**LONG).id
    shared.until(id, lambda view: view.progress)
    before = shared.jobs.database.row(id)
    assert before is not None
    assert shared.ended(shared.order("b").id, "b").state == "done"  # by the one that is free
    kill(shared.workers[int(str(before.executor)[-1])])
    assert shared.jobs.get("a", id).state == "running"
    with shared.jobs.database.engine.begin() as connection:  # half a minute later
        past = int((worker.LEASE + 1) * 1000)
        text = "UPDATE dbos.workflow_status SET updated_at = updated_at - :past"
        connection.execute(sa.text(text), {"past": past})
    assert shared.ended(id).state == "done"
    after = shared.jobs.database.row(id)
    assert after is not None
    assert after.executor != before.executor
    assert shared.jobs.counts()["done"] == 2


@pytest.mark.slow
def test_a_server_that_restarts_is_waited_for(shared: Studio) -> None:
    """Every connection is cut while something is painted."""
    shared.hire()
    id = shared.order(**LONG).id
    shared.until(id, lambda view: view.progress)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    for _ in range(3):
        with shared.jobs.database.engine.connect() as connection:
            connection.execute(sa.text(cut))
        time.sleep(0.3)
    assert shared.ended(id).state == "done"
    assert shared.ended(shared.order().id).state == "done"
