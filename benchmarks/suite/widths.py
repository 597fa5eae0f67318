"""Widths: what width and what normalisation the network of johnson needs, by equal short trainings.

From random weights, crops of 160 px, losses through the teachers, which ``--data`` brings. Errors
are those of the card (4 photos at 512 px); blobs are counted on 6 photos. A training that was
stopped goes on; its folder is ``runs/widths/`` beside ``benchmarks``.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path

from rows import ROOT, Cell, Options, Results
from suite.pictures import PHOTOS, photo

from impasto import weights
from impasto.evaluate.artefacts import blobs, checkerboard
from impasto.networks.painters import one_style
from impasto.runtime import runtime
from impasto.training.perceptual import painted
from impasto.training.run import train_recipe

KINDS = ((0.25, "instance"), (0.5, "instance"), (1.0, "instance"), (0.5, "frn"), (0.5, "batch"))
STEPS = 500
STYLE = "starry-night"


def run(results: Results, options: Options) -> None:
    """Train and measure what is missing."""
    assert options.data
    data, runs = options.data, ROOT / "runs" / "widths"
    if options.quick:
        runs = Path(tempfile.mkdtemp(prefix="impasto-widths-"))
    for kind in KINDS[:1] if options.quick else KINDS:
        folder = runs / f"{kind[0]:g}-{kind[1]}"
        if results.again:
            shutil.rmtree(folder, ignore_errors=True)
        work = partial(measured, kind=kind, data=data, folder=folder)
        results.measure([cell(kind, 4 if options.quick else STEPS)], work)


def cell(kind: tuple[float, str], steps: int) -> Cell:
    """One short training."""
    return Cell(
        benchmark="widths",
        method="johnson",
        setting=f"width {kind[0]:g}, {kind[1]}",
        size=512,
        judge="teachers",
        style=STYLE,
        steps=steps,
    )


def measured(cell: Cell, kind: tuple[float, str], data: Path, folder: Path) -> dict[str, float]:
    """Train, and look at what comes out."""
    steps = cell.steps or STEPS
    settings = {
        "kind": "johnson",
        "painting": f"gallery/{STYLE}.jpg",
        "start": False,
        "width": kind[0],
        "norm": kind[1],
        "stages": [{"until": steps, "size": 160}],
        "schedule": {
            "steps": steps,
            "lr": 3e-3,
            "warmup": min(50, steps // 2),
            "cooldown": 0.5,
            "ema": 0.99,
        },
    }
    path = train_recipe(
        settings,
        data=data,
        teacher=data / "teacher",
        run=folder,
        output=None,
        runtime=runtime(),
        on_progress=lambda p: print(*kind, p.step, f"{sum(p.losses.values()):.2f}", flush=True),
    )
    tensors, header = weights.read(path)
    network = one_style(header)
    network.load_state_dict({key: t.float() for key, t in tensors.items()})
    network.eval()
    own = [photo(name) for name in PHOTOS]
    pairs = [(image, painted(network, runtime(), image)) for image in own]
    energy = [checkerboard(after) / checkerboard(before) for before, after in pairs]
    return {
        "style_error": header.metrics["painted/style_error"],
        "content_error": header.metrics["painted/content_error"],
        "photo_style_error": header.metrics["photo/style_error"],
        "blobs": sum(blobs(after, before) for before, after in pairs),
        "nyquist": sum(energy) / len(energy),
    }
