"""The figures that README.md and docs quote, filled in from the results.

    python benchmarks/figures.py             fill them in
    python benchmarks/figures.py --check     say which are not what was measured (exit 1)

A page marks what comes from the results, and which function below knows it:

    <!-- figures: NAME --> ... <!-- /figures -->

The words in between stay as they are, and the numbers in them (those with a decimal point or a unit
behind them) are replaced in order; some tables are made whole. A figure without a result stays as
it is and is reported, so what is quoted has to be measured once to be kept.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from rows import RESULTS, ROOT, Row, read
from summary import figure, means, pair, pick
from tables import Table, markdown, number, over_strength, two_errors

QUOTED = "amd-epyc-2-cores-torch-2.13.0"
"""The machine whose figures are quoted."""

MARK = re.compile(r"(<!-- figures: (\S+) -->\n*)(.*?)(\n*<!-- /figures -->)", re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+|\d+(?= (?:s|GB|%))")
PAINTING = ("johnson", "dumoulin", "ghiasi", "adain", "wct")
STEPS = {37: "25 + 12", 75: "50 + 25", 110: "80 + 30", 300: "200 + 100"}
"""Of ``suite/curve.py``, at 256 px and at 512 px."""


class Measured:
    """The rows of one machine, read when they are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def speed(self) -> list[Row]:
        return read(self.folder / "speed.jsonl")

    @cached_property
    def memory(self) -> list[Row]:
        return read(self.folder / "memory.jsonl")

    @cached_property
    def quality(self) -> list[Row]:
        return read(self.folder / "quality.jsonl")

    @cached_property
    def curve(self) -> list[Row]:
        return read(self.folder / "curve.jsonl")

    def seconds(self, method: str, way: str = "ours", **fields: object) -> str | None:
        """Of a picture of 512 px."""
        wanted = {"setting": "", "strength": None} | fields
        own = pick(self.speed, method=method, way=way, size=512)
        return _short(figure(own, "seconds", **wanted))

    def gigabytes(self, methods: Iterable[str], size: int) -> str | None:
        """The most that any of these methods holds."""
        peaks = [
            figure(self.memory, "peak_mb", method=method, way="ours", size=size)
            for method in methods
        ]
        known = [peak for peak in peaks if peak is not None]
        return _short(max(known) / 1000) if len(known) == len(peaks) else None

    def share(self, judge: str, method: str, strength: float | None = None) -> str | None:
        """How much of the photos' style_error is left, in percent."""
        seen = pick(self.quality, judge=judge)
        result = means(seen, pick(seen, method=method, strength=strength))
        return f"{100 * result.share:.1f}" if result else None

    def content(self, judge: str, method: str, strength: float | None = None) -> str | None:
        """content_error."""
        seen = pick(self.quality, judge=judge)
        result = means(seen, pick(seen, method=method, strength=strength))
        return f"{result.content_error:.2f}" if result else None


Texts = Sequence[str | None]


def methods(of: Measured) -> Texts:
    """The column of seconds in the table of methods."""
    return [of.seconds(method) for method in (*PAINTING, "gatys")]


def speed(of: Measured) -> Texts:
    """johnson at full and packaged width, ours and plain, then by OpenVINO; VGG-19's size."""
    widths = ("full width", "")
    return [
        *(of.seconds("johnson", way, setting=w) for w in widths for way in ("ours", "plain")),
        *(of.seconds("johnson", "openvino", setting=w) for w in widths),
        of.seconds("wct", "plain", encoder="vgg19", strength=1.0),
        of.seconds("adain", "plain", encoder="vgg19"),
    ]


def gatys(of: Measured) -> Texts:
    """Normal and draft quality; memory at 2048 px, and that of the fast methods."""
    return [
        of.seconds("gatys"),
        of.seconds("gatys", setting="draft"),
        of.gigabytes(["gatys"], 2048),
        of.gigabytes(PAINTING, 2048),
    ]


def wct(of: Measured) -> Texts:
    """At strength 1 and at its own, gatys, the paintings themselves, by the packaged encoder."""
    by = "compact"
    return [
        of.share(by, "wct", 1.0),
        of.share(by, "wct"),
        of.content(by, "wct", 1.0),
        of.content(by, "wct"),
        of.share(by, "gatys"),
        of.content(by, "gatys"),
        of.share(by, "style"),
    ]


def adain(of: Measured) -> Texts:
    """At its own strength, by the packaged encoder."""
    return [of.share("compact", "adain"), of.content("compact", "adain")]


