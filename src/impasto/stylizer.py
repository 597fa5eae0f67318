"""The one interface of a method: encode a style once, repaint any number of pictures with it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from impasto.codes import Code, Region, coverage
from impasto.errors import BadInput
from impasto.media.color import to_linear, to_srgb
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.tiling.geometry import Box
from impasto.tiling.raster import Raster, mapped
from impasto.tiling.walk import OnTile

Image = Tensor
"""A batch of pictures: (B, 3, H, W), float32, sRGB in [0, 1]."""


@dataclass(frozen=True)
class Can:
    """What a method is able to do; the command line and the tests read this."""

    regions: bool = True
    """Styles in masks by statistics; other methods paint the whole in each and mix in light."""
    steps: bool = False
    """Works in steps: previews, and an interruption keeps the best picture so far."""
    any_style: bool = True
    """Paints every style; others paint those that they have learned."""
    int8: bool = False
    """Paints as well with its convolutions in integers of 8 bits."""
    options: frozenset[str] = frozenset()
    """Fields of the Recipe that only some methods know, such as ``init``."""

    def words(self) -> list[str]:
        """The same for people."""
        return [
            "any style" if self.any_style else "the styles it has learned",
            "masks by statistics" if self.regions else "masks mixed in light",
            *(["previews while it works"] if self.steps else []),
            *(["--precision int8"] if self.int8 else []),
            *(f"--{option.replace('_', '-')}" for option in sorted(self.options)),
        ]


@dataclass(frozen=True)
class Step:
    """One report of work in progress: step ``done`` of ``total``, the picture, the losses."""

    done: int
    total: int
    image: Image
    losses: Mapping[str, float] = field(default_factory=dict)
    scale_done: bool = False
    """Whether it was the last step at that scale: ``continued`` can go on from the picture."""


@dataclass(frozen=True)
class Cost:
    """What a picture takes, whatever the machine."""

    megapixels: float
    """Pixels that go through the network in all passes, in millions."""
    peak_bytes: float
    """Memory that the work holds at its peak."""
    side: int | None = None
    """Of the tiles that it is painted in, pixels; None: in one piece."""


OnStep = Callable[[Step], None]


class Stylizer(nn.Module, ABC):
    """A method of style transfer with its weights."""

    name: ClassVar[str]
    paper: ClassVar[str]
    good: ClassVar[str]
    """What speaks for it, in one line."""
    bad: ClassVar[str]
    """What speaks against it."""
    strength: ClassVar[float]
    """What the method looks best at when nothing else is asked for."""
    can: ClassVar[Can] = Can()

    @classmethod
    @abstractmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Stylizer":
        """The method with the settings of a Recipe."""

    @classmethod
    def knows(cls, style: Style) -> bool:
        """Whether it can paint that style: all, unless it is one of those that learn each."""
        return True

    def continued(self, image: Image, trust: Tensor | None = None) -> "Stylizer":
        """The method that goes on from a picture already painted, (1 or B, 3, h, w).

        trust: (1, 1, h, w), [0, 1]; where it is 0 the method begins anew

        A method that does not work in steps has nothing to go on with: it stays as it is.
        """
        return self

    @abstractmethod
    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """What this method needs of ``style``; ``scale`` > 1 makes its strokes larger."""

    def stylize(
        self,
        content: Image,
        style: Code | Sequence[Region],
        strength: float | None = None,
        on_step: OnStep | None = None,
    ) -> Image:
        """The content in the style.  (B, 3, H, W), [0, 1]  ->  the same shape and range

        style: a Code, or several with the regions they are for
        strength: 0 is the content itself, 1 lets the style take over; by default the method's own

        Raises BadInput for anything that is not such a tensor, or another strength.
        """
        if content.ndim != 4 or content.shape[1] != 3 or content.dtype != torch.float32:
            given = f"{tuple(content.shape)}, {content.dtype}"
            raise BadInput(f"A picture is a float32 tensor (B, 3, H, W) in [0, 1], not {given}.")
        strength, regions = self._asked_for(style, strength)
        if strength == 0:
            return content.clone()
        if self.can.regions or all(region.mask is None for region in regions):
            return self.paint(content, regions, strength, on_step or _ignore)
        return self._side_by_side(content, regions, strength, on_step or _ignore)

    def _asked_for(
        self, style: Code | Sequence[Region], strength: float | None
    ) -> tuple[float, list[Region]]:
        strength = self.strength if strength is None else strength
        if not 0 <= strength <= 1:
            raise BadInput(f"Strength is {strength}; it goes from 0 (the photo) to 1 (the style).")
        return strength, [Region(style)] if isinstance(style, Mapping) else list(style)

    def stylize_tiles(
        self,
        source: Raster,
        target: Raster,
        style: Code | Sequence[Region],
        strength: float | None = None,
        side: int = 768,
        on_step: OnStep | None = None,
    ) -> None:
        """What ``stylize`` does, tile by tile: one picture of any size, from raster to raster.

        side: of the tiles, without their halo, pixels

        Raises BadInput; OutOfMemory when not even the smallest tile fits.
        """
        strength, regions = self._asked_for(style, strength)
        if strength == 0:
            mapped(lambda image: image, target, source)
        elif self.can.regions or all(region.mask is None for region in regions):
            self.paint_tiles(source, target, regions, strength, side, on_step or _ignore)
        else:
            self._tiles_side_by_side(source, target, regions, strength, side, on_step or _ignore)

    def _tiles_side_by_side(
        self,
        source: Raster,
        target: Raster,
        regions: Sequence[Region],
        strength: float,
        side: int,
        on_step: OnStep,
    ) -> None:
        """What ``_side_by_side`` does."""

        def spread(share: Tensor | float) -> Raster:
            return Raster(torch.as_tensor(share).expand(1, 1, *source.size))

        kind = target.between
        light, painted = Raster.empty(source.size, kind), Raster.empty(source.size, kind)
        rest = spread(1 - coverage(regions, source.like()))
        mapped(lambda image, rest: to_linear(image) * rest, light, source, rest)
        for region in regions:
            self.paint_tiles(source, painted, [Region(region.code)], strength, side, on_step)
            mask = region.mask_like(source.like())
            share = spread(1.0 if mask is None else mask)
            mapped(lambda a, b, m: a + to_linear(b) * m, light, light, painted, share)
        mapped(lambda light: to_srgb(light).clamp(0, 1), target, light)

    def _side_by_side(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """The whole picture in every style, mixed by the masks in linear light."""
        light = to_linear(content) * (1 - coverage(regions, content))
        for region in regions:
            painted = self.paint(content, [Region(region.code)], strength, on_step)
            mask = region.mask_like(content)
            light = light + to_linear(painted) * (1.0 if mask is None else mask)
        return to_srgb(light).clamp(0, 1)

    @abstractmethod
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """What ``stylize`` does, once it is clear that there is something to do."""

    def paint_tiles(
        self,
        source: Raster,
        target: Raster,
        regions: Sequence[Region],
        strength: float,
        side: int,
        on_step: OnStep,
    ) -> None:
        """What ``paint`` does, tile by tile. A method that cannot paints the whole picture."""
        whole = Box(0, 0, *source.size)
        target.write(whole, self.paint(source.read(), regions, strength, on_step))

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """What a picture of that size will take in tiles, ``room`` bytes being free.

        Of a method that cannot, what it takes in one piece.
        """
        return self.cost(height, width)

    @abstractmethod
    def cost(self, height: int, width: int) -> Cost:
        """What a picture of that size will take."""

    @abstractmethod
    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over a picture, ready to be timed; ``cost`` counts in such passes."""


def tile_steps(on_step: OnStep, source: Raster) -> OnTile:
    """Tells of every tile; what a step shows is no picture yet."""
    return lambda done, total: on_step(Step(done, total, source.levels))


def _ignore(step: Step) -> None:
    """What is told of a step when nobody listens."""
