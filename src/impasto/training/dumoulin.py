"""The task of ``recipes/dumoulin.toml``: one network for many styles, a row of numbers for each.

Dumoulin et al. 2016, arXiv:1610.07629, section 2: every picture of a batch is painted in a style of
its own, and only its row of scales and shifts is that style's. Differs: one more row learns to give
the photo back, so that strength can move between it and a style.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.networks.transformer import EVERY, Transformer
from impasto.runtime import Runtime
from impasto.training.batches import crops
from impasto.training.data import training_files
from impasto.training.loop import Stateless
from impasto.training.perceptual import Critics, Grams, PerceptualRecipe, means, painting, rebuilt


class DumoulinRecipe(PerceptualRecipe):
    """How a network of many styles is trained."""

    kind: Literal["dumoulin"] = "dumoulin"
    styles: tuple[str, ...] = Field(min_length=1)
    """Names of the paintings, files NAME.jpg in the folder ``gallery`` of the data."""
    size: int = Field(512, ge=64)
    """Long side at which the paintings are looked at, pixels."""
    identity: float = Field(10.0, ge=0)
    """Weight of the relative error of the pixels where the photo has to come back."""


class Painter(nn.Module):
    """The network and the rows of its styles, the last of which is the identity."""

    def __init__(self, width: float, norm: str, styles: int) -> None:
        super().__init__()
        self.network = Transformer(width, norm, EVERY)  # type: ignore[arg-type]
        self.rows = nn.Parameter(self.network.neutral().repeat(styles + 1, 1))

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """Every picture of the batch in the style of its label."""
        return self.network(image, self.rows[labels])  # type: ignore[no-any-return]


class DumoulinTask(Stateless):
    """Batches and losses for the loop."""

    def __init__(self, recipe: DumoulinRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime = recipe, runtime
        self.critics = Critics(recipe, teacher, runtime)
        torch.manual_seed(recipe.schedule.seed)
        self.module = runtime.place(Painter(recipe.width, recipe.norm, len(recipe.styles)))
        self.photos = training_files(data / "photos")
        paths = [data / "gallery" / f"{name}.jpg" for name in recipe.styles]
        paintings = [runtime.tensor(painting(path, recipe.size)) for path in paths]
        self.wanted = {
            judge: joined([critic.grams(image) for image in paintings])
            for judge, critic in self.critics.of.items()
        }

    def losses(self, step: int) -> dict[str, Tensor]:
        """Content, style and the identity, averaged over the batch."""
        recipe = self.recipe
        photos = crops(self.photos, recipe, step, self.runtime, recipe.schedule.seed)
        count = len(recipe.styles)
        labels = drawn(count + 1, len(photos)).to(photos.device)
        critic, wanted = self.critics.at(step), self.wanted[recipe.stage(step).judge]
        same = labels == count
        with self.runtime.autocast():
            # The identity's style is the photo's own.
            wanted = {tap: g[labels.clamp_max(count - 1)] for tap, g in wanted.items()}
            for tap, own in critic.grams(photos[same]).items() if same.any() else ():
                wanted[tap][same] = own
            painted = self.module(photos, labels)
            errors = critic.errors(painted, photos, wanted)
        errors["identity"] = recipe.identity * same * rebuilt(painted, photos)
        return means(errors)


def joined(grams: Sequence[Grams]) -> Grams:
    """The Gram matrices of several paintings as one batch.  (1, C, C) each  ->  (N, C, C)"""
    return {tap: torch.cat([g[tap] for g in grams]) for tap in grams[0]}


def drawn(kinds: int, count: int) -> Tensor:
    """Random numbers below ``kinds``, all of them before one comes again.  ->  (count,)"""
    rounds = -(-count // kinds)
    return torch.cat([torch.randperm(kinds) for _ in range(rounds)])[:count]


def rows_of(styles: Sequence[str], painter: Painter) -> dict[str, Tensor]:
    """Every style's row by name, and that of the identity as ``""``."""
    return dict(zip((*styles, ""), painter.rows.detach(), strict=True))
