"""The task of ``impasto train dumoulin --add``: the row of one more style, nothing else.

Dumoulin et al. 2016, arXiv:1610.07629, section 3.2: the network stays as it is, and only scales
and shifts learn the new painting. Differs: the row starts as the mean of the rows there are.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from impasto.config import validate
from impasto.feedforward import row_key
from impasto.media.image import read
from impasto.networks.painters import GALLERY, ManyStyles, load, many_styles
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.training.job import Job, Trained
from impasto.training.johnson import OneStyleRecipe, OneStyleTask, beginning
from impasto.training.loop import Schedule, train
from impasto.training.perceptual import PerceptualStage, measured, painted


class RowRecipe(OneStyleRecipe):
    """How the row of a style is learned."""

    kind: Literal["row"] = "row"

    @model_validator(mode="after")
    def _check_network(self) -> "RowRecipe":
        if given := {"width", "norm"} & self.model_fields_set:
            raise ValueError(f"{given.pop()} is that of the packaged network: leave it out")
        return self

    encoder: Literal["compact", "vgg16", "vgg19"] = "compact"
    """The network whose moments the style file keeps for the other methods."""
    stages: tuple[PerceptualStage, ...] = (PerceptualStage(until=400, size=160),)
    schedule: Schedule = Schedule(
        steps=400, lr=1e-2, warmup=10, cooldown=0.7, ema=0.97, log_every=20
    )


class Row(nn.Module):
    """A network that does not learn, and a row that does."""

    def __init__(self, painter: ManyStyles, row: Tensor) -> None:
        super().__init__()
        self.row = nn.Parameter(row.clone()[None])  # (1, row_size)
        self.network = painter.network.requires_grad_(False)
        self.register_load_state_dict_pre_hook(_check_network)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor) -> Tensor:
        """The picture in the style of the row.  (B, 3, H, W)  ->  the same"""
        return self.network(image, self.row.expand(len(image), -1))  # type: ignore[no-any-return]


def _check_network(row: nn.Module, state: Mapping[str, Tensor], *_: object) -> None:
    """A checkpoint would put its own network in the place of the one that the row is for."""
    for name, tensor in row.state_dict().items():
        if name.startswith("network.") and not torch.equal(state[name], tensor):
            raise RuntimeError("the row was begun for another network")


class RowTask(OneStyleTask):
    """The packaged network with a new row."""

    def __init__(self, recipe: RowRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        super().__init__(recipe, data, teacher, runtime)
        painter, self.header = load("dumoulin", GALLERY, many_styles)
        row = beginning(painter, self.header, recipe.name)
        self.module: Row = runtime.place(Row(painter, row))


def trained(job: Job) -> Trained:
    """Learn the row of a painting, and keep it in the painting's style file."""
    recipe = validate(RowRecipe, job.settings)
    task = RowTask(recipe, job.data, job.teacher, job.runtime)
    module = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    metrics = job.judged(
        lambda photo, _: painted(module, job.runtime, photo), [task.path], task.critics.last.eyes
    )
    style = Style.of(read(task.path).pixels, recipe.encoder, recipe.name)
    style = replace(style, learned={row_key(task.header): module.row.detach().cpu()})
    return Trained(style.save, card(recipe, metrics, len(task.photos)))


def card(recipe: RowRecipe, metrics: Mapping[str, float], photos: int) -> str:
    """What was learned, in Markdown."""
    return f"""# Style `{recipe.name}`

The moments of the painting for the encoder `{recipe.encoder}`, and its row for the packaged
network of many styles (method dumoulin), learned on {photos:,} photos.

4 photos. {measured(metrics)}
"""
