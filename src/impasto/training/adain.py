"""The task of ``recipes/adain-compact.toml``: the decoder of AdaIN.

Huang & Belongie 2017, arXiv:1703.06868, eq. (11)-(13): the decoded picture's features should be the
output t of AdaIN (content), and their mean and standard deviation at four taps those of the
painting (style). Weights as in the authors' code: squared errors averaged over the features for
content, *summed* over channels times 0.1 for style, so deep taps count more.

Differs: the style is compared in VGG-19's channels, through the slim teacher, not in the small
encoder's; a quarter of the pairs are a photo with itself and have to come back as they were. The
finish (see ``methods.adain``) has no part in it: judged after it, a decoder leaves all surfaces
to the finish and only embosses their edges.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.config import validate
from impasto.methods.adain import FINISH, TAP, Adain
from impasto.moments import EPS, mean_std, moments
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, load_encoder
from impasto.runtime import Runtime
from impasto.training import distributed, judge
from impasto.training.batches import Batches, crops
from impasto.training.data import shown, training_files
from impasto.training.decoders import DecoderRecipe, pixel_error, solved
from impasto.training.job import Job, Trained, any_style, written
from impasto.training.loop import Stateless, train
from impasto.training.teachers import Teachers
from impasto.transforms import adain

STYLE_TAPS = TAPS[:4]

Statistics = Mapping[str, tuple[Tensor, Tensor]]
"""Mean and standard deviation per tap, each (B, C)."""


class AdainRecipe(DecoderRecipe):
    """How the decoder of AdaIN is trained."""

    kind: Literal["adain"] = "adain"
    content: float = Field(1.0, ge=0)
    style: float = Field(0.1, ge=0)
    reconstruction: float = Field(5.0, ge=0)
    """Weight of the relative error of the pixels where the style is the photo itself."""
    judge: Literal["teacher", "encoder"] = "teacher"
    """Through whose eyes the style is compared."""


class AdainTask(Stateless):
    """Batches and losses for the loop."""

    def __init__(self, recipe: AdainRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime = recipe, runtime
        self.encoder = runtime.place(load_encoder(recipe.encoder))
        self.teachers = runtime.place(Teachers(teacher)) if recipe.judge == "teacher" else None
        torch.manual_seed(recipe.schedule.seed)
        self.module = runtime.place(Decoder(self.encoder.shape, TAP, recipe.width))
        self.photos = training_files(data / "photos")
        self.paintings = training_files(data / "paintings")
        seed = recipe.schedule.seed
        self.batches = [
            Batches(paths, recipe, seed + index, runtime)
            for index, paths in enumerate((self.photos, self.paintings))
        ]
        self.shown = [
            runtime.tensor(shown(data / name, 128, 3)) for name in ("photos", "paintings")
        ]
        self.finish = runtime.place(
            solved(self.encoder, crops(self.photos, recipe, 0, runtime, seed))
        )

    @property
    def unreadable(self) -> Collection[str]:
        """The files that were skipped so far."""
        return set().union(*(batches.unreadable for batches in self.batches))

    def losses(self, number: int) -> dict[str, Tensor]:
        """Content, style per tap, and reconstruction of the pairs that are a photo with itself."""
        recipe = self.recipe
        photos, paintings = (batches.at(number) for batches in self.batches)
        same = max(1, len(photos) // 4)
        styles = torch.cat([photos[:same], recolored(paintings[same:])])
        with self.runtime.autocast():
            with torch.no_grad():
                features = self.encoder(torch.cat([photos, styles]), (TAP,))[TAP]
                own, theirs = features.chunk(2)
                mean, std = mean_std(theirs)
                target = adain(own, {"mean": mean, "std": std})
                wanted = self._statistics(styles)
            painted = self.module(target, photos.shape[-2:])
            again = self.encoder(painted, (TAP,))[TAP]
            seen = self._statistics(painted)
        losses = {"content": recipe.content * (again.float() - target).square().mean()}
        for tap in STYLE_TAPS:
            losses[f"style/{tap}"] = recipe.style * style_distance(seen[tap], wanted[tap])
        error = pixel_error(painted[:same], photos[:same])
        return losses | {"reconstruction": recipe.reconstruction * error}

    @torch.no_grad()
    def samples(self, decoder: nn.Module) -> Tensor:
        """Photos in the first row, paintings in the first column, and each in the style of each.

        ->  (16, 3, S, S)
        """
        photos, paintings = self.shown  # (3, 3, S, S) each
        with self.runtime.autocast():
            own = self.encoder(photos, (TAP,))[TAP].repeat(3, 1, 1, 1)
            theirs = self.encoder(paintings, (TAP,))[TAP].repeat_interleave(3, 0)
            mean, std = mean_std(theirs)
            painted = decoder(adain(own, {"mean": mean, "std": std}), photos.shape[-2:])
        first = torch.cat([torch.ones_like(photos[:1]), photos])[None]
        rows = torch.cat([paintings[:, None], painted.float().unflatten(0, (3, 3))], 1)
        return torch.cat([first, rows]).flatten(0, 1)

    def _statistics(self, images: Tensor) -> Statistics:
        if self.teachers is None:
            return {t: mean_std(f) for t, f in self.encoder(images, STYLE_TAPS).items()}
        return {
            tap: mapped(features, self.teachers.aux[tap])
            for tap, features in self.teachers.slim(images, STYLE_TAPS).items()
        }


def mapped(features: Tensor, maps: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ``maps(features)``, from the features' moments alone.

    features: (B, C, H, W); maps: a 1 x 1 convolution to D channels  ->  (B, D), (B, D)
    """
    assert isinstance(maps, nn.Conv2d) and maps.bias is not None
    m, matrix = moments(features), maps.weight.flatten(1)  # (D, C)
    with torch.autocast(features.device.type, enabled=False):
        mean = m.mean @ matrix.mT + maps.bias  # (B, D)
        variance = ((matrix @ m.covariance()) * matrix).sum(2)  # (B, D)
    return mean, (variance.clamp_min(0) + EPS).sqrt()


