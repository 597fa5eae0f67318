"""A job: a Recipe with everything read, loaded and settled, ready to be painted."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from impasto import methods
from impasto.auto import AUTO, method_for
from impasto.errors import BadInput
from impasto.estimate import Estimate, Pace, estimate, fitting
from impasto.large import sized
from impasto.media import image as media
from impasto.networks.encoders import Encoder, load_encoder
from impasto.recipe import Recipe
from impasto.regions import Part, divided
from impasto.runtime import Runtime, runtime
from impasto.sources import Source, read_styles
from impasto.style import Style
from impasto.stylizer import Stylizer

CANVAS = 512
"""Long side, pixels, at which strokes of size 1 are painted."""

ENLARGING = 0.2, 105.0
"""Seconds and megabytes for each megapixel of a picture that is enlarged, by 1 to 43 megapixels."""


@dataclass(frozen=True)
class Job:
    """A Recipe with everything read and loaded, ready to be painted."""

    recipe: Recipe
    photo: Tensor
    """At the size of the result; of many megapixels in integers, see ``large``."""
    canvas: Tensor
    """The photo at the size at which it is painted."""
    stylizer: Stylizer
    encoder: Encoder
    runtime: Runtime
    parts: tuple[Part, ...]
    """Who paints which part of the picture."""
    recolor: bool
    """Whether the result takes the photo's colours afterwards, see ``read_styles``."""
    estimate: Estimate
    load_seconds: float
    notices: tuple[str, ...] = ()
    """What people ought to be told before the work starts."""

    @property
    def styles(self) -> tuple[Style, ...]:
        """All styles, part by part."""
        return tuple(style for part in self.parts for style in part.styles)


@dataclass(frozen=True)
class Loaded:
    """What all photos have in common that are painted by one Recipe."""

    recipe: Recipe
    """With the method and strength that it comes to"""
    stylizer: Stylizer
    encoder: Encoder
    runtime: Runtime
    styles: Mapping[str, Style]
    recolor: bool
    given: Mapping[str, Source]
    """Masks that are already read, by name"""

    def job(self, photo: Tensor, cost: Estimate, alpha: Tensor | None = None) -> Job:
        """A photo ready to be painted, at the size of that ``settled_cost``.

        Raises BadInput and BadPicture for masks that do not go with the photo.
        """
        start, own = time.perf_counter(), max(photo.shape[-2:])
        recipe = self.recipe.model_copy(update={"size": cost.size})
        height, width = media.fit(photo.shape[-1], photo.shape[-2], cost.size)
        photo = sized(photo, (height, width))
        parts, notices = divided(recipe, self.styles, photo, self.given, alpha)
        return Job(
            recipe=recipe,
            photo=photo,
            canvas=sized(photo, media.fit(width, height, canvas_size(recipe, max(height, width)))),
            stylizer=self.stylizer,
            encoder=self.encoder,
            runtime=self.runtime,
            parts=parts,
            recolor=self.recolor,
            estimate=cost,
            load_seconds=time.perf_counter() - start,
            notices=(*_bounds(self.recipe, own, cost), *notices),
        )


def load(recipe: Recipe, photo: Tensor, given: Mapping[str, Source]) -> Loaded:
    """Encoder, styles and method of a Recipe, as ``pipeline.prepare`` takes them.

    photo: (1, 3, H, W), [0, 1], whose colours pictures take in the colour mode ``match``

    Raises BadInput, UnknownName, BadPicture, MissingWeights, DamagedWeights.
    """
    encoder = load_encoder(recipe.encoder)
    machine = runtime(recipe.device, recipe.precision, recipe.engine)
    styles, recolor = read_styles(recipe, encoder, photo, given)
    stylizer = method_for(recipe, styles, encoder, machine)
    return Loaded(
        recipe=_settled(recipe, stylizer),
        stylizer=stylizer,
        encoder=encoder,
        runtime=machine,
        styles=styles,
        recolor=recolor,
        given=given,
    )


def _settled(recipe: Recipe, stylizer: Stylizer) -> Recipe:
    """The Recipe with the method and strength that it comes to."""
    strength = stylizer.strength if recipe.strength is None else recipe.strength
    return recipe.model_copy(update={"method": stylizer.name, "strength": strength})


def _bounds(asked: Recipe, own: int, cost: Estimate) -> Iterator[str]:
    """What people ought to be told of the size."""
    if cost.size != (asked.size or own):
        text = f"{cost.size} px instead of the photo's {own} px, to stay within bounds"
        yield f"Painting at {text}; size {own} paints it whole."
    if asked.precision == "int8" and cost.side is not None:
        yield "A picture this large goes in tiles, which are not painted in integers."


def check_paintable(recipe: Recipe) -> None:
    """Raise BadInput for a Recipe without a style, or with settings that its method has not."""
    if not recipe.styles and not recipe.masks:
        raise BadInput("No style given: name one (impasto styles list) or give a picture or mask.")
    if recipe.method != AUTO:
        check_controls(recipe)


def canvas_size(recipe: Recipe, size: int) -> int:
    """Long side at which a picture of a size is painted: all of it, or as large strokes need."""
    return size if recipe.stroke_size is None else min(size, round(CANVAS / recipe.stroke_size))


def check_controls(recipe: Recipe) -> None:
    """Raise BadInput for a setting that other methods have and the chosen one has not."""
    own = methods.get(recipe.method).can.options
    options = {name: methods.get(name).can.options for name in methods.names()}
    for field in sorted(frozenset().union(*options.values()) - own):
        if getattr(recipe, field) != Recipe.model_fields[field].default:
            having = ", ".join(name for name, fields in options.items() if field in fields)
            raise BadInput(
                f"--{field.replace('_', '-')}: {recipe.method} has no such control. "
                f"Methods that have it: {having}."
            )


def settled_cost(
    recipe: Recipe, photo: tuple[int, int], stylizer: Stylizer, speed: Pace
) -> Estimate:
    """The size of the result of a photo (height, width), and what painting it will take."""
    own, aspect = max(photo), min(photo) / max(photo)
    if recipe.size is None and recipe.stroke_size is None:
        return fitting(stylizer, speed, own, aspect)
    size = recipe.size or own
    canvas = canvas_size(recipe, size)
    cost = replace(estimate(stylizer, speed, canvas, aspect), size=size)
    if canvas == size:
        return cost
    (seconds, mb), megapixels = ENLARGING, size**2 * aspect / 1e6
    peak = max(cost.peak_mb, speed.base_mb + mb * megapixels)
    held = max(cost.held_mb, mb * megapixels)
    return replace(cost, seconds=cost.seconds + seconds * megapixels, peak_mb=peak, held_mb=held)
