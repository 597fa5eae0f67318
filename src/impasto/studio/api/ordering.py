"""From what a visitor asks for to an order that can be carried out."""

from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi.concurrency import run_in_threadpool

from impasto.errors import BadInput
from impasto.recipe import Recipe
from impasto.studio import estimates
from impasto.studio.api import Services
from impasto.studio.limits import Limits
from impasto.studio.orders import SAMPLE, Kind, Order, check_recipe, uploads
from impasto.studio.shelf import Goods
from impasto.studio.uploads import Upload, find

LAST = 600.0
"""Seconds before its end in which an upload is not taken for an order."""


@dataclass(frozen=True)
class Photo:
    """What is known of a photo."""

    width: int
    height: int
    kind: Kind = "picture"
    frames: int = 1


async def ordered(
    all: Services,
    owner: str,
    recipe: Recipe,
    stable: float | None = None,
    comparison: str | None = None,
) -> Order:
    """The order, once everything that it names is found and can be painted.

    Raises BadInput, UnknownName, Refused.
    """
    goods = await all.shelf.goods(all.desk)
    check_recipe(recipe, all.limits, goods.gallery, list(goods.photos))
    goods.check(recipe)
    return await run_in_threadpool(_order, all, goods, owner, recipe, stable, comparison)


def _order(
    all: Services,
    goods: Goods,
    owner: str,
    recipe: Recipe,
    stable: float | None,
    comparison: str | None,
) -> Order:
    for id in uploads(recipe):
        found = find(all.storage, owner, id)
        if _is_ending(found, all.limits):
            text = "A picture of this order is about to expire: upload it again."
            raise BadInput(text)
        if found.kind == "film" and id != recipe.photo:
            raise BadInput("A film is no style and no mask: upload a picture.")
    photo = photo_of(all, goods, owner, recipe.photo)
    if stable is not None and photo.kind != "film":
        raise BadInput("stable is for films, and the photo is a picture: leave it out.")
    seconds = painting_seconds(all, photo, recipe)
    return Order(
        recipe=recipe,
        owner=owner,
        photo=recipe.photo,
        kind=photo.kind,
        comparison=comparison,
        stable=stable,
        estimate=None if seconds is None else round(seconds, 2),
    )


def _is_ending(upload: Upload, limits: Limits) -> bool:
    """Whether it may be gone before anybody sees that a job needs it."""
    left = datetime.fromisoformat(upload.expires) - datetime.now(UTC)
    return left.total_seconds() < min(LAST, limits.ttl_seconds / 10)


def photo_of(all: Services, goods: Goods, owner: str, name: str) -> Photo:
    """The photo of a Recipe: a sample, or an upload of one's own.

    Raises UnknownName, Refused.
    """
    if name.startswith(SAMPLE):
        card = goods.sample(name.removeprefix(SAMPLE))
        return Photo(card.width, card.height)
    about = find(all.storage, owner, name)
    return Photo(about.width, about.height, about.kind, about.frames or 1)


def long_side(all: Services, photo: Photo, recipe: Recipe) -> int:
    """Of the result, pixels."""
    return recipe.size or min(max(photo.width, photo.height), all.limits.size)


def painting_seconds(all: Services, photo: Photo, recipe: Recipe) -> float | None:
    """What a job will take, without waiting; None while no worker has said how fast it is."""
    found = estimates.seconds(
        *(all.speeds.table(), recipe.method, recipe.quality),
        *(photo.width, photo.height, long_side(all, photo, recipe)),
    )
    return None if found is None else found * photo.frames