def quality(of: Measured) -> str | None:
    """The table of all methods, by VGG-19."""
    lines, most = [], len({pair(row) for row in pick(of.quality, judge="teachers")})
    for method in ("johnson", "dumoulin", "ghiasi", "wct", "adain", "gatys"):
        own = pick(of.quality, judge="teachers", method=method, strength=None)
        share, content = of.share("teachers", method), of.content("teachers", method)
        if share is None or content is None:
            return None
        some = f" ({len(own)} pairs)" if method == "gatys" and len(own) < most else ""
        draft = ", draft" if method == "gatys" else ""
        lines.append((f"`{method}`{draft}{some}", f"{share} %", content))
    return _left(Table("", ("method", "`style_error` left", "content moved"), tuple(lines)))


def strengths(of: Measured) -> str | None:
    """The table over strength, by the packaged encoder."""
    chosen = [row for row in of.quality if row.method in ("wct", "adain", "gatys")]
    table = over_strength(pick(chosen, judge="compact"), "")
    return _left(Table("", ("", *table.header[1:]), table.rows)) if table.rows else None


def starts(of: Measured) -> str | None:
    """The table of what gatys starts from."""
    names, lines = {"content": "the photo", "adain": "adain", "wct": "wct"}, []
    for steps, label in STEPS.items():
        chosen = [pick(of.curve, way="ours", setting=name, steps=steps) for name in names]
        if not all(chosen) or len(set(map(len, chosen))) > 1:
            return None
        lines.append((label, *(two_errors(rows, 2) for rows in chosen)))
    header = ("steps (256 px + 512 px)", *(f"from {name}" for name in names.values()))
    return _left(Table("", header, tuple(lines)))


NUMBERS: Mapping[str, Callable[[Measured], Texts]] = {
    "methods": methods,
    "speed": speed,
    "gatys": gatys,
    "wct": wct,
    "adain": adain,
}
WHOLE: Mapping[str, Callable[[Measured], str | None]] = {
    "quality": quality,
    "strengths": strengths,
    "starts": starts,
}


def filled(text: str, of: Measured, missing: list[str]) -> str:
    """A page with its figures; names of marks that lack a result are added to ``missing``.

    Raises ValueError for a mark that nothing here knows, or whose numbers are not as many as they
    should be.
    """

    def replaced(match: re.Match[str]) -> str:
        before, name, old, after = match.groups()
        new, complete = _new(name, old, of)
        if not complete:
            missing.append(name)
        return f"{before}{new}{after}"

    return MARK.sub(replaced, text)


def _new(name: str, old: str, of: Measured) -> tuple[str, bool]:
    """What belongs between the marks, and whether all of it was measured."""
    if name in WHOLE:
        table = WHOLE[name](of)
        return table or old, table is not None
    if name not in NUMBERS:
        raise ValueError(f"figures.py knows nothing of {name!r}")
    values, found = NUMBERS[name](of), len(NUMBER.findall(old))
    if found != len(values):
        raise ValueError(f"{name!r} has {found} numbers, but there are {len(values)} figures")
    waiting = iter(values)
    return NUMBER.sub(lambda match: next(waiting) or match[0], old), None not in values


def _short(value: float | None) -> str | None:
    return None if value is None else number(value, 2)


def _left(table: Table) -> str:
    """Markdown with all columns to the left, as people write it."""
    return re.sub(r"\| -.*", "|" + "---|" * len(table.header), markdown(table), count=1)


def pages(root: Path) -> list[Path]:
    """Where figures may be quoted."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def drifted(root: Path, of: Measured, missing: list[str]) -> dict[Path, str]:
    """Pages whose figures are not what was measured, as they should be."""
    texts = {path: path.read_text(encoding="utf-8") for path in pages(root) if path.exists()}
    right = {path: filled(text, of, missing) for path, text in texts.items()}
    return {path: text for path, text in right.items() if text != texts[path]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args()
    missing: list[str] = []
    wrong = drifted(ROOT, Measured(RESULTS / QUOTED), missing)
    if missing:
        print(f"not measured yet, left as they are: {', '.join(dict.fromkeys(missing))}")
    for path, text in wrong.items():
        print(f"{path}: {'is not what was measured' if args.check else 'filled in'}")
        if not args.check:
            path.write_text(text, encoding="utf-8")
    sys.exit(bool(args.check and wrong))


if __name__ == "__main__":
    main()
