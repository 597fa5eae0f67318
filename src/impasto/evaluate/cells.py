"""Cells: which method paints which photo in which style, and rows: what came of it."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from impasto import __version__, methods, weights
from impasto.auto import ORDER
from impasto.errors import BadPicture, unknown
from impasto.files import replacing, writing
from impasto.media.decode import header
from impasto.media.image import SUFFIXES
from impasto.recipe import Recipe
from impasto.style import SUFFIX, gallery

CONTROLS = ("photo", "style")
"""What is measured beside the methods: the photo itself and the style itself, unpainted."""

ALL = "all"
"""In the place of methods: every one."""

PICTURES = "pictures"

SIZE = 512
"""Long side of pictures, pixels, where nothing else is asked for and the photo is as large."""

LONGEST = 80
"""Of a name in that of a picture, bytes: file systems allow 255 for two of them and a method."""

Outcome = Literal["done", "unlearned", "failed"]
"""``unlearned``: the method paints only what it has learned, and this style is not of it."""


@dataclass(frozen=True)
class Cell:
    """One picture that is to be painted and measured."""

    method: str
    """Of ``methods``, or of ``CONTROLS``."""
    recipe: Recipe
    """One photo, one style."""
    photo: str
    """What the photo is called on pages and in file names."""
    style: str
    """What the style is called."""

    @property
    def picture(self) -> str:
        """The file that the picture goes to, beside the rows."""
        strength = self.recipe.strength
        share = "" if strength is None else f".{strength:g}"
        names = f"{_plain(self.photo)}.{_plain(self.style)}.{self.method}"
        return f"{PICTURES}/{names}{share}.png"

    def key(self) -> str:
        """Changes with whatever could change the row: settings, names, inputs, weights, version."""
        style = self.recipe.styles[0].source
        sources = [Path(self.recipe.photo), gallery().get(style, Path(style))]
        facts = [__version__, self.method, self.picture, self.recipe.model_dump()]
        facts += [_stamp(path) for path in sources if path.is_file()]
        facts += [_stamp(path) for path in weights.files(self.method, "encoder")]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class Row(BaseModel):
    """What came of a cell: one line of the file of rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    method: str
    photo: str
    style: str
    strength: float | None = None
    """None: the method's own."""
    outcome: Outcome = "done"
    reason: str = ""
    picture: str = ""
    """File beside the rows."""
    width: int | None = None
    height: int | None = None
    load_seconds: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    """Of a process that does nothing else."""
    parameters: int | None = None
    file_bytes: int | None = None
    """Of all weights that the method needs."""
    metrics: dict[str, float | None] = {}


def chosen(names: str) -> list[str]:
    """The methods of ``all`` or ``a,b``, fast ones first.

    Raises UnknownName.
    """
    every = sorted(methods.names(), key=lambda name: (*ORDER, name).index(name))
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in wanted or [""]:
        if name not in (ALL, *every):
            raise unknown("method", name, [ALL, *every])
    return every if ALL in wanted else wanted


def planned(
    names: Sequence[str],
    photos: Sequence[str],
    styles: Sequence[str],
    recipe: Recipe,
    strengths: Sequence[float | None] = (None,),
) -> list[Cell]:
    """Every method, photo, style and strength; settings go to the methods that have them.

    strengths: each in turn instead of the recipe's; None leaves that
    """
    photo_names, style_names = _labels(photos), _labels(styles)
    sizes = {photo: recipe.size or _size(photo) for photo in photo_names}
    cells = []
    for name, photo, style, strength in product(names, photo_names, style_names, strengths):
        if name not in CONTROLS:
            given = {} if strength is None else {"strength": strength}
            settings = _settings(recipe, name) | given
        elif strength == strengths[0]:
            settings = recipe.model_dump(include={"encoder", "device"})
        else:
            continue
        work = {"photo": photo, "styles": ({"source": style, "weight": 1.0},)}
        cell = Recipe.model_validate(settings | work | {"size": sizes[photo]})
        cells.append(Cell(name, cell, photo_names[photo], style_names[style]))
    return cells


def _size(photo: str) -> int:
    """The photo's own as far as SIZE; what is no picture is told of when it is to be painted."""
    with suppress(BadPicture):
        return min(SIZE, max(header(photo)))
    return SIZE


def _settings(recipe: Recipe, method: str) -> dict[str, object]:
    """What was set in a Recipe, without what that method has not."""
    options = frozenset[str]().union(*(methods.get(name).can.options for name in methods.names()))
    missing = options - methods.get(method).can.options
    return recipe.model_dump(include=recipe.model_fields_set - missing) | {"method": method}


def _labels(sources: Iterable[str]) -> dict[str, str]:
    """A name for every source: that of its file, and a number where that is taken."""
    labels: dict[str, str] = {}
    taken = set[str]()
    for source in dict.fromkeys(sources):
        label, count = _stem(source), 1
        while _plain(label).casefold() in taken:
            label = f"{_stem(source)}-{(count := count + 1)}"
        taken.add(_plain(label).casefold())
        labels[source] = label
    return labels


def _stem(source: str) -> str:
    """The name of a file without its folders and suffix, as valid text of a bearable length."""
    path = Path(source)
    stem = path.stem if path.suffix.lower() in SUFFIXES else path.name.removesuffix(SUFFIX)
    return stem.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")


def _plain(label: str) -> str:
    """What of a name every file system takes; without dots, which stand between names."""
    return re.sub(r"[^\w -]", "_", label)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file in order of time, the last of each key.

    What is no row, such as a torn line, is left out.
    """
    rows: dict[str, Row] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                row = Row.model_validate_json(line)
            except ValidationError:
                continue
            rows.pop(row.key, None)
            rows[row.key] = row
    return list(rows.values())


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a file of rows anew."""
    with replacing(path) as file:
        file.writelines(row.model_dump_json().encode() + b"\n" for row in rows)


def append_row(path: Path, row: Row) -> None:
    """Add one line, at once on the disk."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(row.model_dump_json() + "\n")


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"
