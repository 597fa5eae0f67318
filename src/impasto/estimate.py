"""Time and memory of a piece of work, before it runs."""

import sys
import timeit
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from impasto import cores
from impasto.engines import rehearsal
from impasto.runtime import Runtime
from impasto.stylizer import Stylizer
from impasto.timings import spent

PATIENCE = 300.0
"""Seconds that a picture may take without having been asked for at that size."""

MEMORY_SHARE = 0.8
"""Share of the free memory that a picture may take."""

HALF = 0.7
"""Share of the memory of float32 that one pass in bfloat16 takes where it is not in tiles."""

WHOLE = 1.6e9
"""Bytes from which on one picture is painted in tiles, however much memory there is: the process
stays below two gigabytes, and in bfloat16 a telephone's 12 megapixels go in one piece."""

PASSES = 4
"""How many passes are timed; the fastest counts."""

STATUS = Path("/proc/self/status")
"""Where Linux tells what a process holds."""

REHEARSAL = 256
"""Side of the picture on which a pass is timed, pixels."""

GPU_REHEARSAL = 1024
"""The same for GPUs, which with less are never busy."""

BRIEF, BRIEF_REHEARSAL, BRIEF_PASSES = 512, 128, 2
"""A picture of that size, asked for, is painted in one pass as soon as it is timed in four."""


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
    held_mb: float = 0.0
    """What painting takes of the memory."""


@dataclass(frozen=True)
class Pace:
    """How fast this machine is at one method."""

    seconds_per_megapixel: float
    base_mb: float
    """Memory that the process holds before it starts."""
    peak_mb: float = 0.0
    """Most that it has held so far."""
    whole: float | None = None
    """Bytes from which on pictures are painted in tiles, where that is not ``WHOLE``."""


def pace(stylizer: Stylizer, size: int | None = None) -> Pace:
    """Time one pass of the method on a small picture (well under a second with ``compact``).

    size: long side of the only picture, if it is known: for a small one a short look has to do
    """
    brief = size is not None and size <= BRIEF and not stylizer.can.steps
    side, passes = (BRIEF_REHEARSAL, BRIEF_PASSES) if brief else (REHEARSAL, PASSES)
    side = side if _gpu(stylizer) is None else GPU_REHEARSAL
    with spent("rehearsal"), rehearsal():
        one_pass = stylizer.rehearse(torch.rand(1, 3, side, side))
        seconds = min(timeit.repeat(one_pass, number=1, repeat=passes))
    base = psutil.Process().memory_info().rss / 1e6
    return Pace(seconds / (side**2 / 1e6), base, peak_mb())


def estimate(stylizer: Stylizer, speed: Pace, size: int, aspect: float) -> Estimate:
    """The cost of a picture with long side ``size`` and short side ``size * aspect``.

    On a GPU the memory is that of the process beside it: what is on the GPU is not in it.
    """
    height, gpu = max(1, round(size * aspect)), _gpu(stylizer)
    room = free() if gpu is None else MEMORY_SHARE * torch.cuda.mem_get_info(gpu)[0]
    cost = stylizer.cost(height, size)
    if _in_half(stylizer):
        cost = replace(cost, peak_bytes=cost.peak_bytes * HALF)
    if cost.peak_bytes > (room if gpu is not None else min(speed.whole or WHOLE, room)):
        cost = min(cost, stylizer.tiled(height, size, room), key=lambda cost: cost.peak_bytes)
    seconds = cost.megapixels * speed.seconds_per_megapixel
    # Reading the photo may have taken more than painting it will.
    held = 0.0 if gpu is not None else cost.peak_bytes / 1e6
    peak = max(speed.peak_mb, speed.base_mb + held)
    return Estimate(size, seconds, peak, cost.side, held)


def _gpu(stylizer: Stylizer) -> torch.device | None:
    """The GPU that it paints on."""
    machine = _machine(stylizer)
    return machine.device if machine is not None and machine.device.type == "cuda" else None


def _in_half(stylizer: Stylizer) -> bool:
    machine = _machine(stylizer)
    # What works in steps knows by itself what it takes.
    return machine is not None and machine.bf16 and not stylizer.can.steps


def _machine(stylizer: Stylizer) -> Runtime | None:
    machine = getattr(stylizer, "runtime", None)
    return machine if isinstance(machine, Runtime) else None


def free() -> float:
    """Bytes that work may take on this machine, or in this container, now."""
    least = float(psutil.virtual_memory().available)
    for group in cores.groups():
        with suppress(OSError, ValueError, KeyError):  # without a limit, or no Linux
            least = min(least, _granted(group))
    return least * MEMORY_SHARE


def _granted(group: Path) -> float:
    """Bytes that a control group still gives; what it holds of files goes when it is needed."""
    limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    lines = (group / "memory.stat").read_text().splitlines()
    held = {name: int(value) for name, value in (line.split() for line in lines)}
    return max(0, limit - used + held["active_file"] + held["inactive_file"])


def fitting(stylizer: Stylizer, speed: Pace, size: int, aspect: float) -> Estimate:
    """The estimate at ``size``, or at the largest size below it that is within bounds."""
    free_mb = free() / 1e6
    now = replace(speed, peak_mb=0.0)  # what was held before takes no room any more
    while True:
        cost = estimate(stylizer, now, size, aspect)
        within = cost.seconds <= PATIENCE and cost.peak_mb - speed.base_mb <= free_mb
        if within or size <= REHEARSAL:
            return replace(cost, peak_mb=max(cost.peak_mb, speed.peak_mb))
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
