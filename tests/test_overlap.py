"""Threads that read ahead and write behind: order, errors, an end."""

import itertools
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from impasto import overlap
from impasto.overlap import Behind, ahead, side_by_side


def test_ahead_gives_all_in_order() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))


def test_ahead_raises_what_the_source_raised() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    items = ahead(source(), 2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_ahead_stays_within_its_depth_and_ends_when_closed() -> None:
    made = []

    def source() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with closing(ahead(source(), 2)) as items:
        assert next(items) == 0
    assert len(made) <= 5
    assert not any(thread.name == "ahead" for thread in threading.enumerate())


def test_a_source_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "LEAVE", 0.05)
    silent = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        silent.wait()

    start = time.perf_counter()
    with closing(ahead(source(), 2)) as items:
        assert next(items) == 1
    assert time.perf_counter() - start < 5
    silent.set()


def test_side_by_side_in_order() -> None:
    """Whoever is done first."""
    chance = random.Random(0)

    def work(number: int) -> int:
        time.sleep(0.002 * chance.random())
        return number * number

    assert list(side_by_side(work, range(60), 3)) == [n * n for n in range(60)]
    assert list(side_by_side(work, [], 3)) == []


def test_as_many_at_once_as_there_are_threads() -> None:
    """And one more is taken from the source: what is not wanted yet is not begun."""
    meeting, taken = threading.Barrier(3, timeout=10), []

    def source() -> Iterator[int]:
        for number in range(30):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        meeting.wait()  # all three are here
        return number

    for number in side_by_side(work, source(), 3):
        assert len(taken) <= number + 4


def test_side_by_side_raises_what_the_work_raised() -> None:
    """In its place, and the threads end."""

    def work(number: int) -> int:
        if number == 3:
            raise OSError("number 3")
        return number

    items = side_by_side(work, itertools.count(), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="number 3"):
        next(items)
    assert not any(thread.name == "beside" for thread in threading.enumerate())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such timer")
def test_side_by_side_ends_with_what_is_at_work() -> None:
    """On Ctrl-C; what waits for a thread is not begun."""
    begun, main = list[int](), threading.main_thread().ident or 0
    both, heard, free = threading.Event(), threading.Event(), threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if len(begun) == 2:
            both.set()
        free.wait(30)
        return number

    def press() -> None:
        """Until it is heard: a thread that is about to wait only hears the next one."""
        both.wait(30)
        while not heard.wait(0.05):
            signal.pthread_kill(main, signal.SIGALRM)

    def interrupt(*_: object) -> None:
        if not heard.is_set():
            heard.set()
            threading.Timer(0.1, free.set).start()
            raise KeyboardInterrupt

    before, presser = signal.signal(signal.SIGALRM, interrupt), threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(side_by_side(work, itertools.count(), 2))
    finally:
        heard.set()
        presser.join()
        signal.signal(signal.SIGALRM, before)
    assert sorted(begun) == [0, 1]
    assert not any(thread.name == "beside" for thread in threading.enumerate())


def test_behind_does_all_before_it_closes() -> None:
    done: list[int] = []
    worker = Behind(done.append, 2)
    for number in range(20):
        worker.put(number)
    worker.close()
    worker.check()
    assert done == list(range(20))


def test_behind_raises_what_the_work_raised() -> None:
    def work(number: int) -> None:
        raise OSError(f"number {number}")

    worker = Behind(work, 1)
    with pytest.raises(OSError, match="number 0"):
        for number in range(5):
            worker.put(number)
    worker.close()
    with pytest.raises(OSError, match="number 0"):
        worker.check()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such timer")
def test_interrupts_leave_nothing_locked() -> None:
    """Wherever Ctrl-C comes, the thread can be ended: what is handed over is not waited for."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(300):
            worker = Behind(lambda _: None, 2)
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + turn * 1e-6)
                for number in itertools.count():
                    worker.put(number)
            ending = threading.Thread(target=worker.close, daemon=True)
            ending.start()
            ending.join(10)
            assert not ending.is_alive()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
