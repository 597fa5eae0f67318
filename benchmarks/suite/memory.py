"""Memory: the most that a process holds which paints one picture, beside the plain way.

Every cell has a fresh process, and what counts is what the operating system says it held at its
peak: Python, torch, weights and all. gatys takes eight steps, since memory does not grow with them.
"""

from collections.abc import Iterator

from rows import Cell, Options, Results, looks_through, say
from suite.turns import weighed

SIZES = (512, 1024, 2048)
METHODS = ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")
STEPS = 8


def run(results: Results, options: Options) -> None:
    """Weigh what is missing."""
    for cell, peak in weighed(results.missing(filter(options.wants, cells(options.quick)))):
        say(results.add(cell, {"peak_mb": peak}))


def cells(quick: bool) -> Iterator[Cell]:
    """Every method at every size, ours and plain."""
    for size in (64,) if quick else SIZES:
        for method in METHODS:
            for way in ("ours", "plain"):
                yield Cell(
                    benchmark="memory",
                    method=method,
                    way=way,
                    size=size,
                    encoder=looks_through(method),
                    steps=STEPS if method == "gatys" else None,
                )
