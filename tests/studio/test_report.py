"""The time left that is told of a picture in progress."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from impasto.studio import report
from impasto.stylizer import Cost, Step

STEPS, WARM_UP, PACE = 200, 30.0, 1.0


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, estimate: float) -> list[float]:
    """Seconds left at every step; the first one takes longer, as it does in life."""
    clock = 0.0
    monkeypatch.setattr("impasto.studio.report.time.monotonic", lambda: clock)
    monkeypatch.setattr("impasto.studio.report._small", lambda job: job)
    stylizer = SimpleNamespace(
        can=SimpleNamespace(steps=False), cost=lambda height, width: Cost(1.0, 0.0)
    )
    canvas = torch.zeros(1, 3, 8, 8)
    job: Any = SimpleNamespace(
        stylizer=stylizer, canvas=canvas, estimate=SimpleNamespace(seconds=estimate)
    )
    events: list[dict[str, Any]] = []
    reporter = report.Report(job, folder, events.append)
    for done in range(1, STEPS + 1):
        clock += PACE + (WARM_UP if done == 1 else 0)
        reporter.step(Step(done, STEPS, canvas))
    return [event["eta_seconds"] for event in events if event["event"] == "step"]


def test_the_time_left_does_not_go_by_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = told(monkeypatch, tmp_path, 1.3 * STEPS * PACE)
    wanted = [(STEPS - done) * PACE for done in range(1, STEPS + 1)]
    pairs = zip(left, wanted, strict=True)
    assert all(want - 0.1 <= told <= 1.31 * want + 0.1 for told, want in pairs)
    assert left == sorted(left, reverse=True)


def test_a_wrong_estimate_is_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = told(monkeypatch, tmp_path, 10 * STEPS * PACE)
    assert left[0] == pytest.approx(10 * (STEPS - 1))
    assert left[STEPS // 10 - 1] == pytest.approx(0.9 * STEPS)
    assert left[-1] == 0
