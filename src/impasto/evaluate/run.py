"""Cells become pictures and rows, one by one; what is finished is never done again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from impasto.errors import BadOutput, ImpastoError
from impasto.evaluate.cells import (
    CONTROLS,
    PICTURES,
    Cell,
    Row,
    append_row,
    read_rows,
    write_rows,
)
from impasto.evaluate.judge import Judge
from impasto.evaluate.metrics import Figures
from impasto.evaluate.worker import Painted, Worker
from impasto.files import writing
from impasto.media import image as media
from impasto.sources import read_style
from impasto.style import Style

ROWS = "rows.jsonl"


def run(
    cells: Sequence[Cell],
    folder: Path,
    judge: Judge,
    on_row: Callable[[Row, bool], None],
    name: str = ROWS,
) -> list[Row]:
    """The rows of all cells, in order; each is in the file ``name`` as soon as it is known.

    on_row: told of every row, and whether it was there before. Pictures lie beside the rows. Cells
    that failed before are tried again.

    Raises BadOutput; KeyboardInterrupt passes through, and what is finished stays.
    """
    with writing(folder):
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    path = folder / name
    kept = _kept(path)
    write_rows(path, kept)  # without torn lines
    known = {row.key: row for row in kept if not row.picture or (folder / row.picture).is_file()}
    rows = []
    for row, old in _each(cells, folder, known, _Inputs(judge)):
        if not old:
            append_row(path, row)
        rows.append(row)
        on_row(row, old)
    return rows


def _kept(path: Path) -> list[Row]:
    """The rows that hold still: not what failed, nor what another row has painted over since."""
    rows = read_rows(path)
    last = {row.picture: row.key for row in rows}
    return [
        row
        for row in rows
        if row.outcome != "failed" and (not row.picture or last[row.picture] == row.key)
    ]


class _Inputs:
    """Measures, and reads photos and styles once: the judge knows a tensor again, not a path."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.photo = lru_cache(2)(self._photo)
        self.style = lru_cache(64)(self._style)

    def measure(self, cell: Cell, picture: Path) -> Figures:
        """The figures of a picture."""
        photo, style = self.photo(cell.recipe.photo), self.style(cell.recipe.styles[0].source)
        return self.judge.measure(photo, style, media.read(picture).pixels)

    def _photo(self, source: str) -> Tensor:
        return media.read(source).pixels

    def _style(self, source: str) -> Style | Tensor:
        style = read_style(source)
        return style if isinstance(style, Style) else style.pixels


def _each(
    cells: Sequence[Cell], folder: Path, known: dict[str, Row], inputs: _Inputs
) -> Iterator[tuple[Row, bool]]:
    method = None
    with Worker() as worker:
        for cell in cells:
            key = cell.key()
            if key in known:
                row = known[key]
                lacking = inputs.judge.lpips is not None and row.metrics.get("lpips", 0) is None
                figures = inputs.measure(cell, folder / row.picture) if lacking else row.metrics
                yield row.model_copy(update={"metrics": figures}), not lacking
                continue
            if cell.method != method:
                worker.stop()  # figures of memory are those of one method
                method = cell.method
            yield _row(cell, key, folder, worker, inputs), False


def _row(cell: Cell, key: str, folder: Path, worker: Worker, inputs: _Inputs) -> Row:
    target = folder / cell.picture
    if cell.method in CONTROLS:
        painted = control(cell, target)
    else:
        painted = worker.paint(cell.recipe, target)
    metrics: Figures = {}
    if painted.outcome == "done":
        try:
            metrics = inputs.measure(cell, target)
        except ImpastoError as error:
            painted = Painted("failed", str(error))
    return Row(
        key=key,
        method=cell.method,
        photo=cell.photo,
        style=cell.style,
        strength=cell.recipe.strength,
        picture=cell.picture if metrics else "",
        metrics=metrics,
        **asdict(painted),
    )


def control(cell: Cell, target: Path) -> Painted:
    """Write what is measured beside the methods: the photo, or the style stretched over it."""
    try:
        photo = media.read(cell.recipe.photo).pixels
        pixels = photo if cell.recipe.size is None else media.scaled(photo, cell.recipe.size)
        if cell.method == "style":
            source = read_style(cell.recipe.styles[0].source)
            if isinstance(source, Style):
                return Painted("unlearned", "Of this style there are only statistics, no picture.")
            pixels = media.resize(source.pixels, (pixels.shape[-2], pixels.shape[-1]))
        media.write(pixels, target)
    except BadOutput:
        raise
    except ImpastoError as error:
        return Painted("failed", str(error))
    return Painted(width=pixels.shape[-1], height=pixels.shape[-2])
