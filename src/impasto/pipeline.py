"""Recipe in, picture out: every front door calls this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto import methods
from impasto.codes import blend
from impasto.errors import BadInput, OutOfMemory
from impasto.estimate import Estimate, estimate, fitting, pace, peak_mb
from impasto.losses import content_error, style_error
from impasto.media import color
from impasto.media import image as media
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder, load_encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime, runtime
from impasto.style import Style, check_encoder, is_style, open_style
from impasto.stylizer import OnStep, Step, Stylizer

Source = media.Picture | Style
"""What a style comes from: a picture, or its moments."""


@dataclass(frozen=True)
class Job:
    """A Recipe with everything read and loaded, ready to be painted."""

    recipe: Recipe
    photo: Tensor
    """At the size of the result."""
    stylizer: Stylizer
    encoder: Encoder
    runtime: Runtime
    styles: tuple[Style, ...]
    recolor: bool
    """Whether the result takes the photo's colours afterwards, see ``read_styles``."""
    estimate: Estimate
    load_seconds: float


@dataclass(frozen=True)
class Result:
    """A painted picture and what it took."""

    pixels: Tensor
    """(1, 3, H, W), sRGB in [0, 1]"""
    recipe: Recipe
    seconds: float
    interrupted: bool = False


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while painting: the best picture so far is in ``result``."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


def prepare(recipe: Recipe, photo: Tensor, given: Mapping[str, Source] | None = None) -> Job:
    """Load what the Recipe needs, settle the size, and say what it will cost.

    photo: (1, 3, H, W), [0, 1]; given: styles that are already read, by their source

    Raises BadInput, UnknownName, BadPicture, MissingWeights, DamagedWeights.
    """
    start = time.perf_counter()
    if not recipe.styles:
        raise BadInput("No style given: name one (impasto styles list) or give a picture.")
    method = methods.get(recipe.method)
    encoder = load_encoder(recipe.encoder)
    machine = runtime(recipe.device, recipe.precision)
    stylizer = method.create(encoder, machine, recipe)
    styles, recolor = read_styles(recipe, encoder, photo, given or {})
    cost = _cost(recipe, photo, stylizer)
    settled = recipe.model_copy(update={"size": cost.size})
    height, width = media.fit(photo.shape[-1], photo.shape[-2], cost.size)
    photo = media.resize(photo, (height, width))
    seconds = time.perf_counter() - start
    return Job(settled, photo, stylizer, encoder, machine, styles, recolor, cost, seconds)


def paint(job: Job, on_step: OnStep | None = None) -> Result:
    """Do the work.

    Raises Interrupted, with the best picture so far, on Ctrl-C where the method works in steps;
    OutOfMemory.
    """
    start = time.perf_counter()
    latest: list[Step] = []

    def keep(step: Step) -> None:
        latest[:] = [step]
        if on_step:
            on_step(step)

    def result(pixels: Tensor, interrupted: bool) -> Result:
        pixels = recolored(job, full_size(job, pixels))
        return Result(pixels, job.recipe, time.perf_counter() - start, interrupted)

    try:
        return result(_run(job, keep), interrupted=False)
    except KeyboardInterrupt as error:
        if not latest:
            raise
        raise Interrupted(result(latest[0].image, interrupted=True)) from error


def _run(job: Job, on_step: OnStep) -> Tensor:
    recipe, device = job.recipe, job.runtime.device
    codes = [job.stylizer.encode(style, recipe.style_scale) for style in job.styles]
    code = blend(codes, [share.weight for share in recipe.styles])
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        try:
            return job.stylizer.stylize(job.photo, code, recipe.strength, on_step)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise _out_of_memory(recipe) from error
        except RuntimeError as error:  # the CPU allocator of torch has no class of its own
            if "alloc" in str(error):
                raise _out_of_memory(recipe) from error
            raise


def _out_of_memory(recipe: Recipe) -> OutOfMemory:
    return OutOfMemory(f"{recipe.size} px needs more memory than there is: use a smaller --size.")


