"""What width and what normalisation the network of johnson needs: the same short training for each.

    python benchmarks/widths.py --data DIR [--steps 500] [--style starry-night]

From random weights, crops of 160 px, losses through the teachers. Errors are those of the card (4
photos at 512 px); blobs are counted on 6 photos. Finished rows are kept in
benchmarks/results/widths.jsonl and not done again; runs lie in runs/widths.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from quality import PHOTOS, photo
from rich.console import Console
from rich.table import Table

from impasto import weights
from impasto.evaluate.artefacts import blobs, checkerboard
from impasto.networks.painters import one_style
from impasto.runtime import runtime
from impasto.training.perceptual import painted
from impasto.training.run import train_recipe

KINDS = ((0.25, "instance"), (0.5, "instance"), (1.0, "instance"), (0.5, "frn"), (0.5, "batch"))
RESULTS = Path("benchmarks/results/widths.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--style", default="starry-night")
    args = parser.parse_args()
    rows = (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )
    for width, norm in KINDS:
        if not any((row["width"], row["norm"]) == (width, norm) for row in rows):
            rows.append(measured(width, norm, args.data, args.steps, args.style))
            with RESULTS.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print_table(rows)


def measured(width: float, norm: str, data: Path, steps: int, style: str) -> dict[str, Any]:
    settings = {
        "kind": "johnson",
        "painting": f"gallery/{style}.jpg",
        "start": False,
        "width": width,
        "norm": norm,
        "stages": [{"until": steps, "size": 160}],
        "schedule": {"steps": steps, "lr": 3e-3, "warmup": 50, "cooldown": 0.5, "ema": 0.99},
    }
    path = train_recipe(
        settings,
        data=data,
        teacher=data / "teacher",
        run=Path(f"runs/widths/{width:g}-{norm}"),
        output=None,
        runtime=runtime(),
        on_progress=lambda p: print(width, norm, p.step, f"{sum(p.losses.values()):.2f}"),
    )
    tensors, header = weights.read(path)
    network = one_style(header)
    network.load_state_dict({key: t.float() for key, t in tensors.items()})
    network.eval()
    pairs = [(photo(name), painted(network, runtime(), photo(name))) for name in PHOTOS]
    errors = {key: header.metrics[f"painted/{key}"] for key in ("style_error", "content_error")}
    return {
        "width": width,
        "norm": norm,
        "steps": steps,
        **errors,
        "photo": header.metrics["photo/style_error"],
        "blobs": sum(blobs(after, before) for before, after in pairs),
        "nyquist": round(
            sum(checkerboard(after) / checkerboard(before) for before, after in pairs) / len(pairs),
            2,
        ),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    table = Table("width", "norm", "style_error", "content_error", "blobs", "nyquist")
    for row in rows:
        cells = (row[key] for key in ("width", "norm", "style_error", "content_error", "blobs"))
        table.add_row(*map(str, cells), str(row["nyquist"]))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
