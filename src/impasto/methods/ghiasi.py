"""Ghiasi: a network predicts the row of any style from its moments; one pass paints.

Ghiasi, Lee, Kudlur, Dumoulin & Shlens 2017, arXiv:1705.06830. The prediction network and its
embedding (section 2.3) -> networks.predictors; the transformation network (section 2.2) ->
networks.transformer; mixed styles (section 3.4, in the space of embeddings) -> codes.blend.

Differs: the prediction looks at the moments that a Style keeps. Strength moves from the embedding
of the photo itself to the style's, as in the paper's section 3.4, and what the photo's own does not
give back is added, see ``feedforward.between``.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from impasto.codes import Code, Region, at
from impasto.costs import Passes
from impasto.engines import Engine
from impasto.feedforward import between
from impasto.networks.encoders import Encoder
from impasto.networks.painters import AnyStyle, any_style, load
from impasto.networks.predictors import EMBEDDING
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style, looks
from impasto.stylizer import Can, Cost, Image, OnStep, Stylizer, tile_steps
from impasto.tiling import encode
from impasto.tiling.network import between as tiled_between
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk


class Ghiasi(Stylizer):
    """An encoder, the prediction from its moments, and the transformation network."""

    name = "ghiasi"
    paper = "Ghiasi, Lee, Kudlur, Dumoulin & Shlens 2017, arXiv:1705.06830"
    good = "Any painting at once, painted rather than filtered."
    bad = "Guesses strokes from statistics: unusual styles come out tamer."
    strength = 1.0
    can = Can(regions=False, int8=True)

    def __init__(
        self, encoder: Encoder, painter: AnyStyle, runtime: Runtime, passes: Passes
    ) -> None:
        super().__init__()
        self.runtime, self.passes = runtime, passes
        self.encoder = runtime.place(encoder).requires_grad_(False).eval()
        self.painter = runtime.place(painter).requires_grad_(False).eval()
        self.engine = Engine(self.painter.network, runtime, self.name)

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Ghiasi":
        """The method with the prediction that was trained on that encoder."""
        painter, _ = load(cls.name, encoder.name, any_style)
        return cls(encoder, painter, machine, Passes.between(recipe))

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """Embeddings by the long side of the canvas they are for: ``{"512/embedding": (1, 100)}``.

        A painting that lacks a size is taken at its nearest.
        """
        return {f"{size / scale:.0f}/embedding": self.embedding(style, size) for size in SIZES}

    @torch.no_grad()
    def embedding(self, style: Style, size: int = 512) -> Tensor:
        """What the prediction makes of a style at a long side of ``size`` pixels.  ->  (1, 100)"""
        seen = {tap: m.to(self.runtime.device) for tap, m in style.at(size).items()}
        embedding: Tensor = self.painter.predictor(seen)
        return embedding.cpu()

    @torch.no_grad()
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """Once through the network, twice below full strength.  (B, 3, H, W), [0, 1]  ->  same"""
        image = self.runtime.tensor(content)
        embedding = at(regions[0].code, max(image.shape[-2:]))["embedding"].to(image.device)
        row = self.painter.head(embedding)
        own = self._own(image) if strength < 1 else row
        return between(self.engine, image, own, row, strength).to(content.device)

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
        embedding = at(regions[0].code, max(source.size))["embedding"].to(self.runtime.device)
        row = own = self.painter.head(embedding)
        if strength < 1:
            seen = encode.looks(source, self.encoder, self.runtime, side, Walk())
            moments = {tap: m.to(self.runtime.device) for tap, m in seen.items()}
            own = self.painter.head(self.painter.predictor(moments))
        tiled_between(
            *(source, target, self.painter.network, own, row),
            *(strength, 1.0, self.runtime, side, tile_steps(on_step, source)),
        )

    def _own(self, image: Image) -> Tensor:
        """The rows that give the pictures themselves back.  ->  (B, row_size)"""
        with self.runtime.autocast():
            seen = looks(self.encoder, image)
        return self.painter.head(self.painter.predictor(seen))  # type: ignore[no-any-return]

    def cost(self, height: int, width: int) -> Cost:
        """What its passes take."""
        return self.passes.whole(height, width)

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """What its passes take, each one and a half times as long."""
        return self.passes.tiled(self.painter.network, height, width, room, self.runtime)

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture in a style that is nothing."""
        return partial(self.stylize, image, {"512/embedding": torch.zeros(1, EMBEDDING)})


METHOD = Ghiasi
