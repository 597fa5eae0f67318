"""WCT: whitening and colouring of the features, level by level from coarse to fine.

Li, Fang, Yang, Wang, Lu & Yang 2017, arXiv:1705.08086: whitening (2) and colouring (3) ->
transforms.whitened_and_colored; photo against style (4) -> transforms.repainted; multi-level
(section 3.3) -> Wct.paint; texture synthesis (section 4.4) -> texture.
Mixed styles: codes.blend averages the colouring matrices, which is the paper's mean of coloured
features.

Differs: strength 0 is the photo, not the autoencoders' copy of it; eigenvalues have a floor
relative to the largest instead of being cut at 1e-5; inside a mask, statistics are weighted by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from impasto.codes import Code, Region, for_canvas, inner
from impasto.costs import tiled_levels
from impasto.errors import BadInput
from impasto.networks.decoders import decoder_of, load_decoders
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Can, Cost, Image, OnStep, Step, Stylizer, tile_steps
from impasto.tiling.features import Coloring, Level, level, levels
from impasto.tiling.raster import Raster, mapped
from impasto.transforms import (
    CHANNEL_BYTES,
    FULL,
    Whitening,
    recolored,
    repainted,
    roots,
    whitened_and_colored,
)

TEXTURE_PASSES = 3


@dataclass(frozen=True)
class Config:
    """Which levels, how strongly, and how they are whitened."""

    strengths: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)
    """Of the levels from the deepest to relu1_1, each times the strength of the whole."""
    whitening: Whitening = FULL

    def levels(self) -> list[tuple[str, float]]:
        """Tap and strength of every level that does something, from deep to shallow."""
        taps = reversed(TAPS[: len(self.strengths)])
        return [(tap, s) for tap, s in zip(taps, self.strengths, strict=True) if s > 0]


class Wct(Stylizer):
    """An encoder and five decoders, with whitening and colouring in between."""

    name = "wct"
    paper = "Li, Fang, Yang, Wang, Lu & Yang 2017, arXiv:1705.08086"
    good = "Any painting at once, with strong strokes and exact colours; masks."
    bad = "Bends fine detail, faces first."
    strength = 0.6
    can = Can(options=frozenset({"levels", "level_strengths", "floor", "shrinkage"}))

    def __init__(
        self,
        encoder: Encoder,
        decoders: nn.ModuleDict,
        runtime: Runtime,
        config: Config | None = None,
    ) -> None:
        super().__init__()
        self.runtime = runtime
        self.config = config or Config()
        self.encoder = runtime.place(encoder).requires_grad_(False).eval()
        self.decoders = runtime.place(decoders).requires_grad_(False).eval()

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Wct":
        """The method with the settings of a Recipe and the decoders that belong to the encoder."""
        strengths = recipe.level_strengths or (1.0,) * recipe.levels
        if len(strengths) != recipe.levels:
            raise BadInput(
                f"{recipe.levels} levels but {len(strengths)} level strengths: give one for each, "
                "from the deepest on."
            )
        config = Config(strengths, Whitening(recipe.floor, recipe.shrinkage))
        return cls(encoder, load_decoders(cls.name, encoder, TAPS), machine, config)

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """Means and colouring matrices by the long side of the canvas and by tap.

        ``{"512/relu4_1/mean": (1, C), "512/relu4_1/color": (1, C, C), ...}``
        """
        code = {}
        for size in SIZES:
            looks = style.at(size)
            for tap, _ in self.config.levels():
                prefix = f"{size / scale:.0f}"
                code[f"{prefix}/{tap}/mean"] = looks[tap].mean
                code[f"{prefix}/{tap}/color"], _ = roots(looks[tap].covariance())
        return code

    @torch.no_grad()
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """Once through every level.  (B, 3, H, W), [0, 1]  ->  the same"""
        image, levels = self.runtime.tensor(content), self.config.levels()
        if not levels:
            return content.clone()
        regions = for_canvas(regions, image)
        for number, (tap, share) in enumerate(levels, 1):
            with self.runtime.autocast():
                image = self._level(image, tap, regions, strength * share)
            on_step(Step(number, len(levels), image))
        return image.to(content.device)

    def _level(self, image: Image, tap: str, regions: Sequence[Region], strength: float) -> Image:
        """Whitening and colouring at one tap.  (B, 3, H, W)  ->  the same, [0, 1]"""
        whitening, decoder = self.config.whitening, decoder_of(self.decoders, tap)
        own = [Region(inner(region.code, tap), region.mask) for region in regions]
        if tap == TAPS[0]:
            return recolored(image, self.encoder, decoder, own, strength, whitening)
        transform = partial(whitened_and_colored, whitening=whitening)
        return repainted(image, self.encoder, decoder, tap, transform, own, strength)

    @torch.no_grad()
    def paint_tiles(
        self,
        source: Raster,
        target: Raster,
        regions: Sequence[Region],
        strength: float,
        side: int,
        on_step: OnStep,
    ) -> None:
        """What ``paint`` does, tile by tile; see ``tiling.features``.

        In float32: whitening blows up what bfloat16 rounds, which differs from tile to tile.
        """
        if not self.config.levels():
            mapped(lambda image: image, target, source)
            return
        regions = for_canvas(regions, source.like(self.runtime.device))
        steps = [
            (one, [Region(inner(r.code, tap), r.mask) for r in regions], strength * share)
            for one, (tap, share) in zip(self._levels(), self.config.levels(), strict=True)
        ]
        levels(source, target, steps, side, tile_steps(on_step, source))

    def _levels(self) -> list[Level]:
        fit, machine = Coloring(self.config.whitening), replace(self.runtime, bf16=False)
        parts = (self.encoder, self.decoders, machine)
        return [level(*parts, tap, fit) for tap, _ in self.config.levels()]

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """Encoded once more at every level, for the statistics."""
        return tiled_levels(self._levels(), height, width, room)

    def cost(self, height: int, width: int) -> Cost:
        """One pass through all levels."""
        area = height * width / 1e6
        return Cost(area, area * 1e6 * CHANNEL_BYTES * self.encoder.shape.channels[0])

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture, whitened and coloured as nothing."""
        code = {}
        for tap, _ in self.config.levels():
            channels = self.encoder.shape.channels[int(tap[4]) - 1]
            code[f"512/{tap}/mean"] = torch.zeros(1, channels)
            code[f"512/{tap}/color"] = torch.eye(channels)[None]
        return partial(self.stylize, image, code)


def texture(encoder: Encoder, machine: Runtime, style: Style, size: int) -> Image:
    """A square picture that has the style's covariances and nothing else.  ->  (1, 3, S, S)

    Li et al. 2017, section 4.4: noise as content, three times through all levels.
    """
    image = torch.rand(1, 3, size, size)
    wct = Wct(encoder, load_decoders(Wct.name, encoder, TAPS), machine)
    code = wct.encode(style)
    for _ in range(TEXTURE_PASSES):
        image = wct.stylize(image, code, 1.0)
    return image


METHOD = Wct
