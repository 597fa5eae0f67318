"""One training loop for everything that learns.

Everything random in a step is a function of the seed and of the step's number, so a resumed run
equals an unbroken one without any state of random generators in the checkpoint.
"""

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from impasto.errors import BadInput, TrainingFailed
from impasto.runtime import Runtime
from impasto.training import checkpoint
from impasto.training.optimiser import Optimiser

NAN_STEPS = 5
"""Training stops after so many steps without a finite loss in a row."""


class Schedule(BaseModel):
    """How long and how fast to learn."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(gt=0)
    lr: float = Field(gt=0)
    warmup: int = Field(200, ge=0)
    cooldown: float = Field(0.25, ge=0, le=1)
    """Share of the steps, at the end, in which the rate falls to zero; before it is constant."""
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.998, ge=0, lt=1)
    seed: int = 0
    log_every: int = Field(50, gt=0)
    checkpoint_seconds: float = Field(60, gt=0)


Module = TypeVar("Module", bound=nn.Module, covariant=True)


class Task(Protocol[Module]):
    """What the loop needs to know of a thing that learns."""

    @property
    def module(self) -> Module:
        """All weights that learn."""

    def losses(self, step: int) -> dict[str, Tensor]:
        """Named, weighted losses of one step; the loop adds them up."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """What a resumed run needs besides weights and optimiser."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` gave."""


class Stateless:
    """A task whose every step is a function of its number: nothing else has to be kept."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to put back."""


class Progress(BaseModel):
    """What the loop reports every ``log_every`` steps."""

    step: int
    steps: int
    seconds: float
    losses: dict[str, float]


def rate(schedule: Schedule, step: int) -> float:
    """Share of the learning rate at ``step``: rise, plateau, cosine fall to zero."""
    rise = min(1.0, (step + 1) / max(1, schedule.warmup))
    start = schedule.steps * (1 - schedule.cooldown)
    if step < start:
        return rise
    fall = (step - start) / max(1.0, schedule.steps - start)
    return rise * (0.5 + 0.5 * math.cos(math.pi * fall))


def train(
    task: Task[Module],
    schedule: Schedule,
    folder: Path,
    runtime: Runtime,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Module:
    """Train ``task`` to the end of ``schedule`` and return the averaged module.

    Goes on from ``folder/checkpoint.pt`` when there is one; appends to ``folder/log.jsonl``.

    Raises TrainingFailed when the loss stays NaN, BadInput for another network's checkpoint.
    """
    run = _Run(task, schedule, folder, runtime)
    run.resume()
    saved = time.monotonic()
    try:
        while run.step < schedule.steps:
            losses = run.advance()
            if run.step % schedule.log_every == 0 or run.step == schedule.steps:
                on_progress(run.report(losses))
            if time.monotonic() - saved > schedule.checkpoint_seconds:
                run.save()
                saved = time.monotonic()
    finally:
        if run.whole:
            run.save()
    return run.average


class _Run(Generic[Module]):
    """A training in progress: weights, optimiser, average, position."""

    def __init__(
        self, task: Task[Module], schedule: Schedule, folder: Path, runtime: Runtime
    ) -> None:
        self.task, self.schedule, self.runtime = task, schedule, runtime
        self.path, self.log = folder / "checkpoint.pt", folder / "log.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.module = task.module
        self.average: Module = copy.deepcopy(task.module).requires_grad_(False)
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        self.optimiser = Optimiser(self.weights, schedule.weight_decay)
        self.whole = True  # False while a step has changed some of the weights
        self.step, self.nan, self.spent, self.started = 0, 0, 0.0, time.monotonic()

    def resume(self) -> None:
        if not self.path.exists():
            return
        state = checkpoint.load(self.path, self.runtime.device)
        try:
            self.module.load_state_dict(state["module"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.task.load_state_dict(state["task"])
            self.step, self.spent = state["step"], state["seconds"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise BadInput(
                f"{str(self.path)!r} is of another network or recipe. "
                "Choose another folder with --run, or delete it."
            ) from error

    def save(self) -> None:
        checkpoint.save(
            self.path,
            {
                "module": self.module.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "task": dict(self.task.state_dict()),
                "step": self.step,
                "seconds": self.seconds,
            },
        )

    @property
    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.started

    def advance(self) -> dict[str, Tensor]:
        """One step; a step whose loss is not finite changes nothing."""
        self.whole = False
        torch.manual_seed(self.schedule.seed * 1_000_003 + self.step)
        losses = self.task.losses(self.step)
        total = torch.stack(list(losses.values())).sum()
        self.module.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.weights, self.schedule.clip)
        if torch.isfinite(norm):
            self.optimiser.step(self.schedule.lr * rate(self.schedule, self.step))
            self._average()
            self.nan = 0
        else:
            self._skip(losses)
        self.step += 1
        self.whole = True
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential average of the weights, shorter at the start."""
        keep = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.parameters(), self.module.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)

    def _skip(self, losses: Mapping[str, Tensor]) -> None:
        self.nan += 1
        bad = [name for name, loss in losses.items() if not torch.isfinite(loss)]
        self._write({"step": self.step, "skipped": bad or ["gradient"]})
        if self.nan >= NAN_STEPS:
            self.whole = True
            raise TrainingFailed(
                f"Stopped at step {self.step}: {self.nan} steps in a row were not finite "
                f"({', '.join(bad) or 'gradient'}). Lower the learning rate."
            )

    def report(self, losses: Mapping[str, Tensor]) -> Progress:
        progress = Progress(
            step=self.step,
            steps=self.schedule.steps,
            seconds=self.seconds,
            losses={name: float(loss) for name, loss in losses.items()},
        )
        self._write(progress.model_dump())
        return progress

    def _write(self, row: Mapping[str, Any]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(row) + "\n")
