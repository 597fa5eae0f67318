"""The loop: it learns, it survives, and a resumed run is the unbroken one."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from impasto.errors import BadInput, ImpastoError, TrainingFailed
from impasto.runtime import Runtime
from impasto.training import checkpoint
from impasto.training.loop import NAN_STEPS, Progress, Schedule, rate, train
from impasto.training.optimiser import Optimiser
from impasto.training.timing import Interruption

SCHEDULE = Schedule(steps=24, lr=0.02, warmup=4, cooldown=0.25, log_every=1, ema=0.9)


class Linear(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution: one for each half of the optimiser."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.spread = nn.Conv2d(3, width, 3, padding=1)
        self.mix = nn.Conv2d(width, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.spread(image))
        return mixed


class Regression:
    """Learn another network of the same shape; ``drift`` is state that moves with every step."""

    def __init__(self, machine: Runtime, width: int = 4) -> None:
        torch.manual_seed(1)
        self.truth = Linear(width).requires_grad_(False)
        self.module = machine.place(Linear(width))
        self.drift = torch.zeros(())

    def losses(self, step: int) -> dict[str, Tensor]:
        self.drift = self.drift + 0.001
        image = torch.randn(4, 3, 6, 6)
        error = (self.module(image) - self.truth(image) - self.drift).square().mean()
        return {"error": error, "size": 1e-4 * self.module.mix.weight.square().sum()}

    def state_dict(self) -> Mapping[str, Tensor]:
        return {"drift": self.drift}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.drift = state["drift"]


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# --- learning ---


def test_the_loss_falls(machine: Runtime, tmp_path: Path) -> None:
    task, seen = Regression(machine), list[Progress]()
    average = train(
        task, SCHEDULE.model_copy(update={"steps": 120}), tmp_path, machine, seen.append
    )
    assert seen[-1].losses["error"] < 0.2 * seen[0].losses["error"]
    image = torch.randn(4, 3, 6, 6)
    errors = [
        (net(image) - task.truth(image) - task.drift).square().mean()
        for net in (average, Regression(machine).module)
    ]
    assert errors[0] < 0.2 * errors[1]


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_optimiser_moves_every_weight(memory: torch.memory_format) -> None:
    """Filters are updated through views: in the wrong layout the copy would learn, not they."""
    net = Linear().to(memory_format=memory)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimiser = Optimiser(net.parameters(), decay=0.0)
    net(torch.randn(2, 3, 6, 6)).square().mean().backward()
    optimiser.step(0.1)
    still = [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
    assert not still


def test_the_optimiser_moves_weights_of_every_kind() -> None:
    """A kind of layer that it does not know must not silently stay as it is."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.Flatten(), nn.Linear(4, 5))
    net.to(memory_format=torch.channels_last)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimiser = Optimiser(net.parameters(), decay=0.0)
    net(torch.randn(8, 3, 3, 3)).square().mean().backward()
    optimiser.step(0.1)
    still = [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
    assert not still


@pytest.mark.parametrize(("outputs", "even"), [(3, True), (4, False)])
def test_a_layer_that_gives_a_picture_is_learned_by_adamw(outputs: int, even: bool) -> None:
    """Muon is for hidden layers; what gives the three colours of a picture is left to AdamW.

    AdamW's first step is equally long in every weight, that of Muon is not.
    """
    conv = nn.Conv2d(4, outputs, 3)
    before = conv.weight.detach().clone()
    optimiser = Optimiser(conv.parameters(), decay=0.0)
    (
        conv(torch.randn(2, 4, 6, 6)) * torch.arange(1.0, outputs + 1)[:, None, None]
    ).mean().backward()
    optimiser.step(0.01)
    moved = (conv.weight - before).abs()
    assert moved.min() > 0
    assert bool(moved.max() < 1.01 * moved.min()) == even


def test_the_optimiser_goes_downhill(machine: Runtime) -> None:
    """A transposed matrix has the right size and the wrong direction."""
    task = Regression(machine)
    optimiser = Optimiser(task.module.parameters(), decay=0.0)
    image = torch.randn(8, 3, 6, 6)
    errors = []
    for _ in range(100):
        error = (task.module(image) - task.truth(image)).square().mean()
        task.module.zero_grad()
        error.backward()
        optimiser.step(0.01)
        errors.append(error.item())
    assert errors[-1] < 0.3 * errors[0]


def test_frozen_weights_stay(machine: Runtime, tmp_path: Path) -> None:
    """New styles are learned by a network whose filters are frozen (Dumoulin et al. 2016)."""
    task = Regression(machine)
    task.module.spread.requires_grad_(False)
    before = task.module.spread.weight.clone()
    train(task, SCHEDULE, tmp_path, machine)
    assert torch.equal(task.module.spread.weight, before)


def test_the_average_lags_behind_but_forgets_the_start(machine: Runtime, tmp_path: Path) -> None:
    """After one step it is one tenth of the start: the random weights must not linger."""
    task = Regression(machine)
    start = task.module.mix.weight.detach().clone()
    average = train(task, SCHEDULE.model_copy(update={"steps": 1}), tmp_path, machine)
    expected = 0.1 * start + 0.9 * task.module.mix.weight
    torch.testing.assert_close(average.mix.weight, expected)
    assert not any(p.requires_grad for p in average.parameters())


def test_running_means_are_averaged_too(machine: Runtime, tmp_path: Path) -> None:
    """Batch norm learns them beside its weights; the average is ready to be used."""
    task = Regression(machine)
    task.module.spread = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    average = train(task, SCHEDULE, tmp_path, machine)
    kept, learned = (net.spread[1].running_mean for net in (average, task.module))
    assert torch.equal(kept, learned) and kept.abs().min() > 0
    assert not average.training


def test_batches_are_numbered_on(machine: Runtime, tmp_path: Path) -> None:
    """Three of them a step, each with random numbers of its own."""
    task, seen, drawn = Regression(machine), list[int](), list[float]()
    losses = task.losses

    def noted(number: int) -> dict[str, Tensor]:
        seen.append(number)
        drawn.append(float(torch.rand(())))
        return losses(number)

    task.losses = noted  # type: ignore[method-assign]
    train(task, SCHEDULE.model_copy(update={"accumulate": 3}), tmp_path, machine)
    assert seen == list(range(3 * 24))
    assert len(set(drawn)) == len(drawn)
    assert [row["step"] for row in rows(tmp_path)] == list(range(1, 25))


# --- going on ---


class Stop(Exception):
    """Somebody pulls the plug."""


def stop_at(step: int) -> Callable[[Progress], None]:
    def check(progress: Progress) -> None:
        if progress.step == step:
            raise Stop

    return check


@pytest.mark.parametrize(("stop", "accumulate"), [(1, 1), (7, 1), (20, 1), (23, 1), (7, 2)])
def test_a_resumed_run_is_the_unbroken_one(
    machine: Runtime, tmp_path: Path, stop: int, accumulate: int
) -> None:
    """Bit for bit: weights, average, optimiser and task, in every phase of the schedule."""
    plan = SCHEDULE.model_copy(update={"accumulate": accumulate})
    unbroken = Regression(machine)
    expected = train(unbroken, plan, tmp_path / "a", machine)
    with pytest.raises(Stop):
        train(Regression(machine), plan, tmp_path / "b", machine, stop_at(stop))
    resumed = Regression(machine)
    torch.manual_seed(999)  # another process has other random numbers
    got = train(resumed, plan, tmp_path / "b", machine)
    assert same(got, expected)
    assert same(resumed.module, unbroken.module)
    assert torch.equal(resumed.drift, unbroken.drift)
    assert [row["step"] for row in rows(tmp_path / "b")] == list(range(1, 25))
    states = [checkpoint.load(tmp_path / run / "checkpoint.pt") for run in ("a", "b")]
    momenta = [s["optimiser"]["muon"]["state"][0]["momentum_buffer"] for s in states]
    assert torch.equal(*momenta)


def test_stopping_again_and_again(machine: Runtime, tmp_path: Path) -> None:
    expected = train(Regression(machine), SCHEDULE, tmp_path / "a", machine)
    for stop in range(1, 24, 3):
        with pytest.raises(Stop):
            train(Regression(machine), SCHEDULE, tmp_path / "b", machine, stop_at(stop))
    assert same(train(Regression(machine), SCHEDULE, tmp_path / "b", machine), expected)


def test_a_finished_run_is_not_run_again(machine: Runtime, tmp_path: Path) -> None:
    expected = train(Regression(machine), SCHEDULE, tmp_path, machine)
    seen: list[Progress] = []
    assert same(train(Regression(machine), SCHEDULE, tmp_path, machine, seen.append), expected)
    assert seen == []


def test_the_seed_decides(machine: Runtime, tmp_path: Path) -> None:
    one = train(Regression(machine), SCHEDULE, tmp_path / "a", machine)
    again = train(Regression(machine), SCHEDULE, tmp_path / "b", machine)
    other = SCHEDULE.model_copy(update={"seed": 1})
    assert same(one, again)
    assert not same(one, train(Regression(machine), other, tmp_path / "c", machine))


def test_the_time_of_all_runs_is_counted(machine: Runtime, tmp_path: Path) -> None:
    train(Regression(machine), SCHEDULE, tmp_path, machine)
    path = tmp_path / "checkpoint.pt"
    state = checkpoint.load(path)
    checkpoint.save(path, state | {"seconds": 1000.0})
    longer = SCHEDULE.model_copy(update={"steps": 25})
    seen: list[Progress] = []
    train(Regression(machine), longer, tmp_path, machine, seen.append)
    assert seen[0].seconds > 1000


def test_a_checkpoint_of_another_network(machine: Runtime, tmp_path: Path) -> None:
    """It is refused, with what differs, and still there afterwards."""
    train(Regression(machine), SCHEDULE, tmp_path, machine)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    reason = "is of another network.*: spread.weight is 4 x 3 x 3 x 3 instead of 6 x 3 x 3 x 3, "
    with pytest.raises(BadInput, match=reason):
        train(Regression(machine, width=6), SCHEDULE, tmp_path, machine)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_file_that_is_no_checkpoint_of_ours(machine: Runtime, tmp_path: Path) -> None:
    """Somebody's state dict under our name: a clear line, and it is left alone."""
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "checkpoint.pt")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ImpastoError):
        train(Regression(machine), SCHEDULE, tmp_path, machine)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_of_another_recipe(machine: Runtime, tmp_path: Path) -> None:
    """The same network, of which another part learns."""
    train(Regression(machine), SCHEDULE, tmp_path, machine)
    frozen = Regression(machine)
    frozen.module.spread.requires_grad_(False)
    with pytest.raises(BadInput, match="the state of its optimiser or task does not fit"):
        train(frozen, SCHEDULE, tmp_path, machine)


