"""Time and memory of a job before it runs, from the table that a worker measured at its start."""

import math
from collections.abc import Mapping, Sequence

from impasto.recipe import Quality

QUALITIES: tuple[Quality, ...] = ("draft", "normal", "best")

SIDES = (256, 512, 1024, 2048)
"""Sizes of square pictures that are measured, pixels."""

AUTO, AT_ONCE, BEST = "auto", ("johnson", "dumoulin", "ghiasi", "adain"), "gatys"
"""What ``auto`` may turn out to be: the slowest of those that paint at once, or for quality best
the best."""

Table = dict[str, Sequence[tuple[int, float, float]]]
"""By method, or ``method/quality``: side of a square, seconds, megabytes."""


def entry(method: str, quality: str | None) -> str:
    """The key of a method in the table."""
    return method if quality is None else f"{method}/{quality}"


def seconds(
    table: Table, method: str, quality: str, width: int, height: int, size: int | None = None
) -> float | None:
    """How long a picture will take; None where the method was not measured.

    width, height: of the photo; size: long side of the result, None for the photo's own
    """
    return _looked_up(table, method, quality, _pixels(width, height, size), 1)


def memory_mb(
    table: Table, method: str, quality: str, width: int, height: int, size: int | None = None
) -> float | None:
    """How much memory the process that paints will hold, see ``seconds``."""
    return _looked_up(table, method, quality, _pixels(width, height, size), 2)


def slowest(tables: Sequence[Table]) -> Table:
    """The table of several workers: who will do a job is not known beforehand."""
    merged: dict[str, Sequence[tuple[int, float, float]]] = {}
    for table in tables:
        for key, rows in table.items():
            own = merged.get(key)
            merged[key] = rows if own is None or rows[0][1] > own[0][1] else own
    return merged


def _pixels(width: int, height: int, size: int | None) -> float:
    scale = 1.0 if size is None else size / max(width, height)
    return max(1.0, width * scale) * max(1.0, height * scale)


def _looked_up(
    table: Mapping[str, Sequence[Sequence[float]]],
    method: str,
    quality: str,
    pixels: float,
    column: int,
) -> float | None:
    if method == AUTO:
        names = (BEST,) if quality == "best" else AT_ONCE
        found = [_looked_up(table, name, quality, pixels, column) for name in names]
        return max((value for value in found if value is not None), default=None)
    rows = table.get(entry(method, quality), table.get(method))
    if not rows:
        return None
    return _interpolated([(row[0] ** 2, row[column]) for row in rows], pixels)


def _interpolated(points: Sequence[tuple[float, float]], at: float) -> float:
    """A straight line between logarithms; beyond the ends the nearest one goes on."""
    logs = [(math.log(x), math.log(max(y, 1e-9))) for x, y in sorted(points)]
    if len(logs) == 1:
        return math.exp(logs[0][1])
    x = math.log(at)
    right = next((i for i, (edge, _) in enumerate(logs) if edge >= x), len(logs) - 1)
    (x0, y0), (x1, y1) = logs[max(1, right) - 1], logs[max(1, right)]
    return math.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
