"""Impasto in Python: one function that paints, one that loads a method."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from impasto import methods
from impasto.config import validate
from impasto.errors import BadInput
from impasto.media import image as media
from impasto.networks.encoders import load_encoder
from impasto.pipeline import fitted_alpha, paint, prepare
from impasto.recipe import Recipe
from impasto.regions import open_mask
from impasto.runtime import runtime
from impasto.sources import Source
from impasto.style import Style, gallery
from impasto.stylizer import OnStep, Stylizer

Same = TypeVar("Same", bytes, NDArray[Any], Tensor)

AnyStyle = str | Style | media.AnyPicture

AnyMask = str | tuple[media.AnyPicture, AnyStyle] | tuple[media.AnyPicture, AnyStyle, float]
"""``"sky.png=starry-night:0.5"``; or a mask, a style and, if need be, a weight."""


@overload
def stylize(
    photo: str | Path | Image.Image,
    style: AnyStyle | Sequence[AnyStyle] | None = None,
    *,
    masks: Sequence[AnyMask] = (),
    weights: Sequence[float] | None = None,
    on_step: OnStep | None = None,
    **settings: object,
) -> Image.Image: ...


@overload
def stylize(
    photo: Same,
    style: AnyStyle | Sequence[AnyStyle] | None = None,
    *,
    masks: Sequence[AnyMask] = (),
    weights: Sequence[float] | None = None,
    on_step: OnStep | None = None,
    **settings: object,
) -> Same: ...


def stylize(
    photo: media.AnyPicture,
    style: AnyStyle | Sequence[AnyStyle] | None = None,
    *,
    masks: Sequence[AnyMask] = (),
    weights: Sequence[float] | None = None,
    on_step: OnStep | None = None,
    **settings: object,
) -> media.AnyPicture:
    """The photo in a style, or in a mix of several; the same kind of picture as was given.

    photo: a path (gives a PIL image), bytes of a file (gives PNG bytes), a PIL image, an array
    (H, W, 3) or a tensor (3, H, W) or (1, 3, H, W)
    style: a gallery name, a path, a picture of any kind, or a Style; weights: one for each style
    masks: parts of the photo with styles of their own, ``"sky.png=starry-night"`` or
    ``(mask, style)`` or ``(mask, style, weight)``; a mask is any picture, also an array of
    booleans, or "alpha"; what none covers is painted in ``style``, and without one left alone
    settings: fields of the Recipe, such as ``size=512, strength=0.7, method="gatys"``

    Raises ImpastoError: unknown names, values out of range, files that are no pictures.
    """
    if "styles" in settings:
        raise BadInput("Give the styles as the second argument, not as styles=...")
    given: dict[str, Source] = {}
    shares = {"styles": _shares(style, weights, given), "masks": _mask_shares(masks, given)}
    recipe = validate(Recipe, {**settings, **shares})
    picture = media.open_any(photo)
    job = prepare(recipe, picture.levels, given, picture.alpha)
    for text in job.notices:
        warnings.warn(text, stacklevel=2)
    result = paint(job, on_step)
    alpha = fitted_alpha(picture, result.pixels)
    return media.like(photo, result.pixels, alpha, result.recipe.embedded(), picture.exif)


def _shares(
    style: AnyStyle | Sequence[AnyStyle] | None,
    weights: Sequence[float] | None,
    given: dict[str, Source],
) -> list[dict[str, object]]:
    """Styles as the Recipe has them."""
    if style is None:
        style = ()
    many = [*style] if isinstance(style, list | tuple) else [cast(AnyStyle, style)]
    weights = [1.0] * len(many) if weights is None else weights
    if len(many) != len(weights):
        raise BadInput(f"{len(many)} styles but {len(weights)} weights: give one for each.")
    return [
        {"source": _named(one, given), "weight": weight}
        for one, weight in zip(many, weights, strict=True)
    ]


def _mask_shares(masks: Sequence[AnyMask], given: dict[str, Source]) -> list[object]:
    """Masks as the Recipe has them; texts are left to it."""
    shares: list[object] = []
    for mask in [masks] if isinstance(masks, str) else masks:
        if isinstance(mask, str):
            shares.append(mask)
            continue
        if not isinstance(mask, tuple | list) or len(mask) not in (2, 3):
            raise BadInput("A mask is 'REGION.png=STYLE', (mask, style) or (mask, style, weight).")
        region, style, *weight = mask
        if isinstance(region, str | Path):
            name = str(region)
        else:
            name = f"<mask {len(given) + 1}>"
            given[name] = open_mask(region)
        share = {"mask": name, "style": _named(style, given)}
        shares.append({**share, "weight": weight[0]} if weight else share)
    return shares


def _named(style: AnyStyle, given: dict[str, Source]) -> str:
    """What a Recipe calls a style: its path or name, else a made-up one under which it is given."""
    if isinstance(style, str | Path):
        return str(style)
    name = f"<{style.name if isinstance(style, Style) else 'style'} {len(given) + 1}>"
    given[name] = style if isinstance(style, Style) else media.open_any(style)
    return name


def load(
    method: str,
    encoder: str = "compact",
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
) -> Stylizer:
    """A method ready to work on tensors: ``encode`` a Style, then ``stylize``.

    Raises UnknownName, MissingWeights, and BadInput where device or engine are not there.
    """
    kind = methods.get(method)
    return kind.create(load_encoder(encoder), runtime(device, precision, engine), Recipe())


def styles() -> list[str]:
    """The names of all styles that ``stylize`` knows."""
    return list(gallery())