# --- being stopped ---


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Both signals as the command line treats them."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Stopped(Regression):
    """Is told to stop in the middle of its sixth step."""

    def __init__(self, machine: Runtime, number: int) -> None:
        super().__init__(machine)
        self.number = number

    def losses(self, step: int) -> dict[str, Tensor]:
        if step == 5:
            signal.raise_signal(self.number)
            signal.raise_signal(signal.SIGTERM)  # torchrun says it again
        return super().losses(step)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_a_step_it_ends_that_and_saves(
    machine: Runtime, tmp_path: Path, number: int
) -> None:
    """Nothing is lost; the signals mean afterwards what they meant before."""
    with pytest.raises(KeyboardInterrupt):
        train(Stopped(machine, number), SCHEDULE, tmp_path / "b", machine)
    assert checkpoint.load(tmp_path / "b" / "checkpoint.pt")["step"] == 6
    assert signal.getsignal(number) is signal.default_int_handler
    resumed = train(Regression(machine), SCHEDULE, tmp_path / "b", machine)
    assert same(resumed, train(Regression(machine), SCHEDULE, tmp_path / "a", machine))


@pytest.mark.usefixtures("_handlers")
def test_a_second_signal_acts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who asks again does not want to wait for a step that takes minutes."""
    now = time.monotonic()
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.asked
        monkeypatch.setattr(time, "monotonic", lambda: now + 60)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interruption.number = 0


@pytest.mark.usefixtures("_handlers")
def test_what_is_ignored_stays_ignored() -> None:
    """``nohup`` and background jobs of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert not interruption.asked


