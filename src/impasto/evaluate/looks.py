"""What a style looks like: the painting, or a texture where there are only its statistics."""

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import MissingWeights, UnknownName
from impasto.media import image as media
from impasto.methods.wct import texture
from impasto.networks.encoders import Encoder
from impasto.runtime import runtime
from impasto.sources import read_style
from impasto.style import Style

SIDE = 256


@dataclass(frozen=True)
class Look:
    """A picture of a style, where there can be one, and a line of text."""

    pixels: Tensor | None
    text: str


def look(source: str, encoder: Encoder) -> Look:
    """The picture of a style, or a texture made of its statistics.

    Raises what reading the style raises.
    """
    style = read_style(source)
    if not isinstance(style, Style):
        return Look(media.scaled(style.pixels, min(512, max(style.pixels.shape[-2:]))), "")
    facts = [style.about[key] for key in ("artist", "title") if style.about.get(key)]
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            pixels = texture(encoder, runtime(), style, SIDE).float().cpu()
    except (MissingWeights, UnknownName):
        return Look(None, ", ".join(facts))
    return Look(pixels, ", ".join([*facts, "as a texture made of its statistics"]))
