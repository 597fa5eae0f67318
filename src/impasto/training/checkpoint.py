"""Checkpoints: written whole or not at all, read without running code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.errors import BadOutput, DamagedWeights
from impasto.files import replacing, writing

KEYS = frozenset({"module", "average", "optimiser", "task", "step", "seconds"})
"""What a checkpoint holds."""

SHOWN = 3
"""So many differences are told."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` beside ``path``, flush it to the disk, then take the old one's place.

    Raises BadOutput when the disk is full or not writable; the old checkpoint is then untouched.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as file:
            torch.save(dict(state), file)
    except RuntimeError as error:  # so torch reports a full disk
        raise BadOutput(f"Cannot write the checkpoint {str(path)!r}: {error}.") from error


def load(path: Path) -> dict[str, Any]:
    """What ``save`` wrote, tensors on the processor: who takes them knows where they belong.

    Raises DamagedWeights when the file is no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        raise _damaged(path, f"it does not hold {', '.join(sorted(KEYS))}")
    return state


def difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What the weights of a checkpoint have otherwise than those of a network, in words.

    Empty where names and shapes are the same.
    """
    told = [f"{key} is not in it" for key in wanted if key not in found]
    told += [f"{key} is not in the network" for key in found if key not in wanted]
    told += [
        f"{key} is {_size(found[key])} instead of {_size(wanted[key])}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    more = [f"{len(told) - SHOWN} more"] if len(told) > SHOWN else []
    return ", ".join(told[:SHOWN] + more)


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _damaged(path: Path, reason: str) -> DamagedWeights:
    return DamagedWeights(f"{str(path)!r} is no checkpoint: {reason}. Delete it to start anew.")