def test_training_in_a_thread(machine: Runtime, tmp_path: Path) -> None:
    """Only the main thread may deal with signals."""
    args = (Regression(machine), SCHEDULE, tmp_path, machine)
    thread = threading.Thread(target=train, args=args)
    thread.start()
    thread.join()
    assert [row["step"] for row in rows(tmp_path)] == list(range(1, 25))


# --- bad steps ---


class Sick(Regression):
    """Gives a NaN at some steps."""

    def __init__(self, machine: Runtime, *steps: int) -> None:
        super().__init__(machine)
        self.steps = steps
        self.weights: list[Tensor] = []

    def filters(self) -> Tensor:
        return self.module.spread.weight.detach().clone()

    def losses(self, step: int) -> dict[str, Tensor]:
        self.weights.append(self.filters())
        losses = super().losses(step)
        if step in self.steps:
            losses["error"] = losses["error"] * float("nan")
        return losses


def test_a_nan_is_skipped(machine: Runtime, tmp_path: Path) -> None:
    """One bad batch: the weights stay, the log tells, the training goes on."""
    task = Sick(machine, 3)
    average = train(task, SCHEDULE, tmp_path, machine)
    assert torch.equal(task.weights[4], task.weights[3])
    assert not torch.equal(task.weights[5], task.weights[4])
    assert {"step": 3, "skipped": ["error"]} in rows(tmp_path)
    assert all(p.isfinite().all() for p in average.parameters())
    assert all(p.isfinite().all() for p in task.module.parameters())


