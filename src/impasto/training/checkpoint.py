"""Checkpoints: written whole or not at all, read without running code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from impasto.errors import BadOutput, DamagedWeights


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` beside ``path``, flush it to the disk, then take the old one's place.

    Raises BadOutput when the disk is full or not writable; the old checkpoint is then untouched.
    """
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        part.unlink(missing_ok=True)
        raise BadOutput(f"Cannot write the checkpoint {str(path)!r}: {error}.") from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """What ``save`` wrote, tensors on ``device``.

    Raises DamagedWeights when the file is no checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise DamagedWeights(
            f"{str(path)!r} is no readable checkpoint ({error}). Delete it to start anew."
        ) from error
    return state
