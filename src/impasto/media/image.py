"""Pictures of every kind become sRGB pixels in [0, 1], the right way up, and go back to their kind.

Files are opened in ``decode`` and written in ``encode``; callers know this module alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from impasto.errors import BadPicture
from impasto.media.decode import (
    LIMITS,
    TURNS,
    Limits,
    check_size,
    decoded,
    decoding,
    header,
    orientation,
)
from impasto.media.encode import (
    FORMATS,
    MARK,
    check_target,
    encode,
    exif_bytes,
    exif_recipe,
    kept_exif,
    to_pil,
    write,
)
from impasto.media.levels import WHITE, floats, interleaved, planes
from impasto.media.profile import is_srgb, srgb_profile, to_srgb

__all__ = [
    "SUFFIXES",
    "AnyPicture",
    "Limits",
    "Picture",
    "check_target",
    "encode",
    "fit",
    "header",
    "like",
    "open_any",
    "read",
    "resize",
    "to_pil",
    "to_tensor",
    "write",
]

SUFFIXES = frozenset({*FORMATS, ".gif"})
"""What the name of a picture may end in."""

AnyPicture = Path | str | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""Everything that a picture can be given as; see ``open_any``."""


@dataclass(frozen=True)
class Picture:
    """A picture as the rest of the program sees it: sRGB, the right way up."""

    levels: Tensor
    """(1, 3, H, W): integers as they were stored, uint8 or uint16, or float32 in [0, 1]"""
    opacity: Tensor | None = None
    """(1, 1, H, W), of any of these kinds; None when nothing is transparent"""
    exif: bytes | None = None
    """Ready to be written: without GPS, orientation and thumbnail"""
    recipe: str | None = None
    """JSON of the Recipe that the picture was painted by"""

    @property
    def pixels(self) -> Tensor:
        """(1, 3, H, W), float32, [0, 1]"""
        return floats(self.levels)

    @property
    def alpha(self) -> Tensor | None:
        """(1, 1, H, W), float32, [0, 1]; None when nothing is transparent"""
        return None if self.opacity is None else floats(self.opacity)


def read(source: Path | str | bytes | BinaryIO, limits: Limits = LIMITS) -> Picture:
    """Read a picture: JPEG, PNG, WebP, TIFF, AVIF, BMP or the first frame of a GIF, in any mode.

    16 bits per channel keep their precision, unless a colour profile has to be applied (Pillow has
    LittleCMS with 8 bits only). CMYK, and grey with alpha in PNG, are read with 8 bits.

    Raises BadPicture for what is missing, empty, no picture, cut short or above ``limits``;
    OutOfMemory.
    """
    with decoded(source, limits) as (picture, deep):
        return _convert(picture, deep)


def open_any(photo: AnyPicture, limits: Limits = LIMITS) -> Picture:
    """Read whatever a picture can be given as.

    photo: a path, the bytes of a file, a binary stream, a PIL image; an array (H, W), (H, W, 1),
    (H, W, 3) or (H, W, 4), uint8, uint16 or floats in [0, 1]; a float tensor (3, H, W) or
    (1, 3, H, W) in [0, 1]

    Raises BadPicture, OutOfMemory.
    """
    if isinstance(photo, Tensor):
        return _from_tensor(photo)
    if isinstance(photo, np.ndarray):
        return _from_array(photo)
    if isinstance(photo, Image.Image):
        with decoding("The PIL image"):
            check_size(photo.size, "The PIL image", limits)
            photo.load()
            return _convert(photo)
    if isinstance(photo, str | Path | bytes) or hasattr(photo, "read"):
        return read(photo, limits)
    kinds = "a path, bytes, a binary stream, a PIL image, a numpy array or a tensor"
    raise BadPicture(f"A picture is {kinds}, not {type(photo).__name__}.")


