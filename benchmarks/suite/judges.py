"""Judges: networks that say how near a picture comes to a style, and how far it is from its photo.

``compact`` is the packaged encoder, which the methods themselves look through, so all can do this.
``teachers`` is exact VGG-19 to relu3_1 and a slim one beyond, which has seen more.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.losses import content_error, style_error
from impasto.moments import gram
from impasto.networks.encoders import TAPS, load_encoder
from impasto.runtime import runtime
from impasto.style import open_style
from impasto.training.perceptual import painting
from impasto.training.teachers import Eyes, Teachers

Grams = Mapping[str, Tensor]


class Judge:
    """Eyes, and what the styles look like to them."""

    def __init__(
        self, eyes: nn.Module, look: Callable[[str, int], Grams], precision: str = "fp32"
    ) -> None:
        self.machine = runtime(precision=precision)
        self.eyes, self.look = self.machine.place(eyes), cache(look)

    @torch.no_grad()
    def __call__(self, image: Tensor, photo: Tensor, style: str) -> dict[str, float]:
        """style_error (sum over five taps) and content_error (relu4_1).

        image, photo: (1, 3, H, W), of one size
        """
        with self.machine.autocast():
            features = self.eyes(self.machine.tensor(image), TAPS)
            own = self.eyes(self.machine.tensor(photo), ("relu4_1",))["relu4_1"]
        grams = {tap: gram(f).cpu() for tap, f in features.items()}
        wanted = self.look(style, max(image.shape[-2:]))
        return {
            "style_error": float(style_error(grams, wanted)),
            "content_error": float(content_error(features["relu4_1"], own)),
        }


def compact(precision: str = "auto") -> Judge:
    """The packaged encoder; by default as ``impasto stylize`` measures, in bfloat16 if it can."""

    def look(style: str, size: int) -> Grams:
        return {tap: m.second for tap, m in open_style(style).at(size).items()}

    return Judge(load_encoder("compact"), look, precision)


def teachers(data: Path) -> Judge:
    """The teachers, in float32; ``data`` holds ``teacher`` and the paintings in ``gallery``."""
    eyes = Eyes(Teachers(data / "teacher"))

    def look(style: str, size: int) -> Grams:
        image = painting(data / "gallery" / f"{style}.jpg", size)
        with torch.no_grad():
            seen = eyes(judge.machine.tensor(image), TAPS)
        return {tap: gram(f).cpu() for tap, f in seen.items()}

    judge = Judge(eyes, look)
    return judge


def judges(data: Path | None) -> dict[str, Judge]:
    """All judges that are there, by name."""
    return {"compact": compact()} | ({"teachers": teachers(data)} if data else {})