def read_styles(
    recipe: Recipe, encoder: Encoder, photo: Tensor, given: Mapping[str, Source]
) -> tuple[tuple[Style, ...], bool]:
    """The styles of a Recipe, and whether colours have to be matched afterwards.

    With the colour mode ``match`` a style picture takes the photo's colours before anything runs.
    A style file has no pixels: then the same kind of map is applied to the result instead.
    What is transparent in a style picture does not count.
    """
    styles, recolor = [], False
    for share in recipe.styles:
        source = given[share.source] if share.source in given else read_style(share.source)
        if isinstance(source, Style):
            recolor = recipe.color == "match"
        else:
            pixels, matched = source.pixels, recipe.color == "match"
            pixels = color.match(pixels, photo) if matched else pixels
            name = Path(share.source).stem
            source = Style.of(pixels, encoder, name, mask=source.alpha)
        styles.append(source)
    check_encoder(styles, encoder.name)
    return tuple(styles), recolor


def read_style(source: str) -> Source:
    """A Style by gallery name or from a style file, or a picture to make one of."""
    if not is_style(source) and (Path(source).suffix.lower() in media.SUFFIXES or is_file(source)):
        return media.read(source)
    return open_style(source)


def is_file(source: str) -> bool:
    """Whether there is a file of that name; a name too long for one is none."""
    try:
        return Path(source).is_file()
    except OSError:
        return False


def _cost(recipe: Recipe, photo: Tensor, stylizer: Stylizer) -> Estimate:
    """The estimate at the size asked for, else at the photo's own or the largest reasonable one."""
    own = max(photo.shape[-2:])
    aspect = min(photo.shape[-2:]) / own
    speed = pace(stylizer)
    if recipe.size is not None:
        return estimate(stylizer, speed, recipe.size, aspect)
    return fitting(stylizer, speed, own, aspect)


def full_size(job: Job, image: Tensor) -> Tensor:
    """A picture in progress, which may be of a smaller scale, at the size of the result."""
    return media.resize(image.detach().float().cpu(), (job.photo.shape[-2], job.photo.shape[-1]))


def fitted_alpha(photo: media.Picture, pixels: Tensor) -> Tensor | None:
    """The photo's transparency at the size of the result.  ->  (1, 1, H, W) or None"""
    if photo.alpha is None:
        return None
    return media.resize(photo.alpha, (pixels.shape[-2], pixels.shape[-1]))


def recolored(job: Job, pixels: Tensor) -> Tensor:
    """The colour mode of the Recipe, applied to the result."""
    if job.recipe.color == "luma":
        return color.luma(pixels, job.photo)
    return color.match(pixels, job.photo) if job.recolor else pixels


def figures(job: Job, result: Result) -> dict[str, object]:
    """What a table or a line of JSON shows of a result.

    style_error (sum over five taps) and content_error (relu4_1) are as the job's encoder sees them.
    """
    style, content = measure(job, result.pixels)
    return {
        "method": job.recipe.method,
        "size": [result.pixels.shape[-1], result.pixels.shape[-2]],
        "seconds": round(result.seconds, 2),
        "load_seconds": round(job.load_seconds, 2),
        "peak_mb": round(peak_mb()),
        "style_error": round(style, 4),
        "content_error": round(content, 4),
        "interrupted": result.interrupted,
    }


@torch.no_grad()
def measure(job: Job, pixels: Tensor) -> tuple[float, float]:
    """style_error and content_error of a picture, see ``figures``.

    pixels: (1, 3, H, W), the size of the job's photo
    """
    with job.runtime.autocast():
        features = job.encoder(job.runtime.tensor(pixels), TAPS)
        target = job.encoder(job.runtime.tensor(job.photo), ("relu4_1",))["relu4_1"]
    size = max(pixels.shape[-2:]) * job.recipe.style_scale
    looks = [{tap: m.second for tap, m in style.at(size).items()} for style in job.styles]
    wanted = blend(looks, [share.weight for share in job.recipe.styles])
    style = style_error({tap: gram(f).cpu() for tap, f in features.items()}, wanted)
    return float(style), float(content_error(features["relu4_1"], target))
