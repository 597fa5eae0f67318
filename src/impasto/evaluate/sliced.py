"""Sliced Wasserstein distance: how far two clouds of points are apart, seen along random lines.

Along a line the distance is that of the sorted values. They are kept as so many quantiles, which
makes clouds of different numbers of points compare, and a cloud small enough to be remembered.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

DIRECTIONS = 64
"""Random lines."""

QUANTILES = 256

SAMPLES = 16_384
"""Points that are looked at, of clouds with more."""

SEED = 0

LEAST = 1 / 255
"""Mean magnitude below which a cloud counts as one point at zero: a step of 8 bits."""

Profile = NDArray[np.float32]
"""Quantiles along each line, (lines, QUANTILES)."""


def quantiles(values: NDArray[np.float32], count: int = QUANTILES) -> Profile:
    """The values at the middles of ``count`` equal shares of each row.  (R, N)  ->  (R, count)"""
    ordered, last = np.sort(values, axis=1), values.shape[1] - 1
    place = np.clip((np.arange(count) + 0.5) / count * (last + 1) - 0.5, 0, last)
    below = place.astype(int)
    low, high = ordered[:, below], ordered[:, np.minimum(below + 1, last)]
    found: Profile = low + (high - low) * (place - below).astype(np.float32)
    return found


def wasserstein(a: Profile, b: Profile) -> NDArray[np.float32]:
    """Wasserstein distance of order 1 in each row.  (R, Q), (R, Q)  ->  (R,), >= 0"""
    return np.abs(a - b).mean(1)  # type: ignore[no-any-return]


def profile(points: Tensor) -> Profile:
    """A cloud along the same random lines as any other of its dimension.

    points: (N, C)  ->  (DIRECTIONS, QUANTILES)
    """
    points = points.float()
    lines = _lines(points.shape[1]).to(points.device)  # (C, DIRECTIONS)
    return quantiles((points @ lines).T.contiguous().cpu().numpy())


def relative_distance(a: Profile, b: Profile) -> float:
    """Mean distance of two clouds over their mean magnitudes, along all lines.  ->  [0, 1]

    0: the same cloud; 1: as far apart as the way from one to zero and on to the other.

    Rabin et al. 2012, "Wasserstein barycenter and its application to texture mixing"; as a loss
    of features Heitz et al. 2021, arXiv:2006.07229. Differs: order 1, and relative.
    """
    size = float(np.abs(a).mean() + np.abs(b).mean())
    return float(wasserstein(a, b).mean()) / max(size, LEAST)


def sample(grid: Tensor, patch: int = 1) -> Tensor:
    """Patches of a grid: all of them, or SAMPLES at places that depend on its size alone.

    grid: (1, C, H, W), no side shorter than ``patch``  ->  (N, C * patch * patch)
    """
    patches = grid[0].unfold(1, patch, 1).unfold(2, patch, 1)  # (C, h, w, patch, patch), a view
    channels, height, width = patches.shape[:3]
    if height * width <= SAMPLES:
        chosen = patches.flatten(1, 2)  # (C, N, patch, patch)
    else:
        draw = torch.Generator().manual_seed(SEED)
        rows, columns = (torch.randint(n, (SAMPLES,), generator=draw) for n in (height, width))
        chosen = patches[:, rows.to(grid.device), columns.to(grid.device)]
    return chosen.transpose(0, 1).reshape(-1, channels * patch * patch)


@lru_cache(maxsize=16)
def _lines(dimension: int) -> Tensor:
    """Unit vectors.  ->  (dimension, DIRECTIONS)"""
    draw = torch.Generator().manual_seed(SEED)
    lines = torch.randn(dimension, DIRECTIONS, generator=draw)
    return F.normalize(lines, dim=0)
