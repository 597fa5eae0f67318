"""Estimates over HTTP: what a picture will take by every method, before anything starts."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from impasto.errors import BadInput
from impasto.recipe import Recipe
from impasto.studio import estimates
from impasto.studio.api import Owner, Services, Serving, body, giving, taking
from impasto.studio.api.ordering import Photo, long_side, painting_seconds, photo_of
from impasto.studio.shelf import Goods

router = APIRouter(tags=["estimates"])

Side = Annotated[int | None, Field(ge=1, le=100_000)]


class EstimateRequest(BaseModel):
    """A Recipe, of which the styles may still be missing, and a photo or its size."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    recipe: Recipe
    photo: str | None = None
    """An upload or ``sample:NAME``; by default the Recipe's."""
    width: Side = None
    height: Side = None


class Estimate(BaseModel):
    """What one method will take."""

    method: str
    seconds: float | None
    """Null while no worker has said how fast it is."""
    memory_mb: float | None
    width: int
    height: int
    """Of the result."""
    fits: bool
    """Whether it would be taken."""
    reason: str | None
    """Why not."""


class Waiting(BaseModel):
    """The queue in front of a new job."""

    waiting: int
    seconds: float


class Estimates(BaseModel):
    """What every method will take, and how long it will wait."""

    estimates: list[Estimate]
    queue: Waiting


@router.post(
    "/estimates",
    openapi_extra=taking(
        EstimateRequest,
        sample={"photo": "sample:chelsea", "recipe": {"styles": [{"source": "starry-night"}]}},
        size={"width": 4000, "height": 3000, "recipe": {"size": 1024, "quality": "best"}},
    ),
    responses=giving(None, 404, 408, 413, 415, 422),
    summary="What will it take?",
)
async def create(
    asked: Annotated[EstimateRequest, Depends(body(EstimateRequest))],
    owner: Owner,
    all: Serving,
) -> Estimates:
    """For every method; give the photo, or its width and height."""
    goods = await all.shelf.goods(all.desk)
    return await run_in_threadpool(_told, all, goods, owner, asked)


def _told(all: Services, goods: Goods, owner: str, asked: EstimateRequest) -> Estimates:
    name = asked.photo if asked.photo is not None else asked.recipe.photo
    if asked.width and asked.height:
        photo = Photo(asked.width, asked.height)
    elif name:
        photo = photo_of(all, goods, owner, name)
    else:
        raise BadInput("Give the photo, or its width and height.")
    told = [
        _estimate(all, goods, photo, asked.recipe.model_copy(update={"method": card.name}))
        for card in goods.methods
    ]
    return Estimates(estimates=told, queue=_queue(all))


def _estimate(all: Services, goods: Goods, photo: Photo, recipe: Recipe) -> Estimate:
    size = long_side(all, photo, recipe)
    scale = size / max(photo.width, photo.height)
    width, height = (max(1, round(side * scale)) for side in (photo.width, photo.height))
    seconds = painting_seconds(all, photo, recipe)
    memory = estimates.memory_mb(
        *(all.speeds.table(), recipe.method, recipe.quality, photo.width, photo.height, size)
    )
    reason = _obstacle(all, goods, recipe, size, seconds, memory)
    return Estimate(
        method=recipe.method,
        seconds=None if seconds is None else round(seconds, 2),
        memory_mb=None if memory is None else round(memory),
        width=width,
        height=height,
        fits=reason is None,
        reason=reason,
    )


def _obstacle(
    all: Services,
    goods: Goods,
    recipe: Recipe,
    size: int,
    seconds: float | None,
    memory: float | None,
) -> str | None:
    """Why a job would not be taken, or fail."""
    limits = all.limits
    if size > limits.size:
        return f"At most {limits.size} px are painted here."
    if seconds is not None and seconds > limits.job_seconds:
        return f"It takes longer than the {limits.job_seconds:g} s that a job may take."
    if memory is not None and memory > limits.memory_mb:
        return f"It takes more than the {limits.memory_mb:g} MB that a job may take."
    try:
        goods.check(recipe)
    except BadInput as error:
        return str(error)
    return None


def _queue(all: Services) -> Waiting:
    waiting, seconds = all.jobs.waiting()
    return Waiting(waiting=waiting, seconds=round(seconds / max(1, all.speeds.workers()), 1))
