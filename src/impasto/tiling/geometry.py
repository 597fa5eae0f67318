"""Tiles of a picture, their halos, and how far the layers of a network see."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from impasto.networks.decoders import Decoder
from impasto.networks.encoders import Encoder
from impasto.networks.narrow import DoublingConv

LEAST = 64
"""Tiles do not become smaller than this squared, pixels: then halos would be all of the work."""


class Layer(NamedTuple):
    """What a layer does to positions: output i sees ``kernel`` inputs about ``stride`` * i.

    Or, where ``growth`` is not 1, every input becomes so many outputs in both directions.
    """

    kernel: int = 1
    stride: int = 1
    growth: int = 1


POOL = Layer(2, 2)
DOUBLED = Layer(growth=2)


def steps(module: nn.Module) -> list[Layer]:
    """What a square convolution is, padded so that nothing but its stride shrinks."""
    assert isinstance(module, nn.Conv2d)
    layer = Layer(module.kernel_size[0], module.stride[0])
    return [DOUBLED, layer] if isinstance(module, DoublingConv) else [layer]


def encoding(encoder: Encoder, tap: str) -> list[Layer]:
    """The layers of an encoder from the picture to the features of a tap."""
    layers = []
    for name, module in encoder.convs.items():
        if name.endswith("_1") and name != "1_1":
            layers.append(POOL)
        layers += steps(module)
        if tap == f"relu{name}":
            break
    return layers


def decoding(decoder: Decoder) -> list[Layer]:
    """The layers of a decoder from the features to the picture."""
    return [layer for module in decoder.convs.values() for layer in steps(module)]


def reach(layers: Sequence[Layer], margin: int = 0) -> int:
    """How many inputs around those of a tile its outputs, and ``margin`` more, depend on."""
    for layer in reversed(layers):
        margin = math.ceil(margin / layer.growth) * layer.stride + (layer.kernel - 1) // 2
    return margin


def stride(layers: Iterable[Layer]) -> int:
    """How many inputs there are to every output, in each direction."""
    return math.prod(layer.stride for layer in layers)


def growth(layers: Iterable[Layer]) -> int:
    """How many outputs there are to every input, in each direction."""
    return math.prod(layer.growth for layer in layers)


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the last ones not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.bottom - self.top, self.right - self.left

    def of(self, image: Tensor) -> Tensor:
        """That part of an image.  (B, C, H, W)  ->  (B, C, *size), a view"""
        return image[..., self.top : self.bottom, self.left : self.right]

    def inside(self, outer: "Box") -> "Box":
        """The same part, seen from the corner of a box that holds it."""
        dy, dx = outer.top, outer.left
        return Box(self.top - dy, self.left - dx, self.bottom - dy, self.right - dx)

    def over(self, stride: int) -> "Box":
        """The features that the box has; strides round up, as pools do. Its corner is aligned."""
        return Box(*(math.ceil(side / stride) for side in self))

    def times(self, growth: int) -> "Box":
        """The outputs that belong to a box of inputs, after upsampling."""
        return Box(*(side * growth for side in self))

    def within(self, size: tuple[int, int]) -> "Box":
        """What of the box lies in a picture of that size."""
        return Box(self.top, self.left, min(self.bottom, size[0]), min(self.right, size[1]))


class Tile(NamedTuple):
    """A part of a picture, and what has to be seen to paint it."""

    core: Box
    seen: Box
    """The core and its halo. It ends where the picture ends, where networks pad as ever."""

    @property
    def inner(self) -> Box:
        """The core, seen from the corner of what is seen."""
        return self.core.inside(self.seen)


@dataclass(frozen=True)
class Grid:
    """How a picture is cut: what is seen starts at multiples of ``align``, as do cores."""

    size: tuple[int, int]
    """(height, width) of the picture"""
    halo: int = 0
    """At least so many pixels are seen around a core, where there are any."""
    align: int = 1
    """Stride of the deepest features that are looked at."""
    least: int = LEAST
    """Tiles of so many positions squared, or fewer, are not halved any more."""

    def tile(self, core: Box) -> Tile:
        """The tile with that core."""
        halo = _up(self.halo, self.align)
        corner = max(0, core.top - halo), max(0, core.left - halo)
        return Tile(core, Box(*corner, core.bottom + halo, core.right + halo).within(self.size))

    def tiles(self, sides: tuple[int, int]) -> list[Tile]:
        """Tiles whose cores cover every pixel once, row by row, nearly all of one size.

        sides: the most rows and columns of a core; less than ``align`` is taken for ``align``
        """
        rows, columns = (
            _cuts(0, whole, side, self.align) for whole, side in zip(self.size, sides, strict=True)
        )
        return self._tiles(rows, columns)

    def halves(self, tile: Tile) -> list[Tile]:
        """A tile cut in two, or nothing when it is too small for that.

        Those as wide as the picture stay so, and every cut keeps the order of rows.
        """
        core, (height, width) = tile.core, tile.core.size
        across = width == self.size[1] or height >= width
        if height * width <= self.least**2 or (height if across else width) <= self.align:
            return []
        rows, columns = [core.top, core.bottom], [core.left, core.right]
        ends = rows if across else columns
        ends.insert(1, ends[0] + _up(-(-(ends[1] - ends[0]) // 2), self.align))
        return self._tiles(rows, columns)

    def _tiles(self, rows: list[int], columns: list[int]) -> list[Tile]:
        return [
            self.tile(Box(top, left, bottom, right))
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        ]


def _up(length: int, align: int) -> int:
    """The next multiple of ``align``."""
    return -(-length // align) * align


def _cuts(start: int, end: int, side: int, align: int) -> list[int]:
    """Where to cut, both ends included: evenly, at multiples of ``align``, ``side`` at most."""
    side = max(align, side // align * align)
    count = -(-(end - start) // side)
    even = _up(-(-(end - start) // count), align)
    return [*range(start, end, even), end]


ROOM = 400e6
"""Memory that a tile with its halo may take, bytes: larger ones are not faster."""

PIXEL = 500.0
"""Bytes that a tile of the packaged networks takes per pixel (measured, both precisions)."""


def tile_side(budget_bytes: float, bytes_per_pixel: float, halo: int) -> int:
    """The side of the largest square tile that fits, with its halo, into so many bytes.

    ``LEAST`` where not even that fits: whether there is room is found out on the way.
    """
    return max(LEAST, int(math.sqrt(max(0.0, budget_bytes) / bytes_per_pixel)) - 2 * halo)
