"""Batches: functions of their number, in whichever process they are decoded."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.config import validate
from impasto.errors import BadInput
from impasto.media.image import write
from impasto.runtime import Runtime
from impasto.training import batches
from impasto.training.batches import Batches, StagedRecipe, crops, spare
from impasto.training.data import Crops

SETTINGS = {
    "stages": [{"until": 4, "size": 32, "batch": 4}, {"until": 8, "size": 40, "batch": 2}],
    "schedule": {"steps": 8, "lr": 1e-3},
}


def recipe(**schedule: object) -> StagedRecipe:
    return validate(StagedRecipe, SETTINGS | {"schedule": SETTINGS["schedule"] | schedule})


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five pictures of noise."""
    names = [tmp_path / f"{number}.png" for number in range(5)]
    for path in names:
        write(torch.rand(1, 3, 48, 56), path)
    return names


def stacked(paths: list[Path], size: int, numbers: range, seed: int = 7) -> Tensor:
    source = Crops(paths, size, seed)
    return torch.stack([source[number] for number in numbers])


# --- which crops ---


def test_a_batch_is_a_run_of_numbered_crops(paths: list[Path], machine: Runtime) -> None:
    """Of the size and in the number that the stage wants."""
    source = Batches(paths, recipe(), 7, machine)
    assert torch.equal(source.at(3), stacked(paths, 32, range(12, 16)))
    assert torch.equal(source.at(4), stacked(paths, 40, range(8, 10)))
    assert torch.equal(source.at(100), stacked(paths, 40, range(200, 202)))
    assert torch.equal(source.at(3), crops(paths, recipe(), 3, machine, 7))


def test_other_sizes_for_paintings(paths: list[Path], machine: Runtime) -> None:
    source = Batches(paths, recipe(), 7, machine, size=36, closest=1.0, fewer=1)
    expected = Crops(paths, 36, 7, closest=1.0)
    assert torch.equal(source.at(2), torch.stack([expected[i] for i in (6, 7, 8)]))


def test_several_batches_a_step_are_one_large_batch(paths: list[Path], machine: Runtime) -> None:
    """Stages end with a step: batches 0 to 7 belong to the first four."""
    source = Batches(paths, recipe(accumulate=2), 7, machine)
    parts = [source.at(number) for number in (6, 7)]
    assert torch.equal(torch.cat(parts), stacked(paths, 32, range(24, 32)))
    assert source.at(8).shape == (2, 3, 40, 40)


def test_processes_share_one_large_batch(
    paths: list[Path], machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its crops, none of them twice."""
    parts = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        parts.append(Batches(paths, recipe(), 7, machine).at(3))
    assert torch.equal(torch.cat(parts), stacked(paths, 32, range(24, 32)))


# --- workers ---


@pytest.mark.parametrize("count", [1, 2])
def test_workers_change_nothing(paths: list[Path], machine: Runtime, count: int) -> None:
    """In order, across stages, after a jump as of a resumed run, back again, and past the end."""
    plain = Batches(paths, recipe(), 7, machine, workers=0)
    ahead = Batches(paths, recipe(), 7, machine, workers=count)
    for number in (2, 3, 4, 5, 1, 7, 8, 0):
        assert torch.equal(ahead.at(number), plain.at(number)), number


def test_workers_leave_the_generator_of_the_step_alone(paths: list[Path], machine: Runtime) -> None:
    """What a task draws after its batch must not depend on who decoded that."""
    source = Batches(paths, recipe(), 7, machine, workers=1)
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    source.at(0)
    assert torch.equal(torch.rand(1), before)


def test_workers_go_home(paths: list[Path], machine: Runtime) -> None:
    """When the last batch is there: what follows is judging, not training."""
    source = Batches(paths, recipe(), 7, machine, workers=1)
    source.at(6)
    assert source.ahead is not None
    source.at(7)
    assert source.ahead is None


@pytest.mark.parametrize("count", [0, 1])
def test_broken_files_are_counted(paths: list[Path], machine: Runtime, count: int) -> None:
    """Once each, however often they are met."""
    for path in paths[:2]:
        path.write_bytes(b"no picture")
    source = Batches(paths, recipe(), 7, machine, workers=count)
    for number in range(6):
        source.at(number)
    assert source.unreadable == {str(path) for path in paths[:2]}


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_but_broken_files(tmp_path: Path, machine: Runtime, count: int) -> None:
    """One line for people, from a worker too."""
    (tmp_path / "a.png").write_bytes(b"no picture")
    source = Batches([tmp_path / "a.png"], recipe(), 7, machine, workers=count)
    with pytest.raises(BadInput, match=r"^None of the training pictures can be read\.$"):
        source.at(0)


@pytest.mark.parametrize(
    ("device", "cores", "world", "expected"),
    [("cpu", 2, 1, 0), ("cpu", 16, 1, 2), ("cpu", 16, 8, 0), ("cuda", 16, 1, 4), ("cuda", 4, 2, 1)],
)
def test_who_can_spare_workers(
    monkeypatch: pytest.MonkeyPatch, device: str, cores: int, world: int, expected: int
) -> None:
    """A CPU that learns has better things to do; a GPU has to be fed."""
    monkeypatch.setattr(batches.os, "cpu_count", lambda: cores)
    monkeypatch.setenv("WORLD_SIZE", str(world))
    assert spare(Runtime(torch.device(device), bf16=False)) == expected


def test_the_recipe_decides_on_workers(paths: list[Path], machine: Runtime) -> None:
    assert Batches(paths, recipe(workers=3), 7, machine).workers == 3
    assert Batches(paths, recipe(), 7, machine).workers == spare(machine)
