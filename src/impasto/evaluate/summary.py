"""Means of many rows by method and strength, and how sure they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from impasto.evaluate.cells import CONTROLS, Row
from impasto.evaluate.intervals import Interval, crossed_interval

COSTS = ("seconds", "load_seconds", "peak_mb")


@dataclass(frozen=True)
class Group:
    """All finished rows of a method at a strength."""

    method: str
    strength: float | None
    count: int
    means: Mapping[str, Interval]
    """By metric, and by ``COSTS``; what no row has is missing."""

    @property
    def control(self) -> bool:
        """Whether nothing was painted."""
        return self.method in CONTROLS

    @property
    def label(self) -> str:
        """What tables and plots call it."""
        if self.control:
            return f"the {self.method} itself"
        return self.method if self.strength is None else f"{self.method} {self.strength:g}"


def groups(rows: Sequence[Row]) -> list[Group]:
    """The rows by method and strength, in the order in which they come."""
    table: dict[tuple[str, float | None], list[Row]] = {}
    for row in rows:
        if row.outcome == "done":
            table.setdefault((row.method, row.strength), []).append(row)
    return [Group(*key, len(members), _means(members)) for key, members in table.items()]


def _means(rows: Sequence[Row]) -> dict[str, Interval]:
    columns = {name: [row.metrics.get(name) for row in rows] for name in rows[0].metrics}
    columns |= {name: [getattr(row, name) for row in rows] for name in COSTS}
    means = {}
    for name, values in columns.items():
        there = [(value, row) for value, row in zip(values, rows, strict=True) if value is not None]
        if there:
            photos = [row.photo for _, row in there]
            styles = [row.style for _, row in there]
            means[name] = crossed_interval([value for value, _ in there], photos, styles)
    return means
