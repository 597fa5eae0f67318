"""When a training does something: at intervals, and where it is asked to stop."""

import signal
import threading
import time
from types import FrameType
from typing import Any


class Clock:
    """Says when it is time again."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def due(self) -> bool:
        """Whether so many seconds have gone since it last was."""
        now = time.monotonic()
        if now - self.last <= self.seconds:
            return False
        self.last = now
        return True


class Interruption:
    """Ctrl-C and SIGTERM wait for the end of the block, then do what they did before.

    A second one does it at once; but what comes within a second is the first again, which a
    terminal and ``torchrun`` both send.
    """

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        self.number, self.since = 0, 0.0

    @property
    def asked(self) -> bool:
        """Whether one has come."""
        return self.number != 0

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self.asked:
            self.number, self.since = number, time.monotonic()
        elif time.monotonic() - self.since > 1:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self.asked:
            signal.raise_signal(self.number)
