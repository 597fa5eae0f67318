"""Guided upsampling: a small painting at the size of its photo, with the photo's edges.

He, Sun & Tang 2013, "Guided image filtering", eq. (5), (6), (8), with a guide in colour (eq. (19));
He & Sun 2015, arXiv:1505.00996, for the way from small to large.

Differs: what the photo does not explain of the painting, its strokes, is enlarged and added.
Enlarging alone makes a blur of them, so their edges are steepened after each doubling.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media.image import resize

RADIUS = 4
"""Half the window in which painting and photo are compared, pixels of the small ones."""

FLAT = 1e-3
"""Variance of the photo below which it explains nothing."""

STEP = 0.8
"""How far off colours are taken from where strokes are steepened, pixels."""

FAINT = 5e-3
"""How much an edge has to stand out so that it is steepened by half as much."""

SEEN = 8
"""Pixels around one that decide how it is steepened, or a few more."""


def guided_upsample(painted: Tensor, photo: Tensor) -> Tensor:
    """The painting at the size of the photo.

    painted: (1, 3, h, w); photo: (1, 3, H, W), what was painted, as large as it should be; [0, 1]
    ->  (1, 3, H, W), [0, 1]
    """
    size = (photo.shape[-2], photo.shape[-1])
    if tuple(painted.shape[-2:]) == size:
        return painted
    small = (painted.shape[-2], painted.shape[-1])
    slope, strokes = explained(painted, resize(photo, small))
    for step, amount in enlargements(small, size):
        larger = F.interpolate(strokes, step, mode="bicubic", antialias=True)
        strokes = steepened(larger, amount)
    for guide in range(3):  # one by one: all at once take three times the memory
        share = F.interpolate(slope[:, guide], size, mode="bilinear")
        strokes.addcmul_(share, photo[:, guide : guide + 1])
    return strokes.clamp(0, 1)


def enlargements(small: Sequence[int], large: Sequence[int]) -> list[tuple[tuple[int, int], float]]:
    """The sizes from one to the other, doubling, and how much is steepened at each, 0 to 1."""
    sizes = [(large[0], large[1])]
    while max(sizes[0]) > 2 * max(small):
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    amounts = [min(1.0, max(0.0, max(sizes[0]) / max(small) - 1)), *(1.0 for _ in sizes[1:])]
    return list(zip(sizes, amounts, strict=True))


def explained(painted: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
    """How far a painting follows each channel of its photo, and what is left: its strokes.

    painted, photo: (1, 3, h, w)  ->  (1, 3, 3, h, w), (1, 3, h, w)
    """
    slope = _slope(painted, photo)
    return slope, painted - torch.einsum("bijhw,bihw->bjhw", slope, photo)


def steepened(image: Tensor, amount: float) -> Tensor:
    """Strokes with edges: every pixel takes its colour from a little further off the next edge.

    image: (1, C, H, W), floats of any range; amount: [0, 1]  ->  the same

    Arad & Gotsman 1999, "Enhancement by image-dependent warping". Colours are moved and not
    changed, so there are no halos. Differs: by one length, whatever the contrast of the edge.
    """
    height, width = image.shape[-2:]
    if amount == 0 or min(height, width) < 2:
        return image
    down, right = torch.gradient(_box(image, 1), dim=(-2, -1))
    edges = _box((down.square() + right.square()).sum(1, keepdim=True).sqrt(), 1)
    down, right = torch.gradient(edges, dim=(-2, -1))
    length = amount * STEP / ((down.square() + right.square()).sqrt() + FAINT)
    rows = torch.arange(height).view(1, 1, height, 1) - down * length
    columns = torch.arange(width).view(1, 1, 1, width) - right * length
    grid = torch.cat([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], 1)
    places = grid.permute(0, 2, 3, 1)  # (1, H, W, 2)
    return F.grid_sample(image, places, padding_mode="border", align_corners=False)


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


def _box(image: Tensor, radius: int = RADIUS) -> Tensor:
    """Means over windows, at the border over what there is of them."""
    side = 2 * radius + 1
    return F.avg_pool2d(image, side, stride=1, padding=radius, count_include_pad=False)
