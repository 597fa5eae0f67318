"""The pyramid of an optimisation: from a small picture to the one asked for."""

import math
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Scales:
    """Which scales there are, and how many steps each takes."""

    smallest: int = 256
    """Long side of the first scale, pixels."""
    growth: float = 2.0
    """Each scale is about so many times the one before."""
    steps: tuple[int, ...] = (200, 100, 60)
    """Steps at the first, second, ... scale; later ones take the last number."""
    iterations: int | None = None
    """Steps in all, shared out in the same proportions; None: as ``steps`` says."""


def pyramid(long_side: int, config: Scales) -> list[tuple[int, int]]:
    """Long side and number of steps of every scale, from small to large."""
    ratio = max(1.0, long_side / config.smallest)
    # A quarter of a step too much is made by the others: two scales of nearly one size are one.
    count = math.ceil(math.log(ratio) / math.log(config.growth) - 0.25)
    sizes = [round(long_side * ratio ** (i / max(1, count) - 1)) for i in range(count)]
    sizes.append(long_side)
    steps = [config.steps[min(i, len(config.steps) - 1)] for i in range(count + 1)]
    if config.iterations is not None:
        steps = _shared_out(config.iterations, steps)
    return list(zip(sizes, steps, strict=True))


def _shared_out(total: int, shares: list[int]) -> list[int]:
    """``total`` steps in the proportions of ``shares``, at least one each."""
    spare = max(0, total - len(shares))
    ends = [round(spare * part / sum(shares)) for part in accumulate(shares)]
    return [1 + end - start for start, end in zip([0, *ends], ends, strict=False)]
