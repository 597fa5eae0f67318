"""The queue without anybody who works."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from impasto.errors import BadInput
from impasto.storage import StorageDown
from impasto.studio import jobs
from impasto.studio.jobs import Jobs, KeyReused, NoSuchJob, QueueFull
from impasto.studio.orders import Outcome

from .conftest import Studio, order

UPLOAD = "u" + 32 * "7"
NOBODY = 32 * "0"


@pytest.fixture
def small(tmp_path: Path) -> Any:
    """A studio with room for five, three of one visitor."""
    studio = Studio(tmp_path, queue=5, own=3, ttl_seconds=100.0)
    yield studio
    studio.close()


def became(studio: Studio, id: str, status: str, **attributes: object) -> None:
    """As DBOS and a worker write it."""
    studio.jobs.database.update(id, **attributes)
    text = "UPDATE workflow_status SET status = :status WHERE workflow_uuid = :id"
    with studio.jobs.database.engine.begin() as connection:
        connection.execute(sa.text(text), {"status": status, "id": id})


def done(studio: Studio, id: str) -> None:
    outcome = Outcome(done=True, result="result.png", seconds=1.5, width=64, height=64)
    became(studio, id, "SUCCESS", outcome=outcome.model_dump(mode="json"), finished=time.time())
    studio.storage.put(f"jobs/{id}/result.png", b"picture")


def test_a_new_job_waits(studio: Studio) -> None:
    view = studio.order(size=512)
    assert (view.state, view.position, view.result, view.starred) == ("queued", 1, None, False)
    assert view.recipe.size == 512
    assert view.created.endswith("Z")
    assert len(view.id) == 32
    assert studio.order().position == 2
    assert studio.jobs.get("a", view.id) == view


def test_jobs_are_their_owners(studio: Studio) -> None:
    id = studio.order("a").id
    for act in (studio.jobs.get, studio.jobs.cancel, studio.jobs.delete):
        with pytest.raises(NoSuchJob):
            act("b", id)
    with pytest.raises(NoSuchJob):
        studio.jobs.star("b", id, True)
    assert studio.jobs.list("b") == ([], None)
    assert studio.jobs.get("a", id).state == "queued"


@pytest.mark.parametrize("id", ["", "x", NOBODY, f"{NOBODY}0", "' OR 1=1 --", "../" + 29 * "0"])
def test_what_is_no_job_is_none(studio: Studio, id: str) -> None:
    with pytest.raises(NoSuchJob):
        studio.jobs.get("a", id)


def test_the_queue_is_bounded(small: Studio) -> None:
    for _ in range(3):
        small.order("a")
    with pytest.raises(QueueFull, match="3 of your jobs") as own:
        small.order("a")
    assert 5 <= own.value.retry_after <= 600
    small.order("b")
    small.order("c")
    with pytest.raises(QueueFull, match="queue is full"):
        small.order("d")
    small.jobs.cancel("c", small.jobs.list("c")[0][0].id)
    assert small.order("d").position == 3  # after one each of a and b


def test_at_once_no_more_come_in_than_there_is_room_for(small: Studio) -> None:
    def one(number: int) -> bool:
        try:
            small.order(f"owner-{number}")
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(12))) == 5


def test_who_waits_for_little_comes_first(studio: Studio) -> None:
    many = [studio.order("a").id for _ in range(3)]
    one = studio.order("b").id
    assert studio.jobs.database.queue() == [many[0], one, *many[1:]]
    assert studio.jobs.get("b", one).position == 2


def test_who_waits_long_enough_is_not_overtaken(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twentieth job of a visitor, and a newcomer every minute."""
    now = round(time.time())
    monkeypatch.setattr(jobs, "time", SimpleNamespace(time=lambda: now))
    last = [studio.order("a").id for _ in range(20)][-1]
    places = []
    for minute in range(1, 31):
        now += 60
        studio.order(f"newcomer-{minute}")
        places.append(studio.jobs.get("a", last).position)
    assert places[0] == 21  # the newcomer comes first
    assert places[17:] == 13 * [38]  # and from the nineteenth on they come after it
    rows = studio.jobs.database.rows(lambda column, now: column.status == "ENQUEUED")
    assert all(0 < row.priority < 2**31 for row in rows)


