"""Guided upsampling: a small painting at the size of its photo, with the photo's edges.

He, Sun & Tang 2013, "Guided image filtering", eq. (5), (6), (8), with a guide in colour (eq. (19));
He & Sun 2015, arXiv:1505.00996, for the way from small to large.

Differs: what the photo does not explain of the painting, its strokes, is enlarged and added.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media.image import resize

RADIUS = 4
"""Half the window in which painting and photo are compared, pixels of the small ones."""

FLAT = 1e-3
"""Variance of the photo below which it explains nothing."""


def guided_upsample(painted: Tensor, photo: Tensor) -> Tensor:
    """The painting at the size of the photo.

    painted: (1, 3, h, w); photo: (1, 3, H, W), what was painted, as large as it should be; [0, 1]
    ->  (1, 3, H, W), [0, 1]
    """
    size = (photo.shape[-2], photo.shape[-1])
    if tuple(painted.shape[-2:]) == size:
        return painted
    small = resize(photo, (painted.shape[-2], painted.shape[-1]))
    slope = _slope(painted, small)
    strokes = painted - torch.einsum("bijhw,bihw->bjhw", slope, small)
    large = F.interpolate(strokes, size, mode="bicubic")
    for guide in range(3):  # one by one: all at once take three times the memory
        share = F.interpolate(slope[:, guide], size, mode="bilinear")
        large.addcmul_(share, photo[:, guide : guide + 1])
    return large.clamp(0, 1)


def _slope(painted: Tensor, photo: Tensor) -> Tensor:
    """How far the painting follows each channel of the photo.  ->  (1, 3, 3, h, w)"""
    mean, target = _box(photo), _box(painted)  # (1, 3, h, w)
    spread = _products(photo, photo) - _outer(mean, mean)  # (1, 3, 3, h, w)
    common = _products(photo, painted) - _outer(mean, target)
    spread = spread + FLAT * torch.eye(3).view(1, 3, 3, 1, 1)
    pixels = (x.permute(0, 3, 4, 1, 2) for x in (spread, common))  # (1, h, w, 3, 3)
    slope = torch.linalg.solve(*pixels).permute(0, 3, 4, 1, 2)
    return _box(slope.reshape(1, 9, *painted.shape[-2:])).reshape(slope.shape)


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a[:, :, None] * b[:, None]  # (1, 3, 3, h, w)


def _products(a: Tensor, b: Tensor) -> Tensor:
    outer = _outer(a, b)
    return _box(outer.reshape(1, 9, *a.shape[-2:])).reshape(outer.shape)


def _box(image: Tensor) -> Tensor:
    """Means over windows, at the border over what there is of them."""
    side = 2 * RADIUS + 1
    return F.avg_pool2d(image, side, stride=1, padding=RADIUS, count_include_pad=False)
