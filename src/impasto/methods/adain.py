"""AdaIN: the photo's features take the style's means and deviations, and one decoder paints them.

Huang & Belongie 2017, arXiv:1703.06868. Equations: adaptive instance normalisation (8) ->
transforms.adain; the network (9), (10) and the trade-off between photo and style (14) ->
transforms.repainted; mixed styles (15) -> codes.blend, which averages the statistics: what (15)
does to features comes out the same.

Differs: relu1_1 takes the style's mean and covariance afterwards, through a decoder that is linear
and loses nothing; without this ``finish`` a small encoder only hints at the palette. Strength 0 is
the photo, not the autoencoder's copy of it. Statistics are those of the style at the size of the
picture, and inside a mask, weighted by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from impasto.codes import Code, Region, for_canvas, inner
from impasto.costs import tiled_levels
from impasto.engines import Engine
from impasto.moments import EPS
from impasto.networks.decoders import decoder_of, load_decoders
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Can, Cost, Image, OnStep, Stylizer, tile_steps
from impasto.tiling.features import Coloring, Level, Scaling, level, levels
from impasto.tiling.raster import Raster
from impasto.transforms import CHANNEL_BYTES, adain, recolored, repainted, roots

TAP = "relu4_1"
FINISH = TAPS[0]


class Network(nn.Module):
    """The paper's network, eq. (9), (10), as one: encoder, statistics, decoder."""

    def __init__(self, encoder: Encoder, decoders: nn.ModuleDict) -> None:
        super().__init__()
        self.encoder, self.decoders = encoder, decoders

    def forward(self, image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """image: (B, 3, H, W), [0, 1]; mean, std: (B, C)  ->  (B, 3, H, W), [0, 1]"""
        features = self.encoder(image, (TAP,), frozen=True)[TAP]
        target = adain(features, {"mean": mean, "std": std})
        painted: Tensor = self.decoders[TAP](target, image.shape[-2:])
        return painted.clamp(0, 1)


class Adain(Stylizer):
    """An encoder, statistics in between, and a decoder."""

    name = "adain"
    paper = "Huang & Belongie 2017, arXiv:1703.06868"
    good = "Any painting at once; keeps what the photo shows; masks."
    bad = "Strokes are hinted at more than painted."
    strength = 1.0
    can = Can(options=frozenset({"finish"}))

    def __init__(
        self, encoder: Encoder, decoders: nn.ModuleDict, runtime: Runtime, finish: bool = True
    ) -> None:
        super().__init__()
        self.runtime, self.finish = runtime, finish
        self.encoder = runtime.place(encoder).requires_grad_(False).eval()
        self.decoders = runtime.place(decoders).requires_grad_(False).eval()
        exact = replace(runtime, int8=False)  # statistics of features would carry the rounding on
        self.engine = Engine(Network(self.encoder, self.decoders), exact, self.name)

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Adain":
        """The method with the decoders that belong to the encoder."""
        decoders = load_decoders(cls.name, encoder, (TAP, FINISH))
        return cls(encoder, decoders, machine, recipe.finish)

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """Statistics by the long side of the canvas: ``{"512/mean": (1, C), "512/std": ...}``.

        ``512/finish/mean`` and ``512/finish/color`` are those of the finish.
        """
        code = {}
        for size in SIZES:
            prefix, looks = f"{size / scale:.0f}", style.at(size)
            code[f"{prefix}/mean"] = looks[TAP].mean
            code[f"{prefix}/std"] = (looks[TAP].std().square() + EPS).sqrt()
            code[f"{prefix}/finish/mean"] = looks[FINISH].mean
            code[f"{prefix}/finish/color"], _ = roots(looks[FINISH].covariance())
        return code

    @torch.no_grad()
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """Once through encoder and decoder, and the finish.  (B, 3, H, W), [0, 1]  ->  the same"""
        image = self.runtime.tensor(content)
        regions = for_canvas(regions, image)
        image = self._painted(image, regions, strength)
        if self.finish:
            regions = [Region(inner(r.code, "finish"), r.mask) for r in regions]
            decoder = decoder_of(self.decoders, FINISH)
            with self.runtime.autocast():
                image = recolored(image, self.encoder, decoder, regions, strength)
        return image.to(content.device)

    def _painted(self, image: Image, regions: Sequence[Region], strength: float) -> Image:
        """Without the finish."""
        if strength == 1 and len(regions) == 1 and regions[0].mask is None:
            code, batch = regions[0].code, (len(image), -1)
            return self.engine(image, code["mean"].expand(batch), code["std"].expand(batch))
        decoder = decoder_of(self.decoders, TAP)
        with self.runtime.autocast():
            return repainted(image, self.encoder, decoder, TAP, adain, regions, strength)

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
        """What ``paint`` does, tile by tile; see ``tiling.features``."""
        regions = for_canvas(regions, source.like(self.runtime.device))
        finish = [Region(inner(region.code, "finish"), region.mask) for region in regions]
        first, *last = self._levels()
        steps = [(first, regions, strength), *((one, finish, strength) for one in last)]
        levels(source, target, steps, side, tile_steps(on_step, source))

    def _levels(self) -> list[Level]:
        parts = (self.encoder, self.decoders, self.runtime)
        first, last = level(*parts, TAP, Scaling()), level(*parts, FINISH, Coloring())
        return [first, last] if self.finish else [first]

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """Encoded once more, for the statistics."""
        return tiled_levels(self._levels(), height, width, room)

    def cost(self, height: int, width: int) -> Cost:
        """One pass."""
        area = height * width / 1e6
        return Cost(area, area * 1e6 * CHANNEL_BYTES * self.encoder.shape.channels[0])

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture in a style that is nothing."""
        deep, fine = self.encoder.shape.channels[3], self.encoder.shape.channels[0]
        code = {
            "512/mean": torch.zeros(1, deep),
            "512/std": torch.ones(1, deep),
            "512/finish/mean": torch.zeros(1, fine),
            "512/finish/color": torch.eye(fine)[None],
        }
        return partial(self.stylize, image, code)


METHOD = Adain
