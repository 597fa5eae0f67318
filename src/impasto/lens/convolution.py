"""Convolution with the kernels that people wrote, in whole numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Levels = NDArray[np.int64]
"""Grey levels, (H, W): 0 is black, 255 is white."""

WHITE = 255
REACH = 2
"""Pixels that a window of 5 x 5 reaches beyond its middle."""


@dataclass(frozen=True)
class Kernel:
    """Weights of a window of 5 x 5 pixels; the result is sum / divisor + offset."""

    name: str
    weights: tuple[tuple[int, ...], ...]
    divisor: int
    offset: int = 0
    """128 where sums have a sign: grey is zero"""

    def sums(self, levels: Levels) -> Levels:
        """The sum of the products at every pixel; borders mirror the picture."""
        weights = np.array(self.weights)
        sums: Levels = ndimage.correlate(levels, weights, mode="mirror")
        return sums

    def __call__(self, levels: Levels) -> Levels:
        """The picture that the kernel makes of a picture.  (H, W)  ->  (H, W), 0 to 255"""
        return self.level(self.sums(levels))

    def level(self, sums: Levels) -> Levels:
        """Sums as the grey levels that they become, halves rounded to even."""
        rounded: Levels = np.rint(sums / self.divisor + self.offset).clip(0, WHITE).astype(np.int64)
        return rounded


IDENTITY = Kernel(
    "Identity: nothing changes",
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    divisor=1,
)
BOX = Kernel("Box blur: the plain average", ((1, 1, 1, 1, 1),) * 5, divisor=25)
GAUSSIAN = Kernel(
    "Gaussian blur: near pixels count more",
    ((1, 4, 6, 4, 1), (4, 16, 24, 16, 4), (6, 24, 36, 24, 6), (4, 16, 24, 16, 4), (1, 4, 6, 4, 1)),
    divisor=256,
)
SHARPEN = Kernel(
    "Sharpen: the photo and twice what blur takes away",
    (
        (-1, -4, -6, -4, -1),
        (-4, -16, -24, -16, -4),
        (-6, -24, 348, -24, -6),
        (-4, -16, -24, -16, -4),
        (-1, -4, -6, -4, -1),
    ),
    divisor=128,
)
SOBEL_RIGHT = Kernel(
    "Sobel: upright edges",
    (
        (-1, -2, 0, 2, 1),
        (-4, -8, 0, 8, 4),
        (-6, -12, 0, 12, 6),
        (-4, -8, 0, 8, 4),
        (-1, -2, 0, 2, 1),
    ),
    divisor=32,
    offset=128,
)
SOBEL_DOWN = Kernel(
    "Sobel: level edges",
    (
        (-1, -4, -6, -4, -1),
        (-2, -8, -12, -8, -2),
        (0, 0, 0, 0, 0),
        (2, 8, 12, 8, 2),
        (1, 4, 6, 4, 1),
    ),
    divisor=32,
    offset=128,
)
LAPLACIAN = Kernel(
    "Laplacian: edges and dots in any direction",
    (
        (0, 0, -1, 0, 0),
        (0, -1, -2, -1, 0),
        (-1, -2, 16, -2, -1),
        (0, -1, -2, -1, 0),
        (0, 0, -1, 0, 0),
    ),
    divisor=4,
    offset=128,
)
EMBOSS = Kernel(
    "Emboss: light from the upper left",
    (
        (-1, -1, -1, -1, 0),
        (-1, -1, -1, 0, 1),
        (-1, -1, 0, 1, 1),
        (-1, 0, 1, 1, 1),
        (0, 1, 1, 1, 1),
    ),
    divisor=8,
    offset=128,
)

CLASSIC = (IDENTITY, BOX, GAUSSIAN, SHARPEN, SOBEL_RIGHT, SOBEL_DOWN, LAPLACIAN, EMBOSS)


def grey_levels(photo: Tensor) -> Levels:
    """Every pixel as one number from 0 to 255.  (1, 3, H, W), [0, 1]  ->  (H, W)

    ITU-R BT.601 luma, as in most picture programs.
    """
    red, green, blue = photo[0].detach().double().cpu().numpy()
    levels: Levels = np.rint((0.299 * red + 0.587 * green + 0.114 * blue) * WHITE).astype(np.int64)
    return levels


def clear_edge(levels: Levels) -> tuple[int, int]:
    """Row and column of a sharp upright edge that the kernel shows without clipping.

    Away from the border, where the picture is large enough to have an inside.
    """
    grey = levels.astype(float)
    mean, second = (_along(image, 0) for image in (grey, grey**2))
    uneven = _along(np.sqrt(np.maximum(second - mean**2, 0)), 1)
    step, left, right = (
        np.abs(ndimage.correlate1d(mean, weights, axis=1, mode="mirror"))
        for weights in ((-0.5, -0.5, 0, 0.5, 0.5), (-1, 1, 0, 0, 0), (0, 0, 0, -1, 1))
    )
    score = step - left - right - 2 * uneven
    sums = np.abs(SOBEL_RIGHT.sums(levels))
    score = np.where(sums <= 100 * SOBEL_RIGHT.divisor, score, -sums)
    if min(levels.shape) > 2 * REACH:
        inside = ndimage.binary_erosion(np.ones_like(score), iterations=REACH)
        score = np.where(inside, score, -np.inf)
    row, column = np.unravel_index(score.argmax(), levels.shape)
    return int(row), int(column)


def _along(image: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The mean of the five pixels around each, along an axis."""
    mean: NDArray[np.float64] = ndimage.uniform_filter1d(image, 5, axis=axis, mode="mirror")
    return mean


def window(levels: Levels, spot: tuple[int, int], reach: int = REACH) -> Levels:
    """The square of pixels around a spot, mirrored beyond borders.  ->  (2 reach + 1,) * 2"""
    row, column = spot
    padded = np.pad(levels, reach, mode="reflect")
    return padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
