"""The photos and styles that quality is measured on."""

from collections.abc import Callable, Mapping
from typing import Any

from skimage import data
from torch import Tensor

from impasto.media.image import scaled, to_tensor

SIZE = 512
PHOTOS: Mapping[str, Callable[[], Any]] = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "camera": data.camera,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}

FEW_PHOTOS = ("astronaut", "coffee", "rocket")
FEW_STYLES = ("starry-night", "great-wave", "composition-vii", "udnie")
"""Twelve pairs for what takes long."""

PAIRS = (
    ("astronaut", "starry-night"),
    ("coffee", "composition-vii"),
    ("chelsea", "great-wave"),
    ("rocket", "udnie"),
)
"""Four pairs for what takes longer."""


def photo(name: str, size: int = SIZE) -> Tensor:
    """A photo at a long side of ``size`` pixels.  ->  (1, 3, H, W)"""
    return scaled(to_tensor(PHOTOS[name]()), size)