def test_it_stops_when_nothing_is_finite_any_more(machine: Runtime, tmp_path: Path) -> None:
    """And says which loss it was, and what to do; the last good weights are kept."""
    task = Sick(machine, *range(5, 100))
    with pytest.raises(TrainingFailed, match=rf"{NAN_STEPS} steps in a row.*\(error\).*Lower"):
        train(task, SCHEDULE, tmp_path, machine)
    assert len(task.weights) == 5 + NAN_STEPS
    state = checkpoint.load(tmp_path / "checkpoint.pt")
    assert all(p.isfinite().all() for p in state["module"].values())


def test_scattered_nans_do_not_stop_it(machine: Runtime, tmp_path: Path) -> None:
    """Only a row of them means that the training is lost."""
    train(Sick(machine, *range(0, 24, 2)), SCHEDULE, tmp_path, machine)
    assert sum("skipped" in row for row in rows(tmp_path)) == 12


def test_one_nan_among_the_batches_of_a_step(machine: Runtime, tmp_path: Path) -> None:
    task = Sick(machine, 7)
    train(task, SCHEDULE.model_copy(update={"accumulate": 2}), tmp_path, machine)
    assert {"step": 3, "skipped": ["error"]} in rows(tmp_path)
    assert torch.equal(task.weights[8], task.weights[7])


def test_running_means_forget_a_nan(machine: Runtime, tmp_path: Path) -> None:
    """Batch norm has seen it before the loss has; the network would be lost without a word."""
    task = Regression(machine)
    norm = nn.BatchNorm2d(4)
    task.module.spread = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), norm)
    losses = task.losses

    def sick(step: int) -> dict[str, Tensor]:
        if step == 3:
            task.module(torch.full((2, 3, 6, 6), float("nan")))
            return {"error": task.module.mix.weight.sum() * float("nan")}
        return losses(step)

    task.losses = sick  # type: ignore[method-assign]
    average = train(task, SCHEDULE, tmp_path, machine)
    assert all(b.isfinite().all() for net in (average, task.module) for b in net.buffers())


class Steep(Regression):
    """A finite loss whose gradient is not."""

    def losses(self, step: int) -> dict[str, Tensor]:
        return {"root": (0 * self.module.mix.weight.sum()).sqrt()}


def test_an_infinite_gradient_is_skipped_too(machine: Runtime, tmp_path: Path) -> None:
    task = Steep(machine)
    before = task.module.mix.weight.detach().clone()
    with pytest.raises(TrainingFailed, match=r"\(gradient\)"):
        train(task, SCHEDULE, tmp_path, machine)
    assert torch.equal(task.module.mix.weight, before)


# --- reports and schedule ---


def test_the_schedule_sets_the_size_of_the_steps(machine: Runtime, tmp_path: Path) -> None:
    """Muon's updates are all of one size: what is left of it is the rate."""
    task = Sick(machine)
    train(task, SCHEDULE, tmp_path, machine)
    sizes = [float((b - a).norm()) for a, b in pairwise([*task.weights, task.filters()])]
    assert 0.15 < sizes[0] / sizes[10] < 0.35  # first of four steps of warm-up
    assert sizes[23] / sizes[10] < 0.15  # last of six steps of cool-down


def test_reports(machine: Runtime, tmp_path: Path) -> None:
    """Every so many steps and at the end; the log says the same."""
    seen: list[Progress] = []
    schedule = SCHEDULE.model_copy(update={"log_every": 10})
    train(Regression(machine), schedule, tmp_path, machine, seen.append)
    assert [p.step for p in seen] == [10, 20, 24]
    assert all(p.steps == 24 and set(p.losses) == {"error", "size"} for p in seen)
    assert [row["step"] for row in rows(tmp_path)] == [10, 20, 24]


