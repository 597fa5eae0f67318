"""The benchmark of films: what its clock counts, and a tiny run of all its ways."""

from pathlib import Path

import pytest
from rows import Options, Results
from suite import films

pytest.importorskip("av")


def test_the_clock_starts_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 12.0])
    monkeypatch.setattr(films.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(films.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    used = iter([1.0, 4.0])
    clock = films.Clock(4, lambda: next(used))
    for done in (2, 4, 24, None):
        clock.at(done)
    assert clock.figures() == {"frames_per_second": 10.0, "busy_percent": 75.0}


def test_every_way_is_timed(tmp_path: Path) -> None:
    results = Results(tmp_path, "made-up", "films")
    films.run(results, Options(methods=("johnson",), quick=True))
    ways = set(films.WAYS) - (set() if films.does_int8("johnson") else {"int8"})
    assert {row.way for row in results.rows} == ways
    assert all(row.figures["frames_per_second"] > 0 for row in results.rows)
