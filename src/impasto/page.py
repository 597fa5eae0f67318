"""Pages: HTML files that work from a disk, with pictures, style and script inside."""

import base64
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from impasto.files import replacing
from impasto.media.image import encode

LEAST = 1e-4
"""Figures nearer to zero are only said to be less."""

QUALITY = 88
"""Of the pictures inside pages; the files beside them lose nothing."""


def write(path: Path, template: str, **values: object) -> None:
    """Write a page from a template of ``impasto/pages``; text in ``values`` is escaped.

    Raises BadOutput.
    """
    text = render(template, **values)
    with replacing(path) as file:
        file.write(text.encode())


def render(template: str, **values: object) -> str:
    """A whole page: no request leaves it, light and dark, wide and narrow."""
    environment = Environment(
        loader=PackageLoader("impasto", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(embedded=embedded, number=number, seconds=seconds)
    environment.globals.update(inline=inline)
    return environment.get_template(template).render(**values)


def inline(name: str) -> str:
    """The text of a style sheet or script of ``impasto/pages``."""
    return (files("impasto") / "pages" / name).read_text(encoding="utf-8")


def embedded(picture: Tensor, suffix: str = ".webp") -> str:
    """A picture as what an ``img`` takes for its source.  (1, 3, H, W), [0, 1]  ->  data:..."""
    data = encode(picture, suffix, quality=QUALITY)
    return f"data:image/{suffix[1:]};base64,{base64.b64encode(data).decode()}"


def number(value: float | None, digits: int = 3) -> str:
    """A figure with that many digits that count, a dash where there is none."""
    if value is None:
        return "–"
    if 0 < abs(value) < LEAST:
        return f"< {LEAST:f}".rstrip("0")
    short = f"{value:.{digits}g}"
    return f"{value:,.0f}" if abs(float(short)) >= 10**digits else short


def seconds(value: float | None) -> str:
    """A time as people say it: 0.05 s, 12 s, 3 min 20 s."""
    if value is None:
        return "–"
    if round(value) < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s"
