"""Many pictures in one: a grid between styles, or between the photo and a style."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.codes import Code, Region, blend
from impasto.commands import STDIO, Event, OnEvent, save, undisturbed
from impasto.errors import BadInput
from impasto.estimate import peak_mb
from impasto.job import Job
from impasto.media import image as media
from impasto.pipeline import fitted_alpha, full_size, prepare, recolored, run
from impasto.recipe import Recipe

GAP = 0.02
"""Width of the white line between two cells, as a share of a cell's long side."""

GRIDS = range(2, 10)
"""How many cells a row may have."""


@dataclass(frozen=True)
class Cell:
    """What is painted at one place of the grid."""

    weights: tuple[float, ...]
    """One for each style."""
    strength: float
    """Share of the grid's full strength: [0, 1]; 0 is the photo."""


def cells(styles: int, grid: int) -> list[Cell]:
    """The cells of a grid row by row, ``grid`` in each row.

    One style: a row from the photo to the style. Two: columns from one style to the other, rows
    of rising strength. Three: one in each corner, and the photo in the last (bottom right). Four:
    one in each corner. In between, weights are bilinear.

    Raises BadInput for other numbers.
    """
    if grid not in GRIDS:
        raise BadInput(f"A grid of {grid} is not possible: choose {GRIDS[0]} to {GRIDS[-1]}.")
    steps = [i / (grid - 1) for i in range(grid)]
    if styles == 1:
        return [Cell((1.0,), x) for x in steps]
    if styles == 2:
        return [Cell((1 - x, x), row / grid) for row in range(1, grid + 1) for x in steps]
    corners = [((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y) for y in steps for x in steps]
    if styles == 3:
        return [Cell(corner[:3], 1 - corner[3]) for corner in corners]
    if styles == 4:
        return [Cell(corner, 1.0) for corner in corners]
    raise BadInput(f"A grid has four corners, not {styles}: choose one to four styles.")


@dataclass(frozen=True)
class Sheet:
    """Where pictures of one size lie side by side, thin white lines between them."""

    rows: int
    columns: int
    height: int
    """Of one picture, pixels."""
    width: int

    @property
    def gap(self) -> int:
        """Width of the lines, pixels."""
        return max(1, round(GAP * max(self.height, self.width)))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the whole."""
        height, width = self.height + self.gap, self.width + self.gap
        return self.rows * height - self.gap, self.columns * width - self.gap

    def arrange(self, pictures: Iterable[Tensor], channels: int = 3) -> Tensor:
        """Row by row.  (1, C, height, width) each  ->  (1, C, *size)"""
        whole = torch.ones(1, channels, *self.size)
        for place, picture in enumerate(pictures):
            top = place // self.columns * (self.height + self.gap)
            left = place % self.columns * (self.width + self.gap)
            whole[..., top : top + self.height, left : left + self.width] = picture
        return whole


def mix_file(
    recipe: Recipe, target: Path, grid: int = 5, on_event: OnEvent = lambda _: None
) -> Event:
    """Paint a grid of the photo that the Recipe names and write it to ``target`` (- is stdout).

    recipe: ``size`` is that of one cell; ``strength`` is the most that a cell gets, by default 1
    for one style and the method's own for several
    ->  what was done, an event for the caller to show

    Raises BadInput for weights and masks, other numbers of styles, and a grid that is too large;
    BadOutput; what ``prepare`` raises. An interruption writes nothing.
    """
    _check_recipe(recipe)
    plan = cells(len(recipe.styles), grid)
    if str(target) != STDIO:
        media.check_target(target, read=recipe.sources())
    photo = media.read(sys.stdin.buffer if recipe.photo == STDIO else recipe.photo)
    job = prepare(_full_strength(recipe), photo.pixels)
    sheet = Sheet(len(plan) // grid, grid, *job.photo.shape[-2:])
    _check_sheet(sheet, target)
    on_event({"event": "estimate", **_facts(job, sheet), **_forecast(job, len(plan))})
    for text in job.notices:
        on_event({"event": "notice", "text": text})
    start = time.perf_counter()
    pixels = sheet.arrange(paint_cells(job, plan, on_event))
    seconds = time.perf_counter() - start
    alpha = fitted_alpha(photo, job.photo)
    if alpha is not None:
        alpha = sheet.arrange([alpha] * len(plan), channels=1)
    with undisturbed():
        save(pixels, media.Picture(pixels, alpha, photo.exif), job.recipe, target)
    return {
        "event": "done",
        "output": str(target),
        **_facts(job, sheet),
        "cells": len(plan),
        "seconds": round(seconds, 2),
        "load_seconds": round(job.load_seconds, 2),
        "peak_mb": round(peak_mb()),
    }


def paint_cells(job: Job, plan: Sequence[Cell], on_event: OnEvent) -> Iterator[Tensor]:
    """The cells one after the other, in the colour mode of the Recipe.  ->  (1, 3, H, W) each"""
    recipe, stylizer = job.recipe, job.stylizer
    codes = [stylizer.encode(style, recipe.style_scale) for style in job.styles]
    assert recipe.strength is not None  # prepare has settled it
    for number, cell in enumerate(plan, 1):
        painted = _paint(job, codes, cell.weights, recipe.strength * cell.strength)
        on_event({"event": "step", "done": number, "total": len(plan)})
        yield recolored(job, full_size(job, painted))


def _paint(job: Job, codes: Sequence[Code], weights: Sequence[float], strength: float) -> Tensor:
    if strength == 0:  # where three styles end in the photo, their weights sum to zero
        return job.photo
    return run(job, [Region(blend(codes, weights))], strength)


def _check_recipe(recipe: Recipe) -> None:
    if recipe.masks:
        raise BadInput("A grid has no masks: leave them out, or stylize with them instead.")
    for share in recipe.styles:
        if share.weight != 1:
            given, name = f"{share.source}:{share.weight:g}", share.source
            raise BadInput(f"A grid weighs the styles itself: give {name!r} instead of {given!r}.")


def _full_strength(recipe: Recipe) -> Recipe:
    """A row between photo and style ends in the style alone, whatever the method likes best."""
    if len(recipe.styles) > 1 or recipe.strength is not None:
        return recipe
    return recipe.model_copy(update={"strength": 1.0})


def _check_sheet(sheet: Sheet, target: Path) -> None:
    height, width = sheet.size
    limit = media.Limits().pixels
    if height * width > limit:
        text = f"{width} x {height} px, more than {limit:,} in all"
        raise BadInput(f"The grid would be {text}: use a smaller --size or --grid.")
    if str(target) != STDIO:
        media.check_target(target, sheet.size)


def _facts(job: Job, sheet: Sheet) -> Event:
    return {"method": job.recipe.method, "size": [sheet.size[1], sheet.size[0]]}


def _forecast(job: Job, count: int) -> Event:
    seconds = round(job.estimate.seconds * count, 1)
    return {"seconds": seconds, "peak_mb": round(job.estimate.peak_mb)}
