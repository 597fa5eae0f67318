"""A training recipe from its TOML file to a weights file with its card."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from impasto import weights
from impasto.config import validate
from impasto.errors import unknown
from impasto.runtime import Runtime
from impasto.training.encoder import EncoderRecipe, EncoderTask, finished
from impasto.training.judge import card, judge, r2
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
    task = EncoderTask(recipe, data, teacher, runtime)
    student = train(task, recipe.schedule, run, runtime, on_progress)
    encoder = finished(student, task)
    metrics = {
        "r2": r2(student, task.teachers, data, runtime),
        **judge(encoder, task.teachers.slim, data / "gallery", runtime, run / "judged.png"),
    }
    path = output or run / weights.file_name("encoder", recipe.name)
    shape = {"channels": list(encoder.shape.channels), "convs": list(encoder.shape.convs)}
    header = weights.Header(
        kind="encoder",
        name=recipe.name,
        config=shape,
        recipe=recipe.model_dump_json(),
        license="MIT",
        source="trained by this recipe from random weights",
        metrics=metrics,
    )
    weights.write(path, {key: t.half() for key, t in encoder.state_dict().items()}, header)
    path.with_suffix(".md").write_text(
        card(recipe, metrics, len(task.photos), len(task.paintings)), encoding="utf-8"
    )
    return path
