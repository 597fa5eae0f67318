"""The benchmark of steadiness: a tiny run; steadying steadies, and a grey film is a cheat."""

from pathlib import Path

import pytest
from rows import Options, Results
from suite import steadiness

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
        frames, flows = steadiness.film(("pan", "coffee"), part, 3)
        assert [frame.shape for frame in frames] == [(*steadiness.SIZE, 3)] * 3
        assert [flow.shape for flow in flows] == [(*steadiness.SIZE, 2)] * 2