class Painter(Regression):
    """Shows a grey picture, and remembers who was to paint it."""

    unreadable = ("b.jpg",)

    def samples(self, module: nn.Module) -> Tensor:
        self.shown = module
        assert not module.mix.weight.requires_grad and not torch.is_grad_enabled()
        torch.rand(3)  # what it draws is nobody's business
        return torch.full((1, 3, 8, 8), 0.5)


def sheets(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "samples").glob("*"))


def test_sheets_come_by_the_clock(machine: Runtime, tmp_path: Path) -> None:
    """And at the end; painted by the averaged weights, which learn nothing from it."""
    task = Painter(machine)
    average = train(task, SCHEDULE, tmp_path / "a", machine)
    assert sheets(tmp_path / "a") == ["step-000024.png"]
    assert task.shown is average
    often = SCHEDULE.model_copy(update={"sheet_minutes": 1e-9, "steps": 4})
    train(Painter(machine), often, tmp_path / "b", machine)
    assert sheets(tmp_path / "b") == [f"step-{step:06}.png" for step in (1, 2, 3, 4)]
    assert same(average, train(Regression(machine), SCHEDULE, tmp_path / "c", machine))


def test_no_sheets(machine: Runtime, tmp_path: Path) -> None:
    """Where none are wanted, and of tasks that have nothing to show."""
    never = SCHEDULE.model_copy(update={"sheet_minutes": 0})
    train(Painter(machine), never, tmp_path / "a", machine)
    train(Regression(machine), SCHEDULE, tmp_path / "b", machine)
    assert not (tmp_path / "a" / "samples").exists() and not (tmp_path / "b" / "samples").exists()


def test_files_that_cannot_be_read_are_told_at_the_end(machine: Runtime, tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(Painter(machine), SCHEDULE, tmp_path, machine, seen.append)
    told = [progress.step for progress in seen if any("b.jpg" in n for n in progress.notices)]
    assert told == [24]


def test_checkpoints_come_by_the_clock(
    machine: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash that nothing can catch costs a minute, not a night."""
    saved: list[object] = []
    monkeypatch.setattr(checkpoint, "save", lambda path, state: saved.append(state["step"]))
    always = SCHEDULE.model_copy(update={"checkpoint_seconds": 1e-9})
    train(Regression(machine), always, tmp_path / "a", machine)
    assert saved == [*range(1, 25), 24]
    saved.clear()
    train(Regression(machine), SCHEDULE, tmp_path / "b", machine)
    assert saved == [24]


def test_rate_by_hand() -> None:
    schedule = Schedule(steps=100, lr=1, warmup=10, cooldown=0.2)
    assert rate(schedule, 0) == pytest.approx(0.1)
    assert rate(schedule, 4) == pytest.approx(0.5)
    assert rate(schedule, 9) == rate(schedule, 50) == rate(schedule, 80) == 1
    assert rate(schedule, 90) == pytest.approx(0.5)
    assert rate(schedule, 99) == pytest.approx(0, abs=0.01)
    assert rate(schedule, 100) == pytest.approx(0, abs=1e-9)


def test_no_warmup_and_no_cooldown() -> None:
    schedule = Schedule(steps=10, lr=1, warmup=0, cooldown=0)
    assert [rate(schedule, step) for step in range(10)] == [1] * 10


@given(steps=st.integers(1, 500), warmup=st.integers(0, 700), cooldown=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_rate_rises_once_and_falls_once(steps: int, warmup: int, cooldown: float) -> None:
    schedule = Schedule(steps=steps, lr=1, warmup=warmup, cooldown=cooldown)
    rates = [rate(schedule, step) for step in range(steps)]
    assert all(0 <= r <= 1 for r in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert all(b <= a + 1e-12 for a, b in pairwise(rates[peak:]))


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 0},
        {"lr": 0},
        {"cooldown": 1.1},
        {"ema": 1},
        {"speed": 3},
        {"accumulate": 0},
        {"workers": -1},
        {"sheet_minutes": -1},
    ],
)
def test_schedules_that_make_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate({"steps": 10, "lr": 0.1, **values})


def test_a_learning_rate_that_is_no_number() -> None:
    """Infinity passes ``> 0``; the first step would fill the network with NaN."""
    with pytest.raises(ValidationError):
        Schedule(steps=10, lr=float("inf"))
