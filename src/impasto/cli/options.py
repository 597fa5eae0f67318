"""Options that several commands have."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from impasto.config import validate
from impasto.recipe import Recipe

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def styles_option() -> Decorator:
    """``-s STYLE[:WEIGHT]``, as often as one likes."""
    return click.option(
        "-s",
        "--style",
        "styles",
        multiple=True,
        metavar="STYLE[:WEIGHT]",
        help="Gallery name, picture or .style.safetensors file; several are mixed.",
    )


def masks_option(help: str) -> Decorator:
    """``--mask REGION=STYLE[:WEIGHT]``, as often as one likes."""
    return click.option(
        "--mask", "masks", multiple=True, metavar="REGION=STYLE[:WEIGHT]", help=help
    )


def recipe_of(settings: Mapping[str, object], **fixed: object) -> Recipe:
    """The Recipe of the flags that were given.

    Raises BadInput, UnknownName.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    return validate(Recipe, {**fixed, **given})