def style_distance(seen: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> Tensor:
    """Squared distance of means and of deviations, summed over channels.  ->  scalar"""
    parts = [(a - b).square().sum(1).mean() for a, b in zip(seen, wanted, strict=True)]
    return parts[0] + parts[1]


@torch.no_grad()
def recolored(images: Tensor) -> Tensor:
    """Half of the pictures in other colours: channels swapped, or another contrast and light.

    images: (B, 3, H, W), [0, 1]  ->  the same
    """
    changes = distributed.mine([_change() for _ in range(len(images) * distributed.world())])
    return torch.stack([c(i) for c, i in zip(changes, images, strict=True)]) if changes else images


def _change() -> Callable[[Tensor], Tensor]:
    kind = int(torch.randint(4, ()))
    if kind == 0:
        order = torch.randperm(3)
        return lambda image: image[order.to(image.device)]
    if kind == 1:
        gamma = torch.exp2(torch.rand(3, 1, 1) * 2 - 1)  # from 1/2 to 2
        return lambda image: image ** gamma.to(image)
    return lambda image: image


def card(recipe: AdainRecipe, metrics: Mapping[str, Any], photos: int, paintings: int) -> str:
    """The model card, in Markdown."""
    rows = "\n".join(
        f"| {column} | {metrics[f'{column}/style_error']:.3f} "
        f"| {metrics[f'{column}/content_error']:.3f} |"
        for column in ("photo", "painted")
    )
    return f"""# AdaIN decoder `{recipe.encoder}`

From features of relu4_1 of the encoder `{recipe.encoder}` back to a picture, trained by
`impasto train recipes/adain-{recipe.encoder}.toml` from random weights on {photos:,} photos and
{paintings:,} paintings. Licence: MIT. Use: arbitrary style transfer (Huang & Belongie 2017).

4 photos in 6 styles that were never trained on, at 512 px, measured by the encoder itself
(`style_error`: sum over five taps of relative squared Gram errors; `content_error`: relu4_1):

| picture | style_error | content_error |
|---|---|---|
{rows}
"""


def trained(job: Job) -> Trained:
    """Train the decoder, and judge it in styles that it has never seen."""
    recipe = validate(AdainRecipe, job.settings)
    gallery = judge.gallery_files(job.data / "gallery")
    task = AdainTask(recipe, job.data, job.teacher, job.runtime)
    decoder = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    decoders = nn.ModuleDict({TAP: decoder, FINISH: task.finish})
    method = Adain(task.encoder, decoders, job.runtime)
    metrics = job.judged(any_style(method, task.encoder, gallery), gallery, task.encoder)
    config = {"encoder": recipe.encoder, "width": recipe.width}
    text = card(recipe, metrics, len(task.photos), len(task.paintings))
    return written(decoders, recipe, "adain", recipe.encoder, config, metrics, text)
