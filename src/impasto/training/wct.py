"""The task of ``recipes/wct-compact.toml``: five decoders that rebuild a picture from its features.

Li et al. 2017, arXiv:1705.08086, section 3.1: squared error of the pixels plus that of the features
at the decoder's own tap. Differs: both are relative; paintings are rebuilt too, not only photos;
half of the features are whitened and coloured first, as at work, and of those the features alone
have to come back; and the decoder of relu1_1, one linear layer, is solved instead of trained.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.config import validate
from impasto.media.image import write
from impasto.moments import moments
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder, load_encoder
from impasto.runtime import Runtime
from impasto.training.batches import Batches, crops
from impasto.training.data import shown, training_files
from impasto.training.decoders import DecoderRecipe, pixel_error, psnr, solved
from impasto.training.distill import relative_error
from impasto.training.job import SHEET, Job, Trained, written
from impasto.training.loop import Stateless, train
from impasto.transforms import Whitening, roots, whitened_and_colored


class WctRecipe(DecoderRecipe):
    """How the decoders of universal style transfer are trained."""

    kind: Literal["wct"] = "wct"
    features: float = Field(0.5, ge=0)
    """Weight of the relative error of the features; that of the pixels has weight 1."""
    transferred: float = Field(0.5, ge=0, lt=1)
    """Share of each batch that is whitened and coloured."""


class WctTask(Stateless):
    """Batches and losses for the loop: every decoder rebuilds the same pictures."""

    def __init__(self, recipe: WctRecipe, data: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime = recipe, runtime
        self.encoder = runtime.place(load_encoder(recipe.encoder))
        torch.manual_seed(recipe.schedule.seed)
        decoders = {tap: Decoder(self.encoder.shape, tap, recipe.width) for tap in TAPS[1:]}
        self.paths = training_files(data / "photos") + training_files(data / "paintings")
        seed = recipe.schedule.seed
        self.batches = Batches(self.paths, recipe, seed, runtime)
        self.shown = runtime.tensor(shown(data / "photos", 128, 6))
        first = solved(self.encoder, crops(self.paths, recipe, 0, runtime, seed))
        self.module = runtime.place(nn.ModuleDict({TAPS[0]: first, **decoders}))

    @property
    def unreadable(self) -> Collection[str]:
        """The files that were skipped so far."""
        return self.batches.unreadable

    def losses(self, number: int) -> dict[str, Tensor]:
        """Errors of every decoder, as ``relu4_1/pixels`` and ``relu4_1/features``."""
        images = self.batches.at(number)
        plain = max(1, len(images) - round(self.recipe.transferred * len(images)))
        with self.runtime.autocast():
            with torch.no_grad():
                every = self.encoder(images)
            losses = {}
            for tap in TAPS[1:]:
                features = transferred(every[tap], plain)
                rebuilt = self.module[tap](features, images.shape[-2:])
                losses[f"{tap}/pixels"] = pixel_error(rebuilt[:plain], images[:plain])
                again = self.encoder(rebuilt, (tap,))[tap]
                error = relative_error(again, features)
                losses[f"{tap}/features"] = self.recipe.features * error
        return losses

    def samples(self, decoders: nn.ModuleDict) -> Tensor:
        """Six photos, each followed by what every decoder makes of it."""
        columns = rebuilt(decoders, self.encoder, self.shown, self.runtime).values()
        return torch.stack([self.shown, *columns], 1).flatten(0, 1)  # (36, 3, S, S)


@torch.no_grad()
def rebuilt(
    decoders: nn.ModuleDict, encoder: Encoder, images: Tensor, runtime: Runtime
) -> dict[str, Tensor]:
    """What every decoder makes of the features of photos.  (B, 3, H, W)  ->  the same per tap"""
    with runtime.autocast():
        features = encoder(images)
        return {
            tap: decoder(features[tap], images.shape[-2:]).float().clamp(0, 1)
            for tap, decoder in decoders.items()
        }


@torch.no_grad()
def transferred(features: Tensor, plain: int) -> Tensor:
    """Features of which all but the first ``plain`` are in the style of another of the batch.

    (B, C, H, W)  ->  (B, C, H, W), float32
    """
    features = features.float()
    if plain == len(features):
        return features
    with torch.autocast(features.device.type, enabled=False):
        m = moments(features[: len(features) - plain])
        code = {"mean": m.mean, "color": roots(m.covariance())[0]}
        mixed = whitened_and_colored(features[plain:], code, whitening=Whitening(1e-3))
    return torch.cat([features[:plain], mixed])


def reconstruction(
    decoders: nn.ModuleDict, encoder: Encoder, data: Path, runtime: Runtime, sheet: Path
) -> dict[str, float]:
    """Mean PSNR in dB per tap on held-out photos of 256 px.

    Writes a sheet: photos above, what each decoder makes of them below.
    """
    images = runtime.tensor(shown(data / "photos", 256, 32))
    again = rebuilt(decoders, encoder, images, runtime)
    rows = [torch.cat(list(row[:6]), 2) for row in (images, *again.values())]
    write(torch.cat(rows, 1)[None].cpu(), sheet)
    return {tap: round(float(psnr(image, images).mean()), 2) for tap, image in again.items()}


def card(recipe: WctRecipe, metrics: Mapping[str, Any], pictures: int) -> str:
    """The model card, in Markdown."""
    rows = "\n".join(f"| {tap} | {value:.1f} |" for tap, value in metrics["psnr"].items())
    return f"""# WCT decoders `{recipe.encoder}`

Five decoders, from relu1_1 to relu5_1 of the encoder `{recipe.encoder}` back to a picture, trained
by `impasto train recipes/wct-{recipe.encoder}.toml` from random weights on {pictures:,} photos
and paintings. Licence: MIT. Use: universal style transfer (Li et al. 2017).

Pictures rebuilt from their features, held-out photos of 256 px:

| tap | PSNR, dB |
|---|---|
{rows}
"""


def trained(job: Job) -> Trained:
    """Train the decoders, and measure how well they rebuild pictures."""
    recipe = validate(WctRecipe, job.settings)
    task = WctTask(recipe, job.data, job.runtime)
    decoders = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    sheet = job.run / SHEET
    metrics = {"psnr": reconstruction(decoders, task.encoder, job.data, job.runtime, sheet)}
    config = {"encoder": recipe.encoder, "width": recipe.width}
    text = card(recipe, metrics, len(task.paths))
    return written(decoders, recipe, "wct", recipe.encoder, config, metrics, text)
