"""Commands that set methods side by side: ``compare`` and ``evaluate``."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.cli.options import recipe_of
from impasto.config import flags, parse_shard
from impasto.errors import BadInput
from impasto.recipe import Recipe

if TYPE_CHECKING:
    from impasto.evaluate.cells import Row

ALL = "all"  # as in evaluate.cells, which is heavy
COMMON = ("color", "style_scale", "quality", "seed", "encoder", "device", "precision", "engine")
METHODS_HELP = "Methods, with commas between them."
SIZE_HELP = "Long side of the pictures, pixels [512, or the photo's own if that is less]."
FAILED = 1


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    required=True,
    help="Gallery name, picture or style file; may be repeated.",
)
@click.option("--methods", default=ALL, show_default=True, help=METHODS_HELP)
@click.option("--size", type=click.INT, help=SIZE_HELP)
@click.option(
    "-o",
    "--output",
    default="report",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the page goes; what is finished there is not done again.",
)
@flags(Recipe, "strength", *COMMON)
def compare(
    photos: Sequence[Path], styles: Sequence[str], methods: str, output: Path, **settings: object
) -> None:
    """Paint each of PHOTOS in each style by every method; one page shows them side by side."""
    recipe = recipe_of(settings)
    from impasto.evaluate.cells import chosen
    from impasto.evaluate.compare import PAGE
    from impasto.evaluate.compare import compare as compared

    names, sources = chosen(methods), [str(photo) for photo in photos]
    _check(sources, styles, recipe.encoder)

    def work(on_row: Callable[["Row", bool], None]) -> "list[Row]":
        return compared(names, sources, list(dict.fromkeys(styles)), recipe, output, on_row)

    pairs = len(set(sources)) * len(set(styles))
    _run(work, pairs * (len(names) + 1), output / PAGE, _every(methods))


@click.command()
@click.argument("content", type=click.Path(path_type=Path))
@click.argument("styles")
@click.option("--methods", default=ALL, show_default=True, help=METHODS_HELP)
@click.option("--size", type=click.INT, help=SIZE_HELP)
@click.option("--strengths", metavar="A,B", help="Each in turn, 0 to 1 [each method's own].")
@click.option("--artfid", is_flag=True, help="LPIPS, FID and ArtFID too, by imported networks.")
@click.option("--shard", default="1/1", metavar="I/N", help="Every N-th pair from the I-th on.")
@click.option(
    "-o",
    "--output",
    default="results",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where rows, pictures and the page go; what is finished there is not done again.",
)
@flags(Recipe, *COMMON)
def evaluate(
    content: Path,
    styles: str,
    methods: str,
    strengths: str | None,
    artfid: bool,
    shard: str,
    output: Path,
    **settings: object,
) -> None:
    """Measure methods on all photos of CONTENT in all styles of STYLES, folders with pictures.

    The word gallery in the place of STYLES stands for all named styles.
    """
    recipe, several = recipe_of(settings), _strengths(strengths)
    from impasto.evaluate.cells import CONTROLS, chosen, planned
    from impasto.evaluate.study import PAGE, part, sources, study

    names, (number, count) = chosen(methods), parse_shard(shard)
    photos, looks = sources(content, styles, output)
    cells = planned([*CONTROLS, *names], photos, looks, recipe, several)

    def work(on_row: Callable[["Row", bool], None]) -> "list[Row]":
        return study(cells, (number, count), output, on_row, artfid)

    _run(work, len(part(cells, number, count)), output / PAGE, _every(methods))


def _strengths(text: str | None) -> "tuple[float | None, ...]":
    """Read ``0.5,1``.

    Raises BadInput.
    """
    if text is None:
        return (None,)
    try:
        values = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        values = ()
    if not values or not all(0 <= value <= 1 for value in values):
        raise BadInput(f"--strengths is numbers from 0 to 1 with commas between, not {text!r}.")
    return values


def _every(methods: str) -> bool:
    return ALL in map(str.strip, methods.split(","))


def _check(photos: Sequence[str], styles: Sequence[str], encoder: str) -> None:
    """Read everything once, so that a mistake is told before anything is painted."""
    from impasto.media import image as media
    from impasto.sources import read_style
    from impasto.style import Style, check_encoder
    from impasto.weights import find

    find("encoder", encoder)
    for photo in photos:
        media.read(photo)
    for look in map(read_style, styles):
        if isinstance(look, Style):
            check_encoder([look], encoder)


def _run(
    work: Callable[[Callable[["Row", bool], None]], "list[Row]"],
    count: int,
    page: Path,
    unlearned_is_fine: bool,
) -> None:
    """Do the work, show its rows as they come, and leave with 1 when some failed."""
    from impasto.console import cells_bar, print_means

    with cells_bar(count) as on_row:
        rows = work(on_row)
    print_means(rows)
    click.echo(page)
    bad = {"failed"} if unlearned_is_fine else {"failed", "unlearned"}
    if any(row.outcome in bad for row in rows if row.method not in ("photo", "style")):
        sys.exit(FAILED)
