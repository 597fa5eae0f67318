"""What is written into a file: each method as one module, from tensors to a picture.

content: (B, 3, H, W), [0, 1]; strength: (); the style's tensors  ->  (B, 3, H, W), [0, 1]
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from impasto import methods
from impasto.codes import Code
from impasto.errors import BadInput, unknown
from impasto.export.layers import prepared
from impasto.export.statistics import at_canvas, by_size, colored, moments, moved, part
from impasto.media.color import to_linear, to_srgb
from impasto.methods.adain import FINISH, TAP, Adain
from impasto.methods.dumoulin import Dumoulin
from impasto.methods.ghiasi import Ghiasi
from impasto.methods.johnson import Johnson
from impasto.methods.wct import Wct
from impasto.networks.encoders import TAPS
from impasto.networks.painters import load, one_style
from impasto.stylizer import Stylizer


class Graph(nn.Module, ABC):
    """A method with its networks; ``mixed`` is off where strength is known to be 1."""

    smallest: ClassVar[int]
    """Least side of a picture, pixels: reflection takes room at the deepest layer."""
    branches: ClassVar[bool] = True
    """Whether strength 1 is worth a path of its own: it saves the second pass."""

    def __init__(self, half: bool) -> None:
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        self.mixed = True

    @abstractmethod
    def tensors(self, code: Code) -> dict[str, Tensor]:
        """A code of the method as the inputs of the file, in order."""

    @abstractmethod
    def paint(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """The picture, not yet clamped; code: as ``tensors`` has it."""

    def forward(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """content: (B, 3, H, W), [0, 1]; strength: ()  ->  (B, 3, H, W), [0, 1]"""
        return self.paint(content, strength, code).clamp(0, 1)


class OneStyle(Graph):
    """Johnson: the network knows its style; strength mixes in linear light."""

    smallest = 17
    branches = False

    def __init__(self, method: Johnson, half: bool, style: str) -> None:
        super().__init__(half)
        self.network = prepared(load(method.name, style, one_style)[0], half)

    def tensors(self, code: Code) -> dict[str, Tensor]:
        """None."""
        return {}

    def paint(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """Once through the network."""
        painted = self.network(content.to(self.dtype))
        return to_srgb(to_linear(content).lerp(to_linear(painted), strength).clamp(0, 1))


class Rows(Graph):
    """Dumoulin: the style is a row; strength moves from the row that gives the photo back."""

    smallest = 17

    def __init__(self, method: Dumoulin, half: bool) -> None:
        super().__init__(half)
        painter = prepared(method.painter, half)
        self.network = painter.network
        self.own = nn.Parameter(painter.rows[-1:].clone(), requires_grad=False)

    def tensors(self, code: Code) -> dict[str, Tensor]:
        """``row`` (1, row_size)."""
        return {"row": code["row"].float()}

    def paint(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """Once through the network, twice where strength is below 1."""
        return self._between(content, self.own, code["row"], strength)

    def _between(self, content: Tensor, own: Tensor, row: Tensor, strength: Tensor) -> Tensor:
        image = content.to(self.dtype)
        if not self.mixed:
            return self.network(image, row)  # type: ignore[no-any-return]
        painted = self.network(image, own.lerp(row, strength))
        return painted + (1 - strength) * (content - self.network(image, own))  # type: ignore[no-any-return]


class Predicted(Rows):
    """Ghiasi: the row is made of an embedding; the photo's own, of what the encoder sees of it."""

    smallest = 33

    def __init__(self, method: Ghiasi, half: bool) -> None:
        Graph.__init__(self, half)
        painter = prepared(method.painter, half)
        self.network, self.head, self.predictor = painter.network, painter.head, painter.predictor
        self.encoder = prepared(method.encoder, half)

    def tensors(self, code: Code) -> dict[str, Tensor]:
        """``embedding`` (4, 100)."""
        return by_size(code)

    def paint(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """The photo's own row is asked for only where strength is below 1."""
        row = self.head(at_canvas(code, content)["embedding"])
        own = self._own(content) if self.mixed else row
        return self._between(content, own, row, strength)

    def _own(self, content: Tensor) -> Tensor:
        features = self.encoder(content.to(self.dtype), TAPS)
        seen = {tap: moments(f.float()) for tap, f in features.items()}
        return self.head(self.predictor(seen))  # type: ignore[no-any-return]


class Features(Graph):
    """Adain and wct: features of some taps take statistics, and decoders paint them."""

    smallest = 33

    def __init__(self, method: Adain | Wct, half: bool) -> None:
        super().__init__(half)
        self.encoder = prepared(method.encoder, half)
        self.decoders = prepared(method.decoders, half)

    def repainted(
        self,
        image: Tensor,
        tap: str,
        transform: Callable[[Tensor, Code], Tensor],
        code: Code,
        strength: Tensor | float,
    ) -> Tensor:
        """``transforms.repainted`` without regions.  (B, 3, H, W)  ->  the same, [0, 1]"""
        size, decoder = (image.shape[-2], image.shape[-1]), self.decoders[tap]
        features = self.encoder(image.to(self.dtype), (tap,), frozen=True)[tap]
        target = transform(features.float(), code)
        if self.mixed:
            target = features.float() + strength * (target - features.float())
        painted = decoder(target.to(self.dtype), size).float()
        if self.mixed:
            painted = painted + (1 - strength) * (image - decoder(features, size).float())
        return painted.clamp(0, 1)  # type: ignore[no-any-return]

    def tensors(self, code: Code) -> dict[str, Tensor]:
        """Means, deviations and colouring matrices, (4, C) and (4, C, C)."""
        return by_size(code)


class Moved(Features):
    """Adain, with or without its finish."""

    def __init__(self, method: Adain, half: bool) -> None:
        super().__init__(method, half)
        self.finish = method.finish

    def tensors(self, code: Code) -> dict[str, Tensor]:
        """``mean``, ``std``, and ``finish_mean``, ``finish_color`` where there is a finish."""
        return {k: t for k, t in by_size(code).items() if self.finish or "finish" not in k}

    def paint(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """Once through encoder and decoder, and the finish."""
        here = at_canvas(code, content)
        image = self.repainted(content, TAP, moved, here, strength)
        if self.finish:
            image = self.repainted(image, FINISH, colored, part(here, "finish"), strength)
        return image


class Colored(Features):
    """Wct: the levels from deep to shallow."""

    branches = False

    def __init__(self, method: Wct, half: bool) -> None:
        super().__init__(method, half)
        self.levels = method.config.levels()
        self.whitening = method.config.whitening

    def paint(self, content: Tensor, strength: Tensor, code: Mapping[str, Tensor]) -> Tensor:
        """Once through every level."""
        here, image = at_canvas(code, content), content
        transform = partial(colored, whitening=self.whitening)
        for tap, share in self.levels:
            image = self.repainted(image, tap, transform, part(here, tap), strength * share)
        return image


GRAPHS = ("adain", "dumoulin", "ghiasi", "johnson", "wct")
"""The methods that can be written."""


def check_method(name: str) -> None:
    """Raise UnknownName for what is no method, BadInput for one that cannot be written."""
    if name not in methods.names():
        raise unknown("method", name, GRAPHS)
    if name not in GRAPHS:
        raise BadInput(
            f"{name} cannot be exported: it optimises every picture anew and is no network. "
            f"Choose from: {', '.join(GRAPHS)}."
        )


def graph(method: Stylizer, styles: Sequence[str], half: bool = False) -> Graph:
    """The module to be written for a method.

    styles: of johnson, which of its networks

    Raises BadInput for a method that cannot be written, and for johnson without one style.
    """
    check_method(method.name)
    if isinstance(method, Johnson):
        return OneStyle(method, half, _only(styles))
    if isinstance(method, Dumoulin):
        return Rows(method, half)
    if isinstance(method, Ghiasi):
        return Predicted(method, half)
    if isinstance(method, Adain):
        return Moved(method, half)
    assert isinstance(method, Wct)
    return Colored(method, half)


def _only(styles: Sequence[str]) -> str:
    if len(styles) != 1:
        raise BadInput(
            f"johnson has a network for each style: give -s once, not {len(styles)} times. "
            "dumoulin holds all named styles in one file."
        )
    return styles[0]
