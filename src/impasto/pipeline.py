"""Recipe in, picture out: every front door calls this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto import methods
from impasto.errors import BadInput, OutOfMemory
from impasto.estimate import Estimate, estimate, fitting, pace, peak_mb
from impasto.losses import content_error, style_error
from impasto.media import color
from impasto.media import image as media
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder, load_encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime, runtime
from impasto.style import SUFFIX, Style, check_encoder, named
from impasto.stylizer import OnStep, Step, Stylizer, blend

Source = Tensor | Style
"""What a style comes from: the pixels of a picture, (1, 3, H, W) in [0, 1], or its moments."""


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
    """A painted picture and what it cost."""

    pixels: Tensor
    """(1, 3, H, W), sRGB in [0, 1]"""
    recipe: Recipe
    seconds: float
    load_seconds: float
    peak_mb: float
    style_error: float
    content_error: float
    interrupted: bool

    def figures(self) -> dict[str, object]:
        """What a table or a line of JSON shows."""
        return {
            "method": self.recipe.method,
            "size": [self.pixels.shape[-1], self.pixels.shape[-2]],
            "seconds": round(self.seconds, 2),
            "load_seconds": round(self.load_seconds, 2),
            "peak_mb": round(self.peak_mb),
            "style_error": round(self.style_error, 4),
            "content_error": round(self.content_error, 4),
            "interrupted": self.interrupted,
        }


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
    """Do the work. Ctrl-C ends it with the best picture so far, where the method has one.

    Raises OutOfMemory.
    """
    start = time.perf_counter()
    latest: list[Step] = []

    def keep(step: Step) -> None:
        latest[:] = [step]
        if on_step:
            on_step(step)

    interrupted = False
    try:
        pixels = _run(job, keep)
    except KeyboardInterrupt:
        if not latest:
            raise
        pixels, interrupted = full_size(job, latest[0].image), True
    pixels = recolored(job, pixels.float().cpu())
    seconds = time.perf_counter() - start
    errors = measure(job, pixels)
    return Result(pixels, job.recipe, seconds, job.load_seconds, peak_mb(), *errors, interrupted)


def _run(job: Job, on_step: OnStep) -> Tensor:
    recipe = job.recipe
    torch.manual_seed(recipe.seed)
    codes = [job.stylizer.encode(style, recipe.style_scale) for style in job.styles]
    code = blend(codes, [share.weight for share in recipe.styles])
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
    """
    styles, recolor = [], False
    for share in recipe.styles:
        source = given[share.source] if share.source in given else read_style(share.source)
        if isinstance(source, Style):
            recolor = recipe.color == "match"
        else:
            pixels = color.match(source, photo) if recipe.color == "match" else source
            source = Style.of(pixels, encoder, Path(share.source).stem)
        styles.append(source)
    check_encoder(styles, encoder.name)
    return tuple(styles), recolor


def read_style(source: str) -> Source:
    """The pixels of a style picture, or a Style by gallery name or from a style file."""
    path = Path(source)
    if source.endswith(SUFFIX):
        return Style.load(path)
    if path.exists() or path.suffix.lower() in media.SUFFIXES:
        return media.read(path).pixels
    return named(source)


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


@torch.no_grad()
def measure(job: Job, pixels: Tensor) -> tuple[float, float]:
    """style_error (sum over five taps) and content_error (relu4_1), as the job's encoder sees them.

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
