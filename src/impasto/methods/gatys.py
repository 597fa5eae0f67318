"""Gatys: the picture itself is optimised until its features have the style's Gram matrices.

Gatys, Ecker & Bethge 2015, arXiv:1508.06576 (equations as in the CVPR 2016 paper).
Equations: content loss (1) -> losses.content_error; Gram matrix (3) -> moments.gram; style loss
(4), (5) -> losses.gram_error; total (7) -> Gatys._loss.

Differs: a pyramid of scales, each with the style's moments at its own scale, instead of one; it
starts from the photo in the colours that AdaIN paints, where there is a decoder for the encoder,
not from noise; losses relative to their targets; Adam and the average of its iterates instead of
L-BFGS (which can be chosen); content at relu3_1 and relu4_1 instead of relu4_2; total variation;
bfloat16.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace

import torch
from torch import Tensor

from impasto import methods
from impasto.codes import Code, Region, coverage, inner
from impasto.errors import BadInput, MissingWeights
from impasto.losses import content_error, gram_error, total_variation
from impasto.media.image import fit, resize
from impasto.moments import gram, moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import STARTS, Recipe
from impasto.runtime import Runtime
from impasto.scales import LONGER, QUALITIES, Config, ahead, enlarged, whole_passes
from impasto.style import SIZES, Style
from impasto.stylizer import Can, Cost, Image, OnStep, Step, Stylizer
from impasto.tiling import encode
from impasto.tiling.geometry import ROOM, Box, tile_side
from impasto.tiling.gradient import Look, Objective, Targets, measured
from impasto.tiling.looks import look_of
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk

HELD = 150.0
"""Bytes per pixel that are held whole: some ten pictures, and the photo's features."""

BETAS = 0.9, 0.97
"""Of Adam: how much of the past its direction and its steps remember."""


TEXTURE_STEPS = (200, 150, 100)


