"""The page of all results: docs/benchmarks.md, with plots in docs/pictures/benchmarks.

python benchmarks/page.py             write them
python benchmarks/page.py --check     say whether they are what the results come to (exit 1)
"""

import argparse
import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import plots
from rows import RESULTS, ROOT, Machine, Row, machines, read
from summary import ORDER, by_method, means, pick, sizes
from tables import JUDGES, TABLES, called, markdown

DOCS = ROOT / "docs"
PICTURES = "pictures/benchmarks"
SUITE = Path(__file__).parent / "suite"

INTRODUCTION = """# Benchmarks

What was measured, on which machine, and how to measure it again. `python benchmarks/page.py` makes
this page of the rows in [benchmarks/results](../benchmarks/results); nothing on it is written by
hand.

```
python benchmarks/run.py speed            # or memory, quality, training, curve, widths, all
python benchmarks/run.py speed --quick    # tiny, only to see that it works
python benchmarks/page.py                 # this page
python benchmarks/figures.py              # the figures that README.md and the other pages quote
```

A run can be stopped at any time and goes on where it was; `--again` does what is finished again.
`--data DIR` is a folder with `gallery/` (the paintings) and `teacher/` (see
[training.md](training.md)): quality is then judged by VGG-19 too, and `widths` needs it.

**Ours** is what the package does when nothing is said. **Plain** is the published way of the same
method, as one writes it from the paper with nothing but torch: eager, float32, channels first,
torch's own padding and instance norm, one scale, all of it in
[benchmarks/plain.py](../benchmarks/plain.py). It computes the same thing, which a test compares,
and is timed right beside ours, by turns. **Plain on VGG-19** has networks of the size that the
papers used, with random weights, which cost the same time.

**style_error** is the sum of relative squared errors of Gram matrices at five layers,
**content_error** the relative squared distance of features at relu4_1. *Left* is the share of the
unpainted photo's. *Beside gatys* is the content_error, and that of gatys where it has come as near
to the style.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args()
    files = page(RESULTS)
    stale = drifted(files, DOCS)
    if args.check:
        print("\n".join(f"{path} is not what the results come to" for path in stale))
        sys.exit(bool(stale))
    write(files, DOCS)
    print("\n".join(map(str, stale)) or "nothing has changed")


def page(results: Path) -> dict[str, str]:
    """The text of every file of the page, by its path within docs."""
    parts, files = [INTRODUCTION], dict[str, str]()
    for machine in machines(results):
        parts.append(about(machine))
        for name, tables in TABLES.items():
            rows = read(results / machine.name / f"{name}.jsonl")
            if rows:
                drawn = {
                    f"{PICTURES}/{machine.name}-{name}{suffix}.svg": svg
                    for suffix, svg in PLOTS.get(name, _none)(rows).items()
                }
                files |= drawn
                images = "\n\n".join(f"![{name}]({path})" for path in drawn)
                shown = (f"**{table.title}**\n\n{markdown(table)}" for table in tables(rows))
                parts += [explained(name), images, *shown, measured(rows)]
    files["benchmarks.md"] = "\n\n".join(part.strip() for part in parts if part) + "\n"
    return files


def about(machine: Machine) -> str:
    """The heading of a machine."""
    bf16 = "bfloat16 in hardware" if machine.bf16 else "no bfloat16"
    device = "" if machine.device == "cpu" else f"{machine.device}, "
    engine = f", OpenVINO {machine.openvino}" if machine.openvino else ""
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    return (
        f"## {machine.processor}, {cores}\n\n"
        f"`{machine.name}`: {device}{machine.memory_gb:.0f} GB of memory, {bf16}, "
        f"{machine.system}, Python {machine.python}, torch {machine.torch}{engine}."
    )


def explained(name: str) -> str:
    """What a benchmark says of itself."""
    text = ast.get_docstring(ast.parse((SUITE / f"{name}.py").read_text(encoding="utf-8"))) or ""
    first, _, rest = text.replace("``", "`").partition(": ")
    return f"### {first}\n\n{rest[:1].upper()}{rest[1:]}\n\n`python benchmarks/run.py {name}`"


def measured(rows: Sequence[Row]) -> str:
    """When, and by which versions."""
    dates = sorted({row.date.isoformat() for row in rows})
    versions = ", ".join(sorted({row.version for row in rows}))
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"*Measured {when} by {versions}.*"


SERIES = ("ours", "plain", "plain on VGG-19", "openvino", "eager")


def speed_plot(rows: Sequence[Row]) -> dict[str, str]:
    """Ours beside the others at 512 px, or the size nearest to it."""
    size = min(sizes(rows), key=lambda s: abs(s - 512))
    lines: dict[str, dict[str, float]] = {}
    for row in by_method(pick(rows, size=size)):
        name = f"{row.way} on VGG-19" if row.encoder == "vgg19" else row.way
        lines.setdefault(called(row), {})[name] = row.figures["seconds"]
    title, unit = f"One picture of {size} px", "seconds, less is better"
    return {"": plots.dumbbells(title, unit, lines, SERIES)}


def memory_plot(rows: Sequence[Row]) -> dict[str, str]:
    """Ours beside the plain way at the largest size."""
    size = sizes(rows)[-1]
    lines: dict[str, dict[str, float]] = {}
    for row in by_method(pick(rows, size=size)):
        lines.setdefault(row.method, {})[row.way] = row.figures["peak_mb"]
    title = f"The most that a process holds at {size} px"
    return {"": plots.dumbbells(title, "MB, less is better", lines, SERIES, log=False)}


def quality_plot(rows: Sequence[Row]) -> dict[str, str]:
    """How far content has moved against how much of the photo's style_error is left."""
    drawn = {}
    for judge, name in JUDGES.items():
        seen, points = pick(rows, judge=judge), {}
        for method in ORDER:
            own = pick(seen, method=method, strength=None)
            result = means(seen, own)
            if result and method != "photo":
                points[called(own[0])] = (100 * result.share, result.content_error)
        if points:
            title = f"Style and content at each method's own strength, seen by {name}"
            axes = "style_error left, % of the photo's", "content_error"
            drawn[f"-{judge}"] = plots.scatter(title, *axes, points)
    return drawn


