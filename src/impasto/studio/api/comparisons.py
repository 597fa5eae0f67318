"""Comparisons over HTTP: a photo in several styles, by several methods."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from impasto.errors import BadInput
from impasto.recipe import Recipe, StyleShare
from impasto.studio.api import JobId, Key, Owner, Services, Serving, body, giving, taking
from impasto.studio.api.ordering import ordered
from impasto.studio.jobs import Submitted
from impasto.studio.orders import JobView, Order
from impasto.studio.problems import Refused

router = APIRouter(tags=["jobs"])


class ComparisonRequest(BaseModel):
    """A photo in several styles, by several methods."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    photo: str
    styles: Annotated[list[str], Field(min_length=1, max_length=40)]
    methods: Annotated[list[str], Field(min_length=1, max_length=10)]
    size: Annotated[int | None, Field(ge=1, le=100_000)] = None
    strength: Annotated[float | None, Field(ge=0, le=1)] = None


class Comparison(BaseModel):
    """Jobs that belong together."""

    id: str
    jobs: list[JobView]


@router.post(
    "/comparisons",
    status_code=202,
    openapi_extra=taking(
        ComparisonRequest,
        grid={
            "photo": "sample:chelsea",
            "styles": ["starry-night", "great-wave"],
            "methods": ["adain", "wct"],
            "size": 256,
        },
    ),
    responses=giving(None, 404, 408, 413, 415, 422, 429),
    summary="Order a photo in several styles by several methods",
)
async def compare(
    asked: Annotated[ComparisonRequest, Depends(body(ComparisonRequest))],
    owner: Owner,
    all: Serving,
    key: Key = None,
) -> Comparison:
    """A job for every style and every method that paints it: all of them, or none."""
    id = secrets.token_hex(16) if key is None else _named(owner, key)
    recipes = await _grid(all, asked)
    orders = [await ordered(all, owner, recipe, comparison=id) for recipe in recipes]
    jobs = await run_in_threadpool(_submit_all, all, owner, orders, key)
    for view in jobs:
        all.hub.tell(owner, view.id, view)
    return Comparison(id=id, jobs=jobs)


def _named(owner: str, key: str) -> str:
    return hashlib.sha256(json.dumps(["comparison", owner, key]).encode()).hexdigest()[:32]


async def _grid(all: Services, asked: ComparisonRequest) -> list[Recipe]:
    """A Recipe for every cell that can be painted.  Raises BadInput when none can."""
    goods = await all.shelf.goods(all.desk)
    recipes = [
        Recipe(
            photo=asked.photo,
            styles=(StyleShare(source=style),),
            method=method,
            size=asked.size,
            strength=asked.strength,
        )
        for style in dict.fromkeys(asked.styles)
        for method in dict.fromkeys(asked.methods)
        if goods.has_method(method) and (method == "auto" or method in goods.methods_of(style))
    ]
    if not recipes:
        raise BadInput("None of these methods paints any of these styles: choose others.")
    if len(recipes) > all.limits.own:
        most = f"{all.limits.own} at a time are taken"
        raise BadInput(f"That is {len(recipes)} pictures; {most}: choose fewer.")
    return recipes


def _submit_all(all: Services, owner: str, orders: list[Order], key: str | None) -> list[JobView]:
    done: list[Submitted] = []
    with _undoing(all, owner, done):
        for number, order in enumerate(orders):
            done.append(all.jobs.submit(order, None if key is None else f"{key} {number}"))
    return [one.view for one in done]


@contextmanager
def _undoing(all: Services, owner: str, done: list[Submitted]) -> Iterator[None]:
    """When there is no room for the last, the first are not painted either; but those that were
    there before, because the key came again, stay."""
    try:
        yield
    except Exception:
        for one in done:
            if one.made:
                all.jobs.delete(owner, one.view.id)
        raise


@router.get("/comparisons/{id}", responses=giving(None, 404, 422), summary="Look at a comparison")
def comparison(id: JobId, owner: Owner, all: Serving) -> Comparison:
    """Its jobs, in the order in which they were asked for."""
    jobs, _ = all.jobs.list(owner, 1000, comparison=id)
    if not jobs:
        text = "There is no such comparison: it was deleted, has expired, or is another visitor's."
        raise Refused(404, text)
    return Comparison(id=id, jobs=jobs[::-1])
