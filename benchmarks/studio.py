"""How much the studio can take: a real ``impasto serve``, and everything that may go wrong.

    python benchmarks/studio.py                  all of it
    python benchmarks/studio.py --only kills     users, overload, mixed, kills or malformed
    python benchmarks/studio.py --quick          a small slice of each, which is no result
    python benchmarks/studio.py --markdown       the table of all results

What came out is kept in benchmarks/results/MACHINE/studio.jsonl, and its table belongs into
docs/reliability.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from rows import RESULTS, ROOT, Cell, Results, Row, keep_machine, machines, read, this_machine

PAGE = ROOT / "docs" / "reliability.md"

BEGIN, END = "<!-- studio -->\n", "<!-- /studio -->"
"""Between them is the table."""

SLICES: Mapping[str, tuple[dict[str, int], dict[str, int]]] = {
    "users": ({"visitors": 64, "rounds": 3}, {"visitors": 8, "rounds": 1}),
    "overload": ({"queue": 50, "times": 10}, {"queue": 4, "times": 10}),
    "mixed": ({"requests": 2000, "warm": 400}, {"requests": 80, "warm": 40}),
    "malformed": ({"count": 1000}, {"count": 40}),
    "kills": ({"kills": 200}, {"kills": 4}),
}
"""How much of each: in earnest, and to see that it works."""

WORDS: Mapping[str, tuple[str, str]] = {
    "users": (
        "{visitors:.0f} visitors at once: upload, order, follow, fetch",
        "jobs; {jobs_per_second:.2g} a second, from photo to picture half within "
        "{p50_seconds:.2g} s, 99 % within {p99_seconds:.2g} s",
    ),
    "overload": (
        "Orders for ten times the queue, by 64 visitors at once",
        "orders; {accepted:.0f} accepted and done, {refused:.0f} refused, 99 % within "
        "{refusal_p99_seconds:.2g} s; /healthz 99 % within {health_p99_seconds:.2g} s",
    ),
    "mixed": (
        "Mixed requests, one in six of them bad",
        "requests, 99 % within {p99_seconds:.2g} s; memory grew by {web_growth_mb:.0f} MB "
        "(web), {worker_growth_mb:.0f} MB (worker), {easel_growth_mb:.0f} MB (easel), "
        "{decoder_growth_mb:.0f} MB (decoders), open files by {handles_growth:.0f}",
    ),
    "kills": (
        "kill -9 of web process, worker, easel, decoder in turns while jobs run",
        "kills, {during:.0f} of them in the middle of a painting; {jobs:.0f} jobs: {lost:.0f} "
        "lost, {duplicate:.0f} done twice, {corrupt:.0f} damaged, {different:.0f} other than "
        "undisturbed; {left_over:.0f} temporary files or processes left",
    ),
    "malformed": (
        "Malformed uploads",
        "files, 99 % answered within {p99_seconds:.2g} s; {server_errors:.0f} server errors, "
        "{deaths:.0f} deaths of the web process, {left_over:.0f} files left",
    ),
}
"""What was done, and what came out beside what failed."""


def main() -> None:
    args = parsed()
    if args.markdown:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
        print(table(RESULTS))
        return
    folder = Path(tempfile.mkdtemp(prefix="impasto-quick-")) if args.quick else RESULTS
    machine = this_machine(args.machine_name)
    if not (folder / machine.name / "machine.json").exists():
        keep_machine(folder, machine)
    results = Results(folder, machine.name, "studio", again=True)
    rows = [measured(name, results, args.quick) for name in args.only or SLICES]
    print("\n" + "\n".join((*HEAD, *map(line, rows))))
    sys.exit(any(row.figures["failed"] for row in rows))


def measured(name: str, results: Results, quick: bool) -> Row:
    """One of the five, done and kept."""
    print(f"{name} ...", flush=True)
    run: Callable[..., dict[str, float]] = import_module(f"studio_parts.{name}").run
    figures = run(**SLICES[name][quick])
    print(figures, flush=True)
    cell = Cell(benchmark="studio", method=name, setting="quick" if quick else "")
    return results.add(cell, figures)


HEAD = (
    "| What | Tested | Failed | Slowest | |",
    "|:---|---:|---:|---:|:---|",
)


def line(row: Row) -> str:
    """A row of the table."""
    what, words = (text.format(**row.figures) for text in WORDS[row.method])
    slowest = row.figures.get("slowest_seconds")
    seconds = "" if slowest is None else f"{slowest:.2g} s"
    tested, failed = row.figures["tested"], row.figures["failed"]
    return f"| {what} | {tested:.0f} | {failed:.0f} | {seconds} | {words} |"


def table(results: Path) -> str:
    """All results, by machine."""
    parts = []
    for machine in machines(results):
        rows = {row.method: row for row in read(results / machine.name / "studio.jsonl")}
        if rows:
            found = [rows[name] for name in SLICES if name in rows]
            about = f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB"
            when = ", ".join(sorted({f"{row.date} by {row.version}" for row in found}))
            parts.append("\n".join((*HEAD, *map(line, found), "", f"*{about}; measured {when}.*")))
    return "\n\n".join(parts) + "\n"


def filled(page: str, results: Path) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table(results) + END + rest.partition(END)[2]


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=tuple(SLICES), action="append", help="one, or several")
    parser.add_argument("--quick", action="store_true", help="small, to see that it works")
    parser.add_argument("--markdown", action="store_true", help="fill in docs/reliability.md")
    parser.add_argument("--machine-name", help="instead of processor, cores and torch's version")
    return parser.parse_args()


if __name__ == "__main__":
    main()
