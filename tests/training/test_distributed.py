"""Several processes learn what one learns with a larger batch."""

import json
import os
import signal
import socket
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn

from impasto.errors import BadInput
from impasto.media.image import write
from impasto.runtime import Runtime
from impasto.training import checkpoint, distributed
from impasto.training.batches import Batches, StagedRecipe
from impasto.training.loop import Schedule, Stateless, train

forked = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")


class Fading(Stateless):
    """Learn to paint photos darker or lighter, as a number that is drawn for each one says."""

    def __init__(self, paths: list[Path], recipe: StagedRecipe, machine: Runtime) -> None:
        torch.manual_seed(1 + distributed.rank())  # the first one's weights have to win
        self.module = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))
        self.batches = Batches(paths, recipe, 5, machine)

    def losses(self, number: int) -> dict[str, Tensor]:
        photos = self.batches.at(number)
        drawn = torch.rand(len(photos) * distributed.world(), 1, 1, 1)
        light = distributed.mine(drawn)
        told = torch.cat([photos, light.expand(-1, 1, *photos.shape[-2:])], 1)
        error = (self.module(told) - light * photos).square()
        return {"error": error.mean(), "size": 0.1 * error.abs().amax((1, 2, 3)).mean()}


class Sick(Fading):
    """The last process gets a NaN in the third step."""

    def losses(self, number: int) -> dict[str, Tensor]:
        losses = super().losses(number)
        if number == 2 and distributed.rank() == distributed.world() - 1:
            losses["size"] = losses["size"] * float("nan")
        return losses


class Stopped(Fading):
    """The second process is told to stop in the third step."""

    def losses(self, number: int) -> dict[str, Tensor]:
        if number == 2 and distributed.rank() == 1:
            signal.raise_signal(signal.SIGTERM)
        return super().losses(number)


def recipe(batch: int, accumulate: int = 1) -> StagedRecipe:
    stages = ({"until": 4, "size": 32, "batch": batch}, {"until": 9, "size": 36, "batch": batch})
    schedule = Schedule(steps=8, lr=0.02, warmup=2, log_every=1, accumulate=accumulate)
    return StagedRecipe.model_validate({"stages": stages, "schedule": schedule})


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five pictures of noise."""
    names = [tmp_path / f"{number}.png" for number in range(5)]
    for path in names:
        write(torch.rand(1, 3, 48, 56), path)
    return names


def work(
    rank: int, port: int, task: type[Fading], paths: list[Path], run: Path, batch: int
) -> None:
    """What one of two processes does."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line has it
    machine, plan = Runtime(torch.device("cpu"), bf16=False), recipe(batch)
    folder = run / f"process{rank}"
    folder.mkdir(parents=True)
    try:
        train(task(paths, plan, machine), plan.schedule, run, machine, lambda _: None)
    except BaseException as end:
        (folder / "end").write_text(type(end).__name__)
        raise
    (folder / "end").write_text("returned")