def like(
    photo: AnyPicture,
    pixels: Tensor,
    alpha: Tensor | None = None,
    recipe: str | None = None,
    exif: bytes | None = None,
) -> Image.Image | bytes | NDArray[Any] | Tensor:
    """A result as the kind of thing that the photo was given as.

    A path or stream gives a PIL image, bytes give the bytes of a PNG. An array keeps its dtype, and
    a fourth channel; grey becomes (H, W, 3). A tensor keeps its number of axes, dtype and device.

    pixels: (1, 3, H, W); alpha: (1, 1, H, W); integers, or floats in [0, 1]
    """
    if isinstance(photo, Tensor):
        return floats(pixels).to(photo).reshape(*photo.shape[:-3], *pixels.shape[-3:])
    if isinstance(photo, np.ndarray):
        if photo.ndim == 3 and photo.shape[2] == 4:
            full = torch.ones(1, device=pixels.device).expand(1, *pixels.shape[-2:])
            alpha = full if alpha is None else alpha[0]
        else:
            alpha = None
        return interleaved(pixels.detach()[0], alpha, photo.dtype, through=torch.float64)
    if isinstance(photo, bytes):
        return encode(pixels, ".png", alpha, exif, recipe)
    picture = to_pil(pixels, alpha)
    extra = {"icc_profile": srgb_profile(), "exif": exif, MARK: recipe}
    picture.info.update({name: value for name, value in extra.items() if value is not None})
    return picture


def to_tensor(picture: Image.Image | NDArray[Any]) -> Tensor:
    """The pixels of a PIL image or array, see ``open_any``.  ->  (1, 3, H, W), sRGB in [0, 1]"""
    return open_any(picture).pixels


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample by antialiased bicubic; pictures and masks (3 or 1 channels) stay in [0, 1].

    image: (B, C, H, W)  ->  (B, C, *size)
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resized = F.interpolate(image, size, mode="bicubic", antialias=True)
    return resized.clamp(0, 1) if image.shape[1] in (1, 3) else resized


def scaled(image: Tensor, long_side: int) -> Tensor:
    """The picture with that long side, in the same aspect.  (B, C, H, W)  ->  (B, C, h, w)"""
    return resize(image, fit(image.shape[-1], image.shape[-2], long_side))


def fit(width: float, height: float, long_side: int) -> tuple[int, int]:
    """(height, width) with that long side in the same aspect, at least one pixel each."""
    longest = max(width, height)
    return max(1, round(height * long_side / longest)), max(1, round(width * long_side / longest))


def _convert(picture: Image.Image, deep: NDArray[np.uint16] | None = None) -> Picture:
    """A decoded PIL picture of any mode as a Picture.

    deep: (H, W, 3 or 4), the same picture with all its 16 bits
    """
    exif, recipe = _metadata(picture)
    turn = TURNS.get(orientation(picture.getexif), np.asarray)
    profile = picture.info.get("icc_profile")
    key = picture.info.get("transparency")
    if picture.mode in ("P", "PA", "RGBa", "La"):
        picture, key = picture.convert("LA" if picture.mode == "La" else "RGBA"), None
    samples = _deep_grey(picture) if deep is None else deep
    alpha = _alpha(picture, deep, key)
    levels = planes(turn(_colours(picture, samples, profile))).expand(-1, 3, -1, -1).contiguous()
    opacity = None if alpha is None or _opaque(alpha) else planes(turn(alpha))
    return Picture(levels, opacity, exif, recipe)


def _metadata(picture: Image.Image) -> tuple[bytes | None, str | None]:
    """EXIF that may be kept, and the Recipe."""
    recipe = picture.info.get(MARK)
    recipe = str(recipe) if isinstance(recipe, str) else None
    try:
        exif = picture.getexif()
        return exif_bytes(kept_exif(exif)), recipe or exif_recipe(exif)
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return None, recipe


def _deep_grey(picture: Image.Image) -> NDArray[Any] | None:
    """(H, W), uint16 or floats in [0, 1], of grey with more than 8 bits.

    White is 65535 in 16 bits. Integers of 32 bits and floats do not say: it is the smallest usual
    white that the values stay below, half as much again allowed for highlights.
    """
    if picture.mode.startswith("I;16"):
        return np.asarray(picture)
    if picture.mode not in ("I", "F"):
        return None
    values = np.asarray(picture).astype(np.float32)
    peak = float(values.max(initial=0, where=np.isfinite(values)))
    white = next((white for white in (1, 255, 65535, 2**31) if peak <= 1.5 * white), peak)
    return np.asarray(np.nan_to_num(values / np.float32(white), nan=0).clip(0, 1))


