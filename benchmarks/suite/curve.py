"""Curve: how gatys comes nearer, step by step, from different starts, beside the plain way.

Four pairs at 512 px, numbers of steps from 37 to 300, from the photo and from what adain and wct
paint. The plain way: the same encoder and the same losses, float32, one scale, from the photo,
L-BFGS, a thousand steps. Both are measured by the same encoder in float32, outside the clock; while
ours works on a smaller canvas, its picture is enlarged for that.
"""

import time
from collections.abc import Iterator
from itertools import islice

import plain
import torch
from rows import Cell, Options, Results, say
from suite.judges import Judge, compact
from suite.passes import plain_loss
from suite.pictures import PAIRS, SIZE, photo
from torch import Tensor

from impasto import methods
from impasto.media.image import resize
from impasto.methods.gatys import Config, Gatys
from impasto.networks.encoders import load_encoder
from impasto.recipe import Recipe
from impasto.runtime import runtime
from impasto.style import open_style

STARTS = ("content", "adain", "wct")
STEPS = {37: (25, 12), 75: (50, 25), 110: (80, 30), 300: (200, 100)}
"""In all, and at 256 and 512 px; 110 is draft quality, 300 normal."""

PLAIN_STEPS = 1000
EVERY = 25
"""Steps between two looks."""


def run(results: Results, options: Options) -> None:
    """Measure what is missing."""
    judge = compact("fp32")
    for cell in results.missing(filter(options.wants, cells(options.quick))):
        image = photo(cell.photo or "", cell.size or SIZE)
        series = (plain_way if cell.way == "plain" else ours)(cell, judge, image).series
        figures = {name: values[-1] for name, values in series.items() if name != "step"}
        say(results.add(cell, figures, series))


def cells(quick: bool) -> Iterator[Cell]:
    """Every start and number of steps for every pair, and the plain way."""
    for name, style in PAIRS[:1] if quick else PAIRS:
        for start in STARTS:
            for steps in (37,) if quick else STEPS:
                yield _cell("ours", start, name, style, steps, quick)
        yield _cell("plain", "content", name, style, 10 if quick else PLAIN_STEPS, quick)


def _cell(way: str, start: str, name: str, style: str, steps: int, quick: bool) -> Cell:
    return Cell(
        benchmark="curve",
        method="gatys",
        way=way,
        setting=start,
        size=96 if quick else SIZE,
        encoder="compact",
        judge="compact",
        photo=name,
        style=style,
        steps=steps,
    )


class Course:
    """Errors by the time of the work alone: looking stops the clock."""

    def __init__(self, cell: Cell, judge: Judge, image: Tensor) -> None:
        self.cell, self.judge, self.photo = cell, judge, image
        self.series: dict[str, list[float]] = {}
        self.spent, self.since = 0.0, time.perf_counter()

    def look(self, step: int, image: Tensor) -> None:
        """Every some steps, and at the end."""
        if step % EVERY and step != self.cell.steps:
            return
        self.spent += time.perf_counter() - self.since
        size = (self.photo.shape[-2], self.photo.shape[-1])
        errors = self.judge(resize(image.float().cpu(), size), self.photo, self.cell.style or "")
        for name, value in {"seconds": self.spent, "step": step, **errors}.items():
            self.series.setdefault(name, []).append(value)
        self.since = time.perf_counter()


def ours(cell: Cell, judge: Judge, image: Tensor) -> Course:
    """With default settings, but for start and steps."""
    assert cell.style and cell.steps
    config = Config(steps=STEPS[cell.steps], init=cell.setting)  # type: ignore[arg-type]
    machine, encoder, start = runtime(), load_encoder("compact"), None
    if cell.setting in methods.names():
        start = methods.get(cell.setting).create(encoder, machine, Recipe())
    method = Gatys(encoder, machine, config, start)
    code = method.encode(open_style(cell.style))
    method.rehearse(torch.rand(1, 3, 128, 128))()
    course = Course(cell, judge, image)
    method.stylize(image, code, on_step=lambda step: course.look(step.done, step.image))
    return course


def plain_way(cell: Cell, judge: Judge, image: Tensor) -> Course:
    """One scale, float32, L-BFGS, from the photo."""
    assert cell.style and cell.steps
    device = runtime().device
    start = image.to(device)
    loss = plain_loss(load_encoder("compact"), open_style(cell.style), start, Config())
    course = Course(cell, judge, image)
    for step, painted in enumerate(islice(plain.gatys(start, loss), cell.steps), 1):
        course.look(step, painted)
    return course
