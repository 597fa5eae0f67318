"""The task of ``recipes/encoder-compact.toml``: train the compact encoder."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from impasto.config import validate
from impasto.networks.encoders import SHAPES, TAPS, Encoder, normalise
from impasto.runtime import Runtime
from impasto.training import judge
from impasto.training.batches import Stage, StagedRecipe, current
from impasto.training.data import Crops, Picture, training_files
from impasto.training.distill import (
    HINTS,
    Census,
    Student,
    Visits,
    VisitSettings,
    distillation_losses,
    disturb,
)
from impasto.training.job import SHEET, Job, Trained, written
from impasto.training.loop import train
from impasto.training.teachers import Teachers


class EncoderStage(Stage):
    """A stretch of the training."""

    batch: int = Field(8, ge=4)
    """Pictures a step: a quarter photos, a quarter paintings, half paintings in progress."""
    exact: int = Field(2, ge=1)
    """How many of them the exact teacher looks at."""


class EncoderRecipe(StagedRecipe):
    """How an encoder is distilled."""

    kind: str = "encoder"
    name: Literal["compact"] = "compact"
    stages: tuple[EncoderStage, ...] = Field(min_length=1)
    visits: VisitSettings = VisitSettings()
    revive_every: int = Field(200, gt=0)
    """Filters that have not fired for so many steps are given a new start ..."""
    revive_until: int = Field(0, ge=0)
    """... up to this step."""

    def stage(self, number: int) -> EncoderStage:
        """The stage of batch ``number``."""
        return current(self.stages, number, self.schedule)

    @model_validator(mode="after")
    def _check_sizes(self) -> "EncoderRecipe":
        for stage in self.stages:
            if stage.exact > stage.batch:
                raise ValueError(f"exact is {stage.exact}, more than the batch of {stage.batch}")
            if self.visits.pool < stage.batch // 2:
                raise ValueError(f"a pool of {self.visits.pool} is less than half of {stage.batch}")
        return self


def finished(student: Student, task: "EncoderTask", count: int = 64) -> Encoder:
    """The student's encoder in float32 on the CPU, layers rescaled to a mean activation of 1."""
    encoder = copy.deepcopy(student.encoder).to("cpu").float().eval()
    crops = Crops(task.photos, 192, seed=2)
    normalise(encoder, [crops[index][None] for index in range(count)], filters=False)
    return encoder


class EncoderTask:
    """Batches, paintings in progress and losses for the loop."""

    def __init__(self, recipe: EncoderRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime = recipe, runtime
        teachers = Teachers(teacher)
        torch.manual_seed(recipe.schedule.seed)
        self.module = runtime.place(Student(Encoder(SHAPES[recipe.name], recipe.name), teachers))
        self.teachers = runtime.place(teachers)
        self.photos = training_files(data / "photos")
        self.paintings = training_files(data / "paintings")
        self.visits = Visits(recipe.visits, recipe.stage(0).size, runtime.device)
        self.census = Census(self.module)
        self.teachers.measure(self._batch(self.paintings, 0), TAPS + HINTS)

    def _batch(self, paths: list[Picture], number: int) -> Tensor:
        stage, seed = self.recipe.stage(number), self.recipe.schedule.seed
        crops = Crops(paths, stage.size, seed)
        half = stage.batch // 2
        stack = [crops[number * half + i] for i in range(half)]
        return self.runtime.tensor(torch.stack(stack))  # (B/2, 3, S, S)

    def losses(self, number: int) -> dict[str, Tensor]:
        """Half of the batch is new (and disturbed), half are paintings in progress."""
        stage, student = self.recipe.stage(number), self.module
        if self._revives(number):
            self.census.revive()
        if self.visits.image.shape[-1] != stage.size:
            self.visits = Visits(self.recipe.visits, stage.size, self.runtime.device)
        photos, paintings = self._batch(self.photos, number), self._batch(self.paintings, number)
        quarter = len(photos) // 2
        with self.runtime.autocast():
            visited = self.visits.advance(student.encoder, photos, paintings)
            new = disturb(torch.cat([photos[:quarter], paintings[:quarter]]))
            images = self.runtime.tensor(torch.cat([new, visited]))
            exact = images[:: stage.batch // stage.exact]
            return distillation_losses(student, self.teachers, self.census, images, exact)

    def _revives(self, number: int) -> bool:
        """Whether batch ``number`` is the first of a step before which filters are revived."""
        step, part = divmod(number, self.recipe.schedule.accumulate)
        due = step % self.recipe.revive_every == 0 and 0 < step < self.recipe.revive_until
        return due and part == 0

    def state_dict(self) -> Mapping[str, Tensor]:
        """The paintings in progress, and which filters have fired."""
        return {**self.visits.state_dict(), **self.census.fired}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` gave."""
        fired = self.census.fired
        fired.update({layer: state[layer].to(fired[layer].device) for layer in fired})
        self.visits.load_state_dict(state)


def trained(job: Job) -> Trained:
    """Train an encoder, and have pictures painted on it and on the teacher."""
    recipe = validate(EncoderRecipe, job.settings)
    gallery = job.data / "gallery"
    judge.gallery_files(gallery)
    task = EncoderTask(recipe, job.data, job.teacher, job.runtime)
    student = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    network = finished(student, task)
    sheet = job.run / SHEET
    metrics = {
        "r2": judge.r2(student, task.teachers, job.data, job.runtime),
        **judge.judge(network, task.teachers.slim, gallery, job.runtime, sheet),
    }
    shape = {"channels": list(network.shape.channels), "convs": list(network.shape.convs)}
    text = card(recipe, metrics, len(task.photos), len(task.paintings))
    return written(network, recipe, "encoder", recipe.name, shape, metrics, text)


def card(recipe: EncoderRecipe, metrics: Mapping[str, Any], photos: int, paintings: int) -> str:
    """The model card, in Markdown."""
    r2_rows = "\n".join(f"| {tap} | {value:.3f} |" for tap, value in metrics["r2"].items())
    rows = "\n".join(
        f"| {column} | {metrics[f'{column}/style_error']:.4f} "
        f"| {metrics[f'{column}/content_error']:.3f} |"
        for column in ("photo", "encoder", "teacher")
    )
    return f"""# Encoder `{recipe.name}`

A VGG-shaped network of 0.8 million weights, distilled from VGG-19 by
`impasto train recipes/encoder-{recipe.name}.toml`, from random weights, on {photos:,} photos and
{paintings:,} paintings. Licence: MIT. Use: features for style transfer. It was never trained to
classify, and knows what VGG-19 knows of natural photos, no more.

Share of the teacher's variance explained, on held-out pictures:

| tap | R2 |
|---|---|
{r2_rows}

{len(judge.PHOTOS)} photos in {len(judge.STYLES)} styles at {judge.SIZE} px, measured by the teacher
(`style_error`: sum over five taps of relative squared Gram errors; `content_error`: relu4_1):

| painted on | style_error | content_error |
|---|---|---|
{rows}
"""
