"""Johnson: a network of its own for every style, learned beforehand; one pass paints.

Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155. The network (supplement, table 1) ->
networks.transformer; losses (2)-(5) -> training.perceptual.

Differs: strength mixes photo and painting in linear light, and so do several styles, since a
network knows no style but its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

import torch

from impasto import weights
from impasto.codes import Code, Region
from impasto.costs import Passes
from impasto.engines import Engine
from impasto.errors import MissingWeights
from impasto.feedforward import once, untrained
from impasto.media.color import to_linear, to_srgb
from impasto.networks.encoders import Encoder
from impasto.networks.painters import load, one_style
from impasto.networks.transformer import Transformer
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SUFFIX, Style
from impasto.stylizer import Can, Cost, Image, OnStep, Stylizer, tile_steps
from impasto.tiling.network import once as tiled_once
from impasto.tiling.raster import Raster, mapped
from impasto.tiling.walk import Walk
from impasto.tiling.walk import share as part_of


class Johnson(Stylizer):
    """The networks of all styles that there are, each read when it is first needed."""

    name = "johnson"
    paper = "Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155"
    good = "Nearest to gatys in one pass, in hundredths of a second: for many pictures."
    bad = "A network has to be learned for every style, which takes a while."
    strength = 1.0
    can = Can(regions=False, any_style=False, int8=True)

    def __init__(self, styles: Sequence[str], runtime: Runtime, passes: Passes) -> None:
        super().__init__()
        self.styles, self.runtime, self.passes = tuple(styles), runtime, passes
        self.engines: dict[str, Engine] = {}
        self.loading = Lock()

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Johnson":
        """The method with the networks that are on this machine.

        Raises MissingWeights when there is none.
        """
        if not (styles := weights.names(cls.name)):
            raise MissingWeights(
                "No network of johnson is on this machine. Learn one with: "
                "impasto train johnson --style PICTURE --content FOLDER"
            )
        wanted = {Path(share.source).name.removesuffix(SUFFIX) for share in recipe.styles}
        styles.sort(key=lambda name: name not in wanted)  # the first is rehearsed, so it is read
        passes = Passes(max(1, len(recipe.styles) + len(recipe.masks)), recipe.style_scale)
        return cls(styles, machine, passes)

    @classmethod
    def knows(cls, style: Style) -> bool:
        """Whether there is a network for that style."""
        return style.name in weights.names(cls.name)

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        """How much of each network: ``{"shares": (1, N), "scale": (1,)}``.

        Raises UnknownName for a style that none has learned.
        """
        if style.name not in self.styles:
            raise untrained(self.name, style.name, self.styles)
        shares = torch.tensor([[float(name == style.name) for name in self.styles]])
        return {"shares": shares, "scale": torch.tensor([scale])}

    @torch.no_grad()
    def paint(
        self, content: Image, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Image:
        """Once through every network that has a share.  (B, 3, H, W), [0, 1]  ->  the same"""
        code, image = regions[0].code, self.runtime.tensor(content)
        scale, shares = float(code["scale"]), self._shares(code)
        painted = (once(self._engine(name), image, None, scale) for name in shares)
        if strength == 1 and set(shares.values()) == {1.0}:
            return next(painted).to(content.device)
        light = (1 - strength) * to_linear(image)
        for share, one in zip(shares.values(), painted, strict=True):
            light = light + strength * share * to_linear(one)
        return to_srgb(light.clamp(0, 1)).clamp(0, 1).to(content.device)

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
        code = regions[0].code
        used = self._shares(code).items()
        light, painted = (Raster.empty(source.size, target.between) for _ in range(2))
        mapped(lambda image: (1 - strength) * to_linear(image), light, source)
        for number, (name, share) in enumerate(used):
            walk = Walk(part_of(tile_steps(on_step, source), number, len(used)))
            network, scale = self._network(name), float(code["scale"])
            tiled_once(source, painted, network, None, scale, self.runtime, side, walk)
            amount = strength * share
            mapped(lambda a, b, amount=amount: a + amount * to_linear(b), light, light, painted)
        mapped(lambda light: to_srgb(light.clamp(0, 1)).clamp(0, 1), target, light)

    def _shares(self, code: Code) -> dict[str, float]:
        """The styles that have a share in a code, and how much."""
        parts = zip(self.styles, code["shares"][0].tolist(), strict=True)
        return {name: share for name, share in parts if share}

    def _engine(self, name: str) -> Engine:
        with self.loading:  # several frames may come at once
            if name not in self.engines:
                network, _ = load(self.name, name, one_style)
                placed = self.runtime.place(network)
                self.engines[name] = Engine(placed, self.runtime, f"{self.name} {name}")
            return self.engines[name]

    def _network(self, name: str) -> Transformer:
        network = self._engine(name).module
        assert isinstance(network, Transformer)
        return network

    def cost(self, height: int, width: int) -> Cost:
        """What its passes take."""
        return self.passes.whole(height, width)

    def tiled(self, height: int, width: int, room: float) -> Cost:
        """What its passes take, each one and a half times as long."""
        return self.passes.tiled(self._network(self.styles[0]), height, width, room, self.runtime)

    def rehearse(self, image: Image) -> Callable[[], object]:
        """One pass over that picture in the first style."""
        shares = torch.zeros(1, len(self.styles))
        shares[0, 0] = 1
        return partial(self.stylize, image, {"shares": shares, "scale": torch.ones(1)})


METHOD = Johnson
