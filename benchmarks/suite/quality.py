"""Quality: 6 photos in all styles that a method has learned, beside two controls.

Every method paints every pair at its own strength (gatys in draft quality, wct at strength 1 as
well) and twelve pairs over strength, at 512 px. Measured by every judge that is there (``--data``
brings the teachers): style_error and content_error. Counted: blobs on flat parts, energy near
Nyquist's frequency and in the border, as multiples of the photo's. Controls: the photo itself, and
the painting itself, stretched to the photo's shape (with ``--data``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import torch
from rows import Cell, Options, Results, looks_through
from suite.judges import judges
from suite.pictures import FEW_PHOTOS, FEW_STYLES, PHOTOS, SIZE, photo
from torch import Tensor

from impasto import methods
from impasto.evaluate.artefacts import blobs, border, checkerboard
from impasto.media.image import read, resize
from impasto.networks.encoders import load_encoder
from impasto.recipe import Recipe
from impasto.runtime import runtime
from impasto.style import gallery, open_style
from impasto.stylizer import Stylizer

METHODS = ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")
STRENGTHS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def run(results: Results, options: Options) -> None:
    """Measure what is missing."""
    who = judges(options.data)
    wanted = (c for c in cells(tuple(who), options) if options.wants(c))
    results.measure(wanted, lambda cell: measured(cell, who[cell.judge or ""], options.data))


def cells(judged_by: Sequence[str], options: Options) -> Iterator[Cell]:
    """Every painting, by every judge."""
    for method, style, name, strength in paintings(options):
        for judge in judged_by:
            yield Cell(
                benchmark="quality",
                method=method,
                way="control" if method in ("photo", "style") else "ours",
                setting="draft" if method == "gatys" else "",
                size=96 if options.quick else SIZE,
                encoder=looks_through(method),
                judge=judge,
                photo=name,
                style=style,
                strength=strength,
            )


def paintings(options: Options) -> Iterator[tuple[str, str, str, float | None]]:
    """Method, style, photo and strength; nothing is the method's own strength."""
    quick = options.quick
    controls = ("photo", "style") if options.data else ("photo",)
    for style in FEW_STYLES[:2] if quick else gallery():
        for name in FEW_PHOTOS[:1] if quick else PHOTOS:
            for method in (*controls, *METHODS):
                if method in controls or methods.get(method).knows(open_style(style)):
                    yield method, style, name, None
            yield "wct", style, name, 1.0
    for style in FEW_STYLES[:1] if quick else FEW_STYLES:
        for name in FEW_PHOTOS[:1] if quick else FEW_PHOTOS:
            for method in METHODS:
                for strength in STRENGTHS:
                    yield method, style, name, strength


def measured(
    cell: Cell, judge: Callable[..., Mapping[str, float]], data: Path | None
) -> dict[str, float]:
    """What comes out of a cell."""
    assert cell.photo and cell.style and cell.size
    own = photo(cell.photo, cell.size)
    pixels = painted(cell.method, cell.style, cell.photo, cell.size, cell.strength, data)
    return {
        **judge(pixels, own, cell.style),
        "blobs": blobs(pixels, own),
        "nyquist": checkerboard(pixels) / checkerboard(own),
        "border": border(pixels) / border(own),
    }


@lru_cache(maxsize=2)  # for one judge after the other
def painted(
    method: str, style: str, name: str, size: int, strength: float | None, data: Path | None
) -> Tensor:
    """The picture that is judged.  ->  (1, 3, H, W)"""
    own = photo(name, size)
    if method == "photo":
        return own
    if method == "style":
        assert data
        pixels = read(data / "gallery" / f"{style}.jpg").pixels
        return resize(pixels, (own.shape[-2], own.shape[-1]))
    torch.manual_seed(0)
    painter = stylizer(method)
    return painter.stylize(own, painter.encode(open_style(style)), strength)


@cache
def stylizer(method: str) -> Stylizer:
    """The method with everything loaded."""
    recipe = Recipe(method=method, quality="draft" if method == "gatys" else "normal")
    return methods.get(method).create(load_encoder("compact"), runtime(), recipe)
