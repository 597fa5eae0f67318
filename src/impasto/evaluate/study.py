"""The study: methods over folders of photos and styles, with all figures and how sure they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

from impasto import page
from impasto.errors import BadInput
from impasto.evaluate.cells import CONTROLS, PICTURES, Cell, Row, read_rows
from impasto.evaluate.judge import Judge
from impasto.evaluate.metrics import METRICS
from impasto.evaluate.run import ROWS, run
from impasto.evaluate.scatter import plot
from impasto.evaluate.sets import with_fid
from impasto.evaluate.summary import COSTS, groups
from impasto.media.folder import listed
from impasto.media.image import SUFFIXES
from impasto.networks.encoders import load_encoder
from impasto.networks.inception import Inception, load_fid
from impasto.networks.lpips import load_lpips
from impasto.runtime import Runtime, runtime
from impasto.style import SUFFIX, gallery

GALLERY = "gallery"
"""In the place of a folder: all named styles."""

PAGE = "index.html"


def study(
    cells: Sequence[Cell],
    shard: tuple[int, int],
    folder: Path,
    on_row: Callable[[Row, bool], None],
    artfid: bool = False,
) -> list[Row]:
    """Paint and measure cells, those of the controls among them, and write rows and a page.

    shard: (i, n), 1 <= i <= n: every n-th pair; each has a file of rows of its own, and the page
    tells of all that are there
    artfid: LPIPS, FID and ArtFID too  ->  the rows of this shard

    Raises what ``run`` raises, and MissingWeights for ``artfid``.
    """
    recipe = cells[0].recipe
    machine = runtime(recipe.device)
    networks = (load_lpips(), machine.place(load_fid())) if artfid else (None, None)
    judge = Judge(load_encoder(recipe.encoder), machine, networks[0])
    name = ROWS if shard[1] == 1 else f"rows-{shard[0]}-of-{shard[1]}.jsonl"
    rows = run(part(cells, *shard), folder, judge, on_row, name)
    write_page(cells, folder, networks[1], machine)
    return rows


def part(cells: Sequence[Cell], number: int, count: int) -> list[Cell]:
    """The cells of every ``count``-th pair of photo and style, from the ``number``-th on."""
    pairs = list(dict.fromkeys((cell.photo, cell.style) for cell in cells))
    mine = set(pairs[number - 1 :: count])
    return [cell for cell in cells if (cell.photo, cell.style) in mine]


def write_page(
    cells: Sequence[Cell], folder: Path, inception: Inception | None, machine: Runtime
) -> None:
    """The page of all rows in the folder that belong to these cells."""
    every = [row for path in sorted(folder.glob("rows*.jsonl")) for row in read_rows(path)]
    every.sort(key=lambda row: row.outcome != "failed")  # what another shard could do is done
    found = {row.key: row for row in every}
    rows = [found[key] for key in (cell.key() for cell in cells) if key in found]
    table = groups(rows)
    if inception is not None:
        table = with_fid(table, rows, folder, inception, machine)
    shown = [name for name in (*METRICS, *COSTS) if any(name in group.means for group in table)]
    page.write(
        folder / PAGE,
        "evaluate.html",
        groups=table,
        metrics=METRICS,
        main=[name for name in shown if "/" not in name],
        taps=[name for name in shown if "/" in name],
        plot=plot(table),
        photos=len({cell.photo for cell in cells}),
        styles=len({cell.style for cell in cells}),
        size=max((max(row.width or 0, row.height or 0) for row in rows), default=0),
        encoder=cells[0].recipe.encoder,
        missing=len(cells) - len(rows),
        failures=[row for row in rows if row.outcome == "failed"],
        unlearned=_unlearned(rows),
    )


def _unlearned(rows: Sequence[Row]) -> dict[str, int]:
    """How many styles each method has not learned."""
    missing = {(row.method, row.style) for row in rows if row.outcome == "unlearned"}
    names = [method for method, _ in sorted(missing) if method not in CONTROLS]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def sources(content: Path, styles: str, output: Path) -> tuple[list[str], list[str]]:
    """The photos of a folder, and the styles: pictures and style files of one, or ``gallery``.

    What lies in ``output`` was painted, and is neither.
    Raises BadInput where there is no such folder, or nothing in it.
    """
    if styles == GALLERY:
        looks = list(gallery())
    else:
        looks = _listed(Path(styles), [*sorted(SUFFIXES), SUFFIX], "styles", output)
    return _listed(content, sorted(SUFFIXES), "photos", output), looks


def _listed(folder: Path, suffixes: Sequence[str], what: str, output: Path) -> list[str]:
    if not folder.is_dir():
        raise BadInput(f"No folder {str(folder)!r}: give one with {what} in it.")
    painted = output.resolve() / PICTURES
    found = [path for path in listed(folder, suffixes) if painted not in path.resolve().parents]
    if not found:
        raise BadInput(f"No {what} in {str(folder)!r} (looked for {', '.join(suffixes)}).")
    return [str(path) for path in found]
