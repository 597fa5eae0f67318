"""Pictures in: a file or stream of any kind becomes sRGB pixels in [0, 1], the right way up."""

import io
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from impasto.errors import BadPicture, ImpastoError, OutOfMemory

Opener = Callable[[BinaryIO, str], ImageFile.ImageFile]

# Opened by plugin rather than by Image.open: that tries some forty formats, EPS among them, which
# runs Ghostscript, and keeps to a limit of its own that can be changed only for the whole process.
OPENERS: Mapping[str, Opener] = MappingProxyType(
    {
        "JPEG": JpegImagePlugin.jpeg_factory,
        "PNG": PngImagePlugin.PngImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "AVIF": AvifImagePlugin.AvifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
    }
)

TURNS: Mapping[object, Callable[[NDArray[Any]], NDArray[Any]]] = MappingProxyType(
    {
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: x.swapaxes(0, 1)[:, ::-1],
        7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
        8: lambda x: x.swapaxes(0, 1)[::-1],
    }
)
"""By EXIF orientation, what turns the stored picture upright."""

# Warnings can be silenced for the whole process only, so one thread decodes at a time: two could
# put back each other's filters in the wrong order.
_SILENCE = threading.RLock()


@dataclass(frozen=True)
class Limits:
    """The largest picture that is read, checked before it is decoded."""

    pixels: int = 200_000_000
    bytes: int = 500_000_000


LIMITS = Limits()


@contextmanager
def decoded(
    source: Path | str | bytes | BinaryIO, limits: Limits = LIMITS
) -> Iterator[tuple[Image.Image, NDArray[np.uint16] | None]]:
    """The PIL picture of a file; and where its colours have 16 bits, all of them, (H, W, 3 or 4).

    Raises BadPicture, OutOfMemory; errors of Pillow inside the block become these as well.
    """
    with _file(source, limits) as (file, name), decoding(name):
        picture = _open(file, name, limits)
        _refuse_planar(picture)
        low_tiles = _low_tiles(picture.tile)
        picture.load()
        if low_tiles is None:
            yield picture, None
            return
        low = _open(file, name, limits)
        low.tile = low_tiles
        low.load()
        deep = np.asarray(picture).astype(np.uint16)
        deep <<= 8  # in place: of a large picture every copy counts
        deep |= np.asarray(low)
        yield picture, deep


@contextmanager
def drafted(
    source: Path | str | bytes, long_side: int, limits: Limits = LIMITS
) -> Iterator[tuple[Image.Image, tuple[float, float]] | None]:
    """A JPEG at an eighth, a quarter or a half of its size, which takes a fraction of the work.

    long_side: pixels that it is to have at least  ->  the picture, and (width, height) of the whole
    one in pixels of that, which need not be whole numbers; None where it is not large enough, or no
    JPEG. Raises as ``decoded``.
    """
    with _file(source, limits) as (file, name), decoding(name):
        picture = _open(file, name, limits)
        size, box = picture.size, None
        if isinstance(picture, JpegImagePlugin.JpegImageFile):
            width, height = (math.ceil(side * long_side / max(size)) for side in size)
            found = picture.draft(None, (width, height))
            box = found and (found[1][2], found[1][3])
        if box is None or picture.size == size:
            yield None
            return
        picture.load()
        yield picture, box


def header(source: Path | str | bytes | BinaryIO, limits: Limits = LIMITS) -> tuple[int, int]:
    """Width and height as ``read`` gives them, without decoding.

    Raises BadPicture. The turn is not seen where a PNG has its EXIF behind the pixels.
    """
    with _file(source, limits) as (file, name), decoding(name):
        picture = _open(file, name, limits)
        width, height = picture.size
        if picture.format == "TIFF":  # Pillow has turned the size already
            return width, height
        # Not picture.getexif(): for a PNG that decodes.
        turn = orientation(lambda: Image.Image.getexif(picture))
        return (height, width) if turn in (5, 6, 7, 8) else (width, height)


