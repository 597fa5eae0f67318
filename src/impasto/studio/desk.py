"""The desk: a few decoders, where files are opened, and the queue in front of them."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
from fastapi.concurrency import run_in_threadpool

from impasto.studio.box import Box, BoxDied, BoxKilled
from impasto.studio.decoder import WORK
from impasto.studio.limits import Limits
from impasto.studio.problems import Refused
from impasto.studio.shares import Shares

BOXES = 2
"""Files that are opened at the same time."""

WAITING = 64
"""Files that wait for that."""

SECONDS = 60.0
"""Longest that a file may take to be opened."""


log = logging.getLogger(__name__)


class Desk:
    """A few decoders, and the queue in front of them."""

    def __init__(self, limits: Limits, folder: Path, boxes: int = BOXES) -> None:
        """folder: for files while they are opened"""
        self.limits, self.folder = limits, folder
        self._boxes = [Box(WORK, limits.memory_mb, threads=1) for _ in range(boxes)]
        self._free = [*self._boxes]
        self._turn = asyncio.Semaphore(boxes)
        self._inside = 0
        self._shares = Shares()

    def start(self) -> None:
        """Let one decoder load before it is needed."""
        self._boxes[0].start()

    def close(self) -> None:
        """End them all."""
        for box in self._boxes:
            box.close()

    async def work(self, task: Mapping[str, object], seconds: float = SECONDS) -> dict[str, Any]:
        """Have a decoder do something.

        Raises Refused where too many wait; what the task raises; BadInput when the decoder dies.
        """
        async with self.decoder() as box:
            return await run_in_threadpool(opened, box, task, seconds)

    @asynccontextmanager
    async def decoder(self) -> AsyncIterator[Box]:
        """One decoder for oneself.  Raises Refused where too many wait."""
        room = len(self._boxes) + WAITING
        if self._inside >= room or not self._shares.room(room):
            text = "The studio is busy with other uploads. Try again in 2 s."
            raise Refused(503, text, {"Retry-After": "2"})
        self._inside += 1
        try:
            with self._shares.held():
                async with self._turn:
                    box = self._free.pop()
                    try:
                        yield box
                    finally:
                        self._free.insert(0, box)
        finally:
            self._inside -= 1

    @contextmanager
    def room(self) -> Iterator[Path]:
        """A folder for the files of one task, which is gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix=f"{whose()}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def whose() -> str:
    """What the names of this process's folders begin with."""
    return f"{socket.gethostname()}-{os.getpid()}"


def is_abandoned(folder: Path) -> bool:
    """Whether the folder belongs to a process of this machine that is no more."""
    host, _, process = folder.name.rpartition("-")[0].rpartition("-")
    here = host == socket.gethostname() and process.isdecimal()
    return here and not psutil.pid_exists(int(process))


def opened(box: Box, task: Mapping[str, object], seconds: float = SECONDS) -> dict[str, Any]:
    """What a decoder makes of a task; when it dies of something else, what the next one makes.

    Raises Refused when it takes more than is allowed, or dies twice.
    """
    try:
        return _called(box, task, seconds)
    except BoxDied as death:
        log.warning("a decoder died, its file is given to another: %s", death)
    try:
        return _called(box, task, seconds)
    except BoxKilled as death:  # not by the file: it is looked at, and not run
        text = "What opens files was killed, twice: the studio is short of memory. Try again later."
        raise Refused(503, text, {"Retry-After": "60"}, code="killed") from death
    except BoxDied as death:
        text = "The file breaks what opens it: open it in an editor, and save it anew."
        raise Refused(422, text, code="breaks") from death


def _called(box: Box, task: Mapping[str, object], seconds: float) -> dict[str, Any]:
    try:
        return box.call(task, seconds)
    except BoxDied as death:
        if not death.limit:
            raise
        text = "The file takes more time or memory to open than is allowed: make it smaller."
        raise Refused(422, text, code="too-heavy") from death