def test_who_waits_is_counted_by_an_index(studio: Studio) -> None:
    """However many jobs there have been."""
    for owner in "aab":
        studio.order(owner)
    studio.jobs.cancel("b", studio.order("b").id)
    database = studio.jobs.database
    assert (database.crowd("a"), database.crowd("c")) == ((3, 2), (3, 0))
    assert studio.jobs.waiting() == (3, 3 * jobs.USUAL)
    known = order("b").model_copy(update={"estimate": 2.5})
    studio.jobs.submit(known)
    assert studio.jobs.waiting() == (4, 3 * jobs.USUAL + 2.5)
    count = (
        "SELECT count(*) FROM workflow_status WHERE queue_name = 'paint' AND status = 'ENQUEUED'"
    )
    plan = f"EXPLAIN QUERY PLAN {count} AND status IN ('ENQUEUED', 'PENDING')"
    with database.engine.connect() as connection:
        (row,) = connection.exec_driver_sql(plan).all()
    assert "USING COVERING INDEX" in row[-1]


def test_the_queue_of_the_workers_is_ours(studio: Studio) -> None:
    """DBOS hands jobs out in the order in which we show them."""
    ids = [studio.order(owner).id for owner in "aabac"]
    shown = studio.jobs.database.queue()
    text = "SELECT workflow_uuid FROM workflow_status ORDER BY priority, created_at"
    with studio.jobs.database.engine.connect() as connection:
        assert list(connection.execute(sa.text(text)).scalars()) == shown
    assert [ids.index(id) for id in shown] == [0, 2, 4, 1, 3]


def test_what_was_asked_stays_open(studio: Studio) -> None:
    id = studio.order(method="auto", size=None).id
    settled = order(size=512).recipe
    outcome = Outcome(done=True, recipe=settled).model_dump(mode="json")
    became(studio, id, "SUCCESS", outcome=outcome)
    view = studio.jobs.get("a", id)
    assert (view.recipe, view.asked) == (settled, order(method="auto", size=None).recipe)


def test_a_job_is_forgotten_though_its_files_cannot_be(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(prefix: str) -> None:
        raise StorageDown("The storage does not answer.")

    id = studio.order().id
    done(studio, id)
    with monkeypatch.context() as patch:
        patch.setattr(studio.storage, "delete_prefix", fail)
        studio.jobs.delete("a", id)
    assert id in caplog.text
    assert studio.jobs.list("a") == ([], None)
    studio.jobs.expire(time.time() + 3700)
    assert studio.storage.list("jobs/") == []


def test_a_key_counts_once(studio: Studio) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: studio.jobs.submit(order("a"), "key"), range(8)))
    assert len({one.view.id for one in found}) == 1
    assert sum(one.made for one in found) == 1
    other = studio.jobs.submit(order("b"), "key")
    assert other.made
    assert other.view.id != found[0].view.id
    with pytest.raises(KeyReused):
        studio.jobs.submit(order("a", size=65), "key")
    assert studio.jobs.counts()["queued"] == 2


def test_a_key_counts_once_when_the_queue_is_full(small: Studio) -> None:
    first = [small.jobs.submit(order("a"), str(number)) for number in range(3)]
    again = [small.jobs.submit(order("a"), str(number)) for number in range(3)]
    assert [one.view.id for one in again] == [one.view.id for one in first]
    assert [one.made for one in (*first, *again)] == 3 * [True] + 3 * [False]


def test_cancelled_in_the_queue(studio: Studio) -> None:
    view = studio.jobs.cancel("a", studio.order().id)
    assert (view.state, view.position, view.result) == ("cancelled", None, None)
    assert view.finished
    assert studio.jobs.waiting() == (0, 0.0)
    assert studio.jobs.cancel("a", view.id) == view


def test_what_is_done_stays_done(studio: Studio) -> None:
    id = studio.order().id
    done(studio, id)
    view = studio.jobs.cancel("a", id)
    assert (view.state, view.seconds, view.width) == ("done", 1.5, 64)
    assert view.result == f"/v1/jobs/{id}/result"


