"""The comparison: every method on every photo and style, as a page, pictures and a sheet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from torch import Tensor

from impasto import methods, page
from impasto.evaluate.cells import Cell, Row, planned
from impasto.evaluate.judge import Judge
from impasto.evaluate.looks import Look, look
from impasto.evaluate.run import run
from impasto.evaluate.sheet import GAP, LINE, contact_sheet
from impasto.media.image import read, scaled, write
from impasto.networks.encoders import load_encoder
from impasto.recipe import Recipe
from impasto.runtime import runtime

PAGE, SHEET = "index.html", "sheet.jpg"

LARGE, MANY, SMALL = 512, 120, 256
"""Pictures inside the page have at most ``LARGE`` px; ``SMALL`` where there are over ``MANY``."""

TALLEST = 60_000
"""Of a contact sheet, pixels: a JPEG has at most 65,500."""

MEANS = ("seconds", "load_seconds", "peak_mb", "parameters", "file_bytes")
ERRORS = ("style_error", "content_error")


@dataclass(frozen=True)
class Pair:
    """A photo, a style, and the rows of all methods on them."""

    photo: str
    style: str
    rows: Mapping[str, Row]


def compare(
    names: Sequence[str],
    photos: Sequence[str],
    styles: Sequence[str],
    recipe: Recipe,
    folder: Path,
    on_row: Callable[[Row, bool], None],
) -> list[Row]:
    """Paint and measure every pair by every method; write rows, pictures, a page and a sheet.

    recipe: settings for all of them  ->  the rows of methods

    Raises what ``run`` raises.
    """
    cells = planned(["photo", *names], photos, styles, recipe)
    encoder = load_encoder(recipe.encoder)
    rows = run(cells, folder, Judge(encoder, runtime(recipe.device, "fp32")), on_row)
    sources = {cell.style: cell.recipe.styles[0].source for cell in cells}
    looks = {style: look(source, encoder) for style, source in sources.items()}
    pairs = _pairs(cells, rows)
    _write_page(pairs, names, looks, folder)
    write(_sheet(pairs, names, looks, folder), folder / SHEET, quality=88)
    return [row for row in rows if row.method in names]


def _pairs(cells: Sequence[Cell], rows: Sequence[Row]) -> list[Pair]:
    """Photos in order, each in all its styles."""
    table: dict[str, dict[str, dict[str, Row]]] = {}
    for cell, row in zip(cells, rows, strict=True):
        table.setdefault(cell.photo, {}).setdefault(cell.style, {})[cell.method] = row
    return [Pair(p, s, table[p][s]) for p in table for s in table[p]]


def _write_page(
    pairs: Sequence[Pair], names: Sequence[str], looks: Mapping[str, Look], folder: Path
) -> None:
    painted = [row for pair in pairs for row in pair.rows.values() if row.picture]
    side = LARGE if len(painted) <= MANY else SMALL
    page.write(
        folder / PAGE,
        "compare.html",
        photos=len({pair.photo for pair in pairs}),
        styles=len({pair.style for pair in pairs}),
        size=max((max(row.width or 0, row.height or 0) for row in painted), default=0),
        pairs=[_pair(pair, names, looks[pair.style], folder, side) for pair in pairs],
        methods=[_method(name, [pair.rows[name] for pair in pairs]) for name in names],
    )


def _pair(pair: Pair, names: Sequence[str], style: Look, folder: Path, side: int) -> dict[str, Any]:
    own = pair.rows["photo"]
    pixels = None if style.pixels is None else scaled(style.pixels, min(side, 400))
    return {
        "photo": {
            "label": pair.photo,
            "pixels": _shown(own, folder, side),
            "reason": own.reason,
            "style_error": own.metrics.get("style_error"),
        },
        "style": {"label": pair.style, "pixels": pixels, "text": style.text},
        "cells": [
            {
                **pair.rows[name].model_dump(),
                "pixels": _shown(pair.rows[name], folder, side),
                "share": _share(pair.rows[name], own),
            }
            for name in names
        ],
    }


def _shown(row: Row, folder: Path, side: int) -> Tensor | None:
    if not row.picture:
        return None
    pixels = read(folder / row.picture).pixels
    return scaled(pixels, min(side, max(pixels.shape[-2:])))


def _share(row: Row, photo: Row) -> float | None:
    """What is left of the photo's distance to the style."""
    left, whole = row.metrics.get("style_error"), photo.metrics.get("style_error")
    return left / whole if left is not None and whole else None


def _method(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What a method is, and the means of its figures."""
    method, done = methods.get(name), [row for row in rows if row.outcome == "done"]
    figures = {field: [getattr(row, field) for row in done] for field in MEANS}
    figures |= {field: [row.metrics.get(field) for row in done] for field in ERRORS}
    means = {field: mean(values) if values else None for field, values in figures.items()}
    facts = {"good": method.good, "bad": method.bad, "paper": method.paper}
    return {"name": name, "can": method.can.words(), **facts, **means}


def _sheet(
    pairs: Sequence[Pair], names: Sequence[str], looks: Mapping[str, Look], folder: Path
) -> Tensor:
    def row(pair: Pair) -> list[Tensor | None]:
        painted = [_shown(pair.rows[name], folder, SMALL) for name in ("photo", *names)]
        return [painted[0], looks[pair.style].pixels, *painted[1:]]

    titles = [f"{pair.photo} in {pair.style}" for pair in pairs]
    side = max(1, min(SMALL, TALLEST // len(pairs) - LINE - GAP))
    return contact_sheet(map(row, pairs), ["photo", "style", *names], titles, side)
