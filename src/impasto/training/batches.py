"""Batches of crops, in stages: small crops come first, they teach the most per second.

Batches are numbered, and a batch is a function of seed and number. With ``accumulate`` = A, step s
learns from the batches s A to s A + A - 1. Where N processes train, each draws its part of every
batch: crop i of batch n in process r is crop (n N + r) B + i of all. So A batches of B in N
processes show a step the very crops of one batch of A N B.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from impasto.errors import ImpastoError
from impasto.runtime import Runtime
from impasto.training import distributed
from impasto.training.data import Crops, Picture, floats
from impasto.training.loop import Schedule


class Stage(BaseModel):
    """A stretch of the training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: int = Field(gt=0)
    """The step at which the next stage begins (the last one goes on to the end)."""
    size: int = Field(ge=32)
    """Side of the crops, pixels."""
    batch: int = Field(8, ge=1)


AnyStage = TypeVar("AnyStage", bound=Stage)


class StagedRecipe(BaseModel):
    """What every recipe of a network that learns from crops has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[Stage, ...] = Field(min_length=1)
    schedule: Schedule

    def stage(self, number: int) -> Stage:
        """The stage of batch ``number``."""
        return current(self.stages, number, self.schedule)


def current(stages: Sequence[AnyStage], number: int, schedule: Schedule) -> AnyStage:
    """The stage to which batch ``number`` belongs."""
    step = number // schedule.accumulate
    return next((stage for stage in stages if step < stage.until), stages[-1])


def crops(
    paths: Sequence[Picture], recipe: StagedRecipe, number: int, machine: Runtime, seed: int
) -> Tensor:
    """The crops of one batch, decoded here and now.  ->  (B, 3, S, S)"""
    return Batches(paths, recipe, seed, machine, workers=0).at(number)


class Batches:
    """Batches of crops by number, decoded ahead by worker processes.

    The workers only save time: they guess that the next number follows the last one.

    workers: their number, by default that of the recipe, else what the machine can spare; size:
    side of the crops, by default that of the stage; closest: see ``Crops``; fewer: how many crops
    a batch has less than the stage says
    """

    def __init__(
        self,
        paths: Sequence[Picture],
        recipe: StagedRecipe,
        seed: int,
        machine: Runtime,
        workers: int | None = None,
        *,
        size: int | None = None,
        closest: float = 0.35,
        fewer: int = 0,
    ) -> None:
        self.machine, schedule = machine, recipe.schedule
        self.numbered = _Numbered(paths, recipe, seed, size, closest, fewer)
        chosen = schedule.workers if workers is None else workers
        self.workers = spare(machine) if chosen is None else chosen
        self.end = schedule.steps * schedule.accumulate
        self.ahead: Iterator[_Batch | ImpastoError] | None = None
        self.expected = 0
        self.unreadable: set[str] = set()
        """The files that were skipped so far."""

    def at(self, number: int) -> Tensor:
        """The batch of that number, on the device.  ->  (B, 3, S, S)

        Raises BadInput when there is no picture that can be read.
        """
        batch = self._decoded(number)
        if isinstance(batch, ImpastoError):
            raise batch
        self.unreadable |= batch.unreadable
        return self.machine.tensor(floats(batch.pixels))

    def _decoded(self, number: int) -> "_Batch | ImpastoError":
        if not self.workers or number >= self.end:
            return self.numbered[number]
        if self.ahead is None or number != self.expected:
            self.ahead = iter(self._loader(number))
        batch = next(self.ahead)
        self.expected = number + 1
        if self.expected == self.end:
            self.ahead = None  # the workers go home
        return batch

    def _loader(self, start: int) -> "DataLoader[_Batch | ImpastoError]":
        return DataLoader(
            self.numbered,
            batch_size=None,
            sampler=range(start, self.end),
            num_workers=self.workers,
            collate_fn=_as_it_is,
            worker_init_fn=_deaf,
            generator=torch.Generator(),  # or the seeds of the workers are drawn from the step's
        )


class _Batch(NamedTuple):
    """What comes from a worker. An array goes through a pipe, a tensor needs shared memory."""

    pixels: NDArray[np.uint8]  # (B, S, S, 3)
    unreadable: set[str]


class _Numbered(Dataset["_Batch | ImpastoError"]):
    """The batches of this process; an error is an item like any other, to be raised at home."""

    def __init__(
        self,
        paths: Sequence[Picture],
        recipe: StagedRecipe,
        seed: int,
        size: int | None,
        closest: float,
        fewer: int,
    ) -> None:
        self.paths, self.recipe, self.seed = paths, recipe, seed
        self.size, self.closest, self.fewer = size, closest, fewer

    def __getitem__(self, number: int) -> _Batch | ImpastoError:
        stage = self.recipe.stage(number)
        source = Crops(self.paths, self.size or stage.size, self.seed, self.closest)
        count = stage.batch - self.fewer
        start = (number * distributed.world() + distributed.rank()) * count
        try:
            pixels = [source.pixels(start + index) for index in range(count)]
        except ImpastoError as error:
            return error
        return _Batch(np.stack(pixels), source.unreadable)


def spare(machine: Runtime) -> int:
    """How many processes may decode: enough to feed a GPU, few beside a CPU that computes."""
    cores = (os.cpu_count() or 1) // distributed.world()
    if machine.device.type == "cpu":
        return 2 if cores > 8 else 0
    return min(4, cores // 2)


def _as_it_is(batch: Any) -> Any:
    return batch


def _deaf(_: int) -> None:
    """Ctrl-C is for the training, which still needs the batches of its last step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
