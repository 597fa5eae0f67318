"""The loss of an optimisation and its exact gradient, tile by tile.

Gram matrices are means over positions, so they add up over tiles; and once the error of the whole
picture's Gram matrix is known, the loss is, to first order, linear in that of each tile. Two passes
therefore give what one pass over the whole picture would: the first gathers Gram matrices, the
second lets the gradient of every tile flow back, into its halo too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.losses import EPS, gram_error
from impasto.moments import gram
from impasto.networks.encoders import Encoder
from impasto.runtime import Runtime
from impasto.tiling.encode import cores, grid
from impasto.tiling.geometry import Box, Grid, Tile, encoding, stride
from impasto.tiling.walk import Walk


@dataclass(frozen=True)
class Look:
    """The Gram matrices that one region is optimised towards."""

    grams: Mapping[str, Tensor]
    weight: float
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    """The region by tap, (1, 1, h, w), at the size of the features; empty: everywhere."""


@dataclass(frozen=True)
class Targets:
    """What one scale is optimised towards."""

    content: Mapping[str, Tensor]
    looks: tuple[Look, ...]
    photo: Tensor
    kept: Tensor | float = 0.0
    """Share of ``photo`` that every pixel keeps, see ``codes.coverage``."""

    def composed(self, image: Tensor) -> Tensor:
        """The picture with the photo in the parts that keep it."""
        return image if isinstance(self.kept, float) else image.lerp(self.photo, self.kept)


@dataclass(frozen=True)
class Objective:
    """The loss: Gatys et al. 2016, eq. (7), with relative errors, see ``losses``."""

    encoder: Encoder
    runtime: Runtime
    targets: Targets
    style: Mapping[str, float]
    """Weights of the Gram errors by tap."""
    content: Mapping[str, float]
    variation: float
    energies: dict[str, float] = field(default_factory=dict)
    """What content errors are relative to, as far as it is known."""

    @property
    def taps(self) -> tuple[str, ...]:
        """Every layer that is looked at, shallow to deep."""
        used = {tap for look in self.targets.looks for tap in look.grams}
        used |= {*self.targets.content}
        return tuple(layer for layer in self.encoder.layers if layer in used)

    def stride(self, tap: str) -> int:
        """Pixels to a position of a tap, in each direction."""
        return stride(encoding(self.encoder, tap))

    def composed(self, image: Tensor, box: Box) -> Tensor:
        """A part of the picture with the photo where it is kept."""
        kept = self.targets.kept
        return (
            image
            if isinstance(kept, float)
            else image.lerp(box.of(self.targets.photo), box.of(kept))
        )

    def features(self, image: Tensor, tile: Tile) -> dict[str, Tensor]:
        """Features of a tile's core by tap.  image: (1, 3, h, w), what is seen of it"""
        with self.runtime.autocast():
            return cores(self.encoder, self.encoder(image, self.taps, frozen=True), tile)

    def energy(self, tap: str) -> float:
        """The energy of the photo's features.  ->  sum of squares"""
        if tap not in self.energies:
            blocks = torch.split(self.targets.content[tap], 256, 2)
            total = sum(float(block.float().square().sum(dtype=torch.float64)) for block in blocks)
            self.energies[tap] = max(total, EPS)
        return self.energies[tap]


