"""The shelf: styles, methods and sample photos, as a decoder tells them once at the start."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from impasto.errors import BadInput, unknown
from impasto.recipe import Recipe
from impasto.studio.desk import Desk

AUTO = "auto"

SECONDS = 120.0
"""Longest that it may take to read everything."""


class StyleCard(BaseModel):
    """A style of the gallery."""

    name: str
    title: str
    artist: str
    year: str | None
    methods: list[str]
    """Those that paint it."""
    swatch: str
    """Address of a small picture."""


class MethodCard(BaseModel):
    """A method, and what it can."""

    name: str
    good: str
    bad: str
    paper: str
    strength: float | None
    """What it looks best at."""
    any_style: bool
    """Also styles of one's own."""
    steps: bool
    """Shows previews while it works."""
    regions: bool
    """Masks by statistics; others mix in light."""
    mix: bool
    options: list[str]
    """Fields of the Recipe that only some methods have."""


class SampleCard(BaseModel):
    """A sample photo."""

    name: str
    title: str
    width: int
    height: int
    url: str


@dataclass(frozen=True)
class Goods:
    """All that there is."""

    styles: Sequence[StyleCard]
    methods: Sequence[MethodCard]
    samples: Sequence[SampleCard]
    swatches: Mapping[str, bytes]
    photos: Mapping[str, bytes]
    """JPEG, by name"""

    @property
    def gallery(self) -> list[str]:
        """Names of the styles."""
        return [style.name for style in self.styles]

    def sample(self, name: str) -> SampleCard:
        """A sample photo.  Raises UnknownName."""
        for card in self.samples:
            if card.name == name:
                return card
        raise unknown("sample", name[:80], self.photos)

    def has_method(self, name: str) -> bool:
        """Whether there is such a method.  Raises UnknownName where there is none."""
        names = [card.name for card in self.methods]
        if name not in names:
            raise unknown("method", name[:80], names)
        return True

    def check(self, recipe: Recipe) -> None:
        """Make sure that the method of a Recipe paints its styles and has its controls.

        Raises BadInput, UnknownName.
        """
        self.has_method(recipe.method)
        card = next(card for card in self.methods if card.name == recipe.method)
        if card.name == AUTO:
            return
        for style in (*(s.source for s in recipe.styles), *(m.style for m in recipe.masks)):
            if card.name not in self.methods_of(style):
                able = ", ".join(self.methods_of(style))
                raise BadInput(f"{card.name} has not learned {style[:80]}. Choose from: {able}.")
        for field in sorted({f for other in self.methods for f in other.options}):
            given = getattr(recipe, field) != Recipe.model_fields[field].default
            if given and field not in card.options:
                having = ", ".join(m.name for m in self.methods if field in m.options)
                raise BadInput(f"{card.name} has no {field}. Methods that have it: {having}.")

    def methods_of(self, style: str) -> list[str]:
        """Which methods paint a style; one that is not in the gallery is somebody's own."""
        for card in self.styles:
            if card.name == style:
                return card.methods
        return [method.name for method in self.methods if method.any_style]


class Shelf:
    """What there is to choose from; it is read once, in a process that goes away afterwards."""

    def __init__(self) -> None:
        self._goods: Goods | None = None
        self._one = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether it has been read."""
        return self._goods is not None

    async def goods(self, desk: Desk) -> Goods:
        """All that there is; the first time it takes some seconds.

        desk: where it is read
        """
        async with self._one:
            if self._goods is None:
                with desk.room() as folder:
                    task = {"work": "catalogue", "folder": str(folder)}
                    told = await desk.work(task, SECONDS)
                    self._goods = await run_in_threadpool(_read, told, folder)
            return self._goods


def _read(told: Mapping[str, Any], folder: Path) -> Goods:
    swatches, photos = {}, {}
    for style in told["styles"]:
        style["swatch"] = f"/v1/styles/{style['name']}/swatch"
        if (file := style.pop("file")) is not None:
            swatches[style["name"]] = Path(file).read_bytes()
    for sample in told["samples"]:
        sample["url"] = f"/v1/samples/{sample['name']}"
        photos[sample["name"]] = (folder / f"{sample['name']}.jpg").read_bytes()
    return Goods(
        [StyleCard.model_validate(style) for style in told["styles"]],
        [MethodCard.model_validate(method) for method in told["methods"]],
        [SampleCard.model_validate(sample) for sample in told["samples"]],
        MappingProxyType(swatches),
        MappingProxyType(photos),
    )
