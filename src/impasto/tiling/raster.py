"""Pictures that are read and written tile by tile, held in whatever type takes the least room."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media.levels import STRIP, WHITE
from impasto.tiling.geometry import Box, Grid
from impasto.tiling.walk import Walk


class Raster:
    """A picture of any size: uint8 or uint16, black to white, or floats in [0, 1]."""

    def __init__(self, levels: Tensor) -> None:
        """levels: (1, C, H, W); not copied."""
        self.levels = levels
        self.white = WHITE.get(levels.dtype)

    @classmethod
    def empty(cls, size: tuple[int, int], dtype: torch.dtype, channels: int = 3) -> "Raster":
        """A picture to be written; as (H, W, C) it lies in one piece, as other libraries like."""
        layout = torch.channels_last
        return cls(torch.empty((1, channels, *size), dtype=dtype, memory_format=layout))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.levels.shape[-2], self.levels.shape[-1]

    @property
    def between(self) -> torch.dtype:
        """What pictures on the way to this one are held in: floats, as they are not clamped."""
        return torch.float32 if self.levels.dtype == torch.float32 else torch.float16

    def like(self, device: torch.device | None = None) -> Tensor:
        """A tensor of that shape that holds no memory, (1, C, H, W), for what asks only for it."""
        return torch.zeros(1, device=device).expand(self.levels.shape)

    def read(self, box: Box | None = None) -> Tensor:
        """A part, or all.  ->  (1, C, h, w), float32, [0, 1]"""
        part = self.levels if box is None else box.of(self.levels)
        pixels = part.to(torch.float32, copy=True)
        return pixels if self.white is None else pixels.div_(self.white)

    def write(self, box: Box, pixels: Tensor) -> None:
        """Set a part; integers are rounded.  pixels: (1, C, h, w), [0, 1]"""
        if self.white is not None:
            pixels = (pixels.float() * self.white).round_().clamp_(0, self.white)
            # Through int32: not every machine's torch goes from floats to uint16.
            pixels = pixels.to(torch.int32).to(self.levels.dtype)
        box.of(self.levels).copy_(pixels)


def mapped(function: Callable[..., Tensor], target: Raster, *sources: Raster) -> None:
    """Write what a function of single pixels makes of others; the target may be one of them.

    function: (1, C, h, w), float32, of every source  ->  (1, 3, h, w)
    """
    grid, walk = Grid(target.size), Walk()
    rows = max(1, STRIP // target.size[1])
    tiles = walk.over(
        grid, (rows, target.size[1]), lambda tile: function(*(s.read(tile.core) for s in sources))
    )
    for tile, pixels in tiles:
        target.write(tile.core, pixels)


def resized(
    source: Raster, size: tuple[int, int], dtype: torch.dtype, clamped: bool = True
) -> Raster:
    """The picture at another size, as ``media.image.resize`` makes it: antialiased bicubic.

    First along rows, then along columns, which is what one resampling in both directions is.
    """
    height, width = size
    between = torch.float32 if dtype == torch.float32 else torch.float16
    channels = source.levels.shape[1]
    narrow = Raster.empty((source.size[0], width), between, channels)
    rows = max(1, STRIP // max(source.size[1], width))
    for tile in Grid(narrow.size).tiles((rows, width)):
        box = Box(tile.core.top, 0, tile.core.bottom, source.size[1])
        narrow.write(tile.core, _resampled(source.read(box), tile.core.size))
    target = Raster.empty(size, dtype, channels)
    columns = max(1, STRIP // max(source.size[0], height))
    for tile in Grid(size).tiles((height, columns)):
        box = Box(0, tile.core.left, narrow.size[0], tile.core.right)
        pixels = _resampled(narrow.read(box), tile.core.size)
        target.write(tile.core, pixels.clamp(0, 1) if clamped else pixels)
    return target


def _resampled(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[-2:]) == size:
        return image
    if image.shape[-1] == 1 or size[1] == 1:  # of a single column torch 2.13 makes something else
        return F.interpolate(image.mT.contiguous(), size[::-1], mode="bicubic", antialias=True).mT
    return F.interpolate(image.contiguous(), size, mode="bicubic", antialias=True)