def measured(
    image: Tensor, objective: Objective, side: int, walk: Walk
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """The loss of a picture, its parts by name, and its gradient.

    image: (1, 3, H, W); side: of the tiles, without halo, pixels
    ->  (1,), ``{"style/relu1_1": (1,), ..., "content/relu4_1": (1,), ...}``, (1, 3, H, W)

    Raises OutOfMemory.
    """
    sides = (side, side)
    cut = grid(objective.encoder, _size(image), objective.taps)
    walk.expect(cut, sides, 2)
    image = image.detach()
    loss, errors, slopes = _style(objective, _grams(image, objective, cut, sides, walk))
    gradient = torch.zeros_like(image)

    def compute(tile: Tile) -> tuple[Tensor, dict[str, Tensor]]:
        seen = tile.seen.of(image).clone(memory_format=torch.channels_last).requires_grad_()
        with torch.enable_grad():
            part, found = _local(seen, tile, objective, slopes, image)
            part.backward()  # type: ignore[no-untyped-call]
        assert seen.grad is not None
        return seen.grad, found

    for tile, (slope, found) in walk.over(cut, sides, compute):
        tile.seen.of(gradient).add_(slope)  # halos overlap: what flows there adds up
        for name, value in found.items():
            errors[name] = errors.get(name, 0) + value
    loss = loss + errors.pop("variation") * objective.variation
    for tap in objective.targets.content:
        loss = loss + objective.content[tap] * errors[f"content/{tap}"]
    return loss, errors, gradient


@torch.no_grad()
def _grams(
    image: Tensor, objective: Objective, cut: Grid, sides: tuple[int, int], walk: Walk
) -> list[dict[str, Tensor]]:
    """The Gram matrices of the whole picture by look and tap: the first pass."""
    totals: list[dict[str, Tensor]] = [{} for _ in objective.targets.looks]

    def compute(tile: Tile) -> list[dict[str, Tensor]]:
        seen = objective.composed(tile.seen.of(image), tile.seen)
        features = objective.features(objective.runtime.tensor(seen), tile)
        return _shares(features, tile, objective, cut.size)

    for _, found in walk.over(cut, sides, compute):
        for total, part in zip(totals, found, strict=True):
            for tap, own in part.items():
                total[tap] = total.get(tap, 0) + own.double()
    return [{tap: own.float() for tap, own in total.items()} for total in totals]


def _shares(
    features: Mapping[str, Tensor], tile: Tile, objective: Objective, size: tuple[int, int]
) -> list[dict[str, Tensor]]:
    """What a tile adds to the Gram matrices of the whole picture, by look and tap."""
    shares = []
    for look in objective.targets.looks:
        found = {}
        for tap in look.grams:
            f, step = features[tap], objective.stride(tap)
            height, width = Box(0, 0, *size).over(step).size
            mask = look.masks.get(tap)
            if mask is not None:
                # gram(f sqrt(m)) is the mean of m f f'.
                total = mask.sum(dtype=torch.float64).clamp_min(1e-8)
                f = f.float() * tile.core.over(step).of(mask).sqrt()
                positions = float(f[0, 0].numel() / total)
            else:
                positions = f[0, 0].numel() / (height * width)
            with torch.autocast(f.device.type, enabled=False):
                found[tap] = gram(f) * positions
        shares.append(found)
    return shares


def _style(
    objective: Objective, grams: Sequence[Mapping[str, Tensor]]
) -> tuple[Tensor, dict[str, Tensor], list[dict[str, Tensor]]]:
    """Loss, errors, and the gradient of the loss by every Gram matrix."""
    loss = torch.zeros(1, device=objective.runtime.device)
    errors: dict[str, Tensor] = {}
    slopes = []
    for look, own in zip(objective.targets.looks, grams, strict=True):
        slope = {}
        for tap, target in look.grams.items():
            with torch.enable_grad():
                leaf = own[tap].requires_grad_()
                error = gram_error(leaf, target)
                (slope[tap],) = torch.autograd.grad(error.sum(), leaf)
            weight = objective.style[tap] * look.weight
            slope[tap] = slope[tap] * weight
            loss = loss + weight * error.detach()
            name = f"style/{tap}"
            errors[name] = errors.get(name, 0) + error.detach() / len(objective.targets.looks)
        slopes.append(slope)
    return loss, errors, slopes


def _local(
    seen: Tensor,
    tile: Tile,
    objective: Objective,
    slopes: Sequence[Mapping[str, Tensor]],
    whole: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """A tile's part of the loss, linear in its Gram matrices; and its part of the other errors."""
    image = objective.composed(seen, tile.seen)
    features = objective.features(image, tile)
    found = {"variation": _variation(image, tile, _size(whole))}
    for tap, target in objective.targets.content.items():
        difference = features[tap].float() - tile.core.over(objective.stride(tap)).of(target)
        found[f"content/{tap}"] = difference.square().sum() / objective.energy(tap)
    part = objective.variation * found["variation"]
    for tap in objective.targets.content:
        part = part + objective.content[tap] * found[f"content/{tap}"]
    shares = _shares(features, tile, objective, _size(whole))
    for share, slope in zip(shares, slopes, strict=True):
        for tap, own in share.items():
            part = part + (own * slope[tap]).sum()
    return part, {name: value.detach().reshape(1) for name, value in found.items()}


def _variation(image: Tensor, tile: Tile, size: tuple[int, int]) -> Tensor:
    """The steps from the pixels of a tile's core to the next ones, see ``losses``."""
    core, (height, width) = tile.core, size
    beyond = Box(core.top, core.left, core.bottom + 1, core.right + 1).within(size)
    part = beyond.inside(tile.seen).of(image)
    rows, columns = core.size
    down = part[:, :, 1:, :columns] - part[:, :, :-1, :columns]
    right = part[:, :, :rows, 1:] - part[:, :, :rows, :-1]
    return (down.square().sum() + right.square().sum()) / (image.shape[1] * height * width)


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
