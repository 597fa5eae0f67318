"""A training recipe from its TOML file to a weights file with its card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from impasto import weights
from impasto.config import validate
from impasto.errors import unknown
from impasto.files import replacing, writing
from impasto.methods.adain import FINISH, TAP, Adain
from impasto.runtime import Runtime
from impasto.training import adain, encoder, judge, wct
from impasto.training.loop import Progress, train


@dataclass(frozen=True)
class Job:
    """What a recipe is trained with."""

    settings: Mapping[str, Any]
    data: Path
    teacher: Path
    run: Path
    runtime: Runtime
    on_progress: Callable[[Progress], None]


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the network, what its header says, and its card."""

    module: nn.Module
    header: weights.Header
    card: str


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
    trained = KINDS[kind](Job(settings, data, teacher, run, runtime, on_progress))
    tensors = {key: t.half().cpu() for key, t in trained.module.state_dict().items()}
    weights.write(path, tensors, trained.header)
    with replacing(path.with_suffix(".md")) as file:
        file.write(trained.card.encode())
    return path


def _encoder(job: Job) -> Trained:
    recipe = validate(encoder.EncoderRecipe, job.settings)
    judge.check_gallery(job.data / "gallery")
    task = encoder.EncoderTask(recipe, job.data, job.teacher, job.runtime)
    student = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    network = encoder.finished(student, task)
    sheet = job.run / "judged.png"
    metrics = {
        "r2": judge.r2(student, task.teachers, job.data, job.runtime),
        **judge.judge(network, task.teachers.slim, job.data / "gallery", job.runtime, sheet),
    }
    shape = {"channels": list(network.shape.channels), "convs": list(network.shape.convs)}
    header = _header("encoder", recipe.name, shape, recipe.model_dump_json(), metrics)
    card = judge.card(recipe, metrics, len(task.photos), len(task.paintings))
    return Trained(network, header, card)


def _wct(job: Job) -> Trained:
    recipe = validate(wct.WctRecipe, job.settings)
    task = wct.WctTask(recipe, job.data, job.runtime)
    decoders = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    sheet = job.run / "rebuilt.png"
    metrics = {"psnr": wct.reconstruction(decoders, task.encoder, job.data, job.runtime, sheet)}
    config = {"encoder": recipe.encoder, "width": recipe.width}
    header = _header("wct", recipe.encoder, config, recipe.model_dump_json(), metrics)
    return Trained(decoders, header, wct.card(recipe, metrics, len(task.paths)))


def _adain(job: Job) -> Trained:
    recipe = validate(adain.AdainRecipe, job.settings)
    judge.check_gallery(job.data / "gallery")
    task = adain.AdainTask(recipe, job.data, job.teacher, job.runtime)
    decoder = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    decoders = nn.ModuleDict({TAP: decoder, FINISH: task.finish})
    method = Adain(task.encoder, decoders, job.runtime)
    sheet = job.run / "judged.png"
    gallery = job.data / "gallery"
    metrics = judge.judge_method(method, task.encoder, gallery, job.runtime, sheet)
    config = {"encoder": recipe.encoder, "width": recipe.width}
    header = _header("adain", recipe.encoder, config, recipe.model_dump_json(), metrics)
    card = adain.card(recipe, metrics, len(task.photos), len(task.paintings))
    return Trained(decoders, header, card)


def _header(
    kind: str, name: str, config: Mapping[str, Any], recipe: str, metrics: Mapping[str, Any]
) -> weights.Header:
    source = "trained by this recipe from random weights"
    return weights.Header(kind, name, config, recipe, "MIT", source, metrics)


KINDS: Mapping[str, Callable[[Job], Trained]] = {"encoder": _encoder, "adain": _adain, "wct": _wct}
