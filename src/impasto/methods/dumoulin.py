"""Dumoulin: one network for many styles, each a row of scales and shifts; one pass paints.

Dumoulin, Shlens & Kudlur 2016, arXiv:1610.07629. Conditional instance normalisation (5) ->
networks.transformer; losses (1)-(4) -> training.perceptual; mixed styles (6) -> codes.blend.

Differs: an identity row was learned beside the styles, and strength moves from it to the style,
see ``feedforward.between``.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from impasto import weights
from impasto.codes import Code, Region
from impasto.costs import Passes
from impasto.engines import Engine
from impasto.feedforward import between, row_key, untrained
from impasto.networks.encoders import Encoder
from impasto.networks.painters import GALLERY, ManyStyles, load, many_styles
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import Can, Cost, Image, OnStep, Stylizer, tile_steps
from impasto.tiling.network import between as tiled_between
from impasto.tiling.raster import Raster


class Dumoulin(Stylizer):
    """The network and the rows of its styles."""

    name = "dumoulin"
    paper = "Dumoulin, Shlens & Kudlur 2016, arXiv:1610.07629"
    good = "Every named style in one network, any strength, any mix; new styles in minutes."
    bad = "Paints only what it has learned."
    strength = 1.0
    can = Can(regions=False, any_style=False, int8=True)

    def __init__(
        self,
        painter: ManyStyles,
        styles: Sequence[str],
        key: str,
        runtime: Runtime,
        passes: Passes,
    ) -> None:
        super().__init__()
        self.styles, self.key, self.runtime, self.passes = tuple(styles), key, runtime, passes
        self.painter = runtime.place(painter).requires_grad_(False).eval()
        self.engine = Engine(self.painter.network, runtime, self.name)

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Dumoulin":
        """The method with the packaged network."""
        painter, header = load(cls.name, GALLERY, many_styles)
        passes = Passes.between(recipe, recipe.style_scale)
        return cls(painter, header.config["styles"], row_key(header), machine, passes)

    @classmethod
    def knows(cls, style: Style) -> bool:
        """Whether there is a row for that style, in the network or in the style's own file."""
        header = weights.read_header(weights.find(cls.name, GALLERY))
        return style.name in header.config["styles"] or row_key(header) in style.learned

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """The style's row: ``{"row": (1, row_size), "scale": (1,)}``.

        Raises UnknownName for a style that has none.
        """
        if self.key in style.learned:
            row = style.learned[self.key]
        elif style.name in self.styles:
            row = self.painter.rows[self.styles.index(style.name)].detach().clone()
        else:
            raise untrained(self.name, style.name, self.styles)
        return {"row": row.reshape(1, -1).cpu(), "scale": torch.tensor([scale])}

    @torch.no_grad()
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """Once through the network, twice below full strength.  (B, 3, H, W), [0, 1]  ->  same"""
        code, image, own = regions[0].code, self.runtime.tensor(content), self.painter.rows[-1:]
        painted = between(self.engine, image, own, code["row"], strength, float(code["scale"]))
        return painted.to(content.device)

    @torch.no_grad()
    def paint_tiles(
        self,
        source: Raster,
        target: Raster,
        regions: Sequence[Region],
        strength: float,
        side: int,
        on_step: OnStep,
    ) -> None:
        """What ``paint`` does, tile by tile; see ``tiling.network``."""
        code, own = regions[0].code, self.painter.rows[-1:]
        tiled_between(
            *(source, target, self.painter.network, own, code["row"].to(own)),
            *(strength, float(code["scale"]), self.runtime, side, tile_steps(on_step, source)),
        )

    def cost(self, height: int, width: int) -> Cost:
        """What its passes take."""
        return self.passes.whole(height, width)

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """What its passes take, each one and a half times as long."""
        return self.passes.tiled(self.painter.network, height, width, room, self.runtime)

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture with the row that gives it back."""
        row = self.painter.rows[-1:].detach().cpu()
        return partial(self.stylize, image, {"row": row, "scale": torch.ones(1)})


METHOD = Dumoulin