class Gatys(Stylizer):
    """Optimisation of the picture on the features of an encoder."""

    name = "gatys"
    paper = "Gatys, Ecker & Bethge 2015, arXiv:1508.06576"
    good = "The best strokes of any painting: the picture itself is optimised."
    bad = "Takes seconds to minutes for each picture."
    strength = 0.5
    can = Can(steps=True, options=frozenset({"init", "iterations", "quality", "optimizer"}))

    def __init__(
        self,
        encoder: Encoder,
        runtime: Runtime,
        config: Config | None = None,
        start: Stylizer | None = None,
        begun: Image | None = None,
        trust: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.start, self.begun, self.trust = start, begun, trust
        self.runtime = runtime
        self.config = config or (Config() if start else Config(steps=LONGER["normal"]))
        self.encoder = runtime.place(encoder).requires_grad_(False).eval()

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Gatys":
        """The method with the settings of a Recipe."""
        config = replace(QUALITIES[recipe.quality], init=recipe.init, optimizer=recipe.optimizer)
        start, name = None, "adain" if recipe.init == "auto" else recipe.init
        if name in methods.names():
            with suppress(MissingWeights) if recipe.init == "auto" else nullcontext():
                start = methods.get(name).create(encoder, machine, recipe)
        if start is None and recipe.begun is None:
            config = replace(config, steps=LONGER[recipe.quality])
        return cls(encoder, machine, replace(config, iterations=recipe.iterations), start)

    def continued(self, image: Image, trust: Tensor | None = None) -> "Gatys":
        """The method that goes on above the scale of that picture, as if it had painted it."""
        return Gatys(self.encoder, self.runtime, self.config, self.start, image, trust)

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """Gram matrices by the long side of the canvas they are for: ``{"512/relu1_1": ...}``.

        A painting that lacks a size is taken at its nearest, so that all codes blend.
        """
        code = {
            f"{size / scale:.0f}/{tap}": m.second
            for size in SIZES
            for tap, m in style.at(size).items()
        }
        start = self.start.encode(style, scale) if self.start else {}
        return code | {key.replace("/", "/start/", 1): tensor for key, tensor in start.items()}

    def paint(
        self,
        content: Image,
        regions: Sequence[Region],
        strength: float,
        on_step: OnStep,
        side: int | None = None,
    ) -> Image:
        """Optimise every picture of the batch.  (B, 3, H, W), [0, 1]  ->  the same

        side: of the tiles that scales larger than one go through, pixels
        """
        height, width = content.shape[-2:]
        scales, done, total = ahead(max(height, width), self.config, self.begun)
        image = content if self.begun is None else self.begun
        for long_side, steps in scales:
            photo = self.runtime.tensor(resize(content, fit(width, height, long_side)))
            start = self._start(image, content, photo, regions, strength)
            again = image is self.begun and max(image.shape[-2:]) >= long_side
            fits = side is None or photo[0, 0].numel() <= side**2
            tile, end = None if fits else side, done + steps
            targets = self._targets(photo, regions, strength, tile)
            lr = self.config.lr * (self.config.gentle if again else 1)
            for painted, losses in self._optimise(start, targets, steps, tile, lr):
                image, done = painted, done + 1
                on_step(Step(done, total, image, losses, scale_done=done == end))
        return image.to(content.device)

    def paint_tiles(
        self,
        source: Raster,
        target: Raster,
        regions: Sequence[Region],
        strength: float,
        side: int,
        on_step: OnStep,
    ) -> None:
        """What ``paint`` does; only the pictures that it works on are held whole."""
        painted = self.paint(source.read(), regions, strength, on_step, side)
        target.write(Box(0, 0, *source.size), painted)

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """As in one piece, and each step gathers Gram matrices first."""
        whole, pixel = self.cost(height, width), self.encoder.bytes_per_pixel(self.runtime.bf16)
        held = HELD * height * width
        side = tile_side(min(4 * ROOM, room - held), pixel, 0)
        return Cost(1.4 * whole.megapixels, held + side**2 * pixel, side)

    def cost(self, height: int, width: int) -> Cost:
        """All steps at all scales; memory is that of the last."""
        area, passes = height * width, whole_passes(max(height, width), self.config, self.begun)
        return Cost(passes * area / 1e6, area * self.encoder.bytes_per_pixel(self.runtime.bf16))

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One step of the optimisation of that picture."""
        photo = self.runtime.tensor(image)
        with torch.no_grad(), self.runtime.autocast():
            features = self.encoder(photo, {*TAPS, *self.config.content})
        content = {tap: features[tap] for tap in self.config.content}
        wanted = Look({tap: gram(features[tap]) for tap in TAPS}, 1.0)
        return self._optimise(photo, Targets(content, (wanted,), photo), sys.maxsize).__next__

    def _start(
        self,
        image: Image,
        content: Image,
        photo: Image,
        regions: Sequence[Region],
        strength: float,
    ) -> Image:
        """What a scale starts from: what is painted already, where there is such."""
        if self.begun is None and image is content:
            return self._begin(photo, regions, strength)
        own = self.runtime.tensor(resize(content, (image.shape[-2], image.shape[-1])))
        detail = 0.0 if self.config.init == "noise" else self.config.detail
        grown = enlarged(self.runtime.tensor(image), own, photo, detail)
        if self.trust is None or image is not self.begun:
            return grown
        trust = resize(self.trust, (photo.shape[-2], photo.shape[-1])).to(photo)
        return self._begin(photo, regions, strength).lerp(grown, trust)

    def _begin(self, photo: Image, regions: Sequence[Region], strength: float) -> Image:
        """What the first scale starts from."""
        if self.config.init not in STARTS:
            raise BadInput(f"--init {self.config.init}: a picture is for a single photo only.")
        if self.config.init == "noise":
            return torch.rand_like(photo)
        if self.start is None:
            return photo
        own = [Region(inner(region.code, "start"), region.mask) for region in regions]
        painted = self.start.stylize(photo, own, min(1.0, 2 * strength))
        if self.config.init != "auto":
            return painted
        height, width = photo.shape[-2:]
        small = fit(width, height, max(1, max(height, width) // self.config.patch))
        return enlarged(resize(painted, small), resize(photo, small), photo, 1.0)

    @torch.no_grad()
    def _targets(
        self, photo: Image, regions: Sequence[Region], strength: float, side: int | None = None
    ) -> Targets:
        seen = (Raster(photo), self.encoder, self.runtime)
        if side is None:
            with self.runtime.autocast():
                content = self.encoder(photo, self.config.content)
        else:
            content = encode.features(*seen, tuple(self.config.content), side, Walk())
        looks = tuple(look_of(region, self.encoder, photo, odds(strength)) for region in regions)
        return Targets(content, looks, photo, 1 - coverage(regions, photo))

    def _loss(self, image: Image, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of all errors, and the errors by name.  Gatys et al. 2016, eq. (7)."""
        image = targets.composed(image)
        with self.runtime.autocast():
            features = self.encoder(image, {*TAPS, *self.config.content}, frozen=True)
        errors = {f"style/{tap}": image.new_zeros(len(image)) for tap in TAPS}
        loss = self.config.variation * total_variation(image)
        for look in targets.looks:
            for tap, target in look.grams.items():
                mask, f = look.masks.get(tap), features[tap]
                own = gram(f) if mask is None else moments(f, mask).second
                error = gram_error(own, target)
                loss = loss + self.config.style[tap] * look.weight * error
                errors[f"style/{tap}"] += error.detach() / len(targets.looks)
        for tap, target in targets.content.items():
            errors[f"content/{tap}"] = content_error(features[tap], target)
            loss = loss + self.config.content[tap] * errors[f"content/{tap}"]
        return loss.sum(), errors

    def _optimise(
        self, image: Image, targets: Targets, steps: int, side: int | None = None, lr: float = 0.02
    ) -> Iterator[tuple[Image, dict[str, float]]]:
        """Picture and losses after every step; what is shown is the average of the iterates."""
        # L-BFGS flattens its parameters, which needs them contiguous.
        lbfgs = self.config.optimizer == "lbfgs"
        layout = torch.contiguous_format if lbfgs else torch.channels_last
        image = image.detach().clone(memory_format=layout).requires_grad_()
        average = torch.zeros_like(image)
        optimiser: torch.optim.Optimizer
        if lbfgs:
            optimiser = torch.optim.LBFGS([image], lr=1.0, max_iter=1, history_size=20)
        else:
            optimiser = torch.optim.Adam([image], lr=lr, betas=BETAS, fused=True)
        losses: dict[str, Tensor] = {}
        weights = self.config.style, self.config.content, self.config.variation
        objective = Objective(self.encoder, self.runtime, targets, *weights)

        def closure() -> Tensor:
            optimiser.zero_grad()
            if side is None:
                loss, errors = self._loss(image, targets)
                loss.backward()  # type: ignore[no-untyped-call]
            else:
                loss, errors, image.grad = measured(image, objective, side, Walk())
            losses.update(errors)
            return loss

        for step in range(1, steps + 1):
            optimiser.step(closure)  # type: ignore[no-untyped-call]
            with torch.no_grad():
                image.clamp_(0, 1)
                average.lerp_(image, 1 - self.config.keep)
                unbiased = (average / (1 - self.config.keep**step)).clamp(0, 1)
            yield (
                targets.composed(unbiased),
                {name: float(e.detach().mean()) for name, e in losses.items()},
            )


def odds(strength: float) -> float:
    """The factor of the style's weight: 0 at 0, 1 at one half, about 1,000 at 1."""
    return (min(strength, 0.97) / (1 - min(strength, 0.97))) ** 2


def texture(encoder: Encoder, machine: Runtime, style: Style, size: int) -> Image:
    """A square picture that has the style's Gram matrices and nothing else.  ->  (1, 3, S, S)"""
    config = Config(init="noise", content={}, smallest=64, steps=TEXTURE_STEPS, single=None)
    gatys = Gatys(encoder, machine, config)
    return gatys.stylize(torch.full((1, 3, size, size), 0.5), gatys.encode(style))


METHOD = Gatys
