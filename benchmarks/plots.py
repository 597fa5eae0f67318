"""Plots as SVG, drawn by hand: light and dark, and sharp at any size."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 150, 24, 64, 46
SIDE, HEIGHT = 70, 420
"""Left margin and height of what is no list."""

LINE = 30
"""Height of one line of ``dumbbells``, pixels."""

COLOURS = ("#2a6fdb", "#c2571a", "#3f8f5b", "#8d5bb8", "#b23a6b", "#7a7266", "#0f8b8d", "#a08415")
"""Readable on white and on black."""

STYLE = """
.paper { fill: #ffffff; stroke: #e2dacd; } text { fill: #221e1a; font: 13px system-ui, sans-serif; }
.soft { fill: #6d655b; } .grid { stroke: #e8e2d8; } .title { font-weight: 600; font-size: 15px; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #1f2228; stroke: #34383f; } text { fill: #ebe6de; } .soft { fill: #a29a8e; }
  .grid { stroke: #34383f; }
}"""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """An axis between two values, from one pixel to another; logarithmic, or linear from 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = True

    def at(self, value: float) -> float:
        """The pixel of a value."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = value / self.high
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values on the axis, a few."""
        if not self.log:
            step = max(s for s in _round_values(self.high / 100, self.high) if s <= self.high / 4)
            return [step * i for i in range(int(self.high / step) + 1)]
        values = _round_values(self.low, self.high)
        powers = [value for value in values if _is_power(value)]
        return powers if len(powers) > 3 else values


def _round_values(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20, ... within."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (float(f"{step}e{power}") for power in powers for step in (1, 2, 5))
    return [value for value in values if low <= value <= high]


def _is_power(value: float) -> bool:
    return f"{value:e}".startswith("1.0")


def axis(values: Iterable[float], start: float, end: float, log: bool = True) -> Axis:
    """An axis with room for these values at its ends."""
    positive = [value for value in values if value > 0]
    if not log:
        return Axis(0, max(positive) * 1.1, start, end, log)
    return Axis(min(positive) / 1.3, max(positive) * 1.3, start, end)


def dumbbells(
    title: str,
    unit: str,
    rows: Mapping[str, Mapping[str, float]],
    series: Sequence[str],
    log: bool = True,
) -> str:
    """A line for every row, a dot on it for every series: {"wct": {"ours": 0.1, "plain": 0.2}}."""
    height = TOP + LINE * len(rows) + BOTTOM
    values = (value for row in rows.values() for value in row.values())
    x = axis(values, LEFT + 10, WIDTH - RIGHT, log)
    there = [name for name in series if any(name in row for row in rows.values())]
    colours = {name: COLOURS[series.index(name)] for name in there}
    parts = [vertical_grid(x, height, unit), legend(colours, round_=True)]
    for number, (label, row) in enumerate(rows.items()):
        y = TOP + LINE * (number + 0.5)
        parts.append(text(LEFT - 6, y + 4, label, "end"))
        ends = x.at(min(row.values())), x.at(max(row.values()))
        parts.append(
            f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" '
            'stroke="#9a9286" stroke-width="2"/>'
        )
        parts += [dot(x.at(v), y, colours[n], f"{label}, {n}: {v:.3g}") for n, v in row.items()]
    return picture(title, height, parts)


def courses(title: str, x_name: str, y_name: str, lines: Mapping[str, Sequence[Point]]) -> str:
    """A line for every series; both axes logarithmic."""
    points = [point for line in lines.values() for point in line]
    x = axis((p[0] for p in points), SIDE, WIDTH - RIGHT)
    y = axis((p[1] for p in points), HEIGHT - BOTTOM, TOP)
    colours = dict(zip(lines, itertools.cycle(COLOURS), strict=False))
    parts = [vertical_grid(x, HEIGHT, x_name), horizontal_grid(y, y_name), legend(colours)]
    for name, line in lines.items():
        way = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line)
        parts.append(
            f'<polyline points="{way}" fill="none" stroke="{colours[name]}" stroke-width="2.5" '
            f'stroke-linejoin="round"/>'
        )
    return picture(title, HEIGHT, parts)


def scatter(title: str, x_name: str, y_name: str, points: Mapping[str, Point]) -> str:
    """A named dot for every point; the axis across is logarithmic."""
    x = axis((p[0] for p in points.values()), SIDE, WIDTH - RIGHT)
    y = axis((p[1] for p in points.values()), HEIGHT - BOTTOM, TOP, log=False)
    parts = [vertical_grid(x, HEIGHT, x_name), horizontal_grid(y, y_name)]
    pixels = {name: (x.at(a), y.at(b)) for name, (a, b) in points.items()}
    taken = [(a - 7, b - 7, a + 7, b + 7) for a, b in pixels.values()]
    for (name, (a, b)), colour in zip(pixels.items(), itertools.cycle(COLOURS), strict=False):
        told = f"{name}: {points[name][0]:.3g}, {points[name][1]:.3g}"
        box = _free(a, b, 7.2 * len(name), taken)
        taken.append(box)
        parts += [dot(a, b, colour, told), text(box[0], box[3] - 4, name)]
    return picture(title, HEIGHT, parts)


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def _free(a: float, b: float, width: float, taken: Sequence[Box]) -> Box:
    """Room for words beside a dot: on the right, left, below or above, where none lie yet."""
    right, left, middle = a + 10, a - 10 - width, a - width / 2
    places = ((right, b - 8), (left, b - 8), (middle, b + 8), (middle, b - 24))
    boxes = [(left, top, left + width, top + 16) for left, top in places]
    inside = (box for box in boxes if box[0] > SIDE and box[2] < WIDTH - 6)
    free = (box for box in inside if not any(_meets(box, other) for other in taken))
    return next(free, boxes[0])


def _meets(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def vertical_grid(x: Axis, height: float, name: str) -> str:
    """Lines and values across, and what they are."""
    bottom = height - BOTTOM
    parts = []
    for value in x.ticks():
        at = x.at(value)
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 4}" y2="{bottom}"/>'
        )
        parts.append(text(at, bottom + 18, f"{value:g}", "middle", "soft"))
    return "".join([*parts, text((x.start + x.end) / 2, height - 10, name, "middle", "soft")])


def horizontal_grid(y: Axis, name: str) -> str:
    """Lines and values upwards, and what they are."""
    parts = []
    for value in y.ticks():
        at = y.at(value)
        parts.append(
            f'<line class="grid" x1="{SIDE}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(text(SIDE - 6, at + 4, f"{value:g}", "end", "soft"))
    middle = (y.start + y.end) / 2
    turned = f'<g transform="rotate(-90 18 {middle})">'
    return "".join([*parts, turned, text(18, middle, name, "middle", "soft"), "</g>"])


def legend(colours: Mapping[str, str], round_: bool = False) -> str:
    """The names of the series beside their colours, in one line below the title."""
    parts, x = [], 20.0
    for name, colour in colours.items():
        if round_:
            parts.append(dot(x + 5, 44, colour, name))
        else:
            parts.append(f'<rect x="{x}" y="42" width="14" height="4" rx="2" fill="{colour}"/>')
        parts.append(text(x + 18, 48, name))
        x += 36 + 7.2 * len(name)
    return "".join(parts)


def dot(x: float, y: float, colour: str, told: str) -> str:
    """A dot that says what it is when one rests on it."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}">'
        f"<title>{escape(told)}</title></circle>"
    )


def text(x: float, y: float, words: str, anchor: str = "", kind: str = "") -> str:
    """Words at a place."""
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(words)}</text>'


def picture(title: str, height: float, parts: Iterable[str]) -> str:
    """A whole file."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">'
        f"<style>{STYLE}</style>"
        f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>'
        f"{text(20, 26, title, kind='title')}{''.join(parts)}</svg>\n"
    )
