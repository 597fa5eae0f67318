"""Feature transforms over tiles: AdaIN, its finish, and every level of WCT.

Two passes: the first gathers the statistics of the features of the whole picture, the second gives
every tile those of the style and decodes it. What comes out is ``transforms.repainted``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from impasto.codes import Code, Region, coverage, mosaic
from impasto.moments import EPS
from impasto.networks.decoders import Decoder, decoder_of
from impasto.networks.encoders import Encoder
from impasto.runtime import Runtime
from impasto.tiling.geometry import Box, Grid, Tile, decoding, encoding, reach, stride
from impasto.tiling.raster import Raster
from impasto.tiling.statistics import Statistics
from impasto.tiling.walk import OnTile, Walk, share
from impasto.transforms import FULL, Whitening, coloring, decoded

Map = Code
"""What a transform does to every position: ``mean``, then ``scale`` or ``matrix``, ``shift``."""


class Fit(Protocol):
    """Finds the map from the statistics of a picture to those of a code."""

    @property
    def full(self) -> bool:
        """Whether it needs covariances."""

    def __call__(self, own: Statistics, code: Code) -> Map:
        """The map. own: statistics of the picture's features."""


@dataclass(frozen=True)
class Scaling:
    """``transforms.adain`` from statistics that are already there."""

    full = False

    def __call__(self, own: Statistics, code: Code) -> Map:
        """Channel by channel.  ->  ``mean`` (1, C), ``scale`` (1, C), ``shift`` (1, C)"""
        std = (own.variance().to(code["std"].device) + EPS).sqrt()
        scale = code["std"].clamp_min(0) / std
        return {"mean": own.mean().to(std.device), "scale": scale, "shift": code["mean"]}


@dataclass(frozen=True)
class Coloring:
    """``transforms.whitened_and_colored`` from statistics that are already there."""

    whitening: Whitening = FULL
    full = True

    def __call__(self, own: Statistics, code: Code) -> Map:
        """All channels at once.  ->  ``mean`` (1, C), ``matrix`` (1, C, C), ``shift`` (1, C)"""
        mean, color = own.mean(), code["color"]
        matrix = coloring(mean, own.covariance(), code, self.whitening)
        return {"mean": mean.to(color), "matrix": matrix, "shift": code["mean"]}


def applied(features: Tensor, map: Map, mask: Tensor | None = None) -> Tensor:
    """The features after a map.  (1, C, H, W)  ->  (1, C, H, W), float32"""
    centred = features.float() - map["mean"][..., None, None]
    if "scale" in map:
        return centred.mul_(map["scale"][..., None, None]).add_(map["shift"][..., None, None])
    _, c, h, w = features.shape
    rows = centred.permute(0, 2, 3, 1).reshape(1, h * w, c)
    colored = torch.baddbmm(map["shift"].unsqueeze(1), rows, map["matrix"])  # (1, HW, C)
    return colored.view(1, h, w, c).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Level:
    """Encoder and decoder of one tap, and what happens in between."""

    encoder: Encoder
    decoder: Decoder
    tap: str
    fit: Fit
    runtime: Runtime

    @property
    def stride(self) -> int:
        """Pixels to a position of the tap, in each direction."""
        return stride(encoding(self.encoder, self.tap))

    def grid(self, size: tuple[int, int], painting: bool) -> Grid:
        """Tiles for a picture of that size, with the halo for painting or for encoding only."""
        layers = encoding(self.encoder, self.tap)
        layers = [*layers, *decoding(self.decoder)] if painting else layers
        return Grid(size, reach(layers), self.stride)

    def features(self, source: Raster, box: Box) -> tuple[Tensor, Tensor]:
        """A part of a picture and its features.  ->  (1, 3, h, w), (1, C, h', w')"""
        image = self.runtime.tensor(source.read(box))
        with self.runtime.autocast():
            return image, self.encoder(image, (self.tap,), frozen=True)[self.tap]