def curve_plot(rows: Sequence[Row]) -> dict[str, str]:
    """style_error over seconds, of the first pair that the plain way was measured on."""
    plain = pick(rows, way="plain")
    own = plain[0] if plain else rows[0]
    pair = pick(rows, photo=own.photo, style=own.style)
    longest = max(row.steps or 0 for row in pair if row.way == "ours")
    lines = {
        ("plain" if row.way == "plain" else f"ours, from {row.setting}"): list(
            zip(row.series["seconds"], row.series["style_error"], strict=True)
        )
        for row in pair
        if row.way == "plain" or row.steps == longest
    }
    title = f"gatys: {own.photo} in {own.style}, {own.size} px"
    return {"": plots.courses(title, "seconds", "style_error", lines)}


Plot = Callable[[Sequence[Row]], dict[str, str]]

PLOTS: Mapping[str, Plot] = {
    "speed": speed_plot,
    "memory": memory_plot,
    "quality": quality_plot,
    "curve": curve_plot,
}


def _none(rows: Sequence[Row]) -> dict[str, str]:
    return {}


def drifted(files: Mapping[str, str], docs: Path) -> list[Path]:
    """Files that are missing, differ, or are of results that there are no more."""
    here = {docs / path: text for path, text in files.items()}
    wrong = [
        path
        for path, text in here.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    return wrong + sorted(path for path in (docs / PICTURES).glob("*.svg") if path not in here)


def write(files: Mapping[str, str], docs: Path) -> None:
    """Write the page, and remove plots that are not on it."""
    for stale in drifted(files, docs):
        stale.unlink(missing_ok=True)
    for path, text in files.items():
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
