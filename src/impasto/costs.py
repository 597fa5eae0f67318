"""What pictures take that are painted in tiles."""

from collections.abc import Sequence

from impasto.networks.transformer import Transformer
from impasto.runtime import Runtime
from impasto.stylizer import Cost
from impasto.tiling.features import Level
from impasto.tiling.geometry import PIXEL, ROOM, tile_side
from impasto.tiling.network import held_bytes

PICTURE = 6
"""Bytes per pixel of a picture that is held with sixteen bits."""

PASS, LEVEL = 1.5, 1.7
"""Passes in one piece that take as long as one in tiles, with its statistics and halos."""


def tiled_pass(
    network: Transformer, height: int, width: int, room: float, machine: Runtime
) -> Cost:
    """What ``tiling.network`` takes for a picture of that size, when ``room`` bytes are free.

    Beside the tiles it holds what lies between contraction and expansion, and a picture; in the
    end half of that and two pictures.
    """
    area = height * width
    features = held_bytes(network, (height, width), machine)
    held = max(features + PICTURE * area, features / 2 + 2 * PICTURE * area)
    pixel = PIXEL * network.width * 2
    side = tile_side(min(ROOM, room - held), pixel, 0)
    return Cost(PASS * area / 1e6, held + side**2 * pixel, side)


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
