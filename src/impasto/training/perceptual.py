"""Perceptual losses of the networks that repaint in one pass, and what their recipes share.

Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, eq. (2)-(5). Differs: all errors are relative (see
``losses``); content at relu3_1 and relu4_1, style at the five taps of VGG-19; the style is the
whole painting at the size at which it will be seen, not a crop.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto import weights
from impasto.losses import content_error, gram_error, total_variation
from impasto.media.image import read, scaled
from impasto.moments import gram
from impasto.networks.encoders import TAPS, load_encoder
from impasto.networks.normalisation import Norm
from impasto.runtime import Runtime
from impasto.training.batches import Stage, StagedRecipe, current
from impasto.training.decoders import PIXEL_VARIANCE
from impasto.training.teachers import EXACT_FILE, SLIM_FILE, Eyes, Teachers

Grams = Mapping[str, Tensor]
"""Gram matrix per tap, each (B, C, C)."""

JudgeName = Literal["auto", "teacher", "slim", "compact", "vgg16", "vgg19"]

Weight = Annotated[float, Field(ge=0)]


class PerceptualStage(Stage):
    """A stretch of the training, and through whose eyes its pictures are seen."""

    batch: int = Field(4, ge=1)
    judge: JudgeName = "auto"
    """teacher: exact VGG-19 to relu3_1 and the slim one beyond; slim: that alone, in a third of the
    time; or an encoder. auto: the teacher where there is one, else vgg19, else compact."""
    consistency: Weight | None = None
    """In place of the recipe's."""


class PerceptualRecipe(StagedRecipe):
    """What the recipes of johnson, dumoulin and ghiasi have in common."""

    stages: tuple[PerceptualStage, ...] = Field(min_length=1)

    width: float = Field(0.5, gt=0, le=4)
    """Channels of the network over the paper's."""
    norm: Norm = "instance"
    content: Mapping[str, Weight] = Field(default={"relu3_1": 1.0, "relu4_1": 1.0}, min_length=1)
    style: Mapping[str, Weight] = Field(default=dict.fromkeys(TAPS, 12.0), min_length=1)
    variation: float = Field(10.0, ge=0)
    consistency: Weight = 0.5
    """Weight of the error of a moved photo's painting beside the moved painting: films that flicker
    less, and one more pass of the network in each step. 0 does without."""

    def judge(self, number: int) -> JudgeName:
        """Who looks at the pictures of batch ``number``."""
        return current(self.stages, number, self.schedule).judge

    def consistent(self, number: int) -> float:
        """The weight of ``consistency`` in batch ``number``."""
        own = current(self.stages, number, self.schedule).consistency
        return self.consistency if own is None else own


class Critic(nn.Module):
    """Looks at what a network painted through the eyes of a judge."""

    def __init__(self, recipe: PerceptualRecipe, judge: JudgeName, teacher: Path) -> None:
        super().__init__()
        self.recipe = recipe
        self.judge = _there(teacher) if judge == "auto" else judge
        """Who it turned out to be."""
        if self.judge in ("teacher", "slim"):
            teachers = Teachers(teacher)
            self.eyes: nn.Module = Eyes(teachers) if self.judge == "teacher" else teachers.slim
        else:
            self.eyes = load_encoder(self.judge)
        self.requires_grad_(False)

    @torch.no_grad()
    def grams(self, images: Tensor) -> Grams:
        """The Gram matrices that paintings in the style of ``images`` should have."""
        return {tap: gram(f) for tap, f in self.eyes(images, tuple(self.recipe.style)).items()}

    def errors(self, painted: Tensor, photos: Tensor, wanted: Grams) -> dict[str, Tensor]:
        """Every weighted error per picture, by name.

        painted, photos: (B, 3, H, W); wanted: (B, C, C) per tap  ->  {"content/relu3_1": (B,), ...}
        """
        recipe = self.recipe
        with torch.no_grad():
            own = self.eyes(photos, tuple(recipe.content))
        seen = self.eyes(painted, {*recipe.content, *recipe.style})
        errors = {"variation": recipe.variation * total_variation(painted)}
        for tap, weight in recipe.content.items():
            errors[f"content/{tap}"] = weight * content_error(seen[tap], own[tap])
        for tap, weight in recipe.style.items():
            errors[f"style/{tap}"] = weight * gram_error(gram(seen[tap]), wanted[tap])
        return errors


def _there(teacher: Path) -> JudgeName:
    """The best judge that is on this machine."""
    if (teacher / SLIM_FILE).is_file() and (teacher / EXACT_FILE).is_file():
        return "teacher"
    return "vgg19" if "vgg19" in weights.names("encoder") else "compact"


class Critics:
    """The critics of all stages of a recipe."""

    def __init__(self, recipe: PerceptualRecipe, teacher: Path, machine: Runtime) -> None:
        self.recipe = recipe
        judges = {stage.judge for stage in recipe.stages}
        self.of = {judge: machine.place(Critic(recipe, judge, teacher)) for judge in judges}

    @property
    def last(self) -> Critic:
        """The critic of the last stage."""
        return self.of[self.recipe.stages[-1].judge]

    def at(self, number: int) -> Critic:
        """The critic of batch ``number``."""
        return self.of[self.recipe.judge(number)]


def stacked(grams: Sequence[Grams]) -> Grams:
    """Gram matrices of several paintings, or batches of them, as one batch."""
    return {tap: torch.cat([g[tap] for g in grams]) for tap in grams[0]}


def rebuilt(painted: Tensor, photos: Tensor) -> Tensor:
    """Squared error of the pixels over the variance of photos' pixels, per picture.  ->  (B,)"""
    return (painted - photos).square().flatten(1).mean(1) / PIXEL_VARIANCE


def painting(path: Path, size: int) -> Tensor:
    """A painting at a long side of ``size`` pixels.  ->  (1, 3, H, W)"""
    return scaled(read(path).pixels, size)


def sampled(photos: Tensor, ways: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Photos and what each way makes of them, photo by photo.  (N, 3, S, S)  ->  (M, 3, S, S)"""
    columns = [photos, *(way(photos).float().clamp(0, 1) for way in ways)]
    return torch.stack(columns, 1).flatten(0, 1)


@torch.no_grad()
def painted(network: nn.Module, machine: Runtime, photo: Tensor, *more: Tensor) -> Tensor:
    """A photo in one pass, back on the CPU.  (B, 3, H, W)  ->  the same"""
    with machine.autocast():
        result: Tensor = network(machine.tensor(photo), *(t.to(machine.device) for t in more))
    return result.cpu()


def means(errors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean of every error over the batch, as the loop wants them."""
    return {name: error.mean() for name, error in errors.items()}


def measured(metrics: Mapping[str, float]) -> str:
    """What ``judge.judge_painter`` found, as a table in Markdown."""
    rows = "\n".join(
        f"| {column} | {metrics[f'{column}/style_error']:.3f} "
        f"| {metrics[f'{column}/content_error']:.3f} |"
        for column in ("photo", "painted")
    )
    return f"""At 512 px, measured through the eyes that the last stage was trained with
(`style_error`: sum over five taps of relative squared Gram errors; `content_error`: relu4_1):

| picture | style_error | content_error |
|---|---|---|
{rows}"""
