"""Timings: every second counts once, for the innermost part that it belongs to."""

import pytest

from impasto import timings
from impasto.timings import recorded, so_far, spent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the test sets it."""
    now = [100.0]
    monkeypatch.setattr(timings.time, "perf_counter", lambda: now[0])
    return now


def test_parts_within_parts(clock: list[float]) -> None:
    with recorded() as record:
        with spent("painting"):
            clock[0] += 1
            with spent("compiling"):
                clock[0] += 5
                with spent("reading"):
                    clock[0] += 2
            clock[0] += 3
        with spent("compiling"):
            clock[0] += 10
        assert so_far() is not None
    assert {**record.seconds, "start": 0} == {
        "start": 0,
        "painting": 4,
        "compiling": 15,
        "reading": 2,
    }


def test_the_start_is_what_the_process_took() -> None:
    with recorded() as record:
        assert 0 < record.seconds["start"] < 36_000


def test_time_goes_by_where_something_fails(clock: list[float]) -> None:
    with recorded() as record, pytest.raises(ValueError), spent("painting"):
        clock[0] += 2
        raise ValueError
    assert record.seconds["painting"] == 2


def test_nobody_records() -> None:
    with spent("painting"):
        assert so_far() is None
