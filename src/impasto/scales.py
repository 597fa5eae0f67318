"""Settings of an optimisation, and its pyramid: from a small picture to the one asked for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from torch import Tensor

from impasto.media.image import resize


@dataclass(frozen=True)
class Scales:
    """Which scales there are, and how many steps each takes."""

    smallest: int = 256
    """Long side of the first scale, pixels."""
    growth: float = 2.0
    """Each scale is about so many times the one before."""
    steps: tuple[int, ...] = (60, 100, 60)
    """Steps at the first, second, ... scale; later ones take the last number."""
    single: int | None = 200
    """Steps of a picture that has one scale; None: as many as the first of several."""
    again: float = 0.4
    """Share of its steps that the last scale takes of a picture that has been through it."""
    iterations: int | None = None
    """Steps in all, shared out in the same proportions; None: as ``steps`` says."""


@dataclass(frozen=True)
class Config(Scales):
    """Settings of the optimisation; weights are of relative losses."""

    lr: float = 0.02
    gentle: float = 0.25
    """Share of ``lr`` for a picture that has been through the last scale already."""
    keep: float = 0.95
    """Decay of the average of iterates."""
    content: Mapping[str, float] = field(default_factory=lambda: {"relu3_1": 0.5, "relu4_1": 0.5})
    style: Mapping[str, float] = field(
        default_factory=lambda: {f"relu{block}_1": 10.0 for block in range(1, 6)}
    )
    variation: float = 1.0
    detail: float = 0.5
    """How much of the photo's own detail a larger scale starts with."""
    init: str = "auto"
    patch: int = 8
    """So large, in pixels, is what ``auto`` takes of AdaIN's painting: colours, and no strokes."""
    optimizer: Literal["adam", "lbfgs"] = "adam"


QUALITIES = {
    "draft": Config(steps=(30, 40, 20), single=80),
    "normal": Config(),
    "best": Config(steps=(300, 300, 200), single=500),
}
LONGER = {"draft": (80, 30, 20), "normal": (200, 100, 60), "best": (500, 300, 200)}
"""Steps from where the painting's colours are still to be found: the photo, or noise."""


def pyramid(long_side: int, config: Scales) -> list[tuple[int, int]]:
    """Long side and number of steps of every scale, from small to large."""
    ratio = max(1.0, long_side / config.smallest)
    # A quarter of a step too much is made by the others: two scales of nearly one size are one.
    count = math.ceil(math.log(ratio) / math.log(config.growth) - 0.25)
    sizes = [round(long_side * ratio ** (i / max(1, count) - 1)) for i in range(count)]
    sizes.append(long_side)
    steps = [config.steps[min(i, len(config.steps) - 1)] for i in range(count + 1)]
    if count == 0 and config.single is not None:
        steps = [config.single]
    if config.iterations is not None:
        steps = _shared_out(config.iterations, steps)
    return list(zip(sizes, steps, strict=True))


def ahead(
    long_side: int, config: Scales, begun: Tensor | None
) -> tuple[list[tuple[int, int]], int, int]:
    """The part of a ``pyramid`` that is to be climbed; the steps below it, and in all.

    begun: (B, 3, h, w), what is painted already: it has reached all scales of its size. If that is
    the last one, too, it goes through it once more, with the share ``again`` of its steps.
    """
    scales = every = pyramid(long_side, config)
    if begun is not None:
        size, steps = every[-1]
        scales = [scale for scale in every if scale[0] > max(begun.shape[-2:])]
        scales = scales or [(size, math.ceil(config.again * steps))]
    total = sum(steps for _, steps in every)
    return scales, total - sum(steps for _, steps in scales), total


def whole_passes(long_side: int, config: Scales, begun: Tensor | None) -> float:
    """The steps that are ``ahead``, counted in passes over the whole picture."""
    scales, _, _ = ahead(long_side, config, begun)
    return sum(steps * (side / long_side) ** 2 for side, steps in scales)


def enlarged(image: Tensor, own: Tensor, photo: Tensor, detail: float) -> Tensor:
    """A painting at the size of ``photo``, with a share of the detail that it could not hold.

    image, own: what was painted, and the photo of it, (B, 3, h, w); photo: (B, 3, H, W)
    """
    size = (photo.shape[-2], photo.shape[-1])
    larger = resize(image, size).expand_as(photo)
    if detail == 0:
        return larger
    return (larger + detail * (photo - resize(own, size))).clamp(0, 1)


def _shared_out(total: int, shares: list[int]) -> list[int]:
    """``total`` steps in the proportions of ``shares``, at least one each."""
    spare = max(0, total - len(shares))
    ends = [round(spare * part / sum(shares)) for part in accumulate(shares)]
    return [1 + end - start for start, end in zip([0, *ends], ends, strict=False)]
