"""The Job of a film, made for thousands of frames as ``pipeline.prepare`` makes it for a photo."""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from impasto import methods
from impasto.auto import suits_int8
from impasto.backends import OpenVino
from impasto.errors import BadInput
from impasto.estimate import free
from impasto.job import Job
from impasto.pipeline import prepare
from impasto.recipe import Recipe
from impasto.runtime import Runtime, has_int8

AT_ONCE = 1 << 22
"""Pixels of the frames that are painted side by side on processors, one for each thread."""

BUSY = 0.8
"""Share of the threads that have work where frames share them out, at least."""

LONG = 20e6
"""Pixels painted in a film from which a network in integers saves the second that it takes to be
made ready (measured at 720p)."""

ROOM = 0.25
"""Share of the free memory that painting may take: flow and H.264 take twice as much."""

BESIDE = 150.0, 290.0
"""Megabytes that all but the painting takes, and for each megapixel of a frame (measured, 0.2 to
8.3 megapixels)."""


def prepared(
    recipe: Recipe,
    photo: Tensor,
    deep: bool = False,
    frames: int | None = None,
    known: Mapping[str, object] | None = None,
    room: float | None = None,
) -> Job:
    """What paints the frames of a film, of which ``photo`` is the first.

    In one piece as far as memory goes, where a photo keeps to ``estimate.WHOLE``: tiles take two to
    four times as long.

    deep: the film has more than 8 bits; frames: how many are painted, None where nobody knows
    known: what the run that began the film has ``settled``; a machine that has become busier, or
    has less memory, would paint other frames
    room: bytes that painting may take, ``ROOM`` of what is free where None

    Raises what ``prepare`` raises.
    """
    if known is None:
        return hastened(prepare(recipe, photo, whole=_allowed(room)), deep, frames)
    size, precision = known["size"], known["precision"]
    if precision == "int8" and (known["tiles"] or not has_int8(recipe.device, recipe.engine)):
        precision = recipe.precision
    recipe = recipe.model_copy(update={"size": size, "precision": precision})
    whole = 1.0 if known["tiles"] else math.inf  # as far as there is memory at all
    return prepare(recipe, photo, whole=whole)


def settled(job: Job) -> dict[str, object]:
    """What a film that goes on has to keep of the job that began it."""
    tiles = job.estimate.side is not None
    return {"size": job.recipe.size, "precision": job.recipe.precision, "tiles": tiles}


def film_mb(job: Job) -> float:
    """Memory of the whole process at its peak, while a film is painted by the job."""
    (base, each), megapixels = BESIDE, job.photo[0, 0].numel() / 1e6
    more = (job.runtime.callers - 1) * job.estimate.held_mb
    return job.estimate.peak_mb + more + base + each * megapixels


def check_recipe(recipe: Recipe, stable: float) -> None:
    """Raise BadInput for a Recipe that goes on from a picture: each frame does from the last.

    And for a ``stable`` beyond what there is.
    """
    if not 0 <= stable <= 1:
        raise BadInput(f"--stable is {stable:g}; it goes from 0 (frame by frame) to 1 (steady).")
    if recipe.begun is not None:
        text = "a picture to go on from is for a photo; frames go on from one another"
        raise BadInput(f"--init {recipe.begun}: {text}. Leave it out.")


def hastened(job: Job, deep: bool = False, frames: int | None = None) -> Job:
    """The job with a network in integers, where the processor and the method are good at that.

    It changes a frame by 1.6 levels of 255 on average, where the compression of the film changes 5,
    and flickers no more (docs/films.md); pictures are painted as exactly as ever.

    deep: the film has more than 8 bits; frames: how many are painted, None where nobody knows
    """
    recipe, method = job.recipe, job.stylizer
    long = frames is None or frames * job.canvas[0, 0].numel() >= LONG
    whole = job.estimate.side is None  # torch paints tiles
    if recipe.precision != "auto" or deep or not long or not whole:
        return job
    if not suits_int8(recipe, method) or not has_int8(recipe.device, recipe.engine):
        return job
    recipe = recipe.model_copy(update={"precision": "int8"})
    return _on(replace(job, recipe=recipe), replace(job.runtime, int8=True))


def shared(job: Job, frames: int | None = None, room: float | None = None) -> Job:
    """The job for as many threads as paint its frames at the same time.

    What runs its network is settled for the whole film, where one picture would wait and see:
    frames that come from several threads have no order.

    frames: how many are painted, None where nobody knows; room: as for ``prepared``
    """
    count, machine = beside(job, room), job.runtime
    if count == 1:
        return job
    pixels = job.canvas[0, 0].numel()
    short = frames is not None and OpenVino.work(frames, pixels) < OpenVino.worth
    if short and machine.engine == "auto" and not machine.int8:
        machine = replace(machine, engine="torch")
    return _on(job, replace(machine, callers=count))


def beside(job: Job, room: float | None = None) -> int:
    """How many frames are painted side by side: as many as there are threads, on processors.

    A frame takes longer then, but no thread waits for the others layer by layer. Large frames, what
    works in steps and what is compiled for all threads take one another's turn.
    """
    one = job.stylizer.can.steps or job.estimate.side is not None
    if one or job.runtime.device.type != "cpu" or job.runtime.engine == "compile":
        return 1
    threads, each = torch.get_num_threads(), max(x[0, 0].numel() for x in (job.canvas, job.photo))
    most = min(threads, AT_ONCE // each, int(_allowed(room) // (1e6 * job.estimate.held_mb)))
    counts = range(max(1, most), 0, -1)
    return next(count for count in counts if count * (threads // count) >= BUSY * threads)


def _allowed(room: float | None) -> float:
    """Bytes that painting may take."""
    return ROOM * free() if room is None else room


def _on(job: Job, machine: Runtime) -> Job:
    method = methods.get(job.stylizer.name).create(job.encoder, machine, job.recipe)
    return replace(job, stylizer=method, runtime=machine)


def blended(job: Job, stable: float) -> float:
    """How much of the last painting is blended in: nothing where each begins from it anyway."""
    return 0.0 if job.stylizer.can.steps else stable


def seconds_each(job: Job, stable: float) -> float:
    """About how long a painted frame takes, but for the first."""
    method, size = job.stylizer, (job.canvas.shape[-2], job.canvas.shape[-1])
    if stable == 0 or not method.can.steps:
        return job.estimate.seconds
    share = method.continued(job.canvas).cost(*size).megapixels / method.cost(*size).megapixels
    return job.estimate.seconds * share
