"""A painting should move with its photo: what makes films flicker, unlearned from photos alone.

The photo is moved a little, as from one frame of a film to the next, and gets grain; painted
again, it should be the moved painting. Every motion is drawn, so where a pixel went is known
exactly, and neither films nor optical flow are needed.

Wang et al. 2020, *Consistent Video Style Transfer via Compound Regularization*, AAAI (motion and
noise on single pictures); Ruder, Dosovitskiy & Brox 2018, arXiv:1708.04538 (photos shifted and
zoomed in place of films); Gupta et al. 2017, arXiv:1705.02092 (the temporal consistency loss).
Differs: the error is relative to the variance of the painting, so that one weight does for every
style.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.training import distributed

SHIFT = 4.0
"""Pixels by which a photo is moved at most, either way: networks have strides of four."""

TURN = 1.5
"""Degrees by which it is turned at most."""

ZOOM = 0.02
"""Share by which it grows or shrinks at most."""

GRAIN = 0.02
"""Largest deviation of the grain."""

FLAT = 1e-4
"""Variance below which a painting is flat."""


class Motion(NamedTuple):
    """Place p of a moved picture, a complex number from its middle, shows ``turn p + shift``."""

    turn: Tensor
    """(B,), complex: zoom and angle"""
    shift: Tensor
    """(B,), complex: pixels"""


def drawn(count: int) -> Motion:
    """A small random motion for every picture of this process's batch."""
    random = distributed.mine(2 * torch.rand(count * distributed.world(), 4) - 1)
    return Motion(
        torch.polar(1 + ZOOM * random[:, 0], torch.deg2rad(TURN * random[:, 1])),
        SHIFT * torch.complex(random[:, 2], random[:, 3]),
    )


def moved(pictures: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
    """The pictures moved, cubic, mirrored where there is nothing to see; and where there is.

    (B, 3, H, W)  ->  (B, 3, H, W), (B, 1, H, W) of 0 or 1
    """
    height, width = pictures.shape[-2:]
    down, across = (torch.arange(side) - (side - 1) / 2 for side in (height, width))
    places = torch.complex(across.expand(height, width), down[:, None].expand(height, width))
    there = motion.turn[:, None, None] * places + motion.shift[:, None, None]  # (B, H, W)
    grid = (torch.view_as_real(there) * 2 / torch.tensor([width, height])).to(pictures.device)
    seen = (grid.abs() < 1).all(-1)[:, None].float()
    result = F.grid_sample(pictures, grid, "bicubic", "reflection", align_corners=False)
    return result, seen


def grained(photos: Tensor) -> Tensor:
    """Photos as a film has them, each with grain of a deviation of its own.  ->  the same"""
    seeds = distributed.mine(torch.randint(2**62, (len(photos) * distributed.world(),)))
    grain = torch.stack([_grain(photos.shape[1:], int(seed)) for seed in seeds])
    return (photos + grain.to(photos.device)).clamp(0, 1)


def _grain(shape: torch.Size, seed: int) -> Tensor:
    own = torch.Generator().manual_seed(seed)
    return GRAIN * torch.rand(1, generator=own) * torch.randn(shape, generator=own)


def inconsistency(paint: Callable[[Tensor], Tensor], photos: Tensor, painted: Tensor) -> Tensor:
    """How far the painting of a moved photo is from the moved painting, per picture.

    paint: what made ``painted`` of ``photos``, (B, 3, H, W)  ->  (B,), of the painting's variance
    """
    motion = drawn(len(photos))
    again = paint(grained(moved(photos, motion)[0]))
    # Moving it blurs the painting, by a hundredth of what there is to unlearn.
    expected, seen = moved(painted, motion)
    error = (seen * (again - expected).square()).sum((1, 2, 3)) / (3 * seen.sum((1, 2, 3)))
    # A number here: what learns may not buy a smaller error with more contrast.
    variance = painted.detach().var((2, 3)).mean(1)
    return error / variance.clamp_min(FLAT)
