"""Checkpoints: hours of work must not be lost to a full disk or a bad moment."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.errors import BadOutput, DamagedWeights
from impasto.training import checkpoint

STATE = {
    "module": {"a": torch.arange(6.0).reshape(2, 3)},
    "average": {"a": torch.ones(2, 3)},
    "optimiser": {"adam": {"state": {0: {"step": torch.tensor(3.0)}}}},
    "task": {},
    "step": 7,
    "seconds": 1.5,
}


def same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    return a == b


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoint.pt"
    checkpoint.save(path, STATE)
    assert same(checkpoint.load(path), STATE)
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def test_the_newer_takes_the_place_of_the_older(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, STATE)
    checkpoint.save(path, STATE | {"step": 8})
    assert checkpoint.load(path)["step"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("stage", ["write", "flush", "rename"])
@pytest.mark.parametrize("reason", [OSError(28, "No space left on device"), RuntimeError("full")])
def test_a_failure_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, reason: Exception
) -> None:
    """At whatever point the disk is full; torch says so with a RuntimeError."""
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, STATE)

    def fail(*_: object, **__: object) -> None:
        raise reason

    def write_half(state: object, file: Any) -> None:
        file.write(b"half")
        raise reason

    if stage == "write":
        monkeypatch.setattr(torch, "save", write_half)
    elif stage == "flush":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BadOutput, match=r"checkpoint\.pt"):
        checkpoint.save(path, STATE | {"step": 8})
    monkeypatch.undo()
    assert same(checkpoint.load(path), STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_it_is_on_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renamed first, a power cut leaves an empty file where the old checkpoint was."""
    calls: list[str] = []
    fsync, move = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    def moved(self: Path, target: Path) -> Path:
        calls.append("replace")
        return move(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", moved)
    checkpoint.save(tmp_path / "checkpoint.pt", STATE)
    assert calls[:2] == ["fsync", "replace"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """One line for people, also where tidying up fails for the same reason."""
    (tmp_path / "file").touch()
    with pytest.raises(BadOutput, match="file"):
        checkpoint.save(tmp_path / "file" / "checkpoint.pt", STATE)


def weights(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_what_differs_is_said() -> None:
    found, wanted = weights(a=(3, 2), b=(1,), c=()), weights(a=(3, 4), b=(1,), d=(2,))
    said = "d is not in it, c is not in the network, a is 3 x 2 instead of 3 x 4"
    assert checkpoint.difference(found, wanted) == said
    assert checkpoint.difference(found, weights(a=(3, 2), b=(1,), c=(1,))).endswith(
        "c is a number instead of 1"
    )


def test_equal_weights_do_not_differ() -> None:
    assert checkpoint.difference(weights(a=(3,), b=()), weights(b=(), a=(3,))) == ""


def test_only_some_of_many_differences_are_said() -> None:
    found = weights(**{f"layer{number}": (2,) for number in range(9)})
    said = checkpoint.difference(found, {})
    assert said.startswith("layer0 is not in the network, layer1") and said.endswith(", 6 more")


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_no_code_is_run(tmp_path: Path) -> None:
    """A checkpoint from somebody else must not be a program."""
    path = tmp_path / "checkpoint.pt"
    torch.save({"step": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(DamagedWeights):
        checkpoint.load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 no archive", b"\x80\x02."])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(DamagedWeights, match="Delete it to start anew"):
        checkpoint.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DamagedWeights):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"conv.weight": torch.zeros(1)}, {"step": 7}])
def test_something_else_that_torch_has_saved(tmp_path: Path, content: object) -> None:
    """Lists, state dicts, half a checkpoint: they would fail later, without words."""
    path = tmp_path / "checkpoint.pt"
    torch.save(content, path)
    with pytest.raises(DamagedWeights):
        checkpoint.load(path)
