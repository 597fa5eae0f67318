"""What pictures take: passes of a network, and work in tiles."""

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.networks.transformer import Transformer
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.stylizer import Cost
from impasto.tiling.features import Level
from impasto.tiling.geometry import PIXEL, ROOM, tile_side
from impasto.tiling.network import held_bytes

BYTES = 180.0
"""Memory that a pass in float32 holds per pixel (measured at half width, 3 to 12 megapixels, with
both engines)."""

OUTSIDE = 36
"""Bytes per pixel of the picture itself, its painting and that enlarged, where a network sees it
at another size."""

PICTURE = 6
"""Bytes per pixel of a picture that is held with sixteen bits."""

PASS, LEVEL = 1.5, 1.7
"""Passes in one piece that take as long as one in tiles, with its statistics and halos."""


@dataclass(frozen=True)
class Passes:
    """How often a network sees a picture, one time after the other, and how large."""

    count: int = 1
    scale: float = 1.0
    """It sees 1 / ``scale`` of its size."""

    @classmethod
    def between(cls, recipe: Recipe, scale: float = 1.0) -> "Passes":
        """Those of ``feedforward.between``: two below full strength, of every region its own."""
        regions = bool(recipe.styles) + len(recipe.masks)
        each = 1 if recipe.strength in (None, 1) else 2
        return cls(each * max(1, regions), scale)

    def whole(self, height: int, width: int) -> Cost:
        """What a picture of that size takes in one piece."""
        area, seen = height * width, height * width / self.scale**2
        beside = OUTSIDE * area if self.scale != 1 else 0.0
        return Cost(self.count * seen / 1e6, seen * BYTES + beside)

    def tiled(
        self, network: Transformer, height: int, width: int, room: float, machine: Runtime
    ) -> Cost:
        """What ``tiling.network`` takes for one, when ``room`` bytes are free.

        Beside the tiles it holds what lies between contraction and expansion, and a picture; in the
        end half of that and two pictures.
        """
        size = round(height / self.scale), round(width / self.scale)
        area = size[0] * size[1]
        features = held_bytes(network, size, machine)
        held = max(features + PICTURE * area, features / 2 + 2 * PICTURE * area)
        pixel = PIXEL * network.width * 2
        side = tile_side(min(ROOM, room - held), pixel, 0)
        return Cost(self.count * PASS * area / 1e6, held + side**2 * pixel, side)


def tiled_levels(levels: Sequence[Level], height: int, width: int, room: float) -> Cost:
    """What ``tiling.features.levels`` takes for a picture of that size, ``room`` bytes being free.

    Beside the tiles it holds the result, and one or two pictures in between.
    """
    area = height * width
    held = PICTURE * area * min(3, max(1, len(levels)))
    pixel = PIXEL * max((level.encoder.shape.channels[0] / 16 for level in levels), default=1)
    halo = max((level.grid((height, width), painting=True).halo for level in levels), default=0)
    side = tile_side(min(ROOM, room - held), pixel, halo)
    return Cost(LEVEL * area / 1e6, held + (side + 2 * halo) ** 2 * pixel, side)
