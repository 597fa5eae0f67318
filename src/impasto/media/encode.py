"""Pictures out: sRGB profile, EXIF without GPS and the Recipe inside, and never half a file."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin
from torch import Tensor

from impasto.errors import BadOutput, unknown
from impasto.files import obstacle, replacing
from impasto.media.levels import interleaved
from impasto.media.profile import srgb_profile

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".png": "PNG",
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".webp": "WEBP",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        ".avif": "AVIF",
        ".bmp": "BMP",
    }
)
"""What can be written, by suffix."""

LONGEST_SIDE = MappingProxyType({"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_535})
"""Pixels that the encoder of a format can take, where that is few enough to matter."""

MARK = "impasto"
"""Name of the PNG text chunk that holds the Recipe, and first word of the EXIF comment that does.

Phones and other programs write comments of their own; the word says which one is ours.
"""

USER_COMMENT = ExifTags.Base.UserComment
KEPT_TAGS = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.Base.Rating,
        ExifTags.Base.XPTitle,
        ExifTags.Base.XPComment,
        ExifTags.Base.XPAuthor,
        ExifTags.Base.XPKeywords,
        ExifTags.Base.XPSubject,
    }
)
"""A list of what may stay: GPS, orientation, the thumbnail of the old picture and a TIFF's layout
are not on it, nor is whatever else a camera comes up with."""

STALE_PHOTO_TAGS = frozenset(
    {
        ExifTags.Base.MakerNote,  # a maker's own format, often with the place inside
        ExifTags.Base.ExifInteroperabilityOffset,
        ExifTags.Base.ExifImageWidth,
        ExifTags.Base.ExifImageHeight,
        ExifTags.Base.ColorSpace,  # the embedded profile says it
    }
)


def write(
    pixels: Tensor,
    target: Path | str | BinaryIO,
    *,
    suffix: str | None = None,
    alpha: Tensor | None = None,
    exif: bytes | None = None,
    recipe: str | None = None,
    quality: int = 95,
) -> None:
    """Write a picture to a file, all of it or nothing, or to a binary stream.

    pixels: (1, 3, H, W) or (3, H, W), sRGB; alpha: (1, 1, H, W); integers, or floats in [0, 1];
    suffix: the format, needed for a stream, otherwise the target's own; quality: 1 to 100

    Raises BadOutput.
    """
    if isinstance(target, str | Path):
        path = Path(target)
        kind = _format(suffix or path.suffix, "The picture")
        picture = _as_written(pixels, alpha, kind)
        with replacing(path) as file:
            _save(picture, file, kind, exif, recipe, quality)
        return
    data = encode(pixels, suffix or "", alpha, exif, recipe, quality)
    try:
        target.write(data)
        target.flush()
    except OSError as error:
        raise BadOutput(f"The picture cannot be written: {_reason(error)}.") from error


def check_target(
    target: Path, size: tuple[int, int] | None = None, read: Iterable[str] = ()
) -> None:
    """Find out before the work whether a picture can be written there.

    size: (height, width) of the picture to come, to compare with what the format can hold
    read: what the work begins with, of which some may be files

    Raises BadOutput for an unknown suffix, a missing folder, a folder or device in the place of the
    file, a file that is read, missing permission, or a picture too long for the format.
    """
    kind = _format(target.suffix, str(target))
    if reason := obstacle(target, read):
        raise BadOutput(f"{target} cannot be written: {reason}.")
    longest = LONGEST_SIDE.get(kind)
    if size and longest and max(size) > longest:
        text = f"{kind} holds at most {longest} pixels a side, not {max(size)}. Write a .png"
        raise BadOutput(f"{target} cannot be written: {text}.")


def encode(
    pixels: Tensor,
    suffix: str,
    alpha: Tensor | None = None,
    exif: bytes | None = None,
    recipe: str | None = None,
    quality: int = 95,
) -> bytes:
    """The bytes of a picture file; the same input gives the same bytes.

    pixels: (1, 3, H, W) or (3, H, W), sRGB; alpha: (1, 1, H, W); integers, or floats in [0, 1]

    JPEG and BMP have no transparency: there the picture lies on white. BMP has no place for the
    profile, EXIF and Recipe either.

    Raises BadOutput for an unknown suffix and for what the format cannot hold.
    """
    kind = _format(suffix, "The picture")
    picture, buffer = _as_written(pixels, alpha, kind), io.BytesIO()
    _save(picture, buffer, kind, exif, recipe, quality)
    return buffer.getvalue()


def _as_written(pixels: Tensor, alpha: Tensor | None, kind: str) -> Image.Image:
    return to_pil(pixels, alpha, on_white=kind in ("JPEG", "BMP"))


def _save(
    picture: Image.Image,
    file: BinaryIO,
    kind: str,
    exif: bytes | None,
    recipe: str | None,
    quality: int,
) -> None:
    try:
        picture.save(file, kind, **_options(kind, exif, recipe, quality))
    except MemoryError:
        raise
    except Exception as error:  # every encoder of Pillow has its own
        raise BadOutput(f"The picture cannot be written as {kind}: {_reason(error)}.") from error


def to_pil(pixels: Tensor, alpha: Tensor | None = None, on_white: bool = False) -> Image.Image:
    """An 8-bit PIL picture, RGB, or RGBA with ``alpha`` unless that is laid on white.

    pixels: (1, 3, H, W) or (3, H, W); alpha: (1, 1, H, W); integers, or floats in [0, 1]
    """
    channels = pixels.detach().reshape(3, *pixels.shape[-2:])
    shown = None if alpha is None else alpha.detach().reshape(1, *alpha.shape[-2:])
    return Image.fromarray(interleaved(channels, shown, np.dtype(np.uint8), on_white))


def kept_exif(exif: Image.Exif) -> Image.Exif:
    """What of a photo's EXIF goes into the painting: no GPS, no orientation, no Recipe."""
    kept = Image.Exif()
    for tag in KEPT_TAGS.intersection(exif):
        kept[tag] = _raw(exif[tag])
    photo = exif.get_ifd(ExifTags.IFD.Exif)
    details = {tag: value for tag, value in photo.items() if tag not in STALE_PHOTO_TAGS}
    if exif_recipe(exif) is not None:
        del details[USER_COMMENT]
    if details:
        kept.get_ifd(ExifTags.IFD.Exif).update(details)
    return kept


