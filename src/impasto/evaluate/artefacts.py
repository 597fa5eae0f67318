"""What networks leave in pictures without having been asked: blobs, checkerboards, borders.

All take pictures (1, 3, H, W) in [0, 1] and look at their lightness; a painting has energy of its
own, so each compares a picture with itself or with its photo.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Map = NDArray[np.float32]

WINDOW = 9
"""Side of the window in which energy is taken, pixels."""

FLAT = 0.02
"""Deviation within a window below which a photo is flat."""

OUTLIER = 6.0
"""A blob has so many times the median energy of the flat parts."""

FRAME = 8
"""Width of the border, pixels."""


def blobs(picture: Tensor, photo: Tensor) -> int:
    """How many spots of outstanding energy there are where the photo is flat, such as in a sky.

    0 where less than a twentieth of the photo is flat.
    """
    flat = ndimage.minimum_filter(_deviation(_lightness(photo)) < FLAT, WINDOW)
    if flat.mean() < 0.05:
        return 0
    energy = _deviation(_lightness(picture))
    _, count = ndimage.label(flat & (energy > OUTLIER * np.median(energy[flat]) + FLAT))
    return int(count)


def checkerboard(picture: Tensor) -> float:
    """Share of the energy that lies at the highest frequencies, above 7/8 of Nyquist's."""
    light = _lightness(picture)
    window = np.hanning(light.shape[0])[:, None] * np.hanning(light.shape[1])
    energy = np.abs(np.fft.fft2((light - light.mean()) * window)) ** 2
    down, right = (np.abs(np.fft.fftfreq(side)) * 2 for side in light.shape)
    high = np.maximum(down[:, None], right) > 7 / 8
    return float(energy[high].sum() / max(energy.sum(), 1e-12))


def border(picture: Tensor) -> float:
    """Energy in the outermost pixels over that within: 1 where borders are like everything."""
    energy = _deviation(_lightness(picture), 5) ** 2
    inner = energy[FRAME:-FRAME, FRAME:-FRAME]
    frame = (energy.sum() - inner.sum()) / max(energy.size - inner.size, 1)
    return float(frame / max(float(inner.mean()), 1e-8)) if inner.size else 1.0


def _lightness(picture: Tensor) -> Map:
    light: Map = picture[0].float().mean(0).cpu().numpy()
    return light


def _deviation(light: Map, window: int = WINDOW) -> Map:
    """Standard deviation around every pixel."""
    mean = ndimage.uniform_filter(light, window)
    second = ndimage.uniform_filter(light**2, window)
    deviation: Map = np.sqrt(np.maximum(second - mean**2, 0))
    return deviation
