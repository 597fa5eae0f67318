"""What all kinds of recipes share between the training itself and the file it leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import nn

from impasto import weights
from impasto.media.image import read
from impasto.networks.encoders import Encoder
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import Stylizer
from impasto.training import judge
from impasto.training.loop import Progress

SHEET = "judged.png"
"""What a network paints, in the folder of its run; goes with its card."""


@dataclass(frozen=True)
class Job:
    """What a recipe is trained with."""

    settings: Mapping[str, Any]
    data: Path
    teacher: Path
    run: Path
    runtime: Runtime
    on_progress: Callable[[Progress], None]

    def judged(
        self, paint: judge.Paint, paintings: Sequence[Path], eyes: judge.Eyes
    ) -> dict[str, float]:
        """``judge.judge_painter``, its sheet beside the checkpoint."""
        return judge.judge_painter(paint, paintings, eyes, self.runtime, self.run / SHEET)


@dataclass(frozen=True)
class Trained:
    """What a training leaves: how it is written to a file, and its card."""

    save: Callable[[Path], None]
    card: str


def written(
    module: nn.Module,
    recipe: BaseModel,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    card: str,
    start: str = "random weights",
) -> Trained:
    """A network in half precision, with all that is known of it in the header of its file."""
    source = f"trained by this recipe from {start}"
    text = recipe.model_dump_json()
    header = weights.Header(kind, name, config, text, "MIT", source, metrics)
    tensors = {k: t.half() if t.is_floating_point() else t for k, t in module.state_dict().items()}
    return Trained(lambda path: weights.write(path, tensors, header), card)


def any_style(method: Stylizer, encoder: Encoder, paintings: Sequence[Path]) -> judge.Paint:
    """How a method paints photos in the styles of paintings."""
    codes = [method.encode(Style.of(read(path).pixels, encoder)) for path in paintings]
    return lambda photo, number: method.stylize(photo, codes[number])
