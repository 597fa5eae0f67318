"""A tally of seconds, kept by many threads."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Tally:
    """Seconds, by what was done."""

    def __init__(self) -> None:
        self._seconds = defaultdict[str, list[float]](list)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long it takes, also where it fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(what, time.perf_counter() - began)

    def add(self, what: str, seconds: float) -> None:
        """Note how long something took."""
        self._seconds[what].append(seconds)

    def seconds(self, *what: str) -> list[float]:
        """All of some kinds, shortest first; without a kind all there are."""
        return sorted(second for kind in what or self._seconds for second in self._seconds[kind])

    def at(self, what: str, share: float) -> float:
        """The least that this share of them did not exceed: 0.5 is the median, 1 the longest."""
        found = self.seconds(what)
        return found[max(0, -int(-share * len(found) // 1) - 1)] if found else 0.0
