"""Quality of all methods as the teachers see it: 6 photos, all styles that a method has learned.

    python benchmarks/trained.py --data DIR [--methods johnson,dumoulin,...]

Every method paints at its own strength at 512 px (gatys in draft quality, twelve pairs only).
Measured by exact VGG-19 to relu3_1 and the slim one beyond: style_error (sum over five taps),
content_error (relu4_1); and counted: blobs on flat parts, energy near Nyquist's frequency
and in the border, as multiples of the photo's. Finished rows are kept in
benchmarks/results/trained.jsonl and not done again; delete it to begin anew. DIR holds gallery and
teacher.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from quality import PHOTOS, SIZE, key, photo
from rich.console import Console
from rich.table import Table
from torch import Tensor

from impasto import weights
from impasto.evaluate.artefacts import blobs, border, checkerboard
from impasto.losses import content_error, style_error
from impasto.moments import gram
from impasto.networks.encoders import TAPS
from impasto.pipeline import paint, prepare
from impasto.recipe import Recipe
from impasto.runtime import Runtime, runtime
from impasto.style import gallery
from impasto.training.perceptual import painting
from impasto.training.teachers import Eyes, Teachers

METHODS = ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")
CURVE = (0.1, 0.2, 0.3, 0.4)
"""Strengths at which gatys's content_error is read off at another method's style_error."""
CURVE_PHOTOS = ("astronaut", "coffee", "rocket")
CURVE_STYLES = ("starry-night", "great-wave", "composition-vii", "udnie")
RESULTS = Path("benchmarks/results/trained.jsonl")

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", default=",".join(METHODS))
    args = parser.parse_args()
    methods = args.methods.split(",")
    rows = measured(methods, args.data)
    print_table(rows, methods)


class Judge:
    """The teachers, and what they remember of the paintings."""

    def __init__(self, data: Path, machine: Runtime) -> None:
        self.eyes = machine.place(Eyes(Teachers(data / "teacher")))
        self.gallery, self.machine = data / "gallery", machine
        self.looks: dict[str, dict[str, Tensor]] = {}

    @torch.no_grad()
    def grams(self, image: Tensor) -> dict[str, Tensor]:
        return {t: gram(f) for t, f in self.eyes(self.machine.tensor(image), TAPS).items()}

    @torch.no_grad()
    def errors(self, image: Tensor, own: Tensor, style: str) -> tuple[float, float]:
        if style not in self.looks:
            self.looks[style] = self.grams(painting(self.gallery / f"{style}.jpg", SIZE))
        deep = [self.eyes(self.machine.tensor(x), ("relu4_1",))["relu4_1"] for x in (image, own)]
        return (
            float(style_error(self.grams(image), self.looks[style])),
            float(content_error(*deep)),
        )


def cells(methods: list[str]) -> Iterator[tuple[str, str, str, float | None]]:
    """Method, style, photo, strength (None: the method's own)."""
    for style in gallery():
        for name in PHOTOS:
            yield "photo", style, name, None
            for method in methods:
                if method != "gatys" and (style in weights.names("johnson") or method != "johnson"):
                    yield method, style, name, None
    if "gatys" in methods:
        for style in CURVE_STYLES:
            for name in CURVE_PHOTOS:
                for strength in (None, *CURVE):
                    yield "gatys", style, name, strength


def measured(methods: list[str], data: Path) -> list[Row]:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = {key(row): row for row in map(json.loads, lines)}
    judge = Judge(data, runtime())
    for cell in cells(methods):
        if cell not in rows:
            rows[cell] = measured_cell(judge, *cell)
            with RESULTS.open("a") as file:
                file.write(json.dumps(rows[cell]) + "\n")
    return list(rows.values())


def measured_cell(judge: Judge, method: str, style: str, name: str, strength: float | None) -> Row:
    own = photo(name)
    pixels = own
    if method != "photo":
        extra = {"quality": "draft"} if method == "gatys" else {}
        recipe = Recipe(method=method, styles=(style,), size=SIZE, strength=strength, **extra)
        pixels = paint(prepare(recipe, own)).pixels
    style_error, content_error = judge.errors(pixels, own, style)
    return {
        "method": method,
        "style": style,
        "photo": name,
        "strength": strength,
        "style_error": round(style_error, 5),
        "content_error": round(content_error, 5),
        "blobs": blobs(pixels, own),
        "nyquist": round(checkerboard(pixels) / checkerboard(own), 3),
        "border": round(border(pixels) / border(own), 3),
    }


def print_table(rows: list[Row], methods: list[str]) -> None:
    """Means over the pairs of each method; share: of the photo's own style_error."""
    table = Table(
        "method", "pairs", "share", "median", "content", "gatys", "blobs", "nyquist", "border"
    )
    bare = {(r["style"], r["photo"]): r["style_error"] for r in rows if r["method"] == "photo"}
    for method in ("photo", *methods):
        own = [r for r in rows if r["method"] == method and r["strength"] is None]
        if not own:
            continue
        photos = [bare[r["style"], r["photo"]] for r in own]
        shares = [r["style_error"] / p for r, p in zip(own, photos, strict=True)]
        table.add_row(
            method,
            str(len(own)),
            f"{100 * sum(r['style_error'] for r in own) / sum(photos):.1f} %",
            f"{100 * median(shares):.1f} %",
            f"{mean(r['content_error'] for r in own):.2f}",
            content_of_gatys(rows, own),
            f"{mean(r['blobs'] for r in own):.2f}",
            f"{median(r['nyquist'] for r in own):.2f}",
            f"{median(r['border'] for r in own):.2f}",
        )
    Console(width=100).print(table)


def content_of_gatys(rows: list[Row], own: list[Row]) -> str:
    """Content_error of a method on the pairs of the curve, and gatys's at the same style_error."""
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for r in rows:
        if r["method"] == "gatys" and r["photo"] in CURVE_PHOTOS and r["style"] in CURVE_STYLES:
            pair = curves.setdefault((r["style"], r["photo"]), [])
            pair.append((r["style_error"], r["content_error"]))
    both = [
        (r["content_error"], read_off(sorted(curves[r["style"], r["photo"]]), r["style_error"]))
        for r in own
        if len(curves.get((r["style"], r["photo"]), ())) > 1
    ]
    return f"{mean(b[0] for b in both):.2f} : {mean(b[1] for b in both):.2f}" if both else ""


def read_off(curve: list[tuple[float, float]], x: float) -> float:
    """The curve at x, straight between its points; at the ends the last point."""
    if x <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / max(x1 - x0, 1e-9)
    return curve[-1][1]


if __name__ == "__main__":
    main()
