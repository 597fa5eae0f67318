"""The benchmarks themselves: which cells there are, and that a failure stops nothing else."""

import sys
from pathlib import Path

import pytest
import run
from rows import Cell, Options
from suite import ceilings, curve, memory, speed, training
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
        *ceilings.cells(quick),
    ]
    assert len(set(cells)) == len(cells)


def test_quick_is_small() -> None:
    cells = (*memory.cells(True), *curve.cells(True), *ceilings.cells(True))
    assert all((cell.size or 0) <= 96 for cell in cells)


def test_a_step_and_its_parts() -> None:
    """All that a step of an optimisation takes is in one of three parts."""
    *_, step = ceilings.cells(quick=True)
    found = ceilings.measured(step)
    assert step.method == "gatys"
    assert found["products"] + found["memory"] + found["between"] == pytest.approx(1)
    assert found["gflop_s"] == pytest.approx(found["gflop"] / found["seconds"])
    assert 0.3 < found["gflop"] < 0.6  # 12 forth at 512 px, as many back, at 64 px


@pytest.mark.parametrize(
    ("kernel", "part"),
    [
        ("aten::mkldnn_convolution", "products"),
        ("aten::convolution_backward", "products"),
        ("aten::baddbmm_", "products"),
        ("aten::copy_", "memory"),
        ("aten::select", "between"),
        ("Optimizer.step#Adam.step", "between"),
    ],
)
def test_kernels_by_name(kernel: str, part: str) -> None:
    assert ceilings.part(kernel) == part


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
