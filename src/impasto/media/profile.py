"""Colour profiles: ours is sRGB, and every other one is converted to it."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An ICC profile of sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Bytes 24 to 35 say when the profile was made, which is now: the same pixels would not give
    # the same file.
    made = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return profile[:24] + made + profile[36:]


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours, without alpha, as 8-bit RGB, or L for grey that has no profile.

    profile: ICC; one that is broken, or made for another kind of pixels, is ignored
    """
    if picture.mode not in ("L", "RGB", "CMYK", "LAB"):
        picture = picture.convert("L" if picture.mode in ("1", "LA") else "RGB")
    transform = _transform(picture.mode, profile)
    if transform is None and picture.mode != "RGB" and profile is not None:
        # Greys often carry an RGB profile.
        transform = _transform("RGB", profile)
        picture = picture if transform is None else picture.convert("RGB")
    if transform is not None:
        return ImageCms.applyTransform(picture, transform) or picture
    return picture if picture.mode == "L" else picture.convert("RGB")


def is_srgb(profile: bytes | None) -> bool:
    """Whether the profile leaves RGB and grey as they are."""
    return _transform("RGB", profile) is None and _transform("L", profile) is None


def _transform(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """How to get to sRGB from pixels of that mode; None when there is nothing to do, or no way."""
    if mode != "LAB" and (not profile or profile == srgb_profile()):
        return None
    try:
        source = (
            ImageCms.createProfile("LAB")
            if mode == "LAB"
            else ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        )
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    return transform if mode not in ("L", "RGB") or _changes(transform, mode) else None


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether the colours differ by more than rounding: sRGB comes in many profiles."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    probe = Image.fromarray(grid if mode == "RGB" else levels[None])
    result = np.asarray(ImageCms.applyTransform(probe, transform), dtype=int)
    return bool(np.abs(result - np.asarray(probe.convert("RGB"))).max() > 1)
