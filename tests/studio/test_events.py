"""Events: every stream hears what its owner's jobs do, and nothing piles up."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.sse import ServerSentEvent

from impasto.recipe import Recipe
from impasto.studio.events import OWN_STREAMS, Hub
from impasto.studio.jobs import NoSuchJob
from impasto.studio.orders import JobView
from impasto.studio.problems import Refused


def job(id: str, state: Any = "running", **facts: Any) -> JobView:
    recipe = Recipe(photo="sample:coffee")
    given = {"created": "2026-01-01T00:00:00.000Z", "photo": recipe.photo, **facts}
    return JobView(id=id, kind="picture", state=state, recipe=recipe, asked=recipe, **given)


class Fake:
    """A queue that says what it is told to say."""

    def __init__(self) -> None:
        self.now: list[tuple[str, JobView]] = []
        self.kept: dict[str, JobView] = {}

    def active(self, seconds: float) -> list[tuple[str, JobView]]:
        return [*self.now]

    def get(self, owner: str, id: str) -> JobView:
        if id in self.kept:
            return self.kept[id]
        raise NoSuchJob


async def heard(hub: Hub, listener: Any, first: Any = (), count: int = 1) -> list[ServerSentEvent]:
    found = []
    async for event in hub.stream(listener, lambda: list(first)):
        found.append(event)
        if len(found) == count:
            break
    return found


def test_what_changes_twice_is_told_once() -> None:
    async def run() -> None:
        hub = Hub(Fake())  # type: ignore[arg-type]
        listener = hub.enter("a")
        for position in range(100):
            hub.tell("a", "1", job("1", position=position))
        hub.tell("b", "2", job("2"))
        [event] = await heard(hub, listener)
        assert event.event == "job"
        assert event.data.position == 99
        assert listener.news == {}

    asyncio.run(run())


def test_news_that_came_while_the_list_was_read_are_newer() -> None:
    async def run() -> None:
        hub = Hub(Fake())  # type: ignore[arg-type]
        listener = hub.enter("a")
        hub.tell("a", "1", job("1", "done"))
        events = await heard(hub, listener, [job("1", "running"), job("2")], 2)
        assert [(event.data.id, event.data.state) for event in events] == [
            ("1", "done"),
            ("2", "running"),
        ]

    asyncio.run(run())


def test_a_stream_about_one_job_ends_with_it() -> None:
    async def run() -> None:
        hub = Hub(Fake())  # type: ignore[arg-type]
        for ending in (job("1", "done"), None):
            listener = hub.enter("a", "1")
            hub.tell("a", "2", job("2"))
            hub.tell("a", "1", ending)
            events = [event async for event in hub.stream(listener, list)]
            assert [event.event for event in events] == ["job" if ending else "gone"]
            hub._gone.clear()

    asyncio.run(run())


def test_the_poller_tells_owners_of_changes_only() -> None:
    async def run() -> None:
        queue = Fake()
        hub = Hub(queue)  # type: ignore[arg-type]
        poller = asyncio.create_task(hub.run())
        mine, other = hub.enter("a"), hub.enter("b")
        queue.now = [("a", job("1", "queued"))]
        assert (await heard(hub, mine))[0].data.state == "queued"
        await asyncio.sleep(0.5)
        assert mine.news == {}
        queue.now = [("a", job("1", "running"))]
        assert (await heard(hub, mine))[0].data.state == "running"
        assert other.news == {}
        hub.tell("a", "1", None)
        await asyncio.sleep(0.5)  # the poller still sees it
        assert [event.event for event in await heard(hub, mine)] == ["gone"]
        assert mine.news == {}
        poller.cancel()

    asyncio.run(run())


def test_what_another_process_deleted_is_gone() -> None:
    """The queue does not tell of it: it is missing there, as what ended a while ago is."""

    async def run() -> None:
        queue = Fake()
        hub = Hub(queue)  # type: ignore[arg-type]
        queue.now = [("a", job("1")), ("a", job("2")), ("a", job("3", "done")), ("b", job("4"))]
        mine = hub.enter("a")
        poller = asyncio.create_task(hub.run())
        assert len(await heard(hub, mine, (), 3)) == 3
        queue.kept = {"2": job("2", "done"), "3": job("3", "done")}
        queue.now = []
        told = await asyncio.wait_for(heard(hub, mine, (), 2), 5)
        assert [(event.event, event.id and event.data) for event in told] == [
            ("gone", {"id": "1"}),
            ("job", queue.kept["2"]),
        ]
        await asyncio.sleep(0.5)
        assert mine.news == {}
        poller.cancel()

    asyncio.run(run())


def test_a_stream_about_a_job_that_another_process_deletes_ends() -> None:
    """Even where the poller never saw it."""

    async def run() -> None:
        hub = Hub(Fake())  # type: ignore[arg-type]
        poller = asyncio.create_task(hub.run())
        listener = hub.enter("a", "1")
        events = await asyncio.wait_for(heard(hub, listener, [job("1", "queued")], 9), 5)
        assert [event.event for event in events] == ["job", "gone"]
        poller.cancel()

    asyncio.run(run())


def test_trouble_with_the_database_passes(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Fake):
        def active(self, seconds: float) -> list[tuple[str, JobView]]:
            raise OSError("the database is away")

    async def run() -> None:
        hub = Hub(Broken())  # type: ignore[arg-type]
        hub.enter("a")
        poller = asyncio.create_task(hub.run())
        await asyncio.sleep(0.1)
        assert not poller.done()
        poller.cancel()

    asyncio.run(run())
    assert "events" in caplog.text


def test_streams_are_counted() -> None:
    async def run() -> None:
        hub = Hub(Fake())  # type: ignore[arg-type]
        listeners = [hub.enter("a") for _ in range(OWN_STREAMS)]
        with pytest.raises(Refused) as refused:
            hub.enter("a")
        assert refused.value.status == 429
        assert "Retry-After" in refused.value.headers
        hub.enter("b")
        hub.leave(listeners[0])
        hub.enter("a")
        hub.close()
        assert all(listener.closed for listener in hub.listeners)

    asyncio.run(run())


def test_streams_of_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.studio.events.STREAMS", 2)

    async def run() -> None:
        hub = Hub(Fake())  # type: ignore[arg-type]
        hub.enter("a")
        hub.enter("b")
        with pytest.raises(Refused) as refused:
            hub.enter("c")
        assert refused.value.status == 503
        assert "Retry-After" in refused.value.headers

    asyncio.run(run())


ORDER = {"recipe": {"photo": "sample:coffee", "styles": [{"source": "udnie"}], "method": "adain"}}


def lines(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def test_a_visitor_hears_of_own_jobs(site: Any, visitor: httpx.Client) -> None:
    first = visitor.post("/v1/jobs", json=ORDER).json()["id"]
    with visitor.stream("GET", "/v1/events", headers={"Last-Event-ID": "7"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = lines(answer)
        kind, data = next(events)  # the list, as after every break
        assert (kind, data["id"], data["state"]) == ("job", first, "queued")
        with site.visitor() as other:
            other.post("/v1/jobs", json=ORDER)
        visitor.post(f"/v1/jobs/{first}/cancel")
        assert next(data for _, data in events if data["state"] == "cancelled")["id"] == first
        visitor.delete(f"/v1/jobs/{first}")
        kind, data = next(event for event in events if event[0] == "gone")
        assert data == {"id": first}
    end = time.monotonic() + 5
    while site.services.hub.listeners:
        assert time.monotonic() < end, "the stream was not left"
        time.sleep(0.05)


def test_one_job_can_be_followed(site: Any, visitor: httpx.Client) -> None:
    id = visitor.post("/v1/jobs", json=ORDER).json()["id"]
    threading.Timer(0.3, lambda: visitor.post(f"/v1/jobs/{id}/cancel")).start()
    with site.visitor(Cookie=f"impasto={visitor.cookies['impasto']}") as again:
        answer = again.get(f"/v1/jobs/{id}/events")
    states = [data["state"] for _, data in lines(answer)]
    assert (states[0], states[-1]) == ("queued", "cancelled")
    with site.visitor() as other:
        assert other.get(f"/v1/jobs/{id}/events").status_code == 404
