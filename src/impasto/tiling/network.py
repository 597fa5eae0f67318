"""Transformation networks over tiles, with the statistics of the whole picture at every layer.

A normalisation needs the whole picture before the next layer can begin. Layers at full and half
resolution are therefore computed again for each that follows; what lies between contraction and
expansion, a sixteenth of the positions and most of the work, is held in memory and goes on layer by
layer. In all that is one and a half times the work of a single pass.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from impasto.media.image import fit
from impasto.networks.transformer import CONTRACTION, RESIDUALS, Transformer
from impasto.runtime import Runtime
from impasto.tiling.geometry import LEAST, Box, Grid, Tile, growth, reach, stride
from impasto.tiling.layers import Layers
from impasto.tiling.raster import Raster, mapped, resized
from impasto.tiling.statistics import Statistics
from impasto.tiling.walk import OnTile, Walk, share

LAST = ("up1", "up2", "out")
"""The layers after the residual blocks."""

Part = tuple[Tensor, Statistics | None]
"""What a layer gives for a tile, before normalisation, and its statistics, where it needs any."""

Parts = Iterator[tuple[Tile, Part]]


class Painting:
    """One picture on its way through the network."""

    def __init__(
        self,
        source: Raster,
        layers: Layers,
        runtime: Runtime,
        side: int,
        walk: Walk,
        keep: torch.dtype,
    ) -> None:
        self.source, self.layers, self.runtime, self.walk = source, layers, runtime, walk
        self.keep = keep
        self.stride = stride(layers.steps(CONTRACTION))
        self.cells = Box(0, 0, *source.size).over(self.stride).size
        self.tile = (side, side)
        self.deep_tile = (side // self.stride,) * 2
        # A position of the deep layers takes four times the memory of a pixel.
        self.strip = (max(1, side * side // (4 * self.cells[1])), self.cells[1])

    def expect(self) -> None:
        """Announce all passes."""
        measured = self.layers.measured
        first, last = (sum(map(measured, names[:-1])) + 1 for names in (CONTRACTION, LAST))
        self.walk.expect(Grid(self.source.size, align=self.stride), self.tile, first)
        self.walk.expect(self._deep(), self.strip, 1 + 3 * RESIDUALS)
        self.walk.expect(self._deep(), self.deep_tile, last)
        if measured(LAST[-1]):
            self.walk.expect(Grid(self.source.size), self.tile)

    def paint(self, target: Raster) -> None:
        """All layers, into ``target``."""
        for count, name in enumerate(CONTRACTION[:-1], 1):
            if self.layers.measured(name):
                self._measure(name, self._contracted(CONTRACTION[:count]))
        name = CONTRACTION[-1]
        x = self._features(name, self.cells)
        self._measure(name, self._contracted(CONTRACTION), x, self.stride)
        self._renew(x, lambda tile: self.layers.active(name, self._part(x, tile.core)))
        self._residuals(x)
        for count, name in enumerate(LAST[:-1], 1):
            if self.layers.measured(name):
                self._measure(name, self._expanded(x, LAST[:count]))
        self._finish(x, target)

    def _deep(self, halo: int = 0) -> Grid:
        """How what is held is cut."""
        return Grid(self.cells, halo, least=LEAST // self.stride)

    def _measure(
        self, name: str, parts: Parts, into: Tensor | None = None, stride: int = 1
    ) -> None:
        """Gather what normalises a layer; and hold the layer as it is before, if asked to."""
        own = Statistics(self.layers.conv(name).out_channels, full=False)
        for tile, (raw, part) in parts:
            if part is not None:
                own.join(part)
            if into is not None:
                tile.core.over(stride).of(into).copy_(raw)
        if self.layers.measured(name):
            self.layers.known[name] = own

    def _looked_at(self, name: str, raw: Tensor) -> Part:
        return raw, Statistics.of(raw, full=False) if self.layers.measured(name) else None

    def _contracted(self, names: Sequence[str]) -> Parts:
        """The last of the layers ``names``, which follow on the picture."""
        steps = self.layers.steps(names)

        def compute(tile: Tile) -> Part:
            x = self.runtime.tensor(self.source.read(tile.seen))
            with self.runtime.autocast():
                for name in names[:-1]:
                    x = self.layers.active(name, self.layers.raw(name, x))
                x = self.layers.raw(names[-1], x)
            return self._looked_at(names[-1], tile.inner.over(stride(steps)).of(x))

        grid = Grid(self.source.size, reach(steps), self.stride)
        return self.walk.over(grid, self.tile, compute)

    def _residuals(self, x: Tensor) -> None:
        """All residual blocks, in place.  x: (1, C, H/4, W/4)"""
        height, width = self.cells
        between = self._features(CONTRACTION[-1], (height + 1, width))
        # One memory for both layers of a block: the second is written a row above where the first
        # is read, so a strip never takes away what the next one has yet to see.
        first, second = between[:, :, 1:], between[:, :, :-1]
        for i in range(1, RESIDUALS + 1):
            a, b = f"residual{i}a", f"residual{i}b"
            self._measure(a, self._convolved(a, lambda tile: self._part(x, tile.seen)), first)
            active = partial(self._active, a, first)
            self._measure(b, self._convolved(b, active), second)
            self._renew(x, partial(self._added, b, x, second))

    def _active(self, name: str, raw: Tensor, tile: Tile) -> Tensor:
        return self.layers.active(name, self._part(raw, tile.seen))

    def _added(self, name: str, x: Tensor, raw: Tensor, tile: Tile) -> Tensor:
        return self._part(x, tile.core) + self.layers.normed(name, self._part(raw, tile.core))

    def _convolved(self, name: str, source: Callable[[Tile], Tensor]) -> Parts:
        """A layer on what ``source`` gives of each strip."""

        def compute(tile: Tile) -> Part:
            with self.runtime.autocast():
                raw = self.layers.raw(name, source(tile))
            return self._looked_at(name, tile.inner.of(raw))

        grid = self._deep(reach(self.layers.steps([name])))
        return self.walk.over(grid, self.strip, compute)

    def _renew(self, x: Tensor, compute: Callable[[Tile], Tensor]) -> None:
        """Every strip computed from itself."""
        for tile, part in self.walk.over(self._deep(), self.strip, compute):
            tile.core.of(x).copy_(part)

    def _expanded(self, x: Tensor, names: Sequence[str]) -> Parts:
        """The last of the layers ``names``, which follow on the residual blocks."""
        steps = self.layers.steps(names)

        def compute(tile: Tile) -> Part:
            part = self._part(x, tile.seen)
            with self.runtime.autocast():
                for name in names[:-1]:
                    part = self.layers.active(name, self.layers.raw(name, part))
                part = self.layers.raw(names[-1], part)
            return self._looked_at(names[-1], tile.inner.times(growth(steps)).of(part))

        return self.walk.over(self._deep(reach(steps)), self.deep_tile, compute)

    def _finish(self, x: Tensor, target: Raster) -> None:
        """The picture itself."""
        name = LAST[-1]
        if not self.layers.measured(name):
            for tile, (raw, _) in self._expanded(x, LAST):
                core = tile.core.times(self.stride).within(target.size)
                part = core.inside(tile.core.times(self.stride)).of(raw)
                target.write(core, torch.sigmoid(self.layers.normed(name, part).float()))
            return
        raw = self._features(name, Box(0, 0, *self.cells).times(self.stride).size)
        self._measure(name, self._grown(self._expanded(x, LAST)), raw)

        def compute(tile: Tile) -> Tensor:
            return torch.sigmoid(self.layers.normed(name, self._part(raw, tile.core)).float())

        for tile, part in self.walk.over(Grid(target.size), self.tile, compute):
            target.write(tile.core, part)

    def _grown(self, parts: Parts) -> Parts:
        """Tiles of positions as those of the pixels that became of them."""
        for tile, part in parts:
            yield Tile(tile.core.times(self.stride), tile.seen.times(self.stride)), part

    def _features(self, name: str, size: tuple[int, int]) -> Tensor:
        """Memory for what a layer gives.  ->  (1, C, *size)"""
        shape = (1, self.layers.conv(name).out_channels, *size)
        layout, device = torch.channels_last, self.runtime.device
        return torch.empty(shape, dtype=self.keep, device=device, memory_format=layout)

    def _part(self, features: Tensor, box: Box) -> Tensor:
        """A part of what is held, in the type that is computed in."""
        part = box.of(features)
        return part if self.runtime.bf16 else part.float()


@torch.no_grad()
def painted(
    source: Raster,
    target: Raster,
    network: Transformer,
    row: Tensor | None,
    runtime: Runtime,
    side: int,
    walk: Walk,
    keep: torch.dtype | None = None,
) -> None:
    """Write to ``target`` what a transformation network makes of ``source``, tile by tile.

    source, target: two pictures of one size; row: (1, row_size), for conditional layers
    side: of the tiles, without halo, pixels; keep: type of the features that are held in memory, by
    default the one that the network computes in, so that nothing is lost

    Raises OutOfMemory.
    """
    keep = keep or (torch.bfloat16 if runtime.bf16 else torch.float32)
    painting = Painting(source, Layers(network, row), runtime, side, walk, keep)
    painting.expect()
    painting.paint(target)


def held_bytes(network: Transformer, size: tuple[int, int], runtime: Runtime) -> float:
    """Memory for the features of a picture that ``painted`` holds between its passes."""
    layers = Layers(network, None)
    height, width = Box(0, 0, *size).over(stride(layers.steps(CONTRACTION))).size
    channels = layers.conv(CONTRACTION[-1]).out_channels
    return 2.0 * height * width * channels * (2 if runtime.bf16 else 4)


def once(
    source: Raster,
    target: Raster,
    network: Transformer,
    row: Tensor | None,
    scale: float,
    runtime: Runtime,
    side: int,
    walk: Walk,
) -> None:
    """What ``feedforward.once`` paints, tile by tile; see there and ``painted``."""
    height, width = source.size
    size = fit(width, height, max(1, round(max(height, width) / scale)))
    if size == source.size:
        painted(source, target, network, row, runtime, side, walk)
        return
    small = resized(source, size, target.between)
    strokes = Raster.empty(size, target.between)
    painted(small, strokes, network, row, runtime, side, walk)
    mapped(lambda image: image, target, resized(strokes, source.size, target.between))


def between(
    source: Raster,
    target: Raster,
    network: Transformer,
    own: Tensor,
    row: Tensor,
    strength: float,
    scale: float,
    runtime: Runtime,
    side: int,
    on_tile: OnTile,
) -> None:
    """What ``feedforward.between`` paints, tile by tile; see there and ``painted``."""
    row = own.lerp(row.to(own), strength)
    if strength == 1:
        once(source, target, network, row, scale, runtime, side, Walk(on_tile))
        return
    lost, mixed = (Raster.empty(source.size, target.between) for _ in range(2))
    once(source, lost, network, own, scale, runtime, side, Walk(share(on_tile, 0, 2)))
    mapped(lambda image, copy: (1 - strength) * (image - copy), lost, source, lost)
    once(source, mixed, network, row, scale, runtime, side, Walk(share(on_tile, 1, 2)))
    mapped(lambda image, lost: (image + lost).clamp(0, 1), target, mixed, lost)
