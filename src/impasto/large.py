"""A picture in one piece where that fits into memory, tile by tile where it does not."""

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.codes import Region
from impasto.errors import OutOfMemory
from impasto.stylizer import OnStep, Stylizer
from impasto.tiling.raster import Raster
from impasto.tiling.walk import for_want_of_memory

SIDE = 512
"""Side of the tiles, pixels, when a picture did not fit that should have."""


def stylized(
    stylizer: Stylizer,
    image: Tensor,
    regions: Sequence[Region],
    strength: float | None,
    side: int | None,
    on_step: OnStep | None = None,
) -> Tensor:
    """What ``Stylizer.stylize`` paints.  (1, 3, H, W)  ->  the same

    side: of the tiles, pixels; None: in one piece, and in tiles only when memory does not suffice

    Raises OutOfMemory.
    """
    if side is None:
        try:
            return stylizer.stylize(image, regions, strength, on_step)
        except (MemoryError, RuntimeError) as error:
            if not for_want_of_memory(error):
                raise
    try:
        source, target = Raster(image), Raster.empty(_size(image), torch.uint16)
        stylizer.stylize_tiles(source, target, regions, strength, side or SIDE, on_step)
        return target.read()
    except (MemoryError, RuntimeError) as error:
        if not for_want_of_memory(error):
            raise
        text = f"{max(_size(image))} px needs more memory than there is: use a smaller --size."
        raise OutOfMemory(text) from error


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
