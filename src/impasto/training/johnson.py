"""The task of ``recipes/johnson-*.toml``: a network for one style.

Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 3. Differs: it starts from the network of
many styles where there is one of the same width, which takes a tenth of the time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto import weights
from impasto.config import validate
from impasto.errors import MissingWeights, UnknownName
from impasto.networks.painters import GALLERY, ManyStyles, load, many_styles
from impasto.networks.transformer import Transformer
from impasto.runtime import Runtime
from impasto.training.batches import Batches
from impasto.training.consistency import inconsistency
from impasto.training.data import shown, training_files
from impasto.training.job import Job, Trained, written
from impasto.training.loop import Schedule, Stateless, train
from impasto.training.perceptual import (
    Critics,
    PerceptualRecipe,
    PerceptualStage,
    means,
    measured,
    painted,
    painting,
    sampled,
)

STAGES = (PerceptualStage(until=600, size=160),)
JITTER = 0.02
"""Of the deviation of weights: little, and enough that twins learn different things."""

SCHEDULE = Schedule(steps=600, lr=1.5e-3, warmup=20, cooldown=0.7, ema=0.99, log_every=20)


class OneStyleRecipe(PerceptualRecipe):
    """What learns a single painting; it says what everything else is by itself."""

    painting: str = Field(min_length=1)
    """A picture: a path, or one below the folder of the data."""
    size: int = Field(512, ge=64)
    """Long side at which the painting is looked at, pixels."""
    stages: tuple[PerceptualStage, ...] = Field(STAGES, min_length=1)
    schedule: Schedule = SCHEDULE

    @property
    def name(self) -> str:
        """What the style is called: the picture's name without its suffix."""
        return Path(self.painting).stem


class JohnsonRecipe(OneStyleRecipe):
    """How the network of a style is trained."""

    kind: Literal["johnson"] = "johnson"
    start: bool = True
    """Start from the network of many styles, of the same norm, and of this width or half of it."""


