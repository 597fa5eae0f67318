"""Quality of the methods that take any style: 6 photos in all named styles, beside two controls.

    python benchmarks/quality.py [--methods adain,wct,gatys] [--paintings DIR]

Every method paints every pair at its own strength and at strength 1 (gatys in draft quality, at its
own strength only), and twelve of the pairs over strength. Measured by the encoder that painted, at
512 px: style_error (sum over five taps) and content_error (relu4_1). Controls: the photo itself,
and the painting itself, if --paintings is a folder with STYLE.jpg of each. Finished rows are kept
in benchmarks/results/quality.jsonl and not done again; delete it to begin anew.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

from rich.console import Console
from rich.table import Table
from skimage import data
from torch import Tensor

from impasto.media.image import read, resize, scaled, to_tensor
from impasto.pipeline import Job, measure, paint, prepare
from impasto.recipe import Recipe
from impasto.style import gallery

SIZE = 512
PHOTOS: Mapping[str, Callable[[], Any]] = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
    "camera": data.camera,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}
CURVE = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
CURVE_PHOTOS = ("astronaut", "coffee", "rocket")
CURVE_STYLES = ("starry-night", "great-wave", "composition-vii", "udnie")
RESULTS = Path("benchmarks/results/quality.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="adain,wct,gatys")
    parser.add_argument("--paintings", type=Path)
    args = parser.parse_args()
    methods = args.methods.split(",") if args.methods else []
    rows = measured(methods, args.paintings)
    print_table(rows, methods)
    print_curves(rows, methods)


def photo(name: str) -> Tensor:
    picture = to_tensor(PHOTOS[name]())
    return scaled(picture, SIZE)


def cells(methods: list[str], with_style: bool) -> Iterator[tuple[str, str, str, float | None]]:
    """Method, style, photo, strength (None: the method's own)."""
    for style in gallery():
        for name in PHOTOS:
            yield "photo", style, name, None
            if with_style:
                yield "style", style, name, None
            for method in methods:
                yield method, style, name, None
                if method != "gatys":
                    yield method, style, name, 1.0
    for style in CURVE_STYLES:
        for name in CURVE_PHOTOS:
            for method in methods:
                for strength in CURVE:
                    yield method, style, name, strength


def measured(methods: list[str], paintings: Path | None) -> list[dict[str, Any]]:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = {key(row): row for row in map(json.loads, lines)}
    for cell in dict.fromkeys(cells(methods, paintings is not None)):
        if cell not in rows:
            rows[cell] = measured_cell(paintings, *cell)
            with RESULTS.open("a") as file:
                file.write(json.dumps(rows[cell]) + "\n")
    return list(rows.values())


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("method", "style", "photo", "strength"))


def measured_cell(
    paintings: Path | None, method: str, style: str, name: str, strength: float | None
) -> dict[str, Any]:
    job, seconds = prepared(method, style, name, strength), 0.0
    if method == "photo":
        pixels = job.photo
    elif method == "style":
        assert paintings is not None
        pixels = read(paintings / f"{style}.jpg").pixels
        pixels = resize(pixels, (job.photo.shape[-2], job.photo.shape[-1]))
    else:
        result = paint(job)
        pixels, seconds = result.pixels, result.seconds
    style_error, content_error = measure(job, pixels)
    return {
        "method": method,
        "style": style,
        "photo": name,
        "strength": strength,
        "style_error": round(style_error, 5),
        "content_error": round(content_error, 5),
        "seconds": round(seconds, 3),
    }


def prepared(method: str, style: str, name: str, strength: float | None) -> Job:
    real = method if method not in ("photo", "style") else "gatys"
    extra = {"quality": "draft"} if real == "gatys" else {}
    recipe = Recipe(method=real, styles=(style,), size=SIZE, strength=strength, **extra)
    return prepare(recipe, photo(name))


def select(rows: list[dict[str, Any]], method: str, strength: float | None) -> list[dict[str, Any]]:
    return [row for row in rows if row["method"] == method and row["strength"] == strength]


def print_table(rows: list[dict[str, Any]], methods: list[str]) -> None:
    """Means over all pairs; share: of the photo's own style_error, pair by pair and in all."""
    table = Table("method", "strength", "pairs", "style_error", "share", "median share", "content")
    bare = {(r["style"], r["photo"]): r["style_error"] for r in select(rows, "photo", None)}
    for method, strength in [
        ("photo", None),
        ("style", None),
        *((m, s) for m in methods for s in (None, 1.0)),
    ]:
        chosen = [r for r in select(rows, method, strength) if (r["style"], r["photo"]) in bare]
        if not chosen:
            continue
        own = [bare[row["style"], row["photo"]] for row in chosen]
        errors = [row["style_error"] for row in chosen]
        shares = [error / photo for error, photo in zip(errors, own, strict=True)]
        table.add_row(
            method,
            "own" if strength is None else f"{strength:g}",
            str(len(chosen)),
            f"{mean(errors):.3f}",
            f"{sum(errors) / sum(own):.3f}",
            f"{median(shares):.3f}",
            f"{mean(row['content_error'] for row in chosen):.3f}",
        )
    Console(width=100).print(table)


def print_curves(rows: list[dict[str, Any]], methods: list[str]) -> None:
    table = Table("method", *(f"{strength:g}" for strength in CURVE))
    pairs = {(style, name) for style in CURVE_STYLES for name in CURVE_PHOTOS}
    for method in methods:
        texts = []
        for strength in CURVE:
            own = [
                row
                for row in select(rows, method, strength)
                if (row["style"], row["photo"]) in pairs
            ]
            if not own:
                continue
            style, content = (mean(r[k] for r in own) for k in ("style_error", "content_error"))
            texts.append(f"{style:.3f} / {content:.3f}")
        table.add_row(method, *texts)
    Console(width=120).print("style_error / content_error over strength", table)


if __name__ == "__main__":
    main()
