"""The benchmark of steadiness: a tiny run; steadying steadies, and a grey film is a cheat."""

from pathlib import Path

import numpy as np
import pytest
from rows import Options, Results
from suite import films, steadiness

pytest.importorskip("cv2")


def test_every_setting_is_measured(tmp_path: Path) -> None:
    results = Results(tmp_path, "made-up", "steadiness")
    steadiness.run(results, Options(methods=("adain",), quick=True))
    found = {row.setting: row.figures for row in results.rows}
    assert {"stable 0", "stable 0.35", "grey"} < {*found}
    frame_by_frame, steadied, grey = (found[x] for x in ("stable 0", "stable 0.35", "grey"))
    assert steadied["warping_error"] < 0.7 * frame_by_frame["warping_error"]
    assert grey["warping_error"] < 1e-9
    assert grey["style_error"] > 5 * frame_by_frame["style_error"]


def test_near_and_far_have_the_size_of_the_film() -> None:
    for part in steadiness.PARTS:
        shown = steadiness.film(("pan", "coffee"), part, 3)
        assert [frame.shape for frame in shown.frames] == [(*steadiness.SIZE, 3)] * 3
        assert [flow.shape for flow in shown.flows] == [(*steadiness.SIZE, 2)] * 2
        assert shown.held is None


def test_of_real_clips_the_motion_is_estimated(tmp_path: Path) -> None:
    """About as it is, where it is said to hold, which is most of the film."""
    pytest.importorskip("av")
    (tmp_path / "clips").mkdir()
    films.film(tmp_path / "clips" / "pan.mp4", 256, 5)
    ((name, (shown,)),) = steadiness.clips(tmp_path, 3).items()
    assert name == "pan" and len(shown.frames) == 3
    assert shown.held is not None
    for moved, held in zip(shown.flows, shown.held, strict=True):
        assert held.mean() > 0.8
        assert np.median(moved[held > 0], 0) == pytest.approx([1.3, 0.4], abs=0.1)
    assert steadiness.clips(tmp_path / "clips", 3) == steadiness.clips(None, 3) == {}


def test_clips_are_beside_themselves_unpainted() -> None:
    """With what matters most: as painted, as it is by default."""
    own = list(steadiness.cells("pan", "compact"))
    assert [cell.photo for cell in own] == ["pan"] * len(own)
    assert [cell.method for cell in own if cell.way == "control"] == ["photo"]
    assert {cell.setting for cell in own} == {"stable 0", "stable 0.35", "every 2, stable 0.35"}
