"""A painter: a method and its styles, loaded once, for any number of photos."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from impasto.auto import AUTO, method_for
from impasto.codes import Region, blend
from impasto.errors import BadInput
from impasto.estimate import Estimate, pace
from impasto.media import image as media
from impasto.networks.encoders import load_encoder
from impasto.pipeline import (
    Job,
    Result,
    canvas_size,
    check_controls,
    full_size,
    paint,
    recolored,
    run,
    settled_cost,
)
from impasto.recipe import Recipe
from impasto.regions import ALPHA, divided
from impasto.runtime import runtime
from impasto.sources import Source, read_style, read_styles
from impasto.style import Style

AT_ONCE = {"cpu": 1 << 18, "other": 1 << 22}
"""Pixels that go through a network together; of small pictures several take less time than each.

On one core, johnson: 4.3 -> 1.9 ms at 64 px, 9.0 -> 7.5 ms at 128 px, and no less above 256 px.
"""

MOST = 16
"""Pictures at once."""


class Painter:
    """What ``pipeline.prepare`` loads for one photo, for all that are painted by one Recipe."""

    def __init__(self, recipe: Recipe) -> None:
        """Read and load everything, so that what is wrong with the Recipe is told at once.

        Raises BadInput, UnknownName, BadPicture, MissingWeights, DamagedWeights.
        """
        start = time.perf_counter()
        if not recipe.styles and not recipe.masks:
            raise BadInput("No style given: name one (impasto styles list) or give a picture.")
        if recipe.method != AUTO:
            check_controls(recipe)
        self.encoder = load_encoder(recipe.encoder)
        self.runtime = runtime(recipe.device, recipe.precision, recipe.engine)
        self.sources = _sources(recipe)
        drawn = any(not isinstance(self.sources[name], Style) for name in _names(recipe))
        self.apart = recipe.color == "match" and drawn
        """Whether every photo has styles of its own: pictures in its colours."""
        self.styles = self._styles(recipe.model_copy(update={"color": "style"}), torch.empty(0))[0]
        self.stylizer = method_for(recipe, self.styles, self.encoder, self.runtime)
        strength = self.stylizer.strength if recipe.strength is None else recipe.strength
        settled = {"method": self.stylizer.name, "strength": strength}
        self.recipe = recipe.model_copy(update=settled)
        self.speed = pace(self.stylizer)
        self._costs: dict[tuple[int, int], Estimate] = {}
        self._codes = {
            id(style): self.stylizer.encode(style, recipe.style_scale)
            for style in self.styles.values()
        }
        self.load_seconds = time.perf_counter() - start

    def _styles(self, recipe: Recipe, photo: Tensor) -> tuple[dict[str, Style], bool]:
        return read_styles(recipe, self.encoder, photo, self.sources)

    def job(self, photo: Tensor, alpha: Tensor | None = None) -> Job:
        """A photo ready to be painted; of one size, it is settled once what that will cost.

        photo: (1, 3, H, W), [0, 1]; alpha: its transparency, (1, 1, H, W)

        Raises BadInput and BadPicture for masks that do not go with the photo.
        """
        start = time.perf_counter()
        cost, own = self._cost(photo), max(photo.shape[-2:])
        recipe = self.recipe.model_copy(update={"size": cost.size})
        styles, recolor = self.styles, recipe.color == "match"
        if self.apart:
            styles, recolor = self._styles(recipe, photo)
        photo = media.resize(photo, media.fit(photo.shape[-1], photo.shape[-2], cost.size))
        parts, notices = divided(recipe, styles, photo, self.sources, alpha)
        if recipe.size != (self.recipe.size or own):
            small = f"Painted at {cost.size} px instead of the photo's {own} px, to stay in bounds."
            notices = (small, *notices)
        return Job(
            recipe=recipe,
            photo=photo,
            canvas=media.scaled(photo, canvas_size(recipe, max(photo.shape[-2:]))),
            stylizer=self.stylizer,
            encoder=self.encoder,
            runtime=self.runtime,
            parts=parts,
            recolor=recolor,
            estimate=cost,
            load_seconds=time.perf_counter() - start,
            notices=notices,
        )

    def _cost(self, photo: Tensor) -> Estimate:
        shape = (photo.shape[-2], photo.shape[-1])
        if shape not in self._costs:
            self._costs[shape] = settled_cost(self.recipe, shape, self.stylizer, self.speed)
        return self._costs[shape]

    def room(self, job: Job) -> int:
        """How many pictures of that one's size are painted together; 1 where each is alone."""
        masked = any(part.mask is not None for part in job.parts)
        if self.apart or masked or self.stylizer.can.steps or job.estimate.side is not None:
            return 1
        most = AT_ONCE["cpu" if self.runtime.device.type == "cpu" else "other"]
        return min(MOST, max(1, most // (job.canvas.shape[-1] * job.canvas.shape[-2])))

    def paint(self, jobs: Sequence[Job]) -> list[Result]:
        """Paint jobs whose canvases are of one size, at most ``room`` of them, at once.

        Each comes out as it would alone. Raises OutOfMemory.
        """
        if self.apart:
            return [paint(job) for job in jobs]
        start = time.perf_counter()
        regions = [
            Region(
                blend([self._codes[id(style)] for style in part.styles], part.weights), part.mask
            )
            for part in jobs[0].parts
        ]
        together = replace(jobs[0], canvas=torch.cat([job.canvas for job in jobs]))
        painted = run(together, regions, self.recipe.strength)
        pixels = [
            recolored(job, full_size(job, one))
            for job, one in zip(jobs, painted.unsqueeze(1), strict=True)
        ]
        seconds = (time.perf_counter() - start) / len(jobs)
        return [Result(one, job.recipe, seconds) for job, one in zip(jobs, pixels, strict=True)]


def _sources(recipe: Recipe) -> dict[str, Source]:
    """Styles and masks, read."""
    masks = {share.mask for share in recipe.masks} - {ALPHA}
    return {
        **{name: media.read(name) for name in masks},
        **{style: read_style(style) for style in _names(recipe)},
    }


def _names(recipe: Recipe) -> set[str]:
    return {*(share.source for share in recipe.styles), *(m.style for m in recipe.masks)}
