"""Estimates between what was measured."""

import pytest

from impasto.studio.estimates import Table, memory_mb, seconds, slowest

TABLE: Table = {
    "adain": [(256, 0.1, 300.0), (512, 0.4, 400.0), (1024, 1.6, 800.0)],
    "johnson": [(256, 0.05, 310.0), (512, 0.2, 410.0)],
    "gatys/draft": [(256, 4.0, 500.0)],
    "gatys/best": [(256, 40.0, 500.0), (512, 160.0, 700.0)],
}


@pytest.mark.parametrize(
    ("width", "height", "size", "expected"),
    [
        (512, 512, None, 0.4),
        (4000, 4000, 512, 0.4),
        (256, 1024, None, 0.4),  # as many pixels
        (1024, 512, None, 0.8),  # in between: by pixels
        (2048, 2048, None, 6.4),  # beyond
        (128, 128, None, 0.025),
    ],
)
def test_time_goes_by_pixels(width: int, height: int, size: int | None, expected: float) -> None:
    assert seconds(TABLE, "adain", "normal", width, height, size) == pytest.approx(expected)


def test_memory_is_read_off_too() -> None:
    assert memory_mb(TABLE, "adain", "normal", 512, 512) == pytest.approx(400)
    between = memory_mb(TABLE, "adain", "normal", 700, 700)
    assert between is not None
    assert 400 < between < 800


def test_quality_counts_where_there_is_one() -> None:
    assert seconds(TABLE, "gatys", "best", 512, 512) == pytest.approx(160)
    assert seconds(TABLE, "gatys", "draft", 512, 512) == pytest.approx(4)
    assert seconds(TABLE, "gatys", "normal", 512, 512) is None
    assert seconds(TABLE, "wct", "normal", 512, 512) is None


def test_auto_is_the_slowest_that_it_may_be() -> None:
    assert seconds(TABLE, "auto", "normal", 512, 512) == pytest.approx(0.4)
    assert seconds(TABLE, "auto", "best", 512, 512) == pytest.approx(160)
    assert seconds({}, "auto", "normal", 512, 512) is None


def test_of_several_workers_the_slowest_counts() -> None:
    fast: Table = {"adain": [(256, 0.01, 1.0)], "wct": [(256, 1.0, 1.0)]}
    merged = slowest([fast, TABLE])
    assert merged["adain"] == TABLE["adain"]
    assert merged["wct"] == fast["wct"]
