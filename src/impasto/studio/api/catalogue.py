"""What there is to choose from, over HTTP: styles, methods, sample photos."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from impasto.studio.api import Serving, giving
from impasto.studio.problems import Refused
from impasto.studio.shelf import MethodCard, SampleCard, StyleCard

router = APIRouter(tags=["catalogue"])

DAY = {"Cache-Control": "private, max-age=86400"}


class Styles(BaseModel):
    """The gallery."""

    styles: list[StyleCard]


class Methods(BaseModel):
    """All methods, ``auto`` first, then fast ones first."""

    methods: list[MethodCard]


class Samples(BaseModel):
    """Photos to begin with."""

    samples: list[SampleCard]


@router.get("/styles", summary="The gallery", responses=giving(None))
async def styles(all: Serving) -> Styles:
    """Paintings whose styles can be named in a Recipe."""
    goods = await all.shelf.goods(all.desk)
    return Styles(styles=[*goods.styles])


@router.get(
    "/styles/{name}/swatch",
    response_class=Response,
    responses=giving({"image/jpeg": None}, 404, 422),
    summary="A small picture of a style",
)
async def swatch(name: str, all: Serving) -> Response:
    """JPEG, 192 px."""
    goods = await all.shelf.goods(all.desk)
    if name not in goods.swatches:
        raise Refused(404, "There is no picture of such a style.")
    return Response(goods.swatches[name], media_type="image/jpeg", headers=DAY)


@router.get("/methods", summary="The methods", responses=giving(None))
async def methods(all: Serving) -> Methods:
    """What each is good at, and what it can."""
    goods = await all.shelf.goods(all.desk)
    return Methods(methods=[*goods.methods])


@router.get("/samples", summary="Sample photos", responses=giving(None))
async def samples(all: Serving) -> Samples:
    """Give `sample:NAME` as the photo of a Recipe."""
    goods = await all.shelf.goods(all.desk)
    return Samples(samples=[*goods.samples])


@router.get(
    "/samples/{name}",
    response_class=Response,
    responses=giving({"image/jpeg": None}, 404, 422),
    summary="A sample photo",
)
async def sample(name: str, all: Serving) -> Response:
    """JPEG."""
    goods = await all.shelf.goods(all.desk)
    if name not in goods.photos:
        raise Refused(404, "There is no such sample.")
    return Response(goods.photos[name], media_type="image/jpeg", headers=DAY)
