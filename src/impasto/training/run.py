"""A training recipe from its TOML file to a weights file with its card."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from impasto import weights
from impasto.config import validate
from impasto.errors import unknown
from impasto.files import replacing, writing
from impasto.networks.encoders import Encoder
from impasto.runtime import Runtime
from impasto.training.encoder import EncoderRecipe, EncoderTask, finished
from impasto.training.judge import card, check_gallery, judge, r2
from impasto.training.loop import Progress, train

KINDS = ("encoder",)


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
    recipe = validate(EncoderRecipe, settings)
    path = output or run / weights.file_name("encoder", recipe.name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    check_gallery(data / "gallery")
    task = EncoderTask(recipe, data, teacher, runtime)
    student = train(task, recipe.schedule, run, runtime, on_progress)
    encoder = finished(student, task)
    metrics = {
        "r2": r2(student, task.teachers, data, runtime),
        **judge(encoder, task.teachers.slim, data / "gallery", runtime, run / "judged.png"),
    }
    header = _header(recipe, encoder, metrics)
    weights.write(path, {key: t.half() for key, t in encoder.state_dict().items()}, header)
    with replacing(path.with_suffix(".md")) as file:
        file.write(card(recipe, metrics, len(task.photos), len(task.paintings)).encode())
    return path


def _header(recipe: EncoderRecipe, encoder: Encoder, metrics: Mapping[str, Any]) -> weights.Header:
    shape = {"channels": list(encoder.shape.channels), "convs": list(encoder.shape.convs)}
    return weights.Header(
        kind="encoder",
        name=recipe.name,
        config=shape,
        recipe=recipe.model_dump_json(),
        license="MIT",
        source="trained by this recipe from random weights",
        metrics=metrics,
    )