def exif_bytes(exif: Image.Exif) -> bytes | None:
    """EXIF as it is written, None when there is nothing in it."""
    return exif.tobytes() if len(exif) or exif.get_ifd(ExifTags.IFD.Exif) else None


def exif_recipe(exif: Image.Exif) -> str | None:
    """The Recipe in the user comment, None where the comment is missing or another's."""
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(USER_COMMENT)
    if not isinstance(comment, bytes):
        return None
    # EXIF 2.32, section 4.6.5: eight bytes name the character code. "UNICODE" leaves the order of
    # bytes open, and programs that rewrite EXIF disagree; the mark shows which one it is.
    codes = {b"ASCII": ["ascii"], b"UNICODE": ["utf-16-be", "utf-16-le"]}
    for code in codes.get(comment[:8].rstrip(b"\0"), []):
        mark, _, recipe = comment[8:].decode(code, "replace").partition(" ")
        if mark == MARK:
            return recipe
    return None


def _raw(value: object) -> object:
    """Text as the bytes it was read from: Pillow reads Latin-1 but writes ASCII, and no umlauts."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def _user_comment(recipe: str) -> bytes:
    text = f"{MARK} {recipe}"
    return (
        b"ASCII\0\0\0" + text.encode()
        if text.isascii()
        else b"UNICODE\0" + text.encode("utf-16-be")
    )


def _load(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    for tag in list(exif):
        exif[tag] = _raw(exif[tag])
    return exif


def _exif_block(exif: bytes | None, recipe: str | None) -> bytes | None:
    kept = kept_exif(_load(exif or b""))
    if recipe is not None:
        kept.get_ifd(ExifTags.IFD.Exif)[USER_COMMENT] = _user_comment(recipe)
    return exif_bytes(kept)


def _options(kind: str, exif: bytes | None, recipe: str | None, quality: int) -> dict[str, Any]:
    if kind == "BMP":
        return {}
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    block = _exif_block(exif, None if kind == "PNG" else recipe)
    if kind == "JPEG" and block and len(block) > 65_000:  # a JPEG segment ends at 65,533
        block = _exif_block(None, recipe)
    if block:
        # TIFF takes the tags apart, and would make question marks of umlauts.
        options["exif"] = _load(block) if kind == "TIFF" else block
    if kind == "PNG" and recipe is not None:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(MARK, recipe)
    # TIFF stays uncompressed: what Pillow compresses through libtiff cannot hold an EXIF directory.
    if kind in ("JPEG", "WEBP", "AVIF"):
        options["quality"] = quality
    if kind in ("JPEG", "AVIF"):
        options["subsampling"] = "4:4:4"
    if kind == "AVIF":
        options["max_threads"] = 1  # the bytes depend on it, the time hardly
    return options


def _format(suffix: str, name: str) -> str:
    if not suffix:
        raise BadOutput(f"{name} needs a suffix that says the format: {', '.join(FORMATS)}.")
    if suffix.lower() not in FORMATS:
        raise BadOutput(f"{name} cannot be written: {unknown('suffix', suffix, FORMATS)}")
    return FORMATS[suffix.lower()]


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text or type(error).__name__).rstrip(".").lower()
