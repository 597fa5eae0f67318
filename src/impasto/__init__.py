"""Impasto repaints a picture in the style of another.

import impasto
painted = impasto.stylize("photo.jpg", "starry-night")
painted.save("painted.png")
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["ImpastoError", "Recipe", "Style", "load", "styles", "stylize"]

_HOMES = {
    "ImpastoError": "errors",
    "Recipe": "recipe",
    "Style": "style",
    "load": "library",
    "styles": "library",
    "stylize": "library",
}

if TYPE_CHECKING:
    from impasto.errors import ImpastoError
    from impasto.library import load, styles, stylize
    from impasto.recipe import Recipe
    from impasto.style import Style


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``import impasto`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
