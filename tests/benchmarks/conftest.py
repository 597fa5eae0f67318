"""The benchmarks are scripts beside the package, and import one another by their names.

The rows here are made up, and say so by the name of their machine.
"""

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))

from rows import Machine, Row, keep_machine, write  # noqa: E402

MACHINE = Machine(
    name="made-up",
    processor="Abacus",
    cores=2,
    memory_gb=1,
    bf16=False,
    system="Wood",
    python="3",
    torch="2",
)


@pytest.fixture
def row() -> Callable[..., Row]:
    """A row with whatever is given."""

    def make(benchmark: str, method: str, figures: dict[str, float], **fields: Any) -> Row:
        common = {"machine": MACHINE.name, "date": date(2020, 1, 1), "version": "1"}
        return Row(benchmark=benchmark, method=method, figures=figures, **common | fields)

    return make


@pytest.fixture
def results(tmp_path: Path, row: Callable[..., Row]) -> Path:
    """A folder with some rows of every benchmark of one machine."""
    errors = {"style_error": 0.5, "content_error": 0.25}
    where = {"photo": "cat", "style": "udnie", "judge": "teachers"}
    series = {"seconds": (1, 2), "step": (25, 50), "style_error": (1, 0.5), "content_error": (0, 1)}
    spent = {"gflop": 20, "seconds": 0.08, "gflop_s": 250, "products": 0.6}
    spent |= {"memory": 0.3, "between": 0.1}
    made = {
        "speed": [
            row("speed", "johnson", {"seconds": 0.0444}, size=512),
            row("speed", "johnson", {"seconds": 0.2}, way="plain", size=512),
            row("speed", "wct", {"seconds": 0.1}, size=512, encoder="compact", strength=1),
            row("speed", "wct", {"seconds": 3}, way="plain", size=512, encoder="vgg19", strength=1),
        ],
        "films": [
            row("films", "johnson", {"frames_per_second": pace, "busy_percent": 95}, way=way)
            for way, pace in (("frames", 10), ("film", 8), ("steady", 5))
        ],
        "steadiness": [
            row(
                "steadiness",
                "wct",
                {"warping_error": w, "style_error": e},
                setting=s,
                style="a",
                photo=clip,
                judge="compact",
            )
            for s, w, e, clip in (
                ("stable 0", 0.01, 0.5, None),
                ("stable 0.3", 0.005, 0.6, None),
                ("grey", 0, 5, None),
                ("stable 0", 0.02, 0.7, "dog"),
            )
        ],
        "memory": [
            row("memory", "adain", {"peak_mb": 800}, way=way, size=size, encoder="compact")
            for way in ("ours", "plain")
            for size in (512, 2048)
        ],
        "quality": [
            row("quality", "photo", {"style_error": 4, "content_error": 0}, way="control", **where),
            row("quality", "adain", errors, **where),
            row("quality", "adain", errors, strength=0.5, **where),
        ],
        "training": [
            row("training", "johnson", {"seconds": s}, way=way, setting="half width", size=192)
            for way, s in (("ours", 0.1), ("plain", 0.3))
        ],
        "curve": [
            row(
                "curve", "gatys", errors | {"seconds": 2}, way=way, setting="content", steps=50
            ).model_copy(update={"series": series, "photo": "cat", "style": "udnie", "size": 512})
            for way in ("ours", "plain")
        ],
        "ceilings": [
            *(row("ceilings", "photo", {"gflop_s": 500}, way=way) for way in ("bf16", "fp32")),
            row("ceilings", "photo", {"gb_s": 30}, way="copy"),
            row("ceilings", "johnson", spent, size=512),
        ],
        "widths": [row("widths", "johnson", errors, setting="width 1, instance", steps=5)],
    }
    folder = tmp_path / "results"
    keep_machine(folder, MACHINE)
    for name, rows in made.items():
        write(folder / MACHINE.name / f"{name}.jsonl", rows)
    return folder
