"""Benchmarks that anyone can rerun.

    python benchmarks/run.py speed       every method at every size, beside the plain way
    python benchmarks/run.py memory      the most that a process holds
    python benchmarks/run.py quality     how near every method comes, in every style
    python benchmarks/run.py training    a step of training, beside the plain way
    python benchmarks/run.py curve       optimisation: error against time, from different starts
    python benchmarks/run.py films       films and folders of frames
    python benchmarks/run.py steadiness  how much of a film's flicker is left, at what cost
    python benchmarks/run.py ceilings    how near every method comes to what the processor can do
    python benchmarks/run.py widths      what width and normalisation a network needs (trains)
    python benchmarks/run.py all

What is finished is kept in benchmarks/results/MACHINE/ and not done again, so that a run can be
stopped at any time; --again does it again. Afterwards, ``python benchmarks/page.py`` makes
docs/benchmarks.md of all results, and ``python benchmarks/figures.py`` the figures that README.md
and docs quote.
"""

import argparse
import tempfile
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rows import RESULTS, Options, Results, keep_machine, this_machine
from tables import TABLES, rich_table

BENCHMARKS = (
    *("speed", "memory", "quality", "training", "curve"),
    *("films", "steadiness", "ceilings", "widths"),
)
NEED_DATA = ("widths",)


def main() -> None:
    args = parsed()
    machine = this_machine(args.machine_name)
    folder = args.results
    if folder is None:  # tiny runs are no results
        folder = Path(tempfile.mkdtemp(prefix="impasto-quick-")) if args.quick else RESULTS
    keep_machine(folder, machine)
    print(folder / machine.name)
    options = Options(args.methods, args.sizes, args.data, args.quick)
    for name in chosen(args):
        results = Results(folder, machine.name, name, args.again)
        try:
            import_module(f"suite.{name}").run(results, options)
        finally:
            show(name, results)


def chosen(args: argparse.Namespace) -> list[str]:
    """The benchmarks asked for."""
    if args.benchmark != "all":
        return [args.benchmark]
    return [name for name in BENCHMARKS if args.data or name not in NEED_DATA]


def show(name: str, results: Results) -> None:
    """The tables of a benchmark."""
    for table in TABLES[name](results.rows):
        Console(width=120).print(rich_table(table))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", choices=(*BENCHMARKS, "all"))
    parser.add_argument("--machine-name", help="instead of processor, cores and torch's version")
    parser.add_argument("--methods", type=names, default=(), help="a,b,...: only these")
    parser.add_argument("--sizes", type=numbers, default=(), help="512,...: only these")
    parser.add_argument("--data", type=Path, help="folder with gallery/, teacher/ and clips/")
    parser.add_argument("--again", action="store_true", help="also what is finished")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    parser.add_argument("--results", type=Path, help=f"default: {RESULTS}; a new one if quick")
    args = parser.parse_args()
    if args.benchmark in NEED_DATA and not args.data:
        parser.error(f"{args.benchmark} needs --data DIR, with gallery/ and teacher/ in it")
    return args


def names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    main()
