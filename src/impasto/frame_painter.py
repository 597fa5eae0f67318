"""Frames of a film painted by one Job: one size, one code, several at once where that pays."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.flow import Map, Motion, at_size, warp
from impasto.job import Job
from impasto.keyframes import Keyframe
from impasto.media import image as media
from impasto.media.video.frames import Film, Frame, Pixels
from impasto.media.video.parts import CODECS, Coding, takes_deep
from impasto.overlap import side_by_side
from impasto.pipeline import full_size, recolored, regions, run
from impasto.stylizer import Stylizer

T = TypeVar("T")

BATCH = 8
"""Most frames that go through a network at once, on CUDA."""


def batched(items: Iterable[T], count: int) -> Iterator[list[T]]:
    """``count`` items at a time; the last list may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, count)):
        yield batch


class FramePainter:
    """Paints any number of frames by one Job: one size, one code.

    What works in steps goes on from the last painting, moved along with the film (Ruder et al.
    2016, arXiv:1604.08610, section 4.1), and anew after a cut.
    """

    def __init__(self, job: Job, last: Map | None = None) -> None:
        """``last``: the painting of the frame before the first, (h, w, 3), where there is one."""
        self.job, self.last = job, last if job.stylizer.can.steps else None
        self.regions = regions(job)
        self.batch = batch_size(job)
        self._full = False

    def film(self, keys: Iterable[Keyframe]) -> Generator[tuple[Keyframe, Map], None, None]:
        """Every frame with its painting, in order; on a job that is ``shared``, side by side."""
        if (callers := self.job.runtime.callers) == 1:
            for batch in batched(keys, self.batch):
                done = self([key.frame.pixels for key in batch], batch[0].motion)
                yield from zip(batch, done, strict=True)
            return
        threads = torch.get_num_threads()

        def paint(key: Keyframe) -> tuple[Keyframe, Map]:
            torch.set_num_threads(threads // callers)  # of this thread
            return key, self([key.frame.pixels])[0]

        try:
            with closing(side_by_side(paint, keys, callers)) as painted:
                yield from painted
        finally:
            torch.set_num_threads(threads)  # matrix products count for the whole process

    def __call__(self, frames: Sequence[Pixels], found: Motion | None = None) -> list[Map]:
        """The frames painted.  (H, W, 3), integers  ->  (h, w, 3), float32, [0, 1]

        found: how the first frame came out of the last one that was painted; None after a cut

        Raises OutOfMemory.
        """
        job = self.job
        size, small = job.photo.shape[-2:], job.canvas.shape[-2:]
        photos = media.resize(as_batch(frames), (size[0], size[1]))
        canvas = media.resize(photos, (small[0], small[1]))
        job = replace(job, canvas=self._filled(canvas), stylizer=self._begun(found))
        painted = run(job, self.regions, job.recipe.strength)[: len(frames)]
        if job.stylizer.can.steps:
            self.last = as_array(painted[-1:])
        done = []
        for photo, pixels in zip(torch.split(photos, 1), torch.split(painted, 1), strict=True):
            one = replace(job, photo=photo, canvas=canvas[:1])
            done.append(as_array(recolored(one, full_size(one, pixels))))
        return done

    def _filled(self, canvas: Tensor) -> Tensor:
        """The last batch as full as those before: to make a network ready for less takes longer."""
        self._full = self._full or len(canvas) == self.batch
        missing = self.batch - len(canvas) if self._full else 0
        return torch.cat([canvas, *[canvas[-1:]] * missing]) if missing else canvas

    def _begun(self, found: Motion | None) -> Stylizer:
        """The method, with the last painting where it has moved to."""
        method, last = self.job.stylizer, self.last
        if found is None or last is None or not method.can.steps:
            return method
        found = at_size(found, *last.shape[:2])
        moved = warp(last, found.flow).clip(0, 1)
        return method.continued(as_tensor(moved), as_tensor(found.trust[..., None]))


def batch_size(job: Job) -> int:
    """How many frames go through at once: as far as the GPU's memory goes.

    Elsewhere one; on processors see ``film_job.beside``. What works in steps starts for each anew.
    """
    if job.stylizer.can.steps or job.runtime.device.type != "cuda":
        return 1
    height, width = job.canvas.shape[-2:]
    free, _ = torch.cuda.mem_get_info(job.runtime.device)
    return max(1, min(BATCH, int(free / 2 / job.stylizer.cost(height, width).peak_bytes)))


def coded(film: Film, job: Job, target: Path) -> Coding:
    """How the painted frames are encoded; of a size that was asked for, an odd row is cut off."""
    height, width = job.photo.shape[-2:]
    suffix = target.suffix.lower()
    if suffix in CODECS and (height, width) != (film.height, film.width):
        height, width = max(2, height - height % 2), max(2, width - width % 2)
    colours, deep = film.colours.painted, film.deep and takes_deep(suffix)
    return Coding(suffix, width, height, film.time_base, colours, deep, film.aspect)


def as_tensor(pixels: NDArray[Any]) -> Tensor:
    """(H, W, 3), integers or floats in [0, 1]  ->  (1, 3, H, W), float32, [0, 1], channels last"""
    return as_batch([pixels])


def as_batch(frames: Sequence[NDArray[Any]]) -> Tensor:
    """Frames of one size, as ``as_tensor`` takes them.  ->  (B, 3, H, W)

    In numpy: torch would wake its threads for each frame, which are wanted elsewhere.
    """
    kind = frames[0].dtype
    white = np.float32(np.iinfo(kind).max if kind.kind == "u" else 1)
    levels = np.empty((len(frames), *frames[0].shape), np.float32)
    for one, pixels in zip(levels, frames, strict=True):
        np.divide(pixels, white, out=one)
    return torch.from_numpy(levels).permute(0, 3, 1, 2)


def as_array(image: Tensor) -> Map:
    """(1, 3, H, W)  ->  (H, W, 3), float32"""
    planes = image[0].float().cpu().numpy()
    array: Map = planes.transpose(1, 2, 0)
    if not array.flags.c_contiguous:
        array = np.empty_like(array, order="C")
        for channel, plane in enumerate(planes):  # three times as fast as all at once
            array[..., channel] = plane
    return array


def integers(painted: Map, frame: Frame, coding: Coding) -> Pixels:
    """A painting as what is encoded, with the transparency of its frame.

    painted: (h, w, 3), [0, 1]  ->  (H, W, 3), or (H, W, 4) for animations
    """
    import cv2

    pixels = painted[: coding.height, : coding.width]
    if frame.alpha is not None or coding.animated:
        alpha = _alpha(frame, pixels)
        if coding.animated:
            pixels = np.concatenate([pixels, alpha], 2)
        else:
            pixels = pixels * alpha + (1 - alpha)  # on white: a film has no transparency
    if coding.deep:
        levels: Map = np.rint(pixels * np.float32(65535)).clip(0, 65535)
        return levels.astype(np.uint16)
    rounded = cv2.convertScaleAbs(np.maximum(pixels, 0), alpha=255)  # at most 255
    return np.asarray(rounded, np.uint8)


def _alpha(frame: Frame, like: Map) -> Map:
    """(H, W, 1), [0, 1], at the size of ``like``"""
    height, width = like.shape[:2]
    if frame.alpha is None:
        return np.ones((height, width, 1), np.float32)
    alpha = media.resize(as_tensor(frame.alpha[..., None]), (height, width))
    return as_array(alpha)
