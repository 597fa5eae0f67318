"""Where the time of a command goes, told apart while it runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import psutil

_current: "ContextVar[Timings | None]" = ContextVar("timings", default=None)


@dataclass
class Timings:
    """Seconds by what they were spent on; what lies within something else counts there alone."""

    seconds: dict[str, float] = field(default_factory=dict)
    within: float = 0.0
    """Seconds of what has ended inside the part that is open now."""

    def add(self, part: str, seconds: float) -> None:
        """So many more for that part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds


@contextmanager
def recorded() -> Iterator[Timings]:
    """The timings of what happens while this is open, in this thread.

    ``start`` is what the process has taken so far: the interpreter, and all that was imported.
    """
    timings = Timings({"start": max(0.0, time.time() - psutil.Process().create_time())})
    token = _current.set(timings)
    try:
        yield timings
    finally:
        _current.reset(token)


@contextmanager
def spent(part: str) -> Iterator[None]:
    """What happens while this is open is time spent on ``part``, where anybody records it."""
    timings = _current.get()
    if timings is None:
        yield
        return
    start, around = time.perf_counter(), timings.within
    timings.within = 0.0
    try:
        yield
    finally:
        took = time.perf_counter() - start
        timings.add(part, took - timings.within)
        timings.within = around + took


def so_far() -> dict[str, float] | None:
    """Seconds by part, rounded to milliseconds; None where nobody records them."""
    timings = _current.get()
    if timings is None:
        return None
    return {part: round(seconds, 3) for part, seconds in timings.seconds.items()}