def _alpha(
    picture: Image.Image, deep: NDArray[np.uint16] | None, key: object
) -> NDArray[Any] | None:
    """(H, W), integers. key: the one colour that is transparent, of a PNG without alpha channel"""
    if deep is not None and deep.shape[2:] == (4,):
        return deep[:, :, 3]
    if picture.mode in ("LA", "RGBA"):
        return np.asarray(picture.getchannel("A"))
    kind = {"1": int, "L": int, "I;16": int, "RGB": tuple}.get(picture.mode)
    if kind is None or not isinstance(key, kind):
        return None
    source = picture.convert("L") if picture.mode == "1" else picture
    values = np.asarray(source) if deep is None else deep
    same = values == np.asarray(key)
    return np.where(same.all(2) if same.ndim == 3 else same, np.uint8(0), np.uint8(255))


def _opaque(alpha: NDArray[Any]) -> bool:
    return bool((alpha == np.iinfo(alpha.dtype).max).all())


def _colours(
    picture: Image.Image, deep: NDArray[Any] | None, profile: bytes | None
) -> NDArray[Any]:
    """(H, W) or (H, W, 3), sRGB, unsigned integers or floats in [0, 1]"""
    if deep is None:
        return np.asarray(to_srgb(picture, profile))
    deep = deep[:, :, :3] if deep.ndim == 3 else deep
    if is_srgb(profile):
        return deep
    levels = deep / 257 if deep.dtype == np.uint16 else deep * 255
    return np.asarray(to_srgb(Image.fromarray(np.rint(levels).astype(np.uint8)), profile))


def _from_tensor(photo: Tensor) -> Picture:
    shape = tuple(photo.shape)
    if shape[-3:-2] != (3,) or shape[:-3] not in ((), (1,)) or not photo.is_floating_point():
        given = f"{shape} of {photo.dtype}"
        raise BadPicture(
            f"A tensor must be (3, H, W) or (1, 3, H, W), floats in [0, 1], not {given}."
        )
    pixels = photo.detach().float().cpu().reshape(1, *shape[-3:])
    return Picture(_checked(pixels, "The tensor"))


def _from_array(photo: NDArray[Any]) -> Picture:
    grey = photo.ndim == 2 or photo.shape[2:] == (1,)
    if not grey and photo.shape[2:] not in ((3,), (4,)):
        raise BadPicture(f"An array must be (H, W), (H, W, 3) or (H, W, 4), not {photo.shape}.")
    photo = photo.astype(photo.dtype.newbyteorder("="), copy=False)
    if photo.dtype not in (np.uint8, np.uint16) and photo.dtype.kind != "f":
        raise BadPicture(f"An array must be uint8, uint16 or floats in [0, 1], not {photo.dtype}.")
    values = planes(photo)  # (1, C, H, W)
    check_size((values.shape[-1], values.shape[-2]), "The array")
    if values.dtype == torch.float32:
        values = _checked(values, "The array")
    levels = values[:, :3].expand(-1, 3, -1, -1).contiguous()
    alpha = values[:, 3:] if values.shape[1] == 4 else None
    white = WHITE.get(values.dtype, 1)
    return Picture(levels, None if alpha is None or bool((alpha == white).all()) else alpha)


def _checked(values: Tensor, name: str) -> Tensor:
    """The values, clipped to [0, 1]; BadPicture where they are further out than rounding goes."""
    check_size((values.shape[-1], values.shape[-2]), name)
    low, high = (float(limit) for limit in values.aminmax())
    if not (low >= -0.01 and high <= 1.01):  # NaN is neither
        raise BadPicture(f"{name} must hold values in [0, 1], not {low:g} to {high:g}.")
    return values.clamp(0, 1)
