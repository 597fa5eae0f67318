"""Time and memory of a piece of work, before it runs."""

import sys
import timeit
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from impasto.stylizer import Stylizer

PATIENCE = 300.0
"""Seconds that a picture may take without having been asked for at that size."""

MEMORY_SHARE = 0.8
"""Share of the free memory that a picture may take."""

WHOLE = 1.5e9
"""Bytes from which on a picture is painted in tiles, however much memory there is."""

PASSES = 4
"""How many passes are timed; the fastest counts."""

STATUS = Path("/proc/self/status")
"""Where Linux tells what a process holds."""

REHEARSAL = 256
"""Side of the picture on which a pass is timed, pixels."""


@dataclass(frozen=True)
class Estimate:
    """What a picture will cost."""

    size: int
    """Long side, pixels."""
    seconds: float
    peak_mb: float
    """Memory of the whole process at its peak."""
    side: int | None = None
    """Of the tiles that it is painted in, pixels; None: in one piece."""


@dataclass(frozen=True)
class Pace:
    """How fast this machine is at one method."""

    seconds_per_megapixel: float
    base_mb: float
    """Memory that the process holds before it starts."""


def pace(stylizer: Stylizer) -> Pace:
    """Time one pass of the method on a small picture (well under a second with ``compact``)."""
    one_pass = stylizer.rehearse(torch.rand(1, 3, REHEARSAL, REHEARSAL))
    seconds = min(timeit.repeat(one_pass, number=1, repeat=PASSES))
    base = psutil.Process().memory_info().rss / 1e6
    return Pace(seconds / (REHEARSAL**2 / 1e6), base)


def estimate(stylizer: Stylizer, speed: Pace, size: int, aspect: float) -> Estimate:
    """The cost of a picture with long side ``size`` and short side ``size * aspect``."""
    height, room = max(1, round(size * aspect)), _room()
    cost = stylizer.cost(height, size)
    if cost.peak_bytes > min(WHOLE, room):
        cost = min(cost, stylizer.tiled(height, size, room), key=lambda cost: cost.peak_bytes)
    seconds = cost.megapixels * speed.seconds_per_megapixel
    return Estimate(size, seconds, speed.base_mb + cost.peak_bytes / 1e6, cost.side)


def _room() -> float:
    """Bytes that a picture may take on this machine now."""
    return float(psutil.virtual_memory().available * MEMORY_SHARE)


def fitting(stylizer: Stylizer, speed: Pace, size: int, aspect: float) -> Estimate:
    """The estimate at ``size``, or at the largest size below it that is within bounds."""
    free_mb = _room() / 1e6
    while True:
        cost = estimate(stylizer, speed, size, aspect)
        if size <= REHEARSAL or (
            cost.seconds <= PATIENCE and cost.peak_mb - speed.base_mb <= free_mb
        ):
            return cost
        size = round(size * 0.9)


def peak_mb() -> float:
    """Most memory that this process has held so far, or since ``reset_peak``."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 1e6)
    if STATUS.is_file():  # what getrusage says there includes the process that started this one
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1e3 * 1.024
    import resource  # which Windows does not have

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def reset_peak() -> None:
    """Let ``peak_mb`` begin anew, where the operating system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
