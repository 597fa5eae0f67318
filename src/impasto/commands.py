"""Work from files to files, as the command line asks for it."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError
from torch import Tensor

from impasto.errors import unknown
from impasto.job import Job
from impasto.media import image as media
from impasto.networks.encoders import load_encoder
from impasto.pipeline import (
    Interrupted,
    Result,
    figures,
    fitted_alpha,
    full_size,
    paint,
    prepare,
    recolored,
)
from impasto.recipe import STARTS, Recipe
from impasto.runtime import runtime
from impasto.sources import style_of
from impasto.style import Style, about, check_encoder, gallery, open_style
from impasto.stylizer import OnStep, Step
from impasto.timings import so_far, spent

if TYPE_CHECKING:
    from impasto.timelapse import Timelapse

Event = Mapping[str, object]
"""What happens, as ``--json`` prints it: ``event`` says which, the rest are its figures."""

OnEvent = Callable[[Event], None]

STDIO = "-"
"""The name of standard input and standard output."""


TEXTURES = ("gatys", "wct")
"""The methods that make a texture out of noise."""


def swatch(name: str, target: Path, size: int, seed: int, encoder: str, method: str) -> None:
    """Write a square texture made from the moments of a style alone.

    Gatys, Ecker & Bethge 2015, arXiv:1505.07376: no content, from noise.
    """
    if method not in TEXTURES:
        raise unknown("method of textures", method, TEXTURES)
    media.check_target(target, read=[name])
    style = open_style(name)
    check_encoder([style], encoder)
    machine = runtime()
    torch.manual_seed(seed)
    texture = import_module(f"impasto.methods.{method}").texture
    pixels = texture(load_encoder(encoder), machine, style, size)
    media.write(pixels.float().cpu(), target)


def like(source: str, encoder: str) -> list[tuple[str, float]]:
    """The named styles with their distance to a style in the space of ghiasi, nearest first.

    1 is as far as two styles of the gallery are from one another on average.
    """
    from impasto.methods.ghiasi import Ghiasi

    network = load_encoder(encoder)
    method = Ghiasi.create(network, runtime(), Recipe())
    known = {name: path for name, path in gallery().items() if about(path)["encoder"] == encoder}
    codes = [method.embedding(Style.load(path)) for path in known.values()]
    style = style_of(source, network)
    whole = torch.cat(codes)
    unit = torch.cdist(whole, whole).sum() / (len(known) * (len(known) - 1))
    distances = torch.cdist(method.embedding(style), whole)[0] / unit
    return sorted(zip(known, distances.tolist(), strict=True), key=lambda pair: pair[1])


def stylize_file(
    recipe: Recipe,
    target: Path,
    on_event: OnEvent = lambda _: None,
    preview_every: int | None = None,
    timelapse: Path | None = None,
    measured: bool = True,
) -> Result:
    """Paint the photo that the Recipe names and write the picture to ``target`` (- is stdout).

    timelapse: where the film of its steps goes
    measured: whether style_error and content_error are told of a picture that took one pass, which
    takes longer than to paint it; of one that took many steps they are told

    Raises what ``prepare`` and ``paint`` raise, and BadOutput, before the work starts where it can
    be known.
    """
    if timelapse is not None:
        from impasto.timelapse import check_timelapse, with_steps

        recipe = with_steps(recipe)
        check_timelapse(timelapse, recipe.sources(), target)
    with spent("reading"):
        photo = media.read(sys.stdin.buffer if recipe.photo == STDIO else recipe.photo)
    job = _prepared(recipe, photo, target)
    on_event(_estimate_event(job))
    for text in job.notices:
        on_event({"event": "notice", "text": text})

    with _filming(job, timelapse) as film:
        try:
            with spent("painting"):
                result = paint(job, _listener(job, photo, target, on_event, preview_every, film))
        except Interrupted as interruption:
            result = interruption.result
        with undisturbed(), spent("writing"):
            save(result.pixels, photo, job.recipe, target)
            if film is not None:
                film.finish(result.pixels)
    with spent("measuring"):
        told = figures(job, result, errors=measured or job.stylizer.can.steps)
    on_event({"event": "done", "output": str(target), **_beside(timelapse), **told, **_timings()})
    return result


def _prepared(recipe: Recipe, photo: media.Picture, target: Path) -> Job:
    """The job, when its picture can be written: that is asked before and after it has a size."""
    if str(target) != STDIO:
        media.check_target(target, read=recipe.sources())
    with spent("loading"):
        job = prepare(recipe, photo.levels, alpha=photo.alpha)
    if str(target) != STDIO:
        media.check_target(target, (job.photo.shape[-2], job.photo.shape[-1]))
    return job


def _listener(
    job: Job,
    photo: media.Picture,
    target: Path,
    on_event: OnEvent,
    preview_every: int | None,
    film: "Timelapse | None",
) -> OnStep:
    """What tells of every step, films it, and now and then writes the picture so far."""
    # Where it goes tile by tile there is no picture on the way.
    every = preview_every if job.stylizer.can.steps and str(target) != STDIO else None

    def step(step: Step) -> None:
        on_event({"event": "step", "done": step.done, "total": step.total, **_sums(step.losses)})
        if every and step.done % every == 0:
            save(recolored(job, full_size(job, step.image)), photo, job.recipe, target)
            on_event({"event": "preview", "output": str(target), "done": step.done})
        if film is not None:
            film.add(step)

    return step


def _beside(timelapse: Path | None) -> Event:
    return {} if timelapse is None else {"timelapse": str(timelapse)}


def _timings() -> Event:
    """Where the time went, where somebody asked for that."""
    took = so_far()
    return {} if took is None else {"timings": took}


def _filming(job: Job, target: Path | None) -> "AbstractContextManager[Timelapse | None]":
    if target is None:
        return nullcontext()
    from impasto.timelapse import filmed

    return filmed(job, target)


def going_on(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings with those of the picture to go on from, where that holds them; given ones count.

    The styles and masks are taken over where none are given. Raises BadPicture.
    """
    given = {name: value for name, value in settings.items() if value not in (None, ())}
    start = given.get("init")
    if start is None or start in STARTS or not Path(str(start)).suffix:
        return given
    text = media.read(str(start)).recipe
    try:
        look = Recipe.model_validate_json(text or "").look()
    except ValidationError:  # none, or of another program or time
        return given
    if "styles" in given or "masks" in given:
        look = {name: value for name, value in look.items() if name not in ("styles", "masks")}
    return {**look, **given}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Do not let a second Ctrl-C lose the picture that the first one saved."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def save(pixels: Tensor, photo: media.Picture, recipe: Recipe, target: Path) -> None:
    """Write a picture with the photo's transparency and EXIF, and the Recipe, inside."""
    alpha = fitted_alpha(photo, pixels)
    text = recipe.embedded()
    if str(target) != STDIO:
        media.write(pixels, target, alpha=alpha, exif=photo.exif, recipe=text)
        return
    sys.stdout.buffer.write(media.encode(pixels, ".png", alpha, photo.exif, text))
    sys.stdout.buffer.flush()


def _estimate_event(job: Job) -> Event:
    return {
        "event": "estimate",
        "method": job.recipe.method,
        "size": [job.photo.shape[-1], job.photo.shape[-2]],
        "seconds": round(job.estimate.seconds, 1),
        "peak_mb": round(job.estimate.peak_mb),
    }


def _sums(losses: Mapping[str, float]) -> dict[str, float]:
    """Errors by layer, added up by what they are of: ``style/relu1_1`` counts to style_error."""
    sums: dict[str, float] = {}
    for name, value in losses.items():
        key = f"{name.split('/')[0]}_error"
        sums[key] = round(sums.get(key, 0.0) + value, 5)
    return sums
