"""The methods of style transfer: this folder is the registry, one file is one method."""

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from impasto.errors import unknown

if TYPE_CHECKING:
    from impasto.stylizer import Stylizer


def names() -> list[str]:
    """The names of all methods, without importing any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> "type[Stylizer]":
    """The class of that method.

    Raises UnknownName, with the list, when there is none.
    """
    if name not in names():
        raise unknown("method", name, names())
    method: type[Stylizer] = import_module(f"{__name__}.{name}").METHOD
    return method
