"""How many processors this process may use: what it is bound to, and what its container grants."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

VARIABLE = "OMP_NUM_THREADS"
"""Where users say how many threads they want; torch looks at it when it is loaded."""

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Processors that may be used, at least one; half of one counts as one."""
    granted = min(_quotas(), default=math.inf)
    return max(1, min(bound(), math.ceil(min(granted, bound()))))


def bound() -> int:
    """Processors that this process may be scheduled on, whatever its container grants."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_threads(asked: int | None = None) -> None:
    """Have torch, which is not loaded for that, use as many threads as asked for, or as cores.

    What a user has set in the environment stays, unless a number is asked for.
    """
    if asked or (VARIABLE not in os.environ and cores() < bound()):
        os.environ[VARIABLE] = str(asked or cores())
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(asked or cores())


def groups() -> list[Path]:
    """The control groups of this process, its own and those around it, of version 2."""
    memberships = (line.split(":", 2) for line in _lines(MEMBERSHIP))
    return [p for _, kind, group in memberships if kind == "" for p in _around(GROUPS, group)]


def _quotas() -> Iterator[float]:
    """What the control groups grant, in processors."""
    yield from (_quota(_lines(path / "cpu.max")) for path in groups())
    for line in _lines(MEMBERSHIP):
        _, controllers, group = line.split(":", 2)
        if "cpu" in controllers.split(","):  # version 1
            for path in _around(GROUPS / "cpu", group):
                words = [*_lines(path / "cpu.cfs_quota_us"), *_lines(path / "cpu.cfs_period_us")]
                yield _quota([" ".join(words)])


def _around(root: Path, group: str) -> list[Path]:
    """The folders of a group and of those that it lies in; in a container, as far as it sees."""
    path = root / group.strip("/")
    return [folder for folder in (path, *path.parents) if folder.is_relative_to(root)]


def _quota(lines: list[str]) -> float:
    """Processors by ``QUOTA PERIOD`` in microseconds; infinite where none is set."""
    with suppress(ValueError, IndexError):
        quota, period = map(float, lines[0].split())
        if quota > 0 and period > 0:
            return quota / period
    return math.inf


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
