"""Training: one step of johnson's network, forwards and backwards, beside the plain way.

Four crops of 192 px, the compact encoder as judge, at half width (as packaged) and at the paper's
full width; see ``turns.py`` for how the ways take turns.
"""

from collections.abc import Iterator

from rows import Cell, Options, Results
from suite.passes import FULL_WIDTH, HALF_WIDTH
from suite.turns import PATIENCE, compare

CROP = 192


def run(results: Results, options: Options) -> None:
    """Time what is missing."""
    compare(results, groups(options), patience=1.0 if options.quick else PATIENCE)


def groups(options: Options) -> Iterator[list[Cell]]:
    """Ours and plain, for each width."""
    for setting in (HALF_WIDTH, FULL_WIDTH):
        cells = [
            Cell(
                benchmark="training",
                method="johnson",
                way=way,
                setting=setting,
                size=32 if options.quick else CROP,
                encoder="compact",
            )
            for way in ("ours", "plain")
        ]
        if options.wants(cells[0]):
            yield cells
