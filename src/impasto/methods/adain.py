"""AdaIN: the photo's features take the style's means and deviations, and one decoder paints them.

Huang & Belongie 2017, arXiv:1703.06868. Equations: adaptive instance normalisation (8) -> adain;
the network (9), (10) and the trade-off between photo and style (14) -> Adain.paint; mixed styles
(15) -> codes.blend, which averages the statistics: what (15) does to features comes out the same.

Differs: strength 0 is the photo, not the autoencoder's copy of it; statistics are those of the
style at the size of the picture, and inside a mask, weighted by it.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from impasto.codes import Code, Region, coverage, for_canvas, mosaic
from impasto.moments import EPS, mean_std
from impasto.networks.decoders import load_decoders
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Cost, Image, OnStep, Stylizer

TAP = "relu4_1"


def adain(features: Tensor, code: Code, mask: Tensor | None = None) -> Tensor:
    """Features with the code's ``mean`` and ``std`` in each channel.

    features: (B, C, H, W); mask: where their own statistics are taken, see ``moments``
    ->  (B, C, H, W), float32

    Huang & Belongie 2017, eq. (8).
    """
    mean, std = mean_std(features, mask)
    # Beyond a style (negative weights) deviations end at zero.
    scale = (code["std"].clamp_min(0) / std)[..., None, None]  # (B, C, 1, 1)
    return (features.float() - mean[..., None, None]) * scale + code["mean"][..., None, None]


class Adain(Stylizer):
    """An encoder, statistics in between, and a decoder."""

    name = "adain"
    paper = "Huang & Belongie 2017, arXiv:1703.06868"
    strength = 1.0

    def __init__(self, encoder: Encoder, decoder: nn.Module, runtime: Runtime) -> None:
        super().__init__()
        self.runtime = runtime
        self.encoder = runtime.place(encoder).requires_grad_(False).eval()
        self.decoder = runtime.place(decoder).requires_grad_(False).eval()

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Adain":
        """The method with the decoder that belongs to the encoder."""
        return cls(encoder, load_decoders(cls.name, encoder, (TAP,))[TAP], machine)

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """Means and deviations by the long side of the canvas: ``{"512/mean": (1, C), ...}``."""
        code = {}
        for size in SIZES:
            moments = style.at(size)[TAP]
            code[f"{size / scale:.0f}/mean"] = moments.mean
            code[f"{size / scale:.0f}/std"] = (moments.std().square() + EPS).sqrt()
        return code

    @torch.no_grad()
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """One pass through encoder and decoder.  (B, 3, H, W), [0, 1]  ->  the same"""
        photo = self.runtime.tensor(content)
        regions = for_canvas(regions, photo)
        with self.runtime.autocast():
            features = self.encoder(photo, (TAP,))[TAP].float()
            target = features.lerp(mosaic(features, regions, adain), strength)
            painted: Tensor = self.decoder(target, photo.shape[-2:]).float()
            kept = 1 - strength * coverage(regions, photo)
            if not isinstance(kept, float) or kept > 0:
                painted += kept * (photo - self.decoder(features, photo.shape[-2:]).float())
        return painted.clamp(0, 1).to(content.device)

    def cost(self, height: int, width: int) -> Cost:
        """One pass."""
        area = height * width / 1e6
        return Cost(area, area * 1e6 * 400)

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture in its own style."""
        mean, std = torch.zeros(1, 1), torch.ones(1, 1)
        code = {"512/mean": mean.to(self.runtime.device), "512/std": std.to(self.runtime.device)}
        return partial(self.stylize, image, code)


METHOD = Adain
