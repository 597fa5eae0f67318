"""The table of figures says what it has to."""

import re

from impasto.evaluate.metrics import METRICS
from impasto.networks.encoders import TAPS


def test_names_are_stable() -> None:
    """Rows on disk, pages and docs hang on them."""
    assert [name for name in METRICS if "/" not in name] == [
        "style_error",
        "content_error",
        "mean_std_loss",
        "feature_distance",
        "patch_distance",
        "histogram_distance",
        "ssim",
        "edge_ssim",
        "cfsd",
        "lpips",
        "blobs",
        "checkerboard",
        "border",
        "fid",
        "art_fid",
    ]
    assert {name for name in METRICS if "/" in name} == {
        f"{error}/{tap}" for error in ("style_error", "content_error") for tap in TAPS
    }


def test_each_is_explained_in_one_line() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"[a-z_]+(/relu\d_\d)?", name)
        assert 10 < len(metric.meaning) < 100, name
        assert "\n" not in metric.meaning, name
        assert metric.range and metric.source, name


def test_no_two_say_the_same() -> None:
    """But for content_error, which is that of relu4_1."""
    assert len({metric.meaning for metric in METRICS.values()}) == len(METRICS) - 1


def test_likeness_is_better_the_higher() -> None:
    assert {name for name, m in METRICS.items() if m.better == "higher"} == {"ssim", "edge_ssim"}
