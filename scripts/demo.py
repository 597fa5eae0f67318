"""Repaint a sample photo in a few styles by every method: pictures, a contact sheet and a table."""

import json
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from skimage import data

from impasto.media.image import to_tensor, write
from impasto.pipeline import figures, paint, prepare
from impasto.recipe import Recipe

METHODS = ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")
STYLES = ("starry-night", "great-wave", "composition-vii", "the-scream", "grande-jatte")
COLUMNS = ("method", "style", "size", "seconds", "peak_mb", "style_error", "content_error")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    photo = to_tensor(data.chelsea())
    write(photo, folder / "photo.png")
    pictures, rows = [], []
    for method in METHODS:
        pictures.append(photo)
        for style in STYLES:
            job = prepare(Recipe(styles=(style,), method=method), photo)
            result = paint(job)
            path = folder / f"{style}.{method}.png"
            write(result.pixels, path, recipe=result.recipe.embedded())
            pictures.append(result.pixels)
            rows.append({"style": style, **figures(job, result)})
            print(f"{style} by {method}: {result.seconds:.2f} s", flush=True)
    write(contact_sheet(pictures, columns=1 + len(STYLES)), folder / "sheet.png")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print_table(rows)
    print(f"The pictures are in {folder}/; look at {folder}/sheet.png first.")


def contact_sheet(pictures: list[torch.Tensor], columns: int) -> torch.Tensor:
    """Pictures of one size side by side.  -> (1, 3, rows * H, columns * W)"""
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    return torch.cat([torch.cat(row, 3) for row in rows], 2)


def print_table(rows: list[dict[str, object]]) -> None:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*(str(row[column]) for column in COLUMNS))
    Console(width=100).print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
