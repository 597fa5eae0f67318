"""The benchmarks themselves: which cells there are, and that a failure stops nothing else."""

import sys
from pathlib import Path

import pytest
import run
from rows import Cell, Options
from suite import curve, memory, speed, training
from suite.turns import timed

QUICK = Options(quick=True)


def test_ours_and_plain_are_compared_at_every_size() -> None:
    groups = list(speed.groups(Options()))
    for method in ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys"):
        own = [group for group in groups if group[0].method == method]
        sizes = {group[0].size for group in own}
        assert sizes == ({256, 512, 1024} if method == "gatys" else {256, 512, 1024, 2048})
        assert all({"ours", "plain"} <= {cell.way for cell in group} for group in own)
        assert all(len({cell.size for cell in group}) == 1 for group in own)


def test_only_what_is_asked_for() -> None:
    groups = list(speed.groups(Options(methods=("adain",), sizes=(512,))))
    assert [(group[0].method, group[0].size) for group in groups] == [("adain", 512)]


@pytest.mark.parametrize("quick", [True, False])
def test_no_cell_comes_twice(quick: bool) -> None:
    cells = [
        *(cell for group in speed.groups(Options(quick=quick)) for cell in group),
        *(cell for group in training.groups(Options(quick=quick)) for cell in group),
        *memory.cells(quick),
        *curve.cells(quick),
    ]
    assert len(set(cells)) == len(cells)


def test_quick_is_small() -> None:
    assert all((cell.size or 0) <= 96 for cell in (*memory.cells(True), *curve.cells(True)))


def test_a_way_that_fails_is_told_and_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    assert timed([Cell(benchmark="speed", method="nonesuch", size=64)], patience=1) == {}
    assert "nonesuch ours 64: UnknownName: Unknown method" in capfd.readouterr().out


def test_training_needs_its_pictures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "widths"])
    with pytest.raises(SystemExit, match="2"):
        run.main()
    assert "widths needs --data DIR" in capsys.readouterr().err


def test_tiny_runs_are_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "memory", "--quick", "--methods", "none"])
    monkeypatch.setattr(run.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    run.main()
    assert list(tmp_path.glob("*/machine.json"))
    assert str(tmp_path) in capsys.readouterr().out
