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
from impasto.pipeline import Source, fitted_alpha, paint, prepare
from impasto.recipe import Recipe
from impasto.runtime import runtime
from impasto.style import Style, gallery
from impasto.stylizer import OnStep, Stylizer

Same = TypeVar("Same", bytes, NDArray[Any], Tensor)

AnyStyle = str | Style | media.AnyPicture


@overload
def stylize(
    photo: str | Path | Image.Image,
    style: AnyStyle | Sequence[AnyStyle],
    *,
    weights: Sequence[float] | None = None,
    on_step: OnStep | None = None,
    **settings: object,
) -> Image.Image: ...


@overload
def stylize(
    photo: Same,
    style: AnyStyle | Sequence[AnyStyle],
    *,
    weights: Sequence[float] | None = None,
    on_step: OnStep | None = None,
    **settings: object,
) -> Same: ...


def stylize(
    photo: media.AnyPicture,
    style: AnyStyle | Sequence[AnyStyle],
    *,
    weights: Sequence[float] | None = None,
    on_step: OnStep | None = None,
    **settings: object,
) -> media.AnyPicture:
    """The photo in a style, or in a mix of several; the same kind of picture as was given.

    photo: a path (gives a PIL image), bytes of a file (gives PNG bytes), a PIL image, an array
    (H, W, 3) or a tensor (3, H, W) or (1, 3, H, W)
    style: a gallery name, a path, a picture of any kind, or a Style; weights: one for each style
    settings: fields of the Recipe, such as ``size=512, strength=0.7, method="gatys"``

    Raises ImpastoError: unknown names, values out of range, files that are no pictures.
    """
    if "styles" in settings:
        raise BadInput("Give the styles as the second argument, not as styles=...")
    many = [*style] if isinstance(style, list | tuple) else [cast(AnyStyle, style)]
    shares, given = _shares(many, [1.0] * len(many) if weights is None else weights)
    recipe = validate(Recipe, {**settings, "styles": shares})
    picture = media.open_any(photo)
    job = prepare(recipe, picture.pixels, given)
    own = max(picture.pixels.shape[-2:])
    if recipe.size is None and job.estimate.size < own:
        warnings.warn(f"Painting at {job.estimate.size} px; size={own} paints all.", stacklevel=2)
    result = paint(job, on_step)
    alpha = fitted_alpha(picture, result.pixels)
    return media.like(photo, result.pixels, alpha, result.recipe.embedded(), picture.exif)


def _shares(
    styles: Sequence[AnyStyle], weights: Sequence[float]
) -> tuple[list[dict[str, object]], dict[str, Source]]:
    """Styles as the Recipe has them, and those that are not files or names, under a made-up one."""
    if len(styles) != len(weights):
        raise BadInput(f"{len(styles)} styles but {len(weights)} weights: give one for each.")
    shares: list[dict[str, object]] = []
    given: dict[str, Source] = {}
    for number, (style, weight) in enumerate(zip(styles, weights, strict=True), 1):
        if isinstance(style, str | Path):
            source = str(style)
        elif isinstance(style, Style):
            source = f"<{style.name} {number}>"
            given[source] = style
        else:
            source = f"<style {number}>"
            given[source] = media.open_any(style)
        shares.append({"source": source, "weight": weight})
    return shares, given


def load(
    method: str, encoder: str = "compact", device: str = "auto", precision: str = "auto"
) -> Stylizer:
    """A method ready to work on tensors: ``encode`` a Style, then ``stylize``.

    Raises UnknownName, MissingWeights.
    """
    kind = methods.get(method)
    return kind.create(load_encoder(encoder), runtime(device, precision), Recipe())


def styles() -> list[str]:
    """The names of all styles that ``stylize`` knows."""
    return list(gallery())
