"""Recipe in, picture out: every front door calls this."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto import methods
from impasto.auto import AUTO, method_for
from impasto.codes import Region, blend, coverage
from impasto.errors import BadInput
from impasto.estimate import Estimate, Pace, estimate, fitting, pace, peak_mb
from impasto.large import LARGE, SIDE, fitted, matched, mixed, sized, stylized, upsampled
from impasto.losses import style_error
from impasto.media import color
from impasto.media import image as media
from impasto.media.levels import floats
from impasto.networks.encoders import Encoder, load_encoder
from impasto.recipe import Recipe
from impasto.regions import Part, divided
from impasto.runtime import Runtime, runtime
from impasto.sources import Source, read_begun, read_styles
from impasto.style import Style
from impasto.stylizer import OnStep, Step, Stylizer
from impasto.tiling import encode
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk

CANVAS = 512
"""Long side, pixels, at which strokes of size 1 are painted."""

ENLARGING = 0.2, 105.0
"""Seconds and megabytes for each megapixel of a picture that is enlarged, by 1 to 43 megapixels."""


@dataclass(frozen=True)
class Job:
    """A Recipe with everything read and loaded, ready to be painted."""

    recipe: Recipe
    photo: Tensor
    """At the size of the result; of many megapixels in integers, see ``large``."""
    canvas: Tensor
    """The photo at the size at which it is painted."""
    stylizer: Stylizer
    encoder: Encoder
    runtime: Runtime
    parts: tuple[Part, ...]
    """Who paints which part of the picture."""
    recolor: bool
    """Whether the result takes the photo's colours afterwards, see ``read_styles``."""
    estimate: Estimate
    load_seconds: float
    notices: tuple[str, ...] = ()
    """What people ought to be told before the work starts."""

    @property
    def styles(self) -> tuple[Style, ...]:
        """All styles, part by part."""
        return tuple(style for part in self.parts for style in part.styles)


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
) -> Job:
    """Load what the Recipe needs, settle size and strength, and say what it will cost.

    photo: (1, 3, H, W), [0, 1] or integers; alpha: its transparency, (1, 1, H, W), [0, 1]
    given: styles, masks and a picture to go on from that are already read, by their source

    Raises BadInput, UnknownName, BadPicture, MissingWeights, DamagedWeights.
    """
    start = time.perf_counter()
    given = given or {}
    if not recipe.styles and not recipe.masks:
        raise BadInput("No style given: name one (impasto styles list) or give a picture or mask.")
    if recipe.method != AUTO:
        check_controls(recipe)
    photo = sized(photo, (photo.shape[-2], photo.shape[-1]))
    encoder = load_encoder(recipe.encoder)
    machine = runtime(recipe.device, recipe.precision, recipe.engine)
    styles, recolor = read_styles(recipe, encoder, photo, given)
    stylizer = method_for(recipe, styles, encoder, machine)
    recipe = recipe.model_copy(update={"method": stylizer.name})
    if (begun := read_begun(recipe, photo, given)) is not None:
        stylizer = stylizer.continued(begun)
    cost, notices = _cost(recipe, photo, stylizer)
    strength = stylizer.strength if recipe.strength is None else recipe.strength
    settled = recipe.model_copy(update={"size": cost.size, "strength": strength})
    height, width = media.fit(photo.shape[-1], photo.shape[-2], cost.size)
    photo = sized(photo, (height, width))
    canvas = sized(photo, media.fit(width, height, canvas_size(settled, max(height, width))))
    parts, more = divided(recipe, styles, photo, given, alpha)
    seconds = time.perf_counter() - start
    if recipe.precision == "int8" and cost.side is not None:
        more = (*more, "A picture this large goes in tiles, which are not painted in integers.")
    notices = (*notices, *more)
    return Job(
        *(settled, photo, canvas, stylizer, encoder, machine),
        *(parts, recolor, cost, seconds, notices),
    )


def canvas_size(recipe: Recipe, size: int) -> int:
    """Long side at which a picture of a size is painted: all of it, or as large strokes need."""
    return size if recipe.stroke_size is None else min(size, round(CANVAS / recipe.stroke_size))


def check_controls(recipe: Recipe) -> None:
    """Raise BadInput for a setting that other methods have and the chosen one has not."""
    own = methods.get(recipe.method).can.options
    options = {name: methods.get(name).can.options for name in methods.names()}
    for field in sorted(frozenset().union(*options.values()) - own):
        if getattr(recipe, field) != Recipe.model_fields[field].default:
            having = ", ".join(name for name, fields in options.items() if field in fields)
            raise BadInput(
                f"--{field.replace('_', '-')}: {recipe.method} has no such control. "
                f"Methods that have it: {having}."
            )


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
    device = job.runtime.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(job.recipe.seed)
        side = job.estimate.side
        return stylized(job.stylizer, job.canvas, regions, strength, side, on_step)


def _cost(recipe: Recipe, photo: Tensor, stylizer: Stylizer) -> tuple[Estimate, tuple[str, ...]]:
    """The estimate at the size asked for, else at the photo's own or the largest reasonable one."""
    own, speed = max(photo.shape[-2:]), pace(stylizer, recipe.size)
    cost = settled_cost(recipe, (photo.shape[-2], photo.shape[-1]), stylizer, speed)
    if cost.size == (recipe.size or own):
        return cost, ()
    text = f"{cost.size} px instead of the photo's {own} px, to stay within bounds"
    return cost, (f"Painting at {text}; size {own} paints it whole.",)


def settled_cost(
    recipe: Recipe, photo: tuple[int, int], stylizer: Stylizer, speed: Pace
) -> Estimate:
    """The size of the result of a photo (height, width), and what painting it will take."""
    own, aspect = max(photo), min(photo) / max(photo)
    if recipe.size is None and recipe.stroke_size is None:
        return fitting(stylizer, speed, own, aspect)
    size = recipe.size or own
    canvas = canvas_size(recipe, size)
    cost = replace(estimate(stylizer, speed, canvas, aspect), size=size)
    if canvas == size:
        return cost
    (seconds, mb), megapixels = ENLARGING, size**2 * aspect / 1e6
    peak = max(cost.peak_mb, speed.base_mb + mb * megapixels)
    return replace(cost, seconds=cost.seconds + seconds * megapixels, peak_mb=peak)


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
    tiled = job.estimate.side is not None or pixels[0, 0].numel() > LARGE
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
