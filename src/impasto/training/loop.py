"""One training loop for everything that learns.

Everything random in a batch is a function of the seed and of the batch's number, so a resumed run
equals an unbroken one without any state of random generators in the checkpoint. A step learns from
``accumulate`` batches, numbered on from step to step.
"""

import copy
import math
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from impasto.errors import BadInput, TrainingFailed
from impasto.runtime import Runtime
from impasto.training import checkpoint, distributed
from impasto.training.optimiser import Optimiser
from impasto.training.report import Journal
from impasto.training.report import Progress as Progress
from impasto.training.timing import Clock, Interruption

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
    accumulate: int = Field(1, ge=1)
    """Batches a step: their mean gradient is what a larger batch would give, in less memory."""
    seed: int = 0
    workers: int | None = Field(None, ge=0)
    """Processes that decode pictures ahead; by default what the machine can spare."""
    log_every: int = Field(50, gt=0)
    checkpoint_seconds: float = Field(60, gt=0)
    sheet_minutes: float = Field(5, ge=0)
    """How often a sheet of samples is painted, 0 for never."""


Module = TypeVar("Module", bound=nn.Module, covariant=True)


class Task(Protocol[Module]):
    """What the loop needs to know of a thing that learns."""

    @property
    def module(self) -> Module:
        """All weights that learn."""

    def losses(self, number: int, /) -> dict[str, Tensor]:
        """Named, weighted losses of batch ``number``, which is the step where a step is one batch.

        They are means over the batch; the loop adds them up.
        """

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


@runtime_checkable
class Paints(Protocol):
    """A task that shows what its network can do by now."""

    def samples(self, module: Any, /) -> Tensor:
        """Pictures for a sheet, painted by the averaged ``module``.  ->  (N, 3, H, W)"""


@runtime_checkable
class Reads(Protocol):
    """A task that knows which of its files cannot be read."""

    @property
    def unreadable(self) -> Collection[str]:
        """The files that were skipped so far."""


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

    Goes on from ``folder/checkpoint.pt`` when there is one; appends to ``folder/log.jsonl``; puts
    sheets into ``folder/samples``. Ctrl-C and SIGTERM end it after the step, with a checkpoint.
    Of several processes only the first returns; the others leave (SystemExit) when it is done.

    Raises TrainingFailed when the loss stays NaN, BadInput for another network's checkpoint.
    """
    with distributed.joined(runtime.device), Interruption() as interruption:
        run = _Run(task, schedule, folder, runtime)
        run.resume()
        sheets, checkpoints = Clock(60 * schedule.sheet_minutes), Clock(schedule.checkpoint_seconds)
        try:
            while not run.done and not run.anyone(interruption.asked):
                losses = run.advance()
                if run.done or run.step % schedule.log_every == 0:
                    run.report(losses, on_progress)
                if schedule.sheet_minutes and (run.done or sheets.due()):
                    run.paint()
                if checkpoints.due():
                    run.save()
        finally:
            if run.whole:
                run.save()
    if not run.done:
        raise KeyboardInterrupt
    if not distributed.first():
        raise SystemExit
    return run.average


class _Run(Generic[Module]):
    """A training in progress: weights, optimiser, average, position."""

    def __init__(
        self, task: Task[Module], schedule: Schedule, folder: Path, runtime: Runtime
    ) -> None:
        self.task, self.schedule, self.runtime = task, schedule, runtime
        if distributed.world() > 1 and task.state_dict():
            raise BadInput("What this recipe trains keeps pictures of its own: use one process.")
        self.path, self.journal = folder / "checkpoint.pt", Journal(folder)
        self.module = task.module
        distributed.same_start(self.module)
        self.average: Module = copy.deepcopy(task.module).requires_grad_(False).eval()
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        self.optimiser = Optimiser(self.weights, schedule.weight_decay)
        self.whole = True  # False while a step has changed some of the weights
        self.step, self.nan, self.spent, self.started = 0, 0, 0.0, time.monotonic()

    @property
    def done(self) -> bool:
        return self.step >= self.schedule.steps

    @property
    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.started

    def anyone(self, flag: bool) -> bool:
        return any(distributed.everyones(flag, self.runtime.device))

    def resume(self) -> None:
        if self.path.exists():
            self._load(checkpoint.load(self.path))
        if len(set(distributed.everyones(self.step, self.runtime.device))) > 1:
            raise BadInput("The processes see different folders: --run must be one for all.")

    def _load(self, state: Mapping[str, Any]) -> None:
        reason = checkpoint.difference(state["module"], self.module.state_dict())
        try:
            self.module.load_state_dict(state["module"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.task.load_state_dict(state["task"])
            self.step, self.spent = state["step"], state["seconds"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise BadInput(
                f"{str(self.path)!r} is of another network or recipe: "
                f"{reason or 'the state of its optimiser or task does not fit'}. "
                "Choose another folder with --run, or delete it."
            ) from error

    def save(self) -> None:
        if not distributed.first():
            return
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

    def advance(self) -> dict[str, Tensor]:
        """One step; a step whose loss is not finite changes nothing.  ->  its mean losses"""
        self.whole = False
        self.module.zero_grad(set_to_none=True)
        count = self.schedule.accumulate
        parts = [self._learn(self.step * count + part) for part in range(count)]
        losses = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        distributed.average(self.weights, [*losses.values()])
        norm = nn.utils.clip_grad_norm_(self.weights, self.schedule.clip)
        if torch.isfinite(norm):
            self.optimiser.step(self.schedule.lr * rate(self.schedule, self.step))
            self._average()
            self.nan = 0
        else:
            self._skip(losses)
        self.step += 1
        self.whole = True
        return losses

    def _learn(self, number: int) -> dict[str, Tensor]:
        """Add the gradients of one batch.  ->  its losses"""
        torch.manual_seed(self.schedule.seed * 1_000_003 + number)
        losses = self.task.losses(number)
        total = torch.stack(list(losses.values())).sum() / self.schedule.accumulate
        total.backward()  # type: ignore[no-untyped-call]
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential average of the weights, shorter at the start; buffers as they are."""
        keep = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.parameters(), self.module.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        _copy_buffers(self.module, self.average)

    @torch.no_grad()
    def _skip(self, losses: Mapping[str, Tensor]) -> None:
        self.nan += 1
        _copy_buffers(self.average, self.module)  # running means have seen the NaN
        bad = [name for name, loss in losses.items() if not torch.isfinite(loss)]
        self.journal.note({"step": self.step, "skipped": bad or ["gradient"]})
        if self.nan >= NAN_STEPS:
            self.whole = True
            raise TrainingFailed(
                f"Stopped at step {self.step}: {self.nan} steps in a row were not finite "
                f"({', '.join(bad) or 'gradient'}). Lower the learning rate."
            )

    def report(self, losses: Mapping[str, Tensor], on_progress: Callable[[Progress], None]) -> None:
        if not distributed.first():
            return
        progress = Progress(
            step=self.step,
            steps=self.schedule.steps,
            seconds=self.seconds,
            losses={name: float(loss) for name, loss in losses.items()},
        )
        unreadable = self.task.unreadable if isinstance(self.task, Reads) else ()
        on_progress(self.journal.report(progress, unreadable))

    @torch.no_grad()
    def paint(self) -> None:
        if distributed.first() and isinstance(self.task, Paints):
            self.journal.paint(self.task.samples(self.average), self.step)


def _copy_buffers(source: nn.Module, target: nn.Module) -> None:
    for old, new in zip(target.buffers(), source.buffers(), strict=True):
        old.copy_(new)
