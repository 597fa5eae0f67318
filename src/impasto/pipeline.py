"""Recipe in, picture out: every front door calls this."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.codes import Region, blend, coverage
from impasto.estimate import pace, peak_mb
from impasto.job import Job, check_paintable, load, settled_cost
from impasto.large import SIDE, fitted, matched, mixed, sized, stylized, upsampled
from impasto.losses import style_error
from impasto.media import color
from impasto.media import image as media
from impasto.media.levels import floats
from impasto.recipe import Recipe
from impasto.sources import Source, read_begun
from impasto.stylizer import OnStep, Step
from impasto.tiling import encode
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk

MEASURED = 1 << 22
"""Pixels of a picture beyond which its errors are measured in tiles: that takes more memory than
painting it did."""


@dataclass(frozen=True)
class Result:
    """A painted picture and what it took."""

    pixels: Tensor
    """(1, 3, H, W), sRGB in [0, 1]; integers where the job's photo is"""
    recipe: Recipe
    seconds: float
    interrupted: bool = False


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while painting: the best picture so far is in ``result``."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


def prepare(
    recipe: Recipe,
    photo: Tensor,
    given: Mapping[str, Source] | None = None,
    alpha: Tensor | None = None,
    whole: float | None = None,
) -> Job:
    """Load what the Recipe needs, settle size and strength, and say what it will cost.

    photo: (1, 3, H, W), [0, 1] or integers; alpha: its transparency, (1, 1, H, W), [0, 1]
    given: styles, masks and a picture to go on from that are already read, by their source
    whole: bytes from which on it is painted in tiles, where that is not ``estimate.WHOLE``

    Raises BadInput, UnknownName, BadPicture, MissingWeights, DamagedWeights.
    """
    start, given = time.perf_counter(), given or {}
    check_paintable(recipe)
    photo = sized(photo, (photo.shape[-2], photo.shape[-1]))
    loaded = load(recipe, photo, given)
    if (begun := read_begun(recipe, photo, given)) is not None:
        loaded = replace(loaded, stylizer=loaded.stylizer.continued(begun))
    shape = (photo.shape[-2], photo.shape[-1])
    speed = replace(pace(loaded.stylizer, recipe.size), whole=whole)
    cost = settled_cost(loaded.recipe, shape, loaded.stylizer, speed)
    return replace(loaded.job(photo, cost, alpha), load_seconds=time.perf_counter() - start)


def paint(job: Job, on_step: OnStep | None = None, after: Step | None = None) -> Result:
    """Do the work.

    after: a step of the same job that ended a scale, of a run that was stopped: what is left to do
    is done, and the picture is the same; methods without scales begin anew

    Raises Interrupted, with the best picture so far, on Ctrl-C where the method works in steps;
    OutOfMemory.
    """
    start = time.perf_counter()
    latest: list[Step] = []

    def keep(step: Step) -> None:
        if job.stylizer.can.steps:  # elsewhere a step is no picture yet
            latest[:] = [step]
        if on_step:
            on_step(step)

    def result(pixels: Tensor, interrupted: bool) -> Result:
        pixels = recolored(job, full_size(job, pixels))
        return Result(pixels, job.recipe, time.perf_counter() - start, interrupted)

    if after is not None:
        if job.stylizer.can.steps and after.done == after.total:
            return result(after.image, interrupted=False)
        job = replace(job, stylizer=job.stylizer.continued(after.image))
    try:
        return result(run(job, regions(job), job.recipe.strength, keep), interrupted=False)
    except KeyboardInterrupt as error:
        if not latest:
            raise
        raise Interrupted(result(latest[0].image, interrupted=True)) from error


def regions(job: Job) -> list[Region]:
    """What the job's method paints where."""
    found = []
    for part in job.parts:
        codes = [job.stylizer.encode(style, job.recipe.style_scale) for style in part.styles]
        found.append(Region(blend(codes, part.weights), part.mask))
    return found


def run(
    job: Job, regions: Sequence[Region], strength: float | None, on_step: OnStep | None = None
) -> Tensor:
    """The job's photo in codes that its method made, from the Recipe's seed.  ->  (1, 3, H, W)

    Raises OutOfMemory.
    """
    device, side = job.runtime.device, job.estimate.side
    if not job.stylizer.can.steps:  # nothing is drawn, and several threads may be here
        return stylized(job.stylizer, job.canvas, regions, strength, side, on_step)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(job.recipe.seed)
        return stylized(job.stylizer, job.canvas, regions, strength, side, on_step)


def full_size(job: Job, image: Tensor) -> Tensor:
    """A picture in progress, which may be of a smaller scale, at the size of the result."""
    if job.recipe.stroke_size is not None:
        return upsampled(fitted(image, job.canvas), job.canvas, job.photo)
    return fitted(image, job.photo)


def fitted_alpha(photo: media.Picture, pixels: Tensor) -> Tensor | None:
    """The photo's transparency at the size of the result.  ->  (1, 1, H, W) or None

    Floats; integers where it is large and ``pixels`` are.
    """
    if photo.opacity is None:
        return None
    opacity = floats(photo.opacity) if pixels.is_floating_point() else photo.opacity
    return sized(opacity, (pixels.shape[-2], pixels.shape[-1]))


def recolored(job: Job, pixels: Tensor) -> Tensor:
    """The colour mode of the Recipe, applied to what was painted; the rest is the photo itself."""
    share = coverage([Region({}, part.mask) for part in job.parts], job.photo)
    if job.recipe.color == "luma":
        pixels = mixed(color.luma, pixels, job.photo)
    elif job.recolor:
        pixels = matched(pixels, job.photo, share)
    if isinstance(share, float):
        return pixels
    return mixed(lambda a, b, m: torch.where(m > 0, a, b), pixels, job.photo, share)


def figures(job: Job, result: Result, errors: bool = True) -> dict[str, object]:
    """What a table or a line of JSON shows of a result; without ``errors`` nothing is measured.

    style_error (sum over five taps) and content_error (relu4_1) are as the job's encoder sees them;
    of several parts, style_error is the mean by their areas.
    """
    found = measure(job, result.pixels) if errors else ()
    names = ("style_error", "content_error")
    return {
        "method": job.recipe.method,
        "size": [result.pixels.shape[-1], result.pixels.shape[-2]],
        "seconds": round(result.seconds, 2),
        "load_seconds": round(job.load_seconds, 2),
        "peak_mb": round(peak_mb()),
        **{name: round(error, 4) for name, error in zip(names, found, strict=False)},
        "interrupted": result.interrupted,
    }


@torch.no_grad()
def measure(job: Job, pixels: Tensor) -> tuple[float, float]:
    """style_error and content_error of a picture, see ``figures``.

    pixels: (1, 3, H, W), the size of the job's photo
    """
    image, seen_by = Raster(pixels), (job.runtime.place(job.encoder), job.runtime)
    tiled = job.estimate.side is not None or pixels[0, 0].numel() > MEASURED
    side = SIDE if tiled else max(pixels.shape[-2:])
    size = max(pixels.shape[-2:]) * job.recipe.style_scale
    error = areas = 0.0
    for part in job.parts:
        looks = [{tap: m.second for tap, m in style.at(size).items()} for style in part.styles]
        wanted = blend(looks, part.weights)
        area = 1.0 if part.mask is None else float(part.mask.mean())
        seen = encode.looks(image, *seen_by, side, Walk(), part.mask)
        error += area * float(style_error({tap: m.second for tap, m in seen.items()}, wanted))
        areas += area
    return error / areas, encode.content_error(image, Raster(job.photo), *seen_by, "relu4_1", side)
