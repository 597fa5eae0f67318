"""Events: one poller looks at the queue, and every open stream hears what its owner's jobs do."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent

from impasto.studio.jobs import Jobs, NoSuchJob
from impasto.studio.orders import JobView
from impasto.studio.problems import Refused
from impasto.studio.shares import ADDRESS, share

LOG = logging.getLogger("impasto.studio")

POLLING = 0.3
"""Seconds between two looks at the queue while somebody listens."""

LATELY = 10.0
"""Seconds for which a job that has finished is still looked at."""

STREAMS, OWN_STREAMS = 500, 16
"""Streams that may be open at once, of all and of one visitor."""

Seen = dict[str, tuple[str, JobView]]
"""Owner and state by id."""

FINAL = frozenset({"done", "failed", "cancelled"})


@dataclass(eq=False)
class Listener:
    """One open stream. What changes twice before it is sent is sent once, so nothing piles up."""

    owner: str
    only: str | None = None
    """The one job that it is about, or all"""
    news: dict[str, JobView | None] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    address: str | None = field(default_factory=ADDRESS.get)

    def tell(self, id: str, view: JobView | None) -> None:
        """A job as it is now; None: it is gone."""
        if self.only in (None, id):
            self.news[id] = view
            self.woken.set()

    def close(self) -> None:
        """Let the stream end."""
        self.closed = True
        self.woken.set()


class Hub:
    """All open streams of this process, and the poller that feeds them."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.listeners: set[Listener] = set()
        self._seen: Seen = {}
        self._gone: deque[str] = deque(maxlen=1000)
        self._someone = asyncio.Event()
        self._closed = False

    def enter(self, owner: str, only: str | None = None) -> Listener:
        """A new stream.

        Raises Refused when there are too many.
        """
        if self._closed or len(self.listeners) >= STREAMS or self._crowded(ADDRESS.get()):
            text = "The studio has no free event stream: ask for the job itself, or try later."
            raise Refused(503, text, {"Retry-After": "5"})
        own = sum(listener.owner == owner for listener in self.listeners)
        if own >= OWN_STREAMS:
            text = f"{own} streams are open: close one, or read all jobs from /v1/events."
            raise Refused(429, text, {"Retry-After": "5"})
        listener = Listener(owner, only)
        self.listeners.add(listener)
        self._someone.set()
        return listener

    def _crowded(self, address: str | None) -> bool:
        near = sum(listener.address == address for listener in self.listeners)
        return address is not None and near >= share(STREAMS)

    def leave(self, listener: Listener) -> None:
        """A stream has ended."""
        self.listeners.discard(listener)
        if not self.listeners:
            self._someone.clear()
            self._seen.clear()

    def tell(self, owner: str, id: str, view: JobView | None) -> None:
        """Pass on at once what this process has done itself; None: the job is gone."""
        if view is None:
            self._gone.append(id)
        elif id in self._gone:  # what the poller saw before it was deleted
            return
        for listener in self.listeners:
            if listener.owner == owner:
                listener.tell(id, view)

    def close(self) -> None:
        """End all streams, so that the server can."""
        self._closed = True
        for listener in self.listeners:
            listener.close()

    async def run(self) -> None:
        """Look at the queue for ever while somebody listens."""
        while True:
            await self._someone.wait()
            try:
                active = await run_in_threadpool(self.jobs.active, LATELY)
                lost = self._compare(active)
                for id, (owner, view) in (await run_in_threadpool(self._found, lost)).items():
                    self.tell(owner, id, view)
            except Exception:  # the database may come back
                LOG.exception("events")
                await asyncio.sleep(2)
            await asyncio.sleep(POLLING)

    def _compare(self, active: Sequence[tuple[str, JobView]]) -> Seen:
        """Tell what has changed.  ->  what was seen before and is no more, and why is not known"""
        now = {view.id: (owner, view) for owner, view in active}
        for id, (owner, view) in now.items():
            if self._seen.get(id) != (owner, view):
                self.tell(owner, id, view)
        listening = {listener.owner for listener in self.listeners}
        lost = {
            id: (owner, view)
            for id, (owner, view) in self._seen.items()
            if id not in now and id not in self._gone and owner in listening
        }
        self._seen = now
        return lost

    def _found(self, lost: Seen) -> dict[str, tuple[str, JobView | None]]:
        """What has become of jobs: ended longer ago than lately, or deleted by another process."""
        found: dict[str, tuple[str, JobView | None]] = {}
        for id, (owner, before) in lost.items():
            try:
                view = self.jobs.get(owner, id)
            except NoSuchJob:
                found[id] = owner, None
            else:
                if view != before:
                    found[id] = owner, view
        return found

    async def stream(
        self, listener: Listener, first: Callable[[], Sequence[JobView]]
    ) -> AsyncIterator[ServerSentEvent]:
        """What is sent: first all there is, then whatever changes.

        A stream about one job ends when the job has.
        """
        for view in await run_in_threadpool(first):
            listener.news.setdefault(view.id, view)
            if view.state not in FINAL:  # or it could vanish before the poller has seen it
                self._seen.setdefault(view.id, (listener.owner, view))
        while not listener.closed:
            news, listener.news = listener.news, {}
            listener.woken.clear()
            for id, change in news.items():
                yield _event(id, change)
                if listener.only and (change is None or change.state in FINAL):
                    return
            await listener.woken.wait()


def _event(id: str, view: JobView | None) -> ServerSentEvent:
    stamp = str(time.time_ns() // 1_000_000)
    if view is None:
        return ServerSentEvent(event="gone", data={"id": id}, id=stamp)
    return ServerSentEvent(event="job", data=view, id=stamp)
