"""Large photos that are wanted small: a JPEG is not decoded in more detail than is of use."""

from pathlib import Path

from PIL import Image

from impasto.media.decode import drafted
from impasto.media.image import Picture, fit, open_any, read

SPARE = 2
"""How much larger than wanted a photo is decoded, so that resampling it leaves nothing to see."""


def read_small(source: Path | str | bytes, long_side: int) -> Picture:
    """A photo of which no more than ``long_side`` pixels a side are used.

    A JPEG of twice that size or more comes at exactly that size, everything else as it is. It is as
    ``read`` and ``resize`` give it, but for less than a level of 255 on average.

    Raises BadPicture, OutOfMemory.
    """
    with drafted(source, SPARE * long_side) as found:
        if found is not None:
            picture, (width, height) = found
            size = fit(width, height, long_side)[::-1]
            box = (0.0, 0.0, width, height)
            return open_any(picture.resize(size, Image.Resampling.BICUBIC, box))
    return read(source)
