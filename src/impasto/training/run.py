"""A training recipe from its TOML file to a weights file with its card."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from impasto.errors import unknown
from impasto.files import replacing, writing
from impasto.runtime import Runtime
from impasto.training import adain, distributed, dumoulin, encoder, ghiasi, johnson, row, wct
from impasto.training.job import Job, Trained
from impasto.training.loop import Progress

KINDS: Mapping[str, Callable[[Job], Trained]] = {
    "encoder": encoder.trained,
    "adain": adain.trained,
    "wct": wct.trained,
    "johnson": johnson.trained,
    "dumoulin": dumoulin.trained,
    "ghiasi": ghiasi.trained,
    "row": row.trained,
}


def train_recipe(
    settings: Mapping[str, Any],
    *,
    data: Path,
    teacher: Path,
    run: Path,
    output: Path | None,
    runtime: Runtime,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train what a recipe describes, or go on with it, and write the weights when it is done.

    settings: the content of the TOML file; run: folder of the checkpoint and the log; output:
    the weights file, by default in ``run``  ->  the weights file; its card lies beside it (.md)

    Raises UnknownName, BadInput, MissingWeights (teachers), TrainingFailed, BadOutput.
    """
    kind = str(settings.get("kind", "encoder"))
    if kind not in KINDS:
        raise unknown("kind of recipe", kind, KINDS)
    path = output or run / f"{run.name}.safetensors"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with distributed.joined(runtime.device):
        trained = KINDS[kind](Job(settings, data, teacher, run, runtime, on_progress))
    trained.save(path)
    with replacing(path.with_suffix(".md")) as file:
        file.write(trained.card.encode())
    return path
