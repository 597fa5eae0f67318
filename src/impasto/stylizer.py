"""The one interface of a method: encode a style once, repaint any number of pictures with it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from impasto.errors import BadInput
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style

Image = Tensor
"""A batch of pictures: (B, 3, H, W), float32, sRGB in [0, 1]."""

Code = Mapping[str, Tensor]
"""What a method needs to know of a style; blends by weighted mean, tensor by tensor."""


@dataclass(frozen=True)
class Can:
    """What a method is able to do; the command line and the tests read this."""

    blend: bool = True
    """Several styles at once."""
    steps: bool = False
    """Works in steps: previews, and an interruption keeps the best picture so far."""
    options: frozenset[str] = frozenset()
    """Fields of the Recipe that only some methods know, such as ``init``."""


@dataclass(frozen=True)
class Step:
    """One report of work in progress: step ``done`` of ``total``, the picture, the losses."""

    done: int
    total: int
    image: Image
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What a picture takes, whatever the machine."""

    megapixels: float
    """Pixels that go through the network in all passes, in millions."""
    peak_bytes: float
    """Memory that the work holds at its peak."""


OnStep = Callable[[Step], None]


class Stylizer(nn.Module, ABC):
    """A method of style transfer with its weights."""

    name: ClassVar[str]
    paper: ClassVar[str]
    can: ClassVar[Can] = Can()

    @classmethod
    @abstractmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Stylizer":
        """The method with the settings of a Recipe."""

    @abstractmethod
    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """What this method needs of ``style``; ``scale`` > 1 makes its strokes larger."""

    def stylize(
        self, content: Image, code: Code, strength: float = 0.5, on_step: OnStep | None = None
    ) -> Image:
        """The content in the style.  (B, 3, H, W), [0, 1]  ->  the same shape and range

        strength: 0 is the content itself, 1 lets the style take over.

        Raises BadInput for anything that is not such a tensor, or another strength.
        """
        if content.ndim != 4 or content.shape[1] != 3 or content.dtype != torch.float32:
            given = f"{tuple(content.shape)}, {content.dtype}"
            raise BadInput(f"A picture is a float32 tensor (B, 3, H, W) in [0, 1], not {given}.")
        if not 0 <= strength <= 1:
            raise BadInput(f"Strength is {strength}; it goes from 0 (the photo) to 1 (the style).")
        if strength == 0:
            return content.clone()
        return self.paint(content, code, strength, on_step or _ignore)

    @abstractmethod
    def paint(self, content: Image, code: Code, strength: float, on_step: OnStep) -> Image:
        """What ``stylize`` does, once it is clear that there is something to do."""

    @abstractmethod
    def cost(self, height: int, width: int) -> Cost:
        """What a picture of that size will take."""

    @abstractmethod
    def rehearse(self, image: Image) -> float:
        """Seconds that one pass over a small picture takes on this machine."""


def _ignore(step: Step) -> None:
    """What is told of a step when nobody listens."""


def blend(codes: Sequence[Code], weights: Sequence[float]) -> Code:
    """Weighted mean of codes, tensor by tensor; weights need not sum to 1 and may be negative.

    Raises BadInput when the weights sum to zero or do not fit the codes.
    """
    if len(codes) != len(weights):
        raise BadInput(f"{len(codes)} styles but {len(weights)} weights: give one for each.")
    total = sum(weights)
    if abs(total) < 1e-8:
        raise BadInput("The weights of the styles sum to zero: raise one of them.")
    shares = [weight / total for weight in weights]
    return {
        name: torch.stack([code[name] * w for code, w in zip(codes, shares, strict=True)]).sum(0)
        for name in codes[0]
    }
