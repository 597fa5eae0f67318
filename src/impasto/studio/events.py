"""Events: one poller looks at the queue, and every open stream hears what its owner's jobs do."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent

from impasto.studio.jobs import Jobs
from impasto.studio.orders import JobView
from impasto.studio.problems import Refused

LOG = logging.getLogger("impasto.studio")

POLLING = 0.3
"""Seconds between two looks at the queue while somebody listens."""

LATELY = 10.0
"""Seconds for which a job that has finished is still looked at."""

STREAMS, OWN_STREAMS = 1000, 16
"""Streams that may be open at once, of all and of one visitor."""

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
        self._seen: dict[str, tuple[str, JobView]] = {}
        self._gone: deque[str] = deque(maxlen=1000)
        self._someone = asyncio.Event()
        self._closed = False

    def enter(self, owner: str, only: str | None = None) -> Listener:
        """A new stream.

        Raises Refused when there are too many.
        """
        own = sum(listener.owner == owner for listener in self.listeners)
        if self._closed or len(self.listeners) >= STREAMS or own >= OWN_STREAMS:
            text = f"{own} streams are open: close one, or read all jobs from /v1/events."
            raise Refused(429, text, {"Retry-After": "5"})
        listener = Listener(owner, only)
        self.listeners.add(listener)
        self._someone.set()
        return listener

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
                self._compare(await run_in_threadpool(self.jobs.active, LATELY))
            except Exception:  # the database may come back
                LOG.exception("events")
                await asyncio.sleep(2)
            await asyncio.sleep(POLLING)

    def _compare(self, active: Sequence[tuple[str, JobView]]) -> None:
        now = {view.id: (owner, view) for owner, view in active}
        for id, (owner, view) in now.items():
            if self._seen.get(id) != (owner, view):
                self.tell(owner, id, view)
        self._seen = now

    async def stream(
        self, listener: Listener, first: Callable[[], Sequence[JobView]]
    ) -> AsyncIterator[ServerSentEvent]:
        """What is sent: first all there is, then whatever changes.

        A stream about one job ends when the job has.
        """
        for view in await run_in_threadpool(first):
            listener.news.setdefault(view.id, view)
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