def test_a_failure_has_a_reason(studio: Studio) -> None:
    told, silent = studio.order().id, studio.order().id
    became(studio, told, "SUCCESS", outcome={"done": False, "reason": "Too large."})
    became(studio, silent, "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
    assert studio.jobs.get("a", told).reason == "Too large."
    assert studio.jobs.get("a", silent).state == "failed"
    assert "too often" in str(studio.jobs.get("a", silent).reason)


def test_a_deleted_job_is_gone_with_its_files(studio: Studio) -> None:
    id = studio.order().id
    done(studio, id)
    studio.jobs.delete("a", id)
    with pytest.raises(NoSuchJob):
        studio.jobs.get("a", id)
    assert studio.storage.list("jobs/") == []


def test_lists_go_on(studio: Studio) -> None:
    ids = [studio.order().id for _ in range(5)]
    studio.jobs.star("a", ids[1], True)
    first, following = studio.jobs.list("a", limit=2)
    rest, end = studio.jobs.list("a", limit=3, before=following)
    assert [view.id for view in (*first, *rest)] == ids[::-1]
    assert end is None
    assert [view.id for view in studio.jobs.list("a", starred=True)[0]] == [ids[1]]
    assert len(studio.jobs.list("a", starred=False)[0]) == 4
    assert studio.jobs.list("a", before=NOBODY) == ([], None)


def test_lists_of_a_comparison(studio: Studio) -> None:
    studio.order()
    one = studio.jobs.submit(order().model_copy(update={"comparison": "c"})).view
    assert [view.id for view in studio.jobs.list("a", comparison="c")[0]] == [one.id]


def test_active_ones_are_seen_in_one_look(studio: Studio) -> None:
    waiting, old, fresh = (studio.order(owner).id for owner in "abc")
    done(studio, old)
    done(studio, fresh)
    with studio.jobs.database.engine.begin() as connection:
        text = (
            "UPDATE workflow_status SET updated_at = updated_at - 60000 WHERE workflow_uuid = :id"
        )
        connection.execute(sa.text(text), {"id": old})
    found = {view.id: (owner, view.state) for owner, view in studio.jobs.active()}
    assert found == {waiting: ("a", "queued"), fresh: ("c", "done")}
    studio.jobs.star("b", old, True)
    assert old in {view.id for _, view in studio.jobs.active()}


def test_counts(studio: Studio) -> None:
    assert studio.jobs.oldest_queued_seconds() == 0
    ids = [studio.order().id for _ in range(3)]
    done(studio, ids[0])
    studio.jobs.cancel("a", ids[1])
    counts = studio.jobs.counts()
    assert counts == {"queued": 1, "running": 0, "done": 1, "failed": 0, "cancelled": 1}
    assert 0 < studio.jobs.oldest_queued_seconds() < 30


def test_what_is_over_expires(small: Studio) -> None:
    over, starred, waiting = (small.order().id for _ in range(3))
    done(small, over)
    small.jobs.cancel("a", starred)
    later = time.time() + 99
    assert small.jobs.expire(later) == []
    assert set(small.jobs.expire(later + 2)) == {("a", over), ("a", starred)}
    assert [view.id for view in small.jobs.list("a")[0]] == [waiting]
    assert small.storage.list("jobs/") == []


def test_uploads_expire_unless_somebody_waits(small: Studio) -> None:
    for owner in "ab":
        small.storage.put(f"uploads/{owner}/{UPLOAD}/picture.png", b"")
    id = small.order("a", photo=UPLOAD).id
    small.jobs.expire(time.time() + 99)
    assert len(small.storage.list("uploads/")) == 2
    small.jobs.expire(time.time() + 101)
    assert [stored.key for stored in small.storage.list("uploads/")] == [
        f"uploads/a/{UPLOAD}/picture.png"
    ]
    done(small, id)
    small.jobs.expire(time.time() + 101)
    assert small.storage.list("uploads/") == []


def test_files_of_nobody_are_swept(studio: Studio) -> None:
    for key in (f"jobs/{NOBODY}/result.png", "workers/gone.json"):
        studio.storage.put(key, b"")
    studio.jobs.expire(time.time())
    assert studio.storage.list("jobs/")
    assert studio.storage.list("workers/")
    studio.jobs.expire(time.time() + 3700)
    assert studio.storage.list("jobs/") == studio.storage.list("workers/") == []


def test_jobs_outlive_the_server(studio: Studio) -> None:
    id = studio.order().id
    again = Jobs(studio.url, studio.storage, studio.limits)
    assert again.get("a", id).state == "queued"
    again.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "postgresql://USER"),
        ("mysql://host/name", "sqlite:///FILE or postgresql"),
        ("sqlite://", "sqlite:///FILE"),
        ("postgresql://127.0.0.1:1/none", "does not answer"),
        ("sqlite:////no/such/folder/studio.db", "does not answer"),
    ],
)
def test_what_is_no_database_is_said(studio: Studio, url: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Jobs(url, studio.storage, studio.limits)


def test_no_pickle_and_no_torch(studio: Studio) -> None:
    id = studio.order().id
    with studio.jobs.database.engine.connect() as connection:
        text = "SELECT serialization FROM workflow_status WHERE workflow_uuid = :id"
        assert connection.execute(sa.text(text), {"id": id}).scalar() == "portable_json"
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2
    code = (
        "import sys, impasto.studio.jobs, impasto.studio.worker; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
