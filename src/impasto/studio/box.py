"""A box: a child process that works for this one, and may die, hang or eat memory by itself.

What is to be done and what came of it are lines of JSON in pipes; pictures go through files.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

import psutil

from impasto import errors
from impasto.errors import ImpastoError

Message = dict[str, Any]
Tell = Callable[[Message], None]

START = "import sys; from impasto.studio.boxed import begin; begin(sys.argv[1])"
"""What the child runs."""

GRACE = 1.5
"""Seconds that a child has to stop by itself, unless its box says something else."""

LOOK = 0.05
"""Seconds between two looks at time, memory and whether to stop."""


class BoxDied(ImpastoError):
    """The child did not live to finish; the text says why."""

    def __init__(self, text: str, again: bool = True, limit: bool = False) -> None:
        """again: whether to try once more; limit: it was killed by us, for it took too much"""
        super().__init__(text)
        self.again, self.limit = again, limit


class BoxKilled(BoxDied):
    """Somebody else killed the child: an operator, or Linux where memory ran out."""


class Stopped(ImpastoError):
    """The child stopped because it was told to, and has nothing to show."""


def ignore(message: Message) -> None:
    """Nobody listens."""


def never() -> bool:
    """Nobody stops it."""
    return False


class Box:
    """A child process; it starts at the first call, and anew when it has died.

    work: ``module:function``. The function is called once in the child and returns what does each
    task: ``(task, tell) -> result``, where all three are JSON, and ``tell`` sends events meanwhile.
    To stop it, KeyboardInterrupt is raised in it; it may return what it has, or let it pass, and is
    killed when it has done neither ``grace`` seconds later.
    """

    def __init__(
        self,
        work: str,
        memory_mb: float | None = None,
        threads: int | None = None,
        grace: float = GRACE,
    ) -> None:
        self.work, self.memory_mb, self.threads, self.grace = work, memory_mb, threads, grace
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: Queue[Message | None] = Queue()
        self._one = threading.Lock()
        self._idle = True

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the child, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the child, if there is none; it loads while we do something else."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        environment = dict(os.environ)
        if self.threads:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        self._messages = Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, self.work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is not for it
        )
        reader = (self._process, self._messages)
        threading.Thread(target=_read, args=reader, daemon=True).start()

    def call(
        self,
        task: Mapping[str, object],
        seconds: float | None = None,
        tell: Tell = ignore,
        stop: Callable[[], bool] = never,
    ) -> Message:
        """Have a task done; one at a time, others wait.

        seconds: how long it may take; tell: gets the events meanwhile; stop: asked all the time

        Raises what the work raises (an ImpastoError), BoxDied, and Stopped; once ``stop`` says so
        the work has a moment to return what there is.
        """
        with self._one:
            self.start()
            self._send({"task": dict(task)})
            try:
                return self._wait(_Watch(seconds, self.memory_mb, stop, self.grace), tell)
            except BaseException:  # what it still does is for nobody
                if not self._idle:
                    self.close()
                raise

    def _wait(self, watch: "_Watch", tell: Tell) -> Message:
        self._idle = False
        while True:
            try:
                message = self._messages.get(timeout=LOOK)
            except Empty:
                message = {}
            if message is None:
                raise self._cause() if not watch.stopping else Stopped("Stopped.")
            if "event" in message:
                tell(message)
            elif "done" in message:
                self._idle = True
                done: Message = message["done"]
                return done
            elif "error" in message:
                self._idle = True
                raise _error(message["error"])
            if watch.look(self.pid):
                self._send({"stop": True})

    def _send(self, message: Message) -> None:
        pipe = self._process.stdin if self._process else None
        if pipe is not None:
            with suppress(OSError, ValueError):  # that it is dead shows when it is listened to
                pipe.write(json.dumps(message).encode() + b"\n")
                pipe.flush()

    def _cause(self) -> BoxDied:
        code = self._process.wait() if self._process else 0  # closed under our hands
        if code == -signal.SIGTERM or code == -9:  # SIGKILL, which Windows does not have
            return BoxKilled("The process that painted it was killed: maybe memory ran out.")
        return BoxDied(f"The process that painted it died (code {code}).")

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class _Watch:
    """The limits of one task."""

    def __init__(
        self,
        seconds: float | None,
        memory_mb: float | None,
        stop: Callable[[], bool],
        grace: float,
    ) -> None:
        self.seconds, self.memory_mb, self.stop, self.grace = seconds, memory_mb, stop, grace
        self.limit = f"{seconds or 0:.{0 if (seconds or 0) >= 10 else 1}f}"
        self.start = time.monotonic()
        self.stopping: float | None = None

    def look(self, pid: int | None) -> bool:
        """Whether it is to be stopped now.  Raises BoxDied for too much, Stopped for too late."""
        now = time.monotonic()
        late = self.seconds is not None and now - self.start > self.seconds
        if late and self.stopping is None:
            text = f"It took longer than {self.limit} s: a smaller size is faster."
            raise BoxDied(text, again=False, limit=True)
        if self.memory_mb is not None and _memory_mb(pid) > self.memory_mb:
            limit = f"{self.memory_mb:.0f} MB"
            text = f"It ran out of memory ({limit} are allowed): try a smaller size."
            raise BoxDied(text, limit=True)
        if self.stopping is not None and now - self.stopping > self.grace:
            raise Stopped("Stopped.")
        if self.stopping is None and self.stop():
            self.stopping = now
            return True
        return False


def _memory_mb(pid: int | None) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss / 1e6) if pid else 0.0
    except psutil.Error:  # it has just died
        return 0.0


def _read(process: "subprocess.Popen[bytes]", messages: "Queue[Message | None]") -> None:
    """Lines become messages; None at the end."""
    assert process.stdout is not None
    with suppress(OSError, ValueError):  # closed under our hands
        for line in process.stdout:
            with suppress(ValueError):  # half a line: the writer was interrupted
                messages.put(json.loads(line))
    messages.put(None)


def _error(said: Mapping[str, str]) -> ImpastoError:
    if said["kind"] == Stopped.__name__:
        return Stopped(said["text"])
    error: ImpastoError = getattr(errors, said["kind"], ImpastoError)(said["text"])
    return error
