"""What is told of a picture in progress: steps, previews and finished scales."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from impasto.files import replacing
from impasto.job import Job
from impasto.large import sized
from impasto.media import image as media
from impasto.pipeline import full_size, recolored
from impasto.studio.boxed import Message
from impasto.studio.orders import PREVIEW, SCALE
from impasto.studio.scales import read_scale, write_scale
from impasto.stylizer import Step

SMALL = 512
"""Long side of a preview, pixels."""

OFTEN, SELDOM = 0.2, 1.0
"""Least seconds between two steps that are told, and between two previews."""

SURE = 0.1
"""Part of the work after which the time left goes by the pace alone, and not by the estimate."""

LATEST = 20
"""Steps whose pace that is."""

Tell = Callable[[Message], None]


def at_most(image: Tensor, side: int) -> Tensor:
    """A picture or mask whose long side is no longer than that.  (1, C, H, W)  ->  (1, C, h, w)"""
    height, width = image.shape[-2:]
    return sized(image, media.fit(width, height, min(side, max(height, width))))


def write_preview(pixels: Tensor, path: Path, alpha: Tensor | None = None) -> None:
    """A small WebP.  pixels: (1, 3, H, W); alpha: (1, 1, H, W)"""
    alpha = None if alpha is None else at_most(alpha, SMALL)
    data = media.encode(at_most(pixels, SMALL), ".webp", alpha, quality=80)
    with replacing(path) as file:
        file.write(data)


class Report:
    """Tells of one picture in progress."""

    def __init__(self, job: Job, folder: Path, tell: Tell) -> None:
        self.job, self.folder, self.tell = job, folder, tell
        self.small = _small(job)
        self.steps = job.stylizer.can.steps
        canvas = job.canvas.shape
        self.total = job.stylizer.cost(canvas[-2], canvas[-1]).megapixels
        self.done = 0.0
        """Megapixels that went through the network."""
        self.before = 0.0
        """Fraction that was done when this began."""
        self._latest: deque[tuple[float, float]] = deque(maxlen=LATEST + 1)
        self.told = self.shown = float("-inf")

    def prepared(self) -> None:
        """The size is settled."""
        self.tell(
            {
                "event": "prepared",
                "size": self.job.recipe.size,
                "notices": list(self.job.notices),
            }
        )

    def continued(self) -> Step:
        """The step that ended the scale in the folder."""
        step, self.done = read_scale(self.folder / SCALE)
        self.before = self._fraction(step)
        return step

    def step(self, step: Step) -> None:
        """Called for every step."""
        self.done += step.image.shape[-1] * step.image.shape[-2] / 1e6
        now, last = time.monotonic(), step.done == step.total
        self._latest.append((now, self._fraction(step)))
        if now - self.told >= OFTEN or last:
            self.told = now
            self._tell(step)
        if self.steps and now - self.shown >= SELDOM and not last:
            self.preview(recolored(self.small, full_size(self.small, step.image)))
            self.shown = time.monotonic()
        if step.scale_done and not last:
            write_scale(self.folder / SCALE, step, self.done)
            self.tell({"event": "scale", "file": SCALE})

    def _tell(self, step: Step) -> None:
        fraction = self._fraction(step)
        self.tell(
            {
                "event": "step",
                "done": step.done,
                "total": step.total,
                "fraction": round(fraction, 4),
                "eta_seconds": round(self._left(fraction), 1),
            }
        )

    def _left(self, fraction: float) -> float:
        """Seconds; the first step is no measure, for what it needs is loaded and warmed up."""
        estimate = self.job.estimate.seconds * (1 - fraction)
        (first, start), (last, end) = self._latest[0], self._latest[-1]
        if end <= start:
            return estimate
        by_pace = (last - first) / (end - start) * (1 - fraction)
        sure = min(1.0, (fraction - self.before) / SURE)
        return sure * by_pace + (1 - sure) * estimate

    def _fraction(self, step: Step) -> float:
        """By work, not by steps: at the last scale they are the dearest."""
        if step.done == step.total:
            return 1.0
        return min(0.999, self.done / self.total if self.steps else step.done / step.total)

    def preview(self, pixels: Tensor, alpha: Tensor | None = None) -> None:
        """A look at the picture as it is now."""
        write_preview(pixels, self.folder / PREVIEW, alpha)
        self.tell({"event": "preview", "file": PREVIEW})


def _small(job: Job) -> Job:
    """The job at the size of a preview, for colours and masks."""
    photo = at_most(job.photo, SMALL)
    size = (photo.shape[-2], photo.shape[-1])
    parts = tuple(
        part if part.mask is None else replace(part, mask=media.resize(part.mask, size))
        for part in job.parts
    )
    recipe = job.recipe.model_copy(update={"stroke_size": None})
    return replace(job, recipe=recipe, photo=photo, parts=parts)
