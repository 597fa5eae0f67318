"""Batches of crops, in stages: small crops come first, they teach the most per second."""

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from impasto.runtime import Runtime
from impasto.training.data import Crops
from impasto.training.loop import Schedule


class Stage(BaseModel):
    """A stretch of the training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: int = Field(gt=0)
    """The step at which the next stage begins (the last one goes on to the end)."""
    size: int = Field(ge=32)
    """Side of the crops, pixels."""
    batch: int = Field(8, ge=1)


class StagedRecipe(BaseModel):
    """What every recipe of a network that learns from crops has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[Stage, ...] = Field(min_length=1)
    schedule: Schedule

    def stage(self, step: int) -> Stage:
        """The stage that ``step`` belongs to."""
        return next((stage for stage in self.stages if step < stage.until), self.stages[-1])


def crops(
    paths: Sequence[Path], recipe: StagedRecipe, step: int, machine: Runtime, seed: int
) -> Tensor:
    """The crops of one step.  ->  (B, 3, S, S)"""
    stage = recipe.stage(step)
    source = Crops(list(paths), stage.size, seed)
    return machine.tensor(
        torch.stack([source[step * stage.batch + index] for index in range(stage.batch)])
    )
