"""A picture in one piece where that fits into memory, tile by tile where it does not.

Large ones stay in integers, see ``media.levels``, from the file they come from to the one that is
written; only what is being worked on is floats.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.codes import Region
from impasto.errors import OutOfMemory, for_want_of_memory
from impasto.media import color, guided
from impasto.media import image as media
from impasto.media.guided import guided_upsample
from impasto.media.levels import STRIP, floats
from impasto.stylizer import OnStep, Stylizer
from impasto.tiling.geometry import Grid
from impasto.tiling.raster import Raster, mapped, resized
from impasto.tiling.walk import Walk

SIDE = 512
"""Side of the tiles, pixels, when a picture did not fit that should have."""

LARGE = 1 << 23
"""Pixels above which a picture that was read in integers stays in them."""


def sized(photo: Tensor, size: tuple[int, int]) -> Tensor:
    """A photo at that size: in integers where it is large and was read in them, else in floats.

    (1, C, H, W)  ->  (1, C, *size)
    """
    large = size[0] * size[1] > LARGE
    if photo.is_floating_point() or not (large or photo[0, 0].numel() > LARGE):
        return media.resize(floats(photo), size)
    if large and _size(photo) == size:
        return photo
    kind = torch.uint16 if large else torch.float32  # bytes would be rounded too soon
    return resized(Raster(photo), size, kind).levels


def fitted(image: Tensor, photo: Tensor) -> Tensor:
    """A picture at the size of a photo, and in integers where that is.  ->  (1, 3, H, W)"""
    image = image.detach().cpu()
    if photo.is_floating_point():
        return media.resize(floats(image), _size(photo))
    if _size(image) == _size(photo):
        return image
    return resized(Raster(image), _size(photo), torch.uint16).levels


def mixed(function: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """What a function of single pixels makes of pictures of one size.  ->  (1, 3, H, W)

    function: (1, C, H, W), float32, of every picture  ->  (1, 3, H, W)
    """
    if all(image.is_floating_point() for image in images):
        return function(*images)
    target = Raster.empty(_size(images[0]), torch.uint16)
    mapped(function, target, *map(Raster, images))
    return target.levels


def matched(pixels: Tensor, photo: Tensor, share: Tensor | float) -> Tensor:
    """What was painted, in the colours of what it was painted on; soft edges less of it.

    pixels, photo: (1, 3, H, W); share: (1, 1, H, W), how much of every pixel was painted, or 1.0
    """
    inside = None if isinstance(share, float) else share > 0
    own, aim = color.statistics(pixels, inside), color.statistics(photo, inside)
    if isinstance(share, float):
        return mixed(lambda image: color.transferred(image, own, aim), pixels)
    return mixed(lambda image, m: image.lerp(color.transferred(image, own, aim), m), pixels, share)


def upsampled(painted: Tensor, canvas: Tensor, photo: Tensor) -> Tensor:
    """``media.guided``: what was painted on the small canvas, at the size of the photo."""
    size = _size(photo)
    if photo.is_floating_point() or _size(painted) == size:
        return painted if _size(painted) == size else guided_upsample(painted, photo)
    slope, strokes = guided.explained(floats(painted), floats(canvas))
    drawn = Raster(strokes)
    for step, amount in guided.enlargements(_size(painted), size):
        drawn = _steepened(resized(drawn, step, torch.float16, clamped=False), amount)
    slope = F.interpolate(slope.flatten(1, 2), (size[0], slope.shape[-1]), mode="bilinear")
    target, source = Raster.empty(size, torch.uint16), Raster(photo)
    for tile in Grid(size).tiles((max(1, STRIP // (4 * size[1])), size[1])):
        rows = slope[:, :, tile.core.top : tile.core.bottom]  # (1, 9, rows, w)
        share = F.interpolate(rows, tile.core.size, mode="bilinear")
        share = share.view(1, 3, 3, *tile.core.size)
        follows = torch.einsum("bijhw,bihw->bjhw", share, source.read(tile.core))
        target.write(tile.core, drawn.read(tile.core) + follows)
    return target.levels


def _steepened(image: Raster, amount: float) -> Raster:
    target, tile_sides = Raster.empty(image.size, image.levels.dtype), (SIDE * 2, SIDE * 2)
    walk = Walk()
    tiles = walk.over(
        Grid(image.size, guided.SEEN),
        tile_sides,
        lambda tile: tile.inner.of(guided.steepened(image.read(tile.seen), amount)),
    )
    for tile, pixels in tiles:
        target.write(tile.core, pixels)
    return target


def stylized(
    stylizer: Stylizer,
    image: Tensor,
    regions: Sequence[Region],
    strength: float | None,
    side: int | None,
    on_step: OnStep | None = None,
) -> Tensor:
    """What ``Stylizer.stylize`` paints.  (B, 3, H, W)  ->  the same; from integers, integers

    side: of the tiles, pixels; None: in one piece, and in tiles only when memory does not suffice

    Raises OutOfMemory.
    """
    if side is None:
        try:
            return stylizer.stylize(floats(image), regions, strength, on_step)
        except (MemoryError, RuntimeError) as error:
            if not for_want_of_memory(error):
                raise
    try:
        parts = [
            _in_tiles(stylizer, one, regions, strength, side or SIDE, on_step)
            for one in torch.split(image, 1)
        ]
        return torch.cat(parts) if len(parts) > 1 else parts[0]
    except (MemoryError, RuntimeError) as error:
        if not for_want_of_memory(error):
            raise
        text = f"{max(_size(image))} px needs more memory than there is: use a smaller --size."
        raise OutOfMemory(text) from error


def _in_tiles(
    stylizer: Stylizer,
    image: Tensor,
    regions: Sequence[Region],
    strength: float | None,
    side: int,
    on_step: OnStep | None,
) -> Tensor:
    source, target = Raster(image), Raster.empty(_size(image), torch.uint16)
    stylizer.stylize_tiles(source, target, regions, strength, side, on_step)
    return target.read() if image.is_floating_point() else target.levels


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