class OneStyleTask(Stateless):
    """Batches and losses of a network that learns one painting; ``module`` paints photos."""

    module: nn.Module

    def __init__(self, recipe: OneStyleRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime = recipe, runtime
        photos = data / "photos"
        self.folder = photos if photos.is_dir() else data
        self.photos = training_files(self.folder)
        self.batches = Batches(self.photos, recipe, recipe.schedule.seed, runtime)
        self.critics = Critics(recipe, teacher, runtime)
        own = data / recipe.painting
        self.path = own if own.is_file() else Path(recipe.painting)
        self.wanted = {
            judge: critic.grams(runtime.tensor(painting(self.path, recipe.size)))
            for judge, critic in self.critics.of.items()
        }

    @property
    def unreadable(self) -> set[str]:
        """The files that were skipped so far."""
        return self.batches.unreadable

    def losses(self, number: int) -> dict[str, Tensor]:
        """Content, style and consistency, averaged over the batch."""
        photos = self.batches.at(number)
        wanted = self.wanted[self.recipe.judge(number)]
        every = {tap: g.expand(len(photos), -1, -1) for tap, g in wanted.items()}
        with self.runtime.autocast():
            painted = self.module(photos)
            errors = self.critics.at(number).errors(painted, photos, every)
            if weight := self.recipe.consistent(number):
                errors["consistency"] = weight * inconsistency(self.module, photos, painted)
        return means(errors)

    @torch.no_grad()
    def samples(self, module: nn.Module) -> Tensor:
        """Photos that were held out, and what they become.  ->  (N, 3, S, S)"""
        photos = self.runtime.tensor(shown(self.folder, 256, 4))
        return sampled(photos, [module])


class JohnsonTask(OneStyleTask):
    """A network of its own."""

    def __init__(self, recipe: JohnsonRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        super().__init__(recipe, data, teacher, runtime)
        torch.manual_seed(recipe.schedule.seed)
        network = Transformer(recipe.width, recipe.norm)
        self.started_from = ""
        if recipe.start and (found := _many(recipe)):
            painter, header = found
            row = beginning(painter, header, recipe.name)
            photos = runtime.tensor(shown(self.folder, 192, 8))
            network = unconditional(painter.to(runtime.device), row.to(runtime.device), photos)
            network = network if network.width == recipe.width else widened(network)
            self.started_from = f"{header.kind}-{header.name}"
        self.module = runtime.place(network)


def _many(recipe: JohnsonRecipe) -> tuple[ManyStyles, weights.Header] | None:
    try:
        painter, header = load("dumoulin", GALLERY, many_styles)
    except (MissingWeights, UnknownName):
        return None
    width, norm = header.config["width"], header.config["norm"]
    fits = norm == recipe.norm and recipe.width in (width, 2 * width)
    return (painter, header) if fits else None


def beginning(painter: ManyStyles, header: weights.Header, style: str) -> Tensor:
    """The row of a style that the network knows, else the mean of all its styles.  ->  (R,)"""
    styles = list(header.config["styles"])
    rows = painter.rows.detach()
    return rows[styles.index(style)] if style in styles else rows[:-1].mean(0)


@torch.no_grad()
def unconditional(painter: ManyStyles, row: Tensor, photos: Tensor) -> Transformer:
    """The network of one style that paints nearly what ``painter`` paints with ``row``.

    The last convolution loses its normalisation: it takes over the linear map that comes nearest
    to it on ``photos``.

    photos: (B, 3, H, W), [0, 1]
    """
    many = painter.network
    network = Transformer(many.width, many.norm).to(photos.device)
    seen: list[Tensor] = []
    hook = many.norms["out"].register_forward_hook(
        lambda _, inputs, output: seen.extend((inputs[0].float(), output.float()))
    )
    many(photos, row.expand(len(photos), -1))
    hook.remove()
    own = network.state_dict()
    for name, tensor in many.state_dict().items():
        own[name] = tensor.clone()
    for name, (start, channels) in many.slots.items():
        scale, shift = torch.split(row[start : start + 2 * channels], channels)
        own[f"norms.{name}.scale"], own[f"norms.{name}.shift"] = scale, shift
    before, after = seen  # (B, 3, H, W)
    centred = before - before.mean((2, 3), keepdim=True)
    factor = (centred * after).sum((0, 2, 3)) / centred.square().sum((0, 2, 3)).clamp_min(1e-8)
    shift = after.mean((0, 2, 3)) - factor * before.mean((0, 2, 3))
    own["convs.out.weight"] = own["convs.out.weight"] * factor[:, None, None, None]
    own["convs.out.bias"] = own["convs.out.bias"] * factor + shift
    network.load_state_dict({k: t for k, t in own.items() if k in network.state_dict()})
    return network.requires_grad_(True).train()


@torch.no_grad()
def widened(network: Transformer, noise: float = JITTER) -> Transformer:
    """A network of twice the width that paints nearly the same: each channel is there twice.

    noise: what lets the twins part, of the deviation of a layer's weights

    Chen et al. 2016, arXiv:1511.05641, section 2.2.
    """
    wide = Transformer(2 * network.width, network.norm).to(next(network.parameters()).device)
    own = wide.state_dict()
    for name, tensor in network.state_dict().items():
        if own[name].shape[:1] != tensor.shape[:1]:
            tensor = torch.cat([tensor, tensor])
        if own[name].shape[1:2] != tensor.shape[1:2]:
            tensor = torch.cat([tensor, tensor], 1) / 2
        if name.startswith("convs") and tensor.ndim == 4:
            tensor = tensor + noise * tensor.std() * torch.randn_like(tensor)
        own[name] = tensor
    wide.load_state_dict(own)
    return wide


def trained(job: Job) -> Trained:
    """Train the network of a style, and judge it."""
    recipe = validate(JohnsonRecipe, job.settings)
    task = JohnsonTask(recipe, job.data, job.teacher, job.runtime)
    network = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    metrics = job.judged(
        lambda photo, _: painted(network, job.runtime, photo), [task.path], task.critics.last.eyes
    )
    judged_by = task.critics.last.judge
    config = {"width": recipe.width, "norm": recipe.norm, "judge": judged_by}
    text = card(recipe, metrics, len(task.photos), task.started_from)
    return written(
        network,
        recipe,
        "johnson",
        recipe.name,
        config,
        metrics,
        text,
        task.started_from or "random weights",
    )


def card(
    recipe: JohnsonRecipe, metrics: Mapping[str, float], photos: int, started_from: str
) -> str:
    """The model card, in Markdown."""
    start = f"the network `{started_from}`" if started_from else "random weights"
    return f"""# Johnson: `{recipe.name}`

A transformation network of width {recipe.width:g} for one style, trained by `impasto train` (kind
johnson) from {start} on {photos:,} photos. Licence: MIT. Use: style transfer in one pass (Johnson
et al. 2016).

4 photos. {measured(metrics)}
"""
