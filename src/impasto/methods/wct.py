"""WCT: whitening and colouring of the features, level by level from coarse to fine.

Li, Fang, Yang, Wang, Lu & Yang 2017, arXiv:1705.08086: whitening (2) and colouring (3) ->
whitened_and_colored; photo against style (4), multi-level (section 3.3) -> Wct.paint; texture
synthesis (section 4.4) -> texture. Mixed styles: codes.blend averages the colouring matrices, which
is the paper's mean of coloured features.

Differs: strength 0 is the photo, not the autoencoders' copy of it; eigenvalues have a floor
relative to the largest instead of being cut at 1e-5; inside a mask, statistics are weighted by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from impasto.codes import Code, Region, coverage, for_canvas, mosaic
from impasto.errors import BadInput
from impasto.moments import mean_std, moments
from impasto.networks.decoders import load_decoders
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Can, Cost, Image, OnStep, Step, Stylizer

ROUNDING = 1e-6
"""Variance that counts as nothing, as a share of the squared mean."""


@dataclass(frozen=True)
class Config:
    """Which levels, how strongly, and how whitening is kept tame."""

    strengths: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)
    """Of the levels from the deepest to relu1_1, each times the strength of the whole."""
    floor: float = 1e-5
    """Least eigenvalue that whitening counts with, as a share of the largest."""
    shrinkage: float = 0.0
    """How far covariances of the photo go towards their diagonal: 1 whitens channel by channel."""

    def levels(self) -> list[tuple[str, float]]:
        """Tap and strength of every level that does something, from deep to shallow."""
        taps = reversed(TAPS[: len(self.strengths)])
        return [(tap, s) for tap, s in zip(taps, self.strengths, strict=True) if s > 0]


def roots(
    covariance: Tensor, floor: float = 0.0, nothing: Tensor | float = 1e-12
) -> tuple[Tensor, Tensor]:
    """Square root of covariances, and the inverse of it.  (B, C, C)  ->  (B, C, C), (B, C, C)

    For the inverse, eigenvalues are at least ``floor`` times the largest and at least ``nothing``
    (B, 1), so directions in which there is next to nothing are not blown up.
    """
    values, vectors = torch.linalg.eigh(covariance.double().cpu())  # (B, C), (B, C, C)
    values = values.clamp_min(0)
    least = (values.amax(1, keepdim=True) * floor).maximum(torch.as_tensor(nothing).to(values))
    root = vectors * values.sqrt().unsqueeze(1) @ vectors.mT
    inverse = vectors * values.maximum(least).rsqrt().unsqueeze(1) @ vectors.mT
    return root.to(covariance), inverse.to(covariance)


def whitened_and_colored(
    features: Tensor, code: Code, mask: Tensor | None = None, config: Config | None = None
) -> Tensor:
    """Features with the mean and the covariance of the code.

    features: (B, C, H, W); mask: where their own statistics are taken, see ``moments``
    code: ``mean`` (1, C) and ``color`` (1, C, C), the root of the style's covariance
    ->  (B, C, H, W), float32

    Li et al. 2017, eq. (2), (3).
    """
    config = config or Config()
    mean, _ = mean_std(features, mask)
    centred = features.float() - mean[..., None, None]
    rest = moments(centred, mask)  # of rounding is left what whitening would blow up
    centred = centred - rest.mean[..., None, None]
    covariance = rest.covariance()
    diagonal = torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
    nothing = (ROUNDING * mean.square().amax(1, keepdim=True)).clamp_min(1e-12)  # (B, 1)
    _, whiten = roots(covariance.lerp(diagonal, config.shrinkage), config.floor, nothing)
    colored = torch.einsum("bdc,bchw->bdhw", code["color"] @ whiten, centred)
    return colored + code["mean"][..., None, None]  # (B, C, H, W)


class Wct(Stylizer):
    """An encoder and five decoders, with whitening and colouring in between."""

    name = "wct"
    paper = "Li, Fang, Yang, Wang, Lu & Yang 2017, arXiv:1705.08086"
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
        config = Config(strengths, recipe.floor, recipe.shrinkage)
        return cls(encoder, load_decoders(cls.name, encoder, TAPS), machine, config)

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """Means and colouring matrices by the long side of the canvas and by tap.

        ``{"512/mean/relu4_1": (1, C), "512/color/relu4_1": (1, C, C), ...}``
        """
        code = {}
        for size in SIZES:
            looks = style.at(size)
            for tap, _ in self.config.levels():
                prefix = f"{size / scale:.0f}"
                code[f"{prefix}/mean/{tap}"] = looks[tap].mean
                code[f"{prefix}/color/{tap}"], _ = roots(looks[tap].covariance())
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
        decoder, size = self.decoders[tap], image.shape[-2:]

        def transform(features: Tensor, code: Code, mask: Tensor | None) -> Tensor:
            own = {part: code[f"{part}/{tap}"] for part in ("mean", "color")}
            with torch.autocast(features.device.type, enabled=False):
                return whitened_and_colored(features, own, mask, self.config)

        features = self.encoder(image, (tap,))[tap].float()
        target = features.lerp(mosaic(features, regions, transform), strength)
        painted: Tensor = decoder(target, size).float()
        kept = 1 - strength * coverage(regions, image)
        if not isinstance(kept, float) or kept > 0:
            painted += kept * (image - decoder(features, size).float())
        return painted.clamp(0, 1)

    def cost(self, height: int, width: int) -> Cost:
        """One pass through all levels."""
        area = height * width / 1e6
        return Cost(area, area * 1e6 * 400)

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture, whitened and coloured as nothing."""
        code = {}
        for tap, _ in self.config.levels():
            channels = self.encoder.shape.channels[int(tap[4]) - 1]
            code[f"512/mean/{tap}"] = torch.zeros(1, channels)
            code[f"512/color/{tap}"] = torch.eye(channels)[None]
        return partial(self.stylize, image, code)


METHOD = Wct
