"""What an encoder sees of a picture of any size: features and their moments."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import EPS
from impasto.moments import Moments, about_mean
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.tiling.geometry import Box, Grid, Tile, encoding, reach, stride
from impasto.tiling.raster import Raster
from impasto.tiling.statistics import Statistics
from impasto.tiling.walk import Walk

T = TypeVar("T")


def grid(encoder: Encoder, size: tuple[int, int], taps: Sequence[str]) -> Grid:
    """Tiles for a picture of that size, from which all of ``taps`` are seen."""
    layers = encoding(encoder, max(taps, key=encoder.layers.index)) if taps else []
    return Grid(size, reach(layers), stride(layers))


def cores(encoder: Encoder, features: dict[str, Tensor], tile: Tile) -> dict[str, Tensor]:
    """Of the features of what is seen, those of the core."""
    return {
        tap: tile.inner.over(stride(encoding(encoder, tap))).of(f) for tap, f in features.items()
    }


@torch.no_grad()
def looks(
    source: Raster,
    encoder: Encoder,
    runtime: Runtime,
    side: int,
    walk: Walk,
    mask: Tensor | None = None,
) -> dict[str, Moments]:
    """What ``style.looks`` sees, tile by tile.  ->  moments by tap, float32, on the CPU

    mask: (1, 1, h, w), weights >= 0. Raises OutOfMemory.
    """
    own = {
        tap: Statistics(channels, full=True)
        for tap, channels in zip(TAPS, encoder.shape.channels, strict=True)
    }
    masks = {} if mask is None else {tap: _scaled(mask, source, encoder, tap) for tap in TAPS}

    def look(tile: Tile, found: dict[str, Tensor]) -> dict[str, Statistics]:
        parts = {}
        for tap, f in found.items():
            box = tile.core.over(stride(encoding(encoder, tap)))
            weight = box.of(masks[tap]).to(f.device) if masks else None
            parts[tap] = Statistics.of(f, True, weight)
        return parts

    for _, parts in _encoded(source, encoder, runtime, TAPS, side, walk, look):
        for tap, part in parts.items():
            own[tap].join(part)
    return {tap: about_mean(s.mean(), s.covariance()) for tap, s in own.items()}


def cells(
    encoder: Encoder, size: tuple[int, int], tap: str, device: torch.device | None = None
) -> Tensor:
    """A tensor of the size of a picture's features that holds no memory.  ->  (1, 1, h, w)"""
    shape = Box(0, 0, *size).over(stride(encoding(encoder, tap))).size
    return torch.zeros(1, device=device).expand(1, 1, *shape)


def _scaled(mask: Tensor, source: Raster, encoder: Encoder, tap: str) -> Tensor:
    size = cells(encoder, source.size, tap).shape[-2:]
    return mask if mask.shape[-2:] == size else F.interpolate(mask, size, mode="area")


@torch.no_grad()
def content_error(
    image: Raster, photo: Raster, encoder: Encoder, runtime: Runtime, tap: str, side: int
) -> float:
    """``losses.content_error`` of a picture at a tap, tile by tile. Raises OutOfMemory."""
    distance = energy = 0.0

    def compare(tile: Tile, found: dict[str, Tensor]) -> tuple[float, float]:
        with runtime.autocast():
            seen = encoder(runtime.tensor(photo.read(tile.seen)), (tap,))
        target = cores(encoder, seen, tile)[tap].float()
        difference = (found[tap].float() - target).square().sum()
        return float(difference), float(target.square().sum())

    parts = _encoded(image, encoder, runtime, (tap,), side, Walk(), compare)
    for _, (difference, square) in parts:
        distance, energy = distance + difference, energy + square
    return distance / max(energy, EPS)


@torch.no_grad()
def features(
    source: Raster,
    encoder: Encoder,
    runtime: Runtime,
    taps: Sequence[str],
    side: int,
    walk: Walk,
) -> dict[str, Tensor]:
    """The features of a whole picture, held in the type that the encoder computes in.

    ->  {tap: (1, C, ceil(H / 2^(block-1)), ...)}

    Raises OutOfMemory.
    """
    held: dict[str, Tensor] = {}
    for tile, found in _encoded(source, encoder, runtime, taps, side, walk, _as_found):
        for tap, f in found.items():
            step = stride(encoding(encoder, tap))
            if tap not in held:
                size = Box(0, 0, *source.size).over(step).size
                held[tap] = f.new_empty((1, f.shape[1], *size))
            tile.core.over(step).of(held[tap]).copy_(f)
    return held


def _as_found(tile: Tile, found: dict[str, Tensor]) -> dict[str, Tensor]:
    return found


def _encoded(
    source: Raster,
    encoder: Encoder,
    runtime: Runtime,
    taps: Sequence[str],
    side: int,
    walk: Walk,
    then: Callable[[Tile, dict[str, Tensor]], T],
) -> Iterator[tuple[Tile, T]]:
    """What is made of the features of the core of every tile."""

    def compute(tile: Tile) -> T:
        image = runtime.tensor(source.read(tile.seen))
        with runtime.autocast():
            found = encoder(image, taps)
        return then(tile, cores(encoder, found, tile))

    cut = grid(encoder, source.size, taps)
    walk.expect(cut, (side, side))
    return walk.over(cut, (side, side), compute)
