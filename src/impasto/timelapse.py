"""The film of an optimisation: how a picture comes about, in about ten seconds."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from impasto import methods
from impasto.auto import AUTO
from impasto.errors import BadInput, BadOutput
from impasto.files import writing
from impasto.frame_painter import as_array, integers
from impasto.job import Job
from impasto.large import fitted, sized
from impasto.media import image as media
from impasto.media.video.colours import Colours
from impasto.media.video.frames import Film, Frame, Span, required
from impasto.media.video.join import assemble
from impasto.media.video.parts import CODECS, Coding, Encoder, Part
from impasto.media.video.source import check_film_target
from impasto.overlap import Behind
from impasto.pipeline import full_size, recolored
from impasto.recipe import Recipe
from impasto.stylizer import Step

SECONDS, HOLD = 9.0, 1.0
"""How long the steps are shown, and then the finished picture."""

LAST = 0.04
"""How long the very last frame is shown."""

TICK = Fraction(1, 1000)
"""Of the film's clock, seconds."""

DEPTH = 4
"""Pictures that may wait to be encoded."""


@dataclass(frozen=True)
class Format:
    """What a kind of file holds well."""

    rate: float
    """Most frames a second"""
    side: int
    """Longest side, pixels"""


FILM, ANIMATION = Format(25, 1280), Format(10, 512)


def with_steps(recipe: Recipe) -> Recipe:
    """The Recipe by a method whose work can be filmed; ``auto`` is the first of these.

    Raises BadInput for a method that paints at once, or where films cannot be written.
    """
    for package in ("av", "cv2"):
        required(package)
    able = [name for name in methods.names() if methods.get(name).can.steps]
    if recipe.method == AUTO:
        return recipe.model_copy(update={"method": able[0]})
    if not methods.get(recipe.method).can.steps:
        raise BadInput(
            f"--timelapse: {recipe.method} paints at once, there is nothing to film. "
            f"Methods that work in steps: {', '.join(able)}."
        )
    return recipe


def check_timelapse(target: Path, read: Iterable[str], result: Path) -> None:
    """Find out before the work whether the film can be written there.

    read: what the work begins with; result: where the picture goes

    Raises BadOutput.
    """
    check_film_target(target, read)
    if target.resolve() == result.resolve():
        raise BadOutput(f"{target} cannot be written: it is the picture itself. Name another.")


@contextmanager
def filmed(job: Job, target: Path) -> Iterator["Timelapse"]:
    """Something that films the job's steps; without ``finish`` nothing is written.

    Raises BadOutput.
    """
    with writing(target):
        folder = tempfile.TemporaryDirectory(
            prefix=f".{target.name}.", dir=target.resolve().parent, ignore_cleanup_errors=True
        )
    with folder as path:
        timelapse = Timelapse(job, target, Path(path))
        try:
            yield timelapse
        finally:
            timelapse.close()


@dataclass(frozen=True)
class _Shown:
    """A picture, when it is shown and how long, in ticks."""

    image: Tensor
    start: int
    duration: int
    finished: bool = False


class Timelapse:
    """Turns steps into frames, in a thread of its own."""

    def __init__(self, job: Job, target: Path, folder: Path) -> None:
        """``folder``: where the frames are kept until all are there."""
        suffix = target.suffix.lower()
        self.format = FILM if suffix in CODECS else ANIMATION
        self.job, self.target = _small(job, self.format.side), target
        height, width = self.job.photo.shape[-2:]
        if suffix in CODECS:  # an odd side is not for every player
            height, width = max(2, height - height % 2), max(2, width - width % 2)
        self.coding = Coding(suffix, width, height, TICK, Colours())
        self._first: int | None = None
        self._frame, self._end = -1, 0
        self._encoder = Encoder(folder / "steps.nut", self.coding)
        self._thread = Behind[_Shown](self._write, DEPTH)

    def add(self, step: Step) -> None:
        """Show that step, unless more come than are shown; ``finish`` tells what fails."""
        self._first = step.done if self._first is None else self._first
        steps = step.total - self._first + 1
        share = (step.done - self._first) / steps
        frame = int(share * SECONDS * self.format.rate)
        if frame > self._frame:
            self._frame = frame
            gap = max(1 / self.format.rate, SECONDS / steps)
            self._put(_Shown(step.image, round(SECONDS * share / TICK), round(gap / TICK)))

    def finish(self, pixels: Tensor) -> None:
        """Show the finished picture for a while and write the film, all of it or nothing.

        Raises BadOutput.
        """
        # Twice: not every container keeps how long its last frame is shown.
        for wait in (HOLD - LAST, LAST):
            self._put(_Shown(pixels, self._end, round(wait / TICK), finished=True))
        self.close()
        self._thread.check()
        self._encoder.close()
        part = Part(self._encoder.path, tuple(self._encoder.times))
        film = Film(self.target, self.coding.width, self.coding.height, TICK, Colours(), loops=0)
        comment = self.job.recipe.embedded()
        assemble([part], self.coding, film, Span(), self.target, comment, lambda text: None)

    def close(self) -> None:
        """Wait for what is being encoded."""
        self._thread.close()

    def _put(self, shown: _Shown) -> None:
        self._end = shown.start + shown.duration
        with suppress(Exception):  # the picture is worth more than its film
            self._thread.put(shown)

    def _write(self, shown: _Shown) -> None:
        photo = self.job.photo
        if shown.finished:
            picture = fitted(shown.image, photo)
        else:
            picture = recolored(self.job, full_size(self.job, shown.image))
        frame = Frame(np.empty(0, np.uint8), shown.start, shown.duration)  # of no film
        pixels = integers(as_array(picture), frame, self.coding)
        self._encoder.write(pixels, shown.start, shown.duration)


def _small(job: Job, side: int) -> Job:
    """The job with a result no larger than what is filmed."""
    height, width = job.photo.shape[-2:]
    long_side = min(side, max(height, width))
    photo = sized(job.photo, media.fit(width, height, long_side))
    painted = min(long_side, max(job.canvas.shape[-2:]))
    return replace(job, photo=photo, canvas=media.scaled(photo, painted))
