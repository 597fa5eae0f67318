"""Pixels as files hold them, integers from black to white, and as floats in [0, 1].

A picture of many megapixels stays in integers, a quarter of the room, and goes strip by strip.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WHITE: Mapping[torch.dtype, int] = MappingProxyType({torch.uint8: 255, torch.uint16: 65_535})
"""What white is where pixels are integers."""

STRIP = 1 << 22
"""Pixels that are turned from one kind into another at a time."""


def planes(array: NDArray[Any]) -> Tensor:
    """(H, W) or (H, W, C), unsigned integers or floats  ->  (1, C, H, W), integers or float32"""
    channels = array[:, :, None] if array.ndim == 2 else array
    kind = array.dtype.newbyteorder("=") if array.dtype.kind == "u" else np.float32
    # A copy: what PIL hands out cannot be written to, and torch warns of that.
    return torch.from_numpy(np.array(channels.transpose(2, 0, 1), dtype=kind, order="C"))[None]


def floats(levels: Tensor) -> Tensor:
    """The same in [0, 1], float32; what is floats already is not copied."""
    if levels.dtype not in WHITE:
        return levels.float()
    return levels.float().div_(WHITE[levels.dtype])


def strips(image: Tensor) -> Iterator[slice]:
    """Rows of a picture (..., H, W), so many at a time that floats of them are no burden."""
    height, width = image.shape[-2:]
    rows = max(1, STRIP // width)
    return (slice(top, top + rows) for top in range(0, height, rows))


def interleaved(
    pixels: Tensor,
    alpha: Tensor | None,
    kind: np.dtype[Any],
    on_white: bool = False,
    through: torch.dtype = torch.float32,
) -> NDArray[Any]:
    """A picture as other libraries have it.  ->  (H, W, 3 or 4), integers or floats of that kind

    pixels: (3, H, W); alpha: (1, H, W); integers, or floats in [0, 1]
    on_white: what is transparent lies on white, and no alpha is left; through: what is rounded
    """
    channels = 3 if alpha is None or on_white else 4
    array = np.empty((*pixels.shape[-2:], channels), kind)
    for rows in strips(pixels):
        part = floats(pixels[:, rows])
        if alpha is not None:
            shown = floats(alpha[:, rows]).to(part)
            part = part * shown + (1 - shown) if on_white else torch.cat([part, shown])
        part = part.to(through)
        if kind.kind == "u":
            part = part.clamp(0, 1).mul_(np.iinfo(kind).max).round_()
        array[rows] = part.permute(1, 2, 0).cpu().numpy()
    return array
