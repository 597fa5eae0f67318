"""The task of ``recipes/dumoulin.toml``: one network for many styles, a row of numbers for each.

Dumoulin et al. 2016, arXiv:1610.07629, section 2: every picture of a batch is painted in a style of
its own, and only its row of scales and shifts is that style's. Differs: one more row learns to give
the photo back, so that strength can move between it and a style.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from impasto.config import validate
from impasto.networks.painters import GALLERY, ManyStyles
from impasto.runtime import Runtime
from impasto.training import distributed, judge
from impasto.training.batches import Batches
from impasto.training.consistency import inconsistency
from impasto.training.data import shown, training_files
from impasto.training.job import Job, Trained, written
from impasto.training.loop import Stateless, train
from impasto.training.perceptual import (
    Critics,
    PerceptualRecipe,
    means,
    measured,
    painted,
    painting,
    rebuilt,
    sampled,
    stacked,
)


class DumoulinRecipe(PerceptualRecipe):
    """How a network of many styles is trained."""

    kind: Literal["dumoulin"] = "dumoulin"
    styles: tuple[str, ...] = Field(min_length=1)
    """Names of the paintings, files NAME.jpg in the folder ``gallery`` of the data."""
    size: int = Field(512, ge=64)
    """Long side at which the paintings are looked at, pixels."""
    identity: float = Field(10.0, ge=0)
    """Weight of the relative error of the pixels where the photo has to come back."""


class DumoulinTask(Stateless):
    """Batches and losses for the loop."""

    def __init__(self, recipe: DumoulinRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime, self.data = recipe, runtime, data
        self.critics = Critics(recipe, teacher, runtime)
        torch.manual_seed(recipe.schedule.seed)
        self.module = runtime.place(ManyStyles(len(recipe.styles), recipe.width, recipe.norm))
        self.photos = training_files(data / "photos")
        self.batches = Batches(self.photos, recipe, recipe.schedule.seed, runtime)
        paths = [data / "gallery" / f"{name}.jpg" for name in recipe.styles]
        paintings = [runtime.tensor(painting(path, recipe.size)) for path in paths]
        self.wanted = {
            judge: stacked([critic.grams(image) for image in paintings])
            for judge, critic in self.critics.of.items()
        }

    @property
    def unreadable(self) -> set[str]:
        """The files that were skipped so far."""
        return self.batches.unreadable

    def losses(self, number: int) -> dict[str, Tensor]:
        """Content, style, consistency and the identity, averaged over the batch."""
        recipe, count = self.recipe, len(self.recipe.styles)
        photos = self.batches.at(number)
        everyones = drawn(count + 1, len(photos) * distributed.world())
        labels = distributed.mine(everyones).to(photos.device)
        critic, wanted = self.critics.at(number), self.wanted[recipe.judge(number)]
        same = labels == count
        with self.runtime.autocast():
            # The identity's style is the photo's own.
            wanted = {tap: g[labels.clamp_max(count - 1)] for tap, g in wanted.items()}
            for tap, own in critic.grams(photos[same]).items() if same.any() else ():
                wanted[tap][same] = own
            painted = self.module(photos, labels)
            errors = critic.errors(painted, photos, wanted)
            if weight := recipe.consistent(number):  # a photo that comes back brings its grain
                unsteady = inconsistency(partial(self.module, labels=labels), photos, painted)
                errors["consistency"] = weight * ~same * unsteady
        errors["identity"] = recipe.identity * same * rebuilt(painted, photos)
        return means(errors)

    @torch.no_grad()
    def samples(self, module: ManyStyles) -> Tensor:
        """Photos that were held out, each in some of the styles.  ->  (N, 3, S, S)"""
        photos = self.runtime.tensor(shown(self.data / "photos", 256, 4))
        labels = torch.linspace(0, len(self.recipe.styles), 5).long()
        return sampled(photos, [partial(module.paint, row=module.rows[n]) for n in labels])


def drawn(kinds: int, count: int) -> Tensor:
    """Random numbers below ``kinds``, all of them before one comes again.  ->  (count,)"""
    rounds = -(-count // kinds)
    return torch.cat([torch.randperm(kinds) for _ in range(rounds)])[:count]


def trained(job: Job) -> Trained:
    """Train the network of all styles, and judge it in six of them."""
    recipe = validate(DumoulinRecipe, job.settings)
    judged = [name for name in judge.STYLES if name in recipe.styles] or recipe.styles[:1]
    gallery = [job.data / "gallery" / f"{name}.jpg" for name in judged]
    task = DumoulinTask(recipe, job.data, job.teacher, job.runtime)
    painter = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    labels = [recipe.styles.index(path.stem) for path in gallery]
    metrics = job.judged(
        lambda photo, number: painted(painter, job.runtime, photo, torch.tensor([labels[number]])),
        gallery,
        task.critics.last.eyes,
    )
    config = {
        "width": recipe.width,
        "norm": recipe.norm,
        "judge": task.critics.last.judge,
        "styles": list(recipe.styles),
    }
    text = card(recipe, metrics, len(task.photos), len(gallery))
    return written(painter, recipe, "dumoulin", GALLERY, config, metrics, text)


def card(recipe: DumoulinRecipe, metrics: Mapping[str, float], photos: int, judged: int = 6) -> str:
    """The model card, in Markdown."""
    return f"""# Dumoulin: {len(recipe.styles)} styles in one network

A transformation network of width {recipe.width:g} with a row of scales and shifts for each style
and one that gives the photo back, trained by `impasto train recipes/dumoulin.toml` from random
weights on {photos:,} photos. Licence: MIT. Use: style transfer in one pass (Dumoulin et al. 2016).

Styles: {", ".join(recipe.styles)}.

4 photos in {judged} of its styles. {measured(metrics)}
"""
