"""A painter: a method and its styles, loaded once, for any number of photos."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from impasto.codes import Region, blend
from impasto.estimate import Estimate, pace
from impasto.job import Job, check_paintable, load, settled_cost
from impasto.large import sized
from impasto.media import image as media
from impasto.pipeline import Result, full_size, paint, recolored, run
from impasto.recipe import Recipe
from impasto.regions import ALPHA
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
        check_paintable(recipe)
        self.sources = _sources(recipe)
        drawn = any(not isinstance(self.sources[name], Style) for name in _names(recipe))
        self.apart = recipe.color == "match" and drawn
        """Whether every photo has styles of its own: pictures in its colours."""
        plain = load(recipe.model_copy(update={"color": "style"}), torch.empty(0), self.sources)
        self.recipe = plain.recipe.model_copy(update={"color": recipe.color})
        self.loaded = replace(plain, recipe=self.recipe, recolor=recipe.color == "match")
        self.stylizer = plain.stylizer
        self.speed = pace(self.stylizer)
        self._costs: dict[tuple[int, int], Estimate] = {}
        self._codes = {
            id(style): self.stylizer.encode(style, recipe.style_scale)
            for style in plain.styles.values()
        }
        self.load_seconds = time.perf_counter() - start

    def job(self, photo: Tensor, alpha: Tensor | None = None) -> Job:
        """A photo ready to be painted; of one size, it is settled once what that will cost.

        photo: (1, 3, H, W), [0, 1] or integers; alpha: its transparency, (1, 1, H, W)

        Raises BadInput and BadPicture for masks that do not go with the photo.
        """
        cost, loaded = self._cost(photo), self.loaded
        if self.apart:
            photo = sized(photo, (photo.shape[-2], photo.shape[-1]))
            styles, recolor = read_styles(self.recipe, loaded.encoder, photo, self.sources)
            loaded = replace(loaded, styles=styles, recolor=recolor)
        return loaded.job(photo, cost, alpha)

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
        most = AT_ONCE["cpu" if self.loaded.runtime.device.type == "cpu" else "other"]
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
        canvases = [job.canvas for job in jobs]
        together = replace(jobs[0], canvas=torch.cat(canvases) if len(jobs) > 1 else canvases[0])
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
