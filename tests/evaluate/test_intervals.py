"""Bootstrap intervals: where the answer is known, and how often they are right."""

import math

import numpy as np
import pytest

from impasto.evaluate.intervals import Interval, crossed_interval, interval


def normal(count: int, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).standard_normal(count).tolist()


def test_the_interval_of_normal_values() -> None:
    """mean +- 1.96 s / sqrt(n)"""
    values = normal(400)
    found, half = interval(values), 1.96 * np.std(values) / math.sqrt(400)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(found.mean - half, abs=0.15 * half)
    assert found.high == pytest.approx(found.mean + half, abs=0.15 * half)


def test_the_same_values_have_the_same_interval() -> None:
    assert interval(normal(30)) == interval(normal(30))


def test_levels_lie_in_one_another() -> None:
    wide, narrow = interval(normal(50), 0.99), interval(normal(50), 0.8)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


@pytest.mark.parametrize("values", [[3.0], [0.1] * 7, [0.0, 0.0]])
def test_where_nothing_varies_the_interval_is_the_value(values: list[float]) -> None:
    expected = Interval(*[pytest.approx(values[0])] * 3)
    assert interval(values) == expected
    assert crossed_interval(values, ["a"] * len(values), ["b"] * len(values)) == expected


@pytest.mark.parametrize(
    "values", [[0, 1], [0, 0, 1], [0] * 20 + [1], [1e-9, 2e-9, 1e-9], [1e9, 1e9 + 1, 1e9]]
)
def test_few_values_still_have_an_interval(values: list[float]) -> None:
    found = interval(values)
    assert min(values) <= found.low <= found.mean <= found.high <= max(values)
    assert found.low < found.high


def test_no_values() -> None:
    with pytest.raises(ValueError, match="needs a value"):
        interval([])
    with pytest.raises(ValueError, match="needs a value"):
        crossed_interval([], [], [])


PHOTOS, STYLES = 12, 15


def table(photo_sd: float, style_sd: float, seed: int) -> tuple[list[float], list[str], list[str]]:
    """Values of every pair: what the photo adds, what the style adds, and a little noise."""
    rng = np.random.default_rng(seed)
    of_photo, of_style = rng.normal(0, photo_sd, PHOTOS), rng.normal(0, style_sd, STYLES)
    values = of_photo[:, None] + of_style + rng.normal(0, 0.1, (PHOTOS, STYLES))
    pairs = [(f"p{i}", f"s{j}") for i in range(PHOTOS) for j in range(STYLES)]
    return values.ravel().tolist(), [p for p, _ in pairs], [s for _, s in pairs]


def width(found: Interval) -> float:
    return found.high - found.low


def test_pairs_that_share_a_photo_are_not_independent() -> None:
    """Where all that varies is the photo there are 12 values, not 180."""
    values, photos, styles = table(photo_sd=1, style_sd=0, seed=0)
    by_photo = np.reshape(values, (PHOTOS, STYLES)).mean(1)
    expected = 2 * 1.96 * by_photo.std() / math.sqrt(PHOTOS)
    assert width(crossed_interval(values, photos, styles)) == pytest.approx(expected, rel=0.15)
    assert width(interval(values)) < 0.4 * expected


def test_photos_and_styles_may_change_places() -> None:
    values, photos, styles = table(photo_sd=1, style_sd=0.5, seed=1)
    one, other = crossed_interval(values, photos, styles), crossed_interval(values, styles, photos)
    assert one == pytest.approx(other, abs=0.1)


def test_crossed_intervals_hold_what_they_promise() -> None:
    """The true mean, 0, lies within 19 of 20 intervals; here in at least 85 of 100."""
    found = [crossed_interval(*table(1, 1, seed)) for seed in range(100)]
    assert sum(one.low <= 0 <= one.high for one in found) >= 85


def test_a_failed_pair_may_be_missing() -> None:
    values, photos, styles = table(photo_sd=1, style_sd=1, seed=2)
    whole = crossed_interval(values, photos, styles)
    without = crossed_interval(values[:-3], photos[:-3], styles[:-3])
    assert without == pytest.approx(whole, abs=0.1)
    one = crossed_interval([1.0, 2.0], ["p", "q"], ["s", "t"])  # many draws hold neither pair
    assert one == Interval(1.5, 1.0, 2.0)
