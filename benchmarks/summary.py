"""What rows come to: selections, means, and points of a course."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from rows import Row

ORDER = ("photo", "style", "johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")


def pick(rows: Iterable[Row], **fields: object) -> list[Row]:
    """The rows with these fields: ``pick(rows, method="wct", size=512)``."""
    return [row for row in rows if all(getattr(row, k) == v for k, v in fields.items())]


def figure(rows: Iterable[Row], name: str, **fields: object) -> float | None:
    """The figure of the one row with these fields, nothing where there is none."""
    found = [row.figures[name] for row in pick(rows, **fields) if name in row.figures]
    return found[0] if len(found) == 1 else None


def by_method(rows: Iterable[Row]) -> list[Row]:
    """In the order in which methods are always named."""
    return sorted(rows, key=lambda row: (ORDER.index(row.method), row.setting, row.strength or 0))


def sizes(rows: Iterable[Row]) -> list[int]:
    """All sizes, from small to large."""
    return sorted({row.size for row in rows if row.size})


@dataclass(frozen=True)
class Means:
    """What comes out of many pairs of photo and style."""

    pairs: int
    style_error: float
    share: float
    """Of the photos' own style_error, all pairs together."""
    median_share: float
    """Of the photos' own, pair by pair."""
    content_error: float


def means(rows: Sequence[Row], chosen: Sequence[Row]) -> Means | None:
    """Means over the chosen rows of those whose photo was measured too; nothing if none was."""
    bare = {pair(row): row.figures["style_error"] for row in pick(rows, method="photo")}
    known = [row for row in chosen if pair(row) in bare]
    if not known:
        return None
    errors = [row.figures["style_error"] for row in known]
    own = [bare[pair(row)] for row in known]
    return Means(
        len(known),
        mean(errors),
        sum(errors) / sum(own),
        median(error / photo for error, photo in zip(errors, own, strict=True)),
        mean(row.figures["content_error"] for row in known),
    )


def pair(row: Row) -> tuple[str, str]:
    """Photo and style."""
    return row.photo or "", row.style or ""


def read_off(curve: Iterable[tuple[float, float]], x: float) -> float:
    """The curve at x, straight between its points; at the ends the last point."""
    points = sorted(curve)
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / max(x1 - x0, 1e-9)
    return points[-1][1]


def when(series: Mapping[str, Sequence[float]], style_error: float) -> float | None:
    """Seconds until a course has come that near to the style, nothing if it never has."""
    points = zip(series["seconds"], series["style_error"], strict=True)
    return next((seconds for seconds, error in points if error <= style_error), None)
