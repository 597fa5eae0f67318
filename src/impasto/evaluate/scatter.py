"""A plot of style_error against content_error: where each method stands, over its strengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.evaluate.summary import Group

WIDTH, HEIGHT = 760.0, 440.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 120.0, 16.0, 52.0
TICKS = 6
"""Of content_error: so many, and the one at 0."""
LEAST = 1e-3
"""Of style_error: smaller is drawn there, since the axis is logarithmic."""


@dataclass(frozen=True)
class Mark:
    """A group in the plot, pixels; the bars reach over its intervals."""

    label: str
    x: float
    y: float
    bar_x: tuple[float, float]
    bar_y: tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A method, one mark for each strength."""

    method: str
    control: bool
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """The points as an SVG polyline has them."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


@dataclass(frozen=True)
class Plot:
    """All that is drawn; ticks are (pixels, text)."""

    curves: tuple[Curve, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def plot(groups: Sequence[Group]) -> Plot | None:
    """The plot of those groups; None where there is nothing to draw."""
    shown = [g for g in groups if {"style_error", "content_error"} <= g.means.keys()]
    if not shown:
        return None
    errors = [max(LEAST, g.means["style_error"].mean) for g in shown]
    low, high = math.floor(math.log10(min(errors))), math.ceil(math.log10(max(errors)) + 1e-9)
    most = max(max(g.means["content_error"].high for g in shown), 0.1) * 1.05

    def across(error: float) -> float:
        share = (math.log10(max(LEAST, error)) - low) / max(1, high - low)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)

    def down(error: float) -> float:
        return HEIGHT - BOTTOM - min(1.0, error / most) * (HEIGHT - TOP - BOTTOM)

    def mark(group: Group) -> Mark:
        style, content = group.means["style_error"], group.means["content_error"]
        return Mark(
            group.label,
            across(style.mean),
            down(content.mean),
            (across(style.low), across(style.high)),
            (down(content.low), down(content.high)),
        )

    names = dict.fromkeys((g.method, g.control) for g in shown)
    curves = [
        Curve(name, control, tuple(mark(g) for g in shown if g.method == name))
        for name, control in names
    ]
    decades = tuple((across(10.0**e), f"{10.0**e:g}") for e in range(low, high + 1))
    sizes = (size * 10.0**power for power in range(-1, 9) for size in (1, 2.5, 5))
    step = next(size for size in sizes if most / size <= TICKS)
    steps = tuple((down(i * step), f"{i * step:g}") for i in range(int(most / step) + 1))
    return Plot(tuple(curves), decades, steps)