def two(task: type[Fading], paths: list[Path], run: Path, batch: int) -> list[str]:
    """Train with two processes.  ->  how each of them ended"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    args = (port, task, paths, run, batch)
    multiprocessing.start_processes(work, args, nprocs=2, start_method="fork")
    return [(run / f"process{rank}" / "end").read_text() for rank in range(2)]


def curve(run: Path) -> list[list[float]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [[*row["losses"].values()] for row in rows if "losses" in row]


# --- two processes ---


@forked
def test_two_processes_learn_what_one_learns_with_twice_the_batch(
    paths: list[Path], tmp_path: Path, machine: Runtime
) -> None:
    """The same losses at every step, the same weights in the end; only the first one writes."""
    plan = recipe(batch=4)
    alone = train(Fading(paths, plan, machine), plan.schedule, tmp_path / "one", machine)
    assert two(Fading, paths, tmp_path / "two", batch=2) == ["returned", "SystemExit"]
    one, both = (torch.tensor(curve(tmp_path / name)) for name in ("one", "two"))
    assert one.shape == both.shape == (8, 2)
    torch.testing.assert_close(both, one, rtol=1e-4, atol=1e-6)
    assert one[-1, 0] < 0.8 * one[0, 0]
    state = checkpoint.load(tmp_path / "two" / "checkpoint.pt")
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(state["average"][key], value, rtol=1e-3, atol=1e-5)


@forked
def test_a_nan_of_one_process_is_skipped_by_all(paths: list[Path], tmp_path: Path) -> None:
    """Otherwise their weights would part for ever."""
    assert two(Sick, paths, tmp_path / "run", batch=2) == ["returned", "SystemExit"]
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row for row in rows if "skipped" in row] == [{"step": 2, "skipped": ["size"]}]
    assert torch.tensor(curve(tmp_path / "run"))[3:].isfinite().all()


@forked
def test_one_process_that_has_to_stop_stops_all(
    paths: list[Path], tmp_path: Path, machine: Runtime
) -> None:
    """After the same step, with a checkpoint from which one process can go on as well."""
    run = tmp_path / "run"
    assert two(Stopped, paths, run, batch=2) == ["KeyboardInterrupt"] * 2
    assert checkpoint.load(run / "checkpoint.pt")["step"] == 3
    plan = recipe(batch=4)
    train(Fading(paths, plan, machine), plan.schedule, run, machine)
    train(Fading(paths, plan, machine), plan.schedule, tmp_path / "whole", machine)
    resumed, whole = (torch.tensor(curve(folder)) for folder in (run, tmp_path / "whole"))
    torch.testing.assert_close(resumed, whole, rtol=1e-4, atol=1e-6)


# --- one process ---


def test_several_batches_a_step_are_one_large_batch(
    paths: list[Path], tmp_path: Path, machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same gradients, in less memory; random numbers are drawn for each batch."""
    monkeypatch.setattr(torch, "rand", lambda *size: torch.full(size, 0.5))
    for name, plan in (("large", recipe(batch=4)), ("small", recipe(batch=2, accumulate=2))):
        train(Fading(paths, plan, machine), plan.schedule, tmp_path / name, machine)
    large, small = (torch.tensor(curve(tmp_path / name)) for name in ("large", "small"))
    torch.testing.assert_close(large, small, rtol=1e-4, atol=1e-6)


def test_alone_nothing_is_shared(machine: Runtime) -> None:
    whole = torch.arange(4)
    assert (distributed.rank(), distributed.world(), distributed.first()) == (0, 1, True)
    assert torch.equal(distributed.mine(whole), whole)
    assert distributed.everyones(3.0, machine.device) == [3.0]


@pytest.mark.parametrize("whole", [torch.arange(6), list(range(6))], ids=["tensor", "list"])
def test_parts_are_equal_and_make_up_the_whole(
    monkeypatch: pytest.MonkeyPatch, whole: Tensor | list[int]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    parts = []
    for rank in "012":
        monkeypatch.setenv("RANK", rank)
        parts.append([int(number) for number in distributed.mine(whole)])
    assert parts == [[0, 1], [2, 3], [4, 5]]


def test_what_is_kept_by_one_process_cannot_be_shared(
    tmp_path: Path, machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paintings in progress would be lost at the next start, without a word."""

    class Keeping(Stateless):
        module = nn.Linear(2, 2)

        def state_dict(self) -> dict[str, Tensor]:
            return {"pool": torch.zeros(1)}

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "joined", lambda _: nullcontext())
    with pytest.raises(BadInput, match="use one process"):
        train(Keeping(), recipe(2).schedule, tmp_path, machine)


def test_processes_that_see_different_checkpoints(
    tmp_path: Path, paths: list[Path], machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(number: float, _: torch.device) -> list[float]:
        return [number, number + 1]

    monkeypatch.setattr(distributed, "everyones", seen)
    plan = recipe(2)
    with pytest.raises(BadInput, match="--run must be one for all"):
        train(Fading(paths, plan, machine), plan.schedule, tmp_path, machine)


@pytest.mark.parametrize(
    ("device", "reason"), [("mps", "use cpu or cuda"), ("cuda", "has no GPU: start at most 1")]
)
def test_machines_on_which_they_cannot_work(
    monkeypatch: pytest.MonkeyPatch, device: str, reason: str
) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(BadInput, match=reason), distributed.joined(torch.device(device)):
        pass
