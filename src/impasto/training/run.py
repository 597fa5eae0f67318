"""A training recipe from its TOML file to a weights file with its card."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto import weights
from impasto.errors import unknown
from impasto.files import replacing, writing
from impasto.media.image import read, scaled, write
from impasto.networks.painters import GALLERY
from impasto.runtime import Runtime
from impasto.style import SUFFIX, Style, check_name
from impasto.training import adain, distributed, dumoulin, encoder, ghiasi, johnson, row, wct
from impasto.training.job import SHEET, Job, Trained
from impasto.training.johnson import JohnsonRecipe
from impasto.training.loop import Progress
from impasto.training.row import RowRecipe

KINDS: Mapping[str, Callable[[Job], Trained]] = {
    "encoder": encoder.trained,
    "adain": adain.trained,
    "wct": wct.trained,
    "johnson": johnson.trained,
    "dumoulin": dumoulin.trained,
    "ghiasi": ghiasi.trained,
    "row": row.trained,
}

SHEET_SIDE = 960
"""Long side of the picture that goes with a card, pixels."""


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
    suffix = SUFFIX if kind == "row" else ".safetensors"
    path = output or run / f"{run.name}{suffix}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with distributed.joined(runtime.device):
        trained = KINDS[kind](Job(settings, data, teacher, run, runtime, on_progress))
    trained.save(path)
    card, sheet = trained.card, path.with_suffix(".jpg")
    if (run / SHEET).is_file():
        whole = read(run / SHEET).pixels
        write(scaled(whole, min(SHEET_SIDE, max(whole.shape[-2:]))), sheet, quality=80)
        card += f"\n![What it paints]({sheet.name})\n"
    with replacing(path.with_suffix(".md")) as file:
        file.write(card.encode())
    return path


def learn_style(
    method: str,
    picture: Path,
    *,
    data: Path,
    teacher: Path,
    run: Path | None,
    output: Path | None,
    steps: int | None,
    runtime: Runtime,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Learn the style of a picture without a recipe, so that ``-s NAME`` knows it afterwards.

    johnson gets a network of its own, dumoulin a row; both also get the style file that every
    other method takes. output: by default in the user's folder of weights, or of styles.

    Raises what ``train_recipe`` raises, BadPicture, BadInput for a name that is taken.
    """
    name, content = picture.stem, read(picture).pixels
    styles = weights.user_folder().parent / "styles"
    style_file = styles / f"{name}{SUFFIX}"
    check_name(name, style_file)
    network = weights.user_folder() / weights.file_name("johnson", name)
    path = train_recipe(
        _settings(method, picture, steps),
        data=data,
        teacher=teacher,
        run=run or weights.cache_folder() / "runs" / f"{method}-{name}-{_key(method, content)}",
        output=output or (style_file if method == "dumoulin" else network),
        runtime=runtime,
        on_progress=on_progress,
    )
    if path == network:
        _keep(Style.of(content, "compact", name), style_file)
    return path


def _settings(method: str, picture: Path, steps: int | None) -> dict[str, Any]:
    """What a recipe would say."""
    kind, recipe = ("row", RowRecipe) if method == "dumoulin" else ("johnson", JohnsonRecipe)
    settings: dict[str, Any] = {"kind": kind, "painting": str(picture.absolute())}
    if steps:
        schedule = recipe.model_fields["schedule"].default.model_dump()
        settings["schedule"] = {**schedule, "steps": steps}
    return settings


def _key(method: str, content: Tensor) -> str:
    """Of the picture, not of its name: another one must not go on where this one was.

    Nor may a row that was begun for a network that has been trained anew since.
    """
    known = ""
    if method == "dumoulin":
        known = weights.read_header(weights.find("dumoulin", GALLERY)).sha256
    return hashlib.sha256(content.numpy().tobytes() + known.encode()).hexdigest()[:8]


def _keep(style: Style, path: Path) -> None:
    """Put the style into its file, unless that is of the same picture and may have rows."""
    new = style.moments[min(style.moments)]
    if path.exists():
        old = Style.load(path).moments[min(style.moments)]
        if all(torch.allclose(old[tap].mean, m.mean, 1e-2, 1e-3) for tap, m in new.items()):
            return
    style.save(path)
