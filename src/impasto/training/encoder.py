"""The task of ``recipes/encoder-compact.toml``: train the compact encoder."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from impasto.networks.encoders import SHAPES, TAPS, Encoder, normalise
from impasto.runtime import Runtime
from impasto.training.data import Crops, training_files
from impasto.training.distill import (
    HINTS,
    Census,
    Student,
    Visits,
    VisitSettings,
    distillation_losses,
    disturb,
)
from impasto.training.loop import Schedule
from impasto.training.teachers import Teachers


class Stage(BaseModel):
    """A stretch of the training: small crops come first, they teach the most per second."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: int = Field(gt=0)
    """The step at which the next stage begins (the last one goes on to the end)."""
    size: int = Field(ge=32)
    """Side of the crops, pixels."""
    batch: int = Field(8, ge=4)
    """Pictures a step: a quarter photos, a quarter paintings, half paintings in progress."""
    exact: int = Field(2, ge=1)
    """How many of them the exact teacher looks at."""


class EncoderRecipe(BaseModel):
    """How an encoder is distilled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "encoder"
    name: Literal["compact"] = "compact"
    stages: tuple[Stage, ...] = Field(min_length=1)
    visits: VisitSettings = VisitSettings()
    revive_every: int = Field(200, gt=0)
    """Filters that have not fired for so many steps are given a new start ..."""
    revive_until: int = Field(0, ge=0)
    """... up to this step."""
    schedule: Schedule

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
        self.visits = Visits(recipe.visits, self.stage(0).size, runtime.device)
        self.census = Census(self.module)
        self.teachers.measure(self._batch(self.paintings, 0), TAPS + HINTS)

    def stage(self, step: int) -> Stage:
        """The stage that ``step`` belongs to."""
        stages = self.recipe.stages
        return next((stage for stage in stages if step < stage.until), stages[-1])

    def _batch(self, paths: list[Path], step: int) -> Tensor:
        stage, seed = self.stage(step), self.recipe.schedule.seed
        crops = Crops(paths, stage.size, seed)
        half = stage.batch // 2
        stack = [crops[step * half + i] for i in range(half)]
        return self.runtime.tensor(torch.stack(stack))  # (B/2, 3, S, S)

    def losses(self, step: int) -> dict[str, Tensor]:
        """Half of the batch is new (and disturbed), half are paintings in progress."""
        stage, student = self.stage(step), self.module
        if step % self.recipe.revive_every == 0 and 0 < step < self.recipe.revive_until:
            self.census.revive()
        if self.visits.image.shape[-1] != stage.size:
            self.visits = Visits(self.recipe.visits, stage.size, self.runtime.device)
        photos, paintings = self._batch(self.photos, step), self._batch(self.paintings, step)
        quarter = len(photos) // 2
        with self.runtime.autocast():
            visited = self.visits.advance(student.encoder, photos, paintings)
            new = disturb(torch.cat([photos[:quarter], paintings[:quarter]]))
            images = self.runtime.tensor(torch.cat([new, visited]))
            exact = images[:: stage.batch // stage.exact]
            return distillation_losses(student, self.teachers, self.census, images, exact)

    def state_dict(self) -> Mapping[str, Tensor]:
        """The paintings in progress, and which filters have fired."""
        return {**self.visits.state_dict(), **self.census.fired}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` gave."""
        fired = self.census.fired
        fired.update({layer: state[layer] for layer in fired})
        self.visits.load_state_dict({k: v for k, v in state.items() if k not in fired})