def level(encoder: Encoder, decoders: nn.ModuleDict, runtime: Runtime, tap: str, fit: Fit) -> Level:
    """The level of a tap with its decoder."""
    return Level(encoder, decoder_of(decoders, tap), tap, fit, runtime)


@torch.no_grad()
def repainted(
    source: Raster,
    target: Raster,
    level: Level,
    regions: Sequence[Region],
    strength: float,
    side: int,
    walk: Walk,
) -> None:
    """Write to ``target`` what ``transforms.repainted`` makes of ``source``, tile by tile.

    source, target: two pictures of one size; regions: as there, on the runtime's device
    side: of the tiles, without halo, pixels

    Raises OutOfMemory.
    """
    sides = (side, side)
    grid = level.grid(source.size, painting=True)
    walk.expect(grid, sides, 2)
    cells = Box(0, 0, *source.size).over(level.stride).size
    deep = [_scaled(region, cells) for region in regions]
    fine = [_scaled(region, source.size) for region in regions]
    maps = _maps(source, level, deep, sides, walk)

    def paint(tile: Tile) -> Tensor:
        image, features = level.features(source, tile.seen)
        own = _regions(maps, deep, tile.seen.over(level.stride))
        covered = coverage(_regions(maps, fine, tile.seen), image)
        target = mosaic(features, own, applied)
        with level.runtime.autocast():
            painted = decoded(image, features, target, level.decoder, strength, covered)
        return tile.inner.of(painted).clamp(0, 1)

    for tile, painted in walk.over(grid, sides, paint):
        target.write(tile.core, painted)


def _maps(
    source: Raster,
    level: Level,
    regions: Sequence[Region],
    sides: tuple[int, int],
    walk: Walk,
) -> list[Map]:
    """The map of every region: the first pass.  regions: masks at the size of the features"""
    channels = level.encoder.shape.channels[int(level.tap[4]) - 1]
    own = [Statistics(channels, level.fit.full) for _ in regions]

    def look(tile: Tile) -> list[Statistics]:
        _, seen = level.features(source, tile.seen)
        features, box = tile.inner.over(level.stride).of(seen), tile.core.over(level.stride)
        masks = [None if region.mask is None else box.of(region.mask) for region in regions]
        return [Statistics.of(features, level.fit.full, mask) for mask in masks]

    for _, parts in walk.over(level.grid(source.size, painting=False), sides, look):
        for statistics, part in zip(own, parts, strict=True):
            statistics.join(part)
    return [level.fit(statistics, r.code) for statistics, r in zip(own, regions, strict=True)]


def _scaled(region: Region, size: tuple[int, int]) -> Region:
    """The region with its mask at that size; where it has it already, not copied."""
    if region.mask is None or tuple(region.mask.shape[-2:]) == size:
        return region
    like = torch.zeros(1, device=region.mask.device).expand(1, 1, *size)
    return Region(region.code, region.mask_like(like))


def _regions(maps: Sequence[Map], regions: Sequence[Region], box: Box) -> list[Region]:
    """The regions with their maps and a part of their masks."""
    return [
        Region(map, None if region.mask is None else box.of(region.mask))
        for map, region in zip(maps, regions, strict=True)
    ]


Step = tuple[Level, Sequence[Region], float]
"""A level, the codes and masks for it, and its strength."""


def levels(
    source: Raster, target: Raster, steps: Sequence[Step], side: int, on_tile: OnTile
) -> None:
    """One level after the other, each on what the one before it painted.

    At most two pictures are held in between. Raises OutOfMemory.
    """
    # Whitening would blow up what half precision rounds; sixteen bits from 0 to 1 are finer.
    dtype = torch.float32 if target.levels.dtype == torch.float32 else torch.uint16
    image, spare = source, list[Raster]()
    for number, (level, regions, strength) in enumerate(steps):
        if number == len(steps) - 1:
            result = target
        else:
            result = spare.pop() if spare else Raster.empty(source.size, dtype)
        walk = Walk(share(on_tile, number, len(steps)))
        repainted(image, result, level, regions, strength, side, walk)
        if image is not source:
            spare.append(image)
        image = result
