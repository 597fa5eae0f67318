"""How sure a mean is: bootstrap confidence intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
SEED = 0


class Interval(NamedTuple):
    """A mean, and between which values it lies; all three are equal where nothing varies."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of independent values with its BCa bootstrap interval.

    Of one value, or of equal ones, the interval is the value: there is nothing to tell from.
    Raises ValueError where there are none.

    Efron 1987, "Better bootstrap confidence intervals".
    """
    data = _given(values)
    if _constant(data):
        return _point(data)
    found = stats.bootstrap(
        (data,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=level,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(float(data.mean()), float(found.low), float(found.high))


def crossed_interval(
    values: Sequence[float],
    photos: Sequence[str],
    styles: Sequence[str],
    level: float = 0.95,
) -> Interval:
    """The mean over pairs of photos and styles, for other photos and other styles.

    Pairs that share a photo or a style are alike, so ``interval`` would promise too much of them:
    here photos and styles are drawn anew, each for themselves. Pairs may be missing, and there may
    be several of one. Raises ValueError where there are none.

    Owen 2007, "The pigeonhole bootstrap". Percentiles; slightly wider than they need be.
    """
    data = _given(values)
    if _constant(data):
        return _point(data)
    rng = np.random.default_rng(SEED)
    weights = _draws(photos, rng) * _draws(styles, rng)  # (RESAMPLES, N)
    total = weights.sum(1)
    means = (weights[total > 0] @ data) / total[total > 0]
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(data.mean()), float(low), float(high))


def _draws(names: Sequence[str], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often the name of each row is drawn, in every resample.  ->  (RESAMPLES, N)"""
    different, which = np.unique(np.asarray(names), return_inverse=True)
    count = len(different)
    draws = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)  # (RESAMPLES, names)
    return draws[:, which]


def _given(values: Sequence[float]) -> NDArray[np.float64]:
    if not len(values):
        raise ValueError("a mean needs a value")
    return np.asarray(values, dtype=np.float64)


def _constant(data: NDArray[np.float64]) -> bool:
    return bool(np.ptp(data) <= 1e-12 * np.abs(data).max())


def _point(data: NDArray[np.float64]) -> Interval:
    return Interval(*[float(data.mean())] * 3)
