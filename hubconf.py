"""Impasto for ``torch.hub``: ``torch.hub.load("path-or-repo", "johnson", style="starry-night")``.

Every entry takes ``style`` (a name, a file or a picture), ``device``, ``precision`` and
``encoder``, and returns a module: content ``(B, 3, H, W)`` in [0, 1], and a style where none was
given before, to a picture of the same shape. Nothing is downloaded.
"""

import sys as _sys
from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _find_spec("impasto") is None:
    _sys.path.insert(0, str(_Path(__file__).resolve().parent / "src"))

if _TYPE_CHECKING:
    from impasto.hub import Hub, HubModule

dependencies = [
    "torch",
    "numpy",
    "PIL",
    "safetensors",
    "pydantic",
    "click",
    "rich",
    "platformdirs",
    "filelock",
    "psutil",
    "jinja2",
    "skimage",
    "scipy",
]


def _hub(method: str, style: _Any, settings: dict[str, str]) -> "Hub":
    from impasto.hub import Hub

    return Hub(method, style, **settings)


def adain(style: _Any = None, **settings: str) -> "Hub":
    """Any style at once (Huang & Belongie 2017); keeps what the photo shows."""
    return _hub("adain", style, settings)


def dumoulin(style: _Any = "starry-night", **settings: str) -> "Hub":
    """All named styles in one network (Dumoulin et al. 2016)."""
    return _hub("dumoulin", style, settings)


def gatys(style: _Any = None, **settings: str) -> "Hub":
    """Any style, by optimising the picture (Gatys et al. 2015): slow."""
    return _hub("gatys", style, settings)


def ghiasi(style: _Any = None, **settings: str) -> "Hub":
    """Any style at once, predicted (Ghiasi et al. 2017)."""
    return _hub("ghiasi", style, settings)


def johnson(style: _Any = "starry-night", **settings: str) -> "Hub":
    """A network of its own for each style (Johnson et al. 2016)."""
    return _hub("johnson", style, settings)


def wct(style: _Any = None, **settings: str) -> "Hub":
    """Any style at once, with strong strokes (Li et al. 2017)."""
    return _hub("wct", style, settings)


def hub_module(method: str = "ghiasi", **settings: str) -> "HubModule":
    """What is called as TF-Hub's module: ``hub_module(content, style)[0]``, channels last."""
    from impasto.hub import load

    return load(method, **settings)