def check_size(size: tuple[int, int], name: str, limits: Limits = LIMITS) -> None:
    """Raise BadPicture for a picture without pixels or above the limit. size: (width, height)"""
    width, height = size
    if width < 1 or height < 1:
        raise BadPicture(f"{name} has no pixels: {width} x {height}.")
    if width * height > limits.pixels:
        millions = f"{width * height / 1e6:.1f} million pixels"
        allowed = f"{limits.pixels / 1e6:g} million are allowed"
        raise BadPicture(f"{name} has {width} x {height} = {millions}; {allowed}. Make it smaller.")


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into BadPicture or OutOfMemory, and keep its warnings quiet."""
    with _SILENCE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImpastoError:
            raise
        except MemoryError as error:
            raise OutOfMemory(f"{name} needs more memory than there is.") from error
        except Exception as error:  # damaged files bring out every kind
            raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> BadPicture:
    reason = str(error).rstrip(".") or type(error).__name__
    if "unknown pixel mode" in reason or "unknown data organization" in reason:
        return BadPicture(f"{name} holds pixels of an unusual kind: save it with 8 or 16 bits.")
    return BadPicture(f"{name} is damaged or cut short ({reason}).")


@contextmanager
def _file(source: Path | str | bytes | BinaryIO, limits: Limits) -> Iterator[tuple[BinaryIO, str]]:
    """A file that can seek, with its name for messages, once its size is found to be allowed."""
    if isinstance(source, bytes):
        name = "The picture"
        with io.BytesIO(source) as file:
            _check_bytes(len(source), name, limits)
            yield file, name
    elif isinstance(source, str | Path):
        name = str(source)
        with _open_path(Path(source)) as file:
            if not file.seekable():  # a pipe
                file = io.BytesIO(file.read(limits.bytes + 1))
            _check_bytes(file.seek(0, os.SEEK_END), name, limits)
            yield file, name
    else:
        name = str(getattr(source, "name", "The picture"))
        content = source.read(limits.bytes + 1)
        if not isinstance(content, bytes):
            raise BadPicture(f"{name} is open as text: open it in binary mode.")
        with io.BytesIO(content) as file:
            _check_bytes(file.getbuffer().nbytes, name, limits)
            yield file, name


def _open_path(path: Path) -> BinaryIO:
    if path.is_dir():
        raise BadPicture(f"{path} is a folder, not a picture.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise BadPicture(f"No such file: {path}.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise BadPicture(f"{path} cannot be read: {reason}.") from error


def _check_bytes(size: int, name: str, limits: Limits) -> None:
    if size == 0:
        raise BadPicture(f"{name} is empty: 0 bytes.")
    if size > limits.bytes:
        raise BadPicture(f"{name} has more than the {limits.bytes / 1e6:g} MB that are allowed.")


def _open(file: BinaryIO, name: str, limits: Limits) -> ImageFile.ImageFile:
    """The picture with its header read and found good, not decoded yet."""
    file.seek(0)
    prefix = file.read(16)
    for kind, opener in OPENERS.items():
        accept = Image.OPEN[kind][1]
        if accept is None or accept(prefix) is not True:
            continue
        file.seek(0)
        picture = opener(file, "")
        check_size(picture.size, name, limits)
        return picture
    raise BadPicture(f"{name} is not a picture in one of these formats: {', '.join(OPENERS)}.")


# Pillow reduces 16-bit colours to their high bytes. It knows both orders of bytes, though, and in
# the wrong order it takes the low bytes: decoding twice gives all 16 bits, in PNG and in TIFF of
# every compression (tifffile reads LZW, the most common one, only with a further package).
def _low_tiles(tiles: list[ImageFile._Tile]) -> list[ImageFile._Tile] | None:
    """What Pillow is to decode to get the low bytes; None unless the colours have 16 bits."""
    other = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    low = []
    for tile in tiles:
        mode, *rest = (tile.args,) if isinstance(tile.args, str) else (tile.args or ("",))
        if str(mode)[:-1] not in ("RGB;16", "RGBA;16", "RGBX;16"):
            return None
        swapped = str(mode)[:-1] + other[str(mode)[-1]]
        low.append(tile._replace(args=(swapped, *rest) if rest else swapped))
    return low or None


def _refuse_planar(picture: ImageFile.ImageFile) -> None:
    """16-bit TIFFs with a plane per colour: Pillow decodes them to something else, silently."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return
    planar = picture.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
    if planar and max(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))) > 8:
        raise SyntaxError("unknown data organization")


def orientation(getexif: Callable[[], Image.Exif]) -> object:
    """The EXIF orientation, usually 1 to 8 or None."""
    try:
        return getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return None
