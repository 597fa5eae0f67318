"""The task of ``recipes/wct-compact.toml``: five decoders that rebuild a picture from its features.

Li et al. 2017, arXiv:1705.08086, section 3.1: squared error of the pixels plus that of the features
at the decoder's own tap. Differs: both are relative; paintings are rebuilt too, not only photos;
half of the features are whitened and coloured first, as at work, and of those the features alone
have to come back; and the decoder of relu1_1, one linear layer, is solved instead of trained.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.media.image import write
from impasto.moments import moments
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder, load_encoder
from impasto.runtime import Runtime
from impasto.training.batches import crops
from impasto.training.data import Crops, held_out, training_files
from impasto.training.decoders import DecoderRecipe, pixel_error, psnr, solved
from impasto.training.distill import relative_error
from impasto.training.loop import Stateless
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
        first = solved(self.encoder, crops(self.paths, recipe, 0, runtime, recipe.schedule.seed))
        self.module = runtime.place(nn.ModuleDict({TAPS[0]: first, **decoders}))

    def losses(self, step: int) -> dict[str, Tensor]:
        """Errors of every decoder, as ``relu4_1/pixels`` and ``relu4_1/features``."""
        seed = self.recipe.schedule.seed
        images = crops(self.paths, self.recipe, step, self.runtime, seed)
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


@torch.no_grad()
def reconstruction(
    decoders: nn.ModuleDict, encoder: Encoder, data: Path, runtime: Runtime, sheet: Path
) -> dict[str, float]:
    """Mean PSNR in dB per tap on held-out photos of 256 px.

    Writes a sheet: photos above, what each decoder makes of them below.
    """
    source = Crops(held_out(data / "photos"), 256, seed=1, closest=0.8)
    images = runtime.tensor(torch.stack([source[index] for index in range(32)]))
    rows, result = [images], {}
    with runtime.autocast():
        features = encoder(images)
        for tap, decoder in decoders.items():
            rebuilt = decoder(features[tap], (256, 256)).float().clamp(0, 1)
            result[tap] = round(float(psnr(rebuilt, images).mean()), 2)
            rows.append(rebuilt)
    write(torch.cat([torch.cat(list(row[:6]), 2) for row in rows], 1)[None].cpu(), sheet)
    return result


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
