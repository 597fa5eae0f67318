"""Work that overlaps: threads that read ahead, work side by side, or write behind."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 0.1
"""Seconds after which a waiting thread looks whether it is still needed."""

LEAVE = 2.0
"""Seconds that a thread is waited for that may be reading what never comes."""


class _End:
    """The end of what comes, with the error that made it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Channel(Generic[T]):
    """A queue that holds so many items.

    ``queue.Queue`` does as much, but in Python: Ctrl-C in the middle of it leaves it locked.
    """

    def __init__(self, depth: int) -> None:
        self._items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(depth):
            self._places.put(None)

    def put(self, item: T, timeout: float | None = None) -> None:
        """Raises ``queue.Empty`` where there was no place for it in time."""
        self._places.get(timeout=timeout)
        self._items.put(item)

    def get(self) -> T:
        """The first item, as soon as there is one."""
        item = self._items.get()
        self._places.put(None)
        return item

    def close(self, last: T) -> None:
        """Put an item whether there is a place or not."""
        self._items.put(last)


def ahead(source: Iterable[T], depth: int) -> Generator[T, None, None]:
    """What ``source`` gives, made in a thread of its own, at most ``depth`` items ahead.

    Errors of the source are raised here. The thread ends when the iterator is closed.
    """
    ready = Channel[T | _End](depth)
    unwanted = threading.Event()

    def offer(item: T | _End) -> None:
        while not unwanted.is_set():
            try:
                ready.put(item, timeout=PATIENCE)
                return
            except queue.Empty:
                continue

    def work() -> None:
        failed: BaseException | None = None
        try:
            for item in source:
                offer(item)
                if unwanted.is_set():
                    break
        except BaseException as error:
            failed = error
        offer(_End(failed))

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        unwanted.set()
        thread.join(LEAVE)


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], count: int
) -> Generator[R, None, None]:
    """What ``work`` makes of each item, in their order, ``count`` of them in threads at once.

    One more waits for a thread that is free. Errors of the work are raised here. When the iterator
    is closed, what is at work is waited for, and what waits is not begun.
    """
    given: queue.SimpleQueue[tuple[T, queue.SimpleQueue[R | _End]] | None] = queue.SimpleQueue()
    waiting: deque[queue.SimpleQueue[R | _End]] = deque()
    unwanted = threading.Event()

    def run() -> None:
        while (task := given.get()) is not None:
            item, place = task
            try:
                place.put(_End() if unwanted.is_set() else work(item))
            except BaseException as error:
                place.put(_End(error))

    threads = [threading.Thread(target=run, name="beside", daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for item in items:
            place: queue.SimpleQueue[R | _End] = queue.SimpleQueue()
            waiting.append(place)
            given.put((item, place))
            if len(waiting) > count:
                yield _done(waiting.popleft())
        while waiting:
            yield _done(waiting.popleft())
    finally:
        unwanted.set()
        for _ in threads:
            given.put(None)
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _done(place: "queue.SimpleQueue[R | _End]") -> R:
    """What was made of an item, as soon as it is there; raises what went wrong."""
    done = place.get()
    if isinstance(done, _End):
        assert done.error is not None  # what is not begun is not asked for
        raise done.error
    return done


class Behind(Generic[T]):
    """A thread that does something with every item put, at most ``depth`` of them waiting."""

    def __init__(self, work: Callable[[T], None], depth: int) -> None:
        self._waiting = Channel[T | _End](depth)
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not isinstance(item := self._waiting.get(), _End):
            if self._error is None:
                try:
                    self._work(item)
                except BaseException as error:
                    self._error = error

    def put(self, item: T) -> None:
        """Hand over an item; waits while too many are waiting.

        Raises what the work raised on an earlier item.
        """
        self.check()
        self._waiting.put(item)

    def check(self) -> None:
        """Raise what the work has raised."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Wait until everything is done; ``check`` then says whether all went well."""
        self._waiting.close(_End())
        self._thread.join()
