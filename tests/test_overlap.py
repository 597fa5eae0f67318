"""Threads that read ahead and write behind: order, errors, an end."""

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from impasto import overlap
from impasto.overlap import Behind, ahead


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
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + turn * 1e-6)
            with suppress(KeyboardInterrupt):
                for number in itertools.count():
                    worker.put(number)
            ending = threading.Thread(target=worker.close, daemon=True)
            ending.start()
            ending.join(10)
            assert not ending.is_alive()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
