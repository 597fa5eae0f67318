"""A crew of processes that share out what there is to paint; one that dies is replaced."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from impasto.batch.tasks import DIED, Done, Manner, Message, Task
from impasto.batch.worker import begin
from impasto.errors import ImpastoError, OutOfMemory
from impasto.processes import starting

AHEAD = 3
"""Tasks that a process has in hand: one it reads, one it paints, one it writes."""

MOST_AHEAD = 33

TRIES = 3
"""How many processes in a row may die before they have painted anything."""

PATIENCE = 10.0
"""Seconds in which a process may end by itself."""


@dataclass(eq=False)
class Hand:
    """One process, and what it has been given."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)
    ahead: int = AHEAD

    def give(self, task: Task) -> None:
        """Hand over a task; that the process is dead shows when it is listened to."""
        self.tasks[task.key] = task
        with suppress(OSError):
            self.connection.send(task)

    def alone(self) -> bool:
        """Whether what it does decides over one task."""
        return any(task.again for task in self.tasks.values())

    def end(self, kill: bool = False) -> None:
        """Wait until it has gone, which it does at the end of its connection; ``kill``: end it."""
        self.connection.close()
        if not kill:
            self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


class Crew:
    """Processes, started when there is work for them."""

    def __init__(self, manner: Manner, workers: int, threads: int) -> None:
        self.manner, self.workers, self.threads = manner, workers, threads
        self.hands: list[Hand] = []
        self._todo: deque[Task] = deque()
        self._again: deque[Task] = deque()
        self._stillborn = 0

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for hand in self.hands:
            with suppress(OSError):
                hand.connection.send(None)  # all at once: each takes a while to leave
        for hand in self.hands:
            hand.end(kill=kind is not None or not hand.ready)
        self.hands.clear()

    def work(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done]]:
        """What came of every task, as soon as it is known.

        A task with which a process dies is given to another, alone; when that dies too, it failed.

        Raises what ``Painter`` raises; OutOfMemory when no process lives long enough to paint.
        """
        self._todo.extend(tasks)
        while self._todo or self._again or any(hand.tasks for hand in self.hands):
            self._hire()
            self._share_out()
            for hand in self._speaking():
                yield from self._listen(hand)

    def _hire(self) -> None:
        work = len(self._todo) + len(self._again) + sum(len(hand.tasks) for hand in self.hands)
        while len(self.hands) < min(self.workers, work):
            self.hands.append(hired(self.manner, self.threads))

    def _share_out(self) -> None:
        """In turns, so that at the end nobody has much in hand while others have nothing."""
        for hand in self.hands:
            if self._again and hand.ready and not hand.tasks:
                hand.give(self._again.popleft())
        while self._todo:
            share = math.ceil(len(self._todo) / len(self.hands))
            able = [hand for hand in self.hands if hand.ready and not hand.alone()]
            free = [hand for hand in able if len(hand.tasks) < min(hand.ahead, 1 + share)]
            if not free:
                break
            min(free, key=lambda hand: len(hand.tasks)).give(self._todo.popleft())

    def _speaking(self) -> list[Hand]:
        speaking = wait([hand.connection for hand in self.hands])
        return [hand for hand in self.hands if hand.connection in speaking]

    def _listen(self, hand: Hand) -> Iterator[tuple[Task, Done]]:
        try:
            message: Message = hand.connection.recv()
        except (EOFError, OSError):
            yield from self._lost(hand)
            return
        if isinstance(message, ImpastoError):
            raise message
        if message is None:
            hand.ready = True
            return
        self._stillborn = 0
        hand.ahead = min(MOST_AHEAD, max(hand.ahead, 2 * message.room + 1))
        yield hand.tasks.pop(message.key), message

    def _lost(self, hand: Hand) -> Iterator[tuple[Task, Done]]:
        self.hands.remove(hand)
        hand.end(kill=True)
        if not hand.tasks:
            self._stillborn += 1
        if self._stillborn >= TRIES:
            raise OutOfMemory("Processes die before they paint; use fewer --workers.")
        for task in hand.tasks.values():
            if task.again:
                yield task, Done(task.key, DIED)
            else:
                self._again.append(replace(task, again=True))


def hired(manner: Manner, threads: int) -> Hand:
    """A process that loads what the Recipe needs."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=begin, args=(theirs, manner, threads), daemon=True)
    with starting():
        process.start()
    theirs.close()  # so that ours tells when the process has gone
    return Hand(process, ours)
