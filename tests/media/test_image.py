"""Pictures in and out: every mode and format, the right way up, in sRGB, and never half a file."""

import errno
import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps
from torch import Tensor

from impasto.errors import BadOutput, BadPicture
from impasto.media import decode, encode
from impasto.media import image as media
from impasto.media.image import Limits

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")
LOSSLESS = (".png", ".tif", ".tiff")
WITH_EXIF = (".png", ".jpg", ".webp", ".tif", ".avif")
SIZES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.just(1), st.integers(1, 400)),
    st.tuples(st.integers(200, 400), st.integers(1, 3)),
)
QUICK = settings(max_examples=60, deadline=None)


def noise(*shape: int, high: int = 256, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, high, shape)


def colours(width: int, height: int) -> Image.Image:
    return Image.fromarray(noise(height, width, 3).astype(np.uint8))


def of_mode(mode: str, size: tuple[int, int]) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(noise(size[1], size[0], high=65536).astype(np.uint16))
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        srgb = ImageCms.createProfile("sRGB")
        result = ImageCms.profileToProfile(colours(*size), srgb, lab, outputMode="LAB")
        assert result is not None
        return result
    return colours(*size).convert("RGB" if mode == "RGB" else mode)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 24, width: int = 32) -> Tensor:
    """A picture without detail, which lossy formats keep."""
    return media.resize(torch.rand(1, 3, 3, 4), (height, width))


def levels(pixels: Tensor) -> NDArray[np.uint8]:
    """(1, C, H, W) in [0, 1]  ->  (H, W, C), 0 to 255"""
    return np.asarray((pixels[0].permute(1, 2, 0) * 255).round().byte())


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, bits: int, color_type: int, rows: bytes, extra: bytes = b""
) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    body = png_chunk(b"IHDR", head) + extra + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def exif_with(orientation: int | None = None, **photo: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    if photo:
        tags = {ExifTags.Base[name]: value for name, value in photo.items()}
        exif.get_ifd(ExifTags.IFD.Exif).update(tags)
    return exif


def loaded(exif: bytes | None) -> Image.Exif:
    result = Image.Exif()
    result.load(exif or b"")
    return result


# Reading


@given(st.sampled_from(MODES), st.sampled_from(FORMATS), SIZES)
@QUICK
def test_every_mode_and_format_gives_pixels_in_range(
    mode: str, kind: str, size: tuple[int, int]
) -> None:
    try:
        data = saved(of_mode(mode, size), kind)
    except (OSError, ValueError):  # Pillow does not write this mode in this format
        return
    picture = media.read(data)
    assert picture.pixels.shape == (1, 3, size[1], size[0])
    assert picture.pixels.dtype == torch.float32 and picture.pixels.is_contiguous()
    assert picture.pixels.min() >= 0 and picture.pixels.max() <= 1
    assert picture.alpha is None or picture.alpha.shape == (1, 1, size[1], size[0])
    assert media.header(data) == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
def test_eight_bit_modes_are_read_exactly(mode: str) -> None:
    picture = of_mode(mode, (9, 5))
    if mode in ("LA", "PA", "RGBA"):
        picture.putalpha(Image.fromarray(noise(5, 9, seed=2).astype(np.uint8)))
    found = media.read(saved(picture, "TIFF"))
    expected = np.asarray(picture.convert("RGB" if mode == "CMYK" else "RGBA"))
    assert (levels(found.pixels) == expected[:, :, :3]).all()
    if mode in ("LA", "PA", "RGBA"):
        assert found.alpha is not None
        assert (levels(found.alpha) == expected[:, :, 3:]).all()
    else:
        assert found.alpha is None


def test_transparent_palette_entry() -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0])
    found = media.read(saved(picture, "PNG", transparency=1))
    assert found.pixels[0, :, 0, 0].tolist() == [1, 0, 0]
    assert found.alpha is not None
    assert found.alpha[0, 0].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7)), ("I;16", 7)])
def test_one_transparent_colour(mode: str, key: object) -> None:
    values = np.array([[7, 9]], np.uint16 if mode == "I;16" else np.uint8)
    picture = Image.fromarray(values) if mode != "RGB" else Image.fromarray(values).convert("RGB")
    found = media.read(saved(picture, "PNG", transparency=key))
    assert found.alpha is not None
    assert found.alpha.flatten().tolist() == [0, 1]


def test_opaque_alpha_is_none() -> None:
    assert media.read(saved(colours(3, 2).convert("RGBA"), "PNG")).alpha is None


@given(SIZES, st.sampled_from([3, 4]))
@settings(max_examples=15, deadline=None)
def test_16_bit_png_keeps_its_precision(size: tuple[int, int], channels: int) -> None:
    width, height = size
    values = noise(height, width, channels, high=65536).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    found = media.read(png(width, height, 16, 2 if channels == 3 else 6, rows))
    parts = [found.pixels] if found.alpha is None else [found.pixels, found.alpha]
    expected = torch.from_numpy(values.astype(np.float32) / 65535).permute(2, 0, 1)
    assert torch.equal(torch.cat(parts, 1)[0], expected[: sum(p.shape[1] for p in parts)])


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": 2}, {"tile": (16, 16)}]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("shape", [(33, 37), (33, 37, 3), (33, 37, 4)])
def test_16_bit_tiff_keeps_its_precision(
    options: dict[str, Any], byteorder: str, shape: tuple[int, ...]
) -> None:
    values = noise(*shape, high=65536).astype(np.uint16)
    extra = {"extrasamples": ["unassalpha"]} if shape[2:] == (4,) else {}
    photometric = "rgb" if len(shape) == 3 else "minisblack"
    file = io.BytesIO()
    tifffile.imwrite(file, values, byteorder=byteorder, photometric=photometric, **extra, **options)
    found = media.read(file.getvalue())
    channels = np.atleast_3d(values).astype(np.float32) / 65535
    expected = torch.from_numpy(channels).permute(2, 0, 1)[None]
    assert torch.equal(found.pixels, expected[:, :3].expand(-1, 3, -1, -1))
    if shape[2:] == (4,):
        assert found.alpha is not None
        assert torch.equal(found.alpha, expected[:, 3:])


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_white_of_float_pictures_is_found(white: float) -> None:
    values = np.array([[0, 0.25, 1, np.nan, -1]], np.float32) * np.float32(white)
    found = media.read(saved(Image.fromarray(values), "TIFF"))
    assert found.pixels[0, 0, 0].tolist() == pytest.approx([0, 0.25, 1, 0, 0])


def test_tiff_layouts_that_pillow_gets_wrong_are_refused() -> None:
    values = noise(3, 8, 8, high=65536).astype(np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb", planarconfig="separate")
    with pytest.raises(BadPicture, match="save it with 8 or 16 bits"):
        media.read(file.getvalue())


def test_gif_gives_its_first_frame() -> None:
    red, blue = Image.new("RGB", (4, 3), "red"), Image.new("RGB", (4, 3), "blue")
    found = media.read(saved(red, "GIF", save_all=True, append_images=[blue]))
    assert found.pixels[0, :, 1, 1].tolist() == [1, 0, 0]


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "stream"])
def test_every_source(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "größe.png"
    data = saved(colours(5, 4), "PNG")
    path.write_bytes(data)
    given = {"path": path, "str": str(path), "bytes": data, "stream": io.BytesIO(data)}[kind]
    assert media.read(given).pixels.shape == (1, 3, 4, 5)


def test_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[saved(colours(5, 4), "PNG")])
    writer.start()
    assert media.read(pipe).pixels.shape == (1, 3, 4, 5)
    writer.join()


# The right way up, in sRGB


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_exif_turn(kind: str, orientation: int) -> None:
    stored = media.to_pil(smooth(24, 32))
    options: dict[str, Any] = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    data = saved(stored, kind, exif=exif_with(orientation), **options)
    upright = stored.copy()
    upright.getexif()[ExifTags.Base.Orientation] = orientation
    expected = ImageOps.exif_transpose(upright)
    found = media.read(data)
    assert media.header(data) == expected.size
    assert loaded(found.exif).get(ExifTags.Base.Orientation) is None
    error = np.abs(levels(found.pixels).astype(int) - np.asarray(expected).astype(int))
    assert error.mean() < 3 and (kind not in ("PNG", "TIFF") or error.max() == 0)


def test_alpha_and_16_bits_are_turned_too() -> None:
    values = noise(2, 3, 4, high=65536).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    exif = png_chunk(b"eXIf", exif_with(6).tobytes()[6:])
    found = media.read(png(3, 2, 16, 6, rows, exif))
    expected = torch.from_numpy(np.rot90(values, -1).astype(np.float32) / 65535).permute(2, 0, 1)
    assert found.alpha is not None
    assert torch.equal(torch.cat([found.pixels, found.alpha], 1)[0], expected)


P3_TO_XYZ = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def display_p3() -> bytes:
    """The sRGB profile with the primaries of Display P3 in its place."""
    profile = bytearray(encode.srgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    for entry in range(count):
        tag, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if tag in (b"rXYZ", b"gXYZ", b"bXYZ"):
            column = P3_TO_XYZ[:, b"rgb".index(tag[:1])]
            struct.pack_into(">3i", profile, offset + 8, *(round(x * 65536) for x in column))
    return bytes(profile)


def from_p3(values: NDArray[Any]) -> NDArray[Any]:
    x = values / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    y = np.clip(linear @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T, 0, 1)
    return np.where(y <= 0.0031308, y * 12.92, 1.055 * y ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "AVIF", "JPEG"])
def test_profile_is_converted(kind: str) -> None:
    stored = Image.new("RGB", (16, 16), (200, 120, 90))
    options = {"quality": 100} if kind in ("WEBP", "AVIF", "JPEG") else {}
    found = media.read(saved(stored, kind, icc_profile=display_p3(), **options))
    expected = from_p3(np.array([200.0, 120.0, 90.0]))
    assert np.abs(expected - [200, 120, 90]).max() > 10
    assert np.abs(levels(found.pixels) - expected).max() < 4


def test_profile_of_palette_and_16_bit_pictures_is_converted() -> None:
    values = np.full((4, 4, 3), (200, 120, 90))
    expected = from_p3(np.array([200.0, 120.0, 90.0]))
    palette = Image.fromarray(values.astype(np.uint8)).quantize(4)
    found = media.read(saved(palette, "PNG", icc_profile=display_p3()))
    assert np.abs(levels(found.pixels) - expected).max() < 3
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values * 257)
    profile = png_chunk(b"iCCP", b"p3\0\0" + zlib.compress(display_p3()))
    found = media.read(png(4, 4, 16, 2, rows, profile))
    assert np.abs(levels(found.pixels) - expected).max() < 3


def test_srgb_profile_changes_nothing() -> None:
    stored = colours(20, 20)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = media.read(saved(stored, "PNG", icc_profile=srgb))
    assert (levels(found.pixels) == np.asarray(stored)).all()


@pytest.mark.parametrize("profile", [b"broken", encode.srgb_profile()[:200]])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_broken_profile_is_ignored(profile: bytes, mode: str) -> None:
    stored = of_mode(mode, (6, 5))
    found = media.read(saved(stored, "TIFF", icc_profile=profile))
    assert (levels(found.pixels) == np.asarray(stored.convert("RGB"))).all()


def test_lab_is_converted() -> None:
    found = media.read(saved(of_mode("LAB", (6, 5)), "TIFF"))
    assert np.abs(levels(found.pixels).astype(int) - np.asarray(colours(6, 5))).mean() < 6


def test_damaged_exif_does_not_matter() -> None:
    found = media.read(saved(colours(5, 4), "JPEG", exif=b"Exif\0\0II*\0 nonsense"))
    assert found.pixels.shape == (1, 3, 4, 5) and found.exif is None


# What is no picture


@pytest.mark.parametrize("ask", [media.read, media.header])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Hello, this is no picture at all.", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (png(50_000, 50_000, 8, 2, b""), "50000 x 50000 = 2500.0 million pixels; 200 million"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "damaged"),
    ],
)
def test_no_picture(
    ask: Callable[[Path], object], content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(BadPicture, match=message) as caught:
        ask(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match=r"No such file: .*nothing\.png"):
        media.read(tmp_path / "nothing.png")
    with pytest.raises(BadPicture, match="is a folder"):
        media.read(tmp_path)
    with pytest.raises(BadPicture, match="cannot be read"):
        media.read("zero\0byte.png")


def test_limits_are_ours_not_pillows() -> None:
    rows = png(12_000, 12_000, 8, 2, b"")  # Pillow warns of this size
    assert media.header(rows) == (12_000, 12_000)
    with pytest.raises(BadPicture, match=r"144\.0 million pixels; 100 million are allowed"):
        media.header(rows, Limits(pixels=100_000_000))
    with pytest.raises(BadPicture, match="more than the 1 MB"):
        media.read(io.BytesIO(bytes(2_000_000)), Limits(bytes=1_000_000))


@given(
    st.sampled_from(FORMATS),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([{}, {"compression": "tiff_lzw"}, {"progressive": True}]),
)
@settings(max_examples=250, deadline=None)
def test_truncated_is_an_error_and_never_grey_rows(
    kind: str, part: float, options: dict[str, Any]
) -> None:
    data = saved(media.to_pil(torch.rand(1, 3, 24, 20)), kind, **options if kind != "GIF" else {})
    whole = media.read(data).pixels
    try:
        found = media.read(data[: int(part * len(data))]).pixels
    except BadPicture:
        return
    assert torch.equal(found, whole)  # what was cut off came after the pixels


@given(st.sampled_from([f for f in FORMATS if f != "TIFF"]), st.randoms(use_true_random=False))
@settings(max_examples=250, deadline=None)
def test_damage_ends_in_pixels_or_bad_picture(kind: str, random: Any) -> None:
    data = bytearray(saved(colours(20, 16), kind))
    for _ in range(random.randint(1, 6)):
        data[random.randrange(len(data))] = random.randrange(256)
    try:
        pixels = media.read(bytes(data), Limits(pixels=1_000_000)).pixels
    except BadPicture as error:
        assert "\n" not in str(error)
    else:
        assert torch.isfinite(pixels).all()


def test_warnings_of_others_are_left_alone() -> None:
    media.read(saved(colours(4, 4), "PNG"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        media.read(saved(colours(4, 4), "PNG"))
        warnings.warn("heard", stacklevel=1)
    assert [str(w.message) for w in caught] == ["heard"]


# Writing


@pytest.mark.parametrize("suffix", encode.FORMATS)
def test_written_pictures_come_back(suffix: str, tmp_path: Path) -> None:
    pixels, target = smooth(), tmp_path / f"out{suffix.upper()}"
    media.write(pixels, target)
    found = media.read(target)
    error = (found.pixels - pixels).abs()
    assert error.mean() < 0.02
    assert error.max() <= 0.5 / 255 + 1e-6 or suffix not in (*LOSSLESS, ".bmp")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", WITH_EXIF)
def test_srgb_profile_is_embedded(suffix: str) -> None:
    data = media.encode(smooth(), suffix)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == encode.srgb_profile()


@pytest.mark.parametrize("suffix", encode.FORMATS)
def test_same_pixels_same_bytes(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, exif = smooth(), exif_with(ExposureTime=0.01).tobytes()
    first = media.encode(pixels, suffix, exif=exif, recipe="{}")
    monkeypatch.setattr("PIL.AvifImagePlugin.DEFAULT_MAX_THREADS", 2)
    encode.srgb_profile.cache_clear()
    assert media.encode(pixels.clone(), suffix, exif=exif, recipe="{}") == first


@given(st.sampled_from([".png", ".webp", ".tif", ".avif"]), SIZES)
@settings(max_examples=25, deadline=None)
def test_alpha_comes_back(suffix: str, size: tuple[int, int]) -> None:
    height, width = size
    alpha = media.resize(torch.rand(1, 1, 2, 2) * 0.9, (height, width))
    found = media.read(media.encode(smooth(height, width), suffix, alpha))
    assert found.alpha is not None
    assert (found.alpha - alpha).abs().max() < (0.1 if suffix == ".avif" else 0.003)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_transparent_parts_are_white_where_there_is_no_alpha(suffix: str) -> None:
    alpha = torch.zeros(1, 1, 16, 16)
    found = media.read(media.encode(torch.rand(1, 3, 16, 16), suffix, alpha))
    assert found.alpha is None and found.pixels.min() == 1


@given(
    st.sampled_from(WITH_EXIF),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
    ),
)
@settings(max_examples=60, deadline=None)
def test_recipe_comes_back(suffix: str, recipe: str) -> None:
    data = media.encode(smooth(4, 5), suffix, exif=exif_with().tobytes(), recipe=recipe)
    assert media.read(data).recipe == recipe


def test_recipe_does_not_stay_in_kept_exif() -> None:
    found = media.read(media.encode(smooth(), ".jpg", recipe="old"))
    assert found.exif is None
    assert media.read(media.encode(smooth(), ".jpg", exif=found.exif, recipe="new")).recipe == "new"


def test_recipe_is_found_in_either_order_of_bytes() -> None:
    comment = b"UNICODE\0" + "impasto größe".encode("utf-16-le")
    data = saved(colours(4, 4), "JPEG", exif=exif_with(UserComment=comment))
    assert media.read(data).recipe == "größe"


def test_comments_of_others_are_kept_and_no_recipe() -> None:
    comment = b"ASCII\0\0\0Screenshot"
    found = media.read(saved(colours(4, 4), "JPEG", exif=exif_with(UserComment=comment)))
    assert found.recipe is None
    photo = loaded(found.exif).get_ifd(ExifTags.IFD.Exif)
    assert photo[ExifTags.Base.UserComment] == comment


@pytest.mark.parametrize("suffix", WITH_EXIF)
@pytest.mark.parametrize("via", ["read", "write"])
def test_exif_is_kept_without_gps(suffix: str, via: str) -> None:
    exif = exif_with(6, ExposureTime=0.01, LensModel="50 mm", MakerNote=b"secret place")
    exif[ExifTags.Base.Artist] = "Jürgen ©".encode()
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 7.0)}
    block = exif.tobytes()
    if via == "read":
        block = media.read(saved(colours(4, 4), "JPEG", exif=block)).exif or b""
    data = media.encode(smooth(), suffix, exif=block, recipe="{}")
    found = loaded(Image.open(io.BytesIO(data)).getexif().tobytes())
    photo = found.get_ifd(ExifTags.IFD.Exif)
    assert found[ExifTags.Base.Make] == "Camera"
    assert photo[ExifTags.Base.LensModel] == "50 mm"
    assert float(photo[ExifTags.Base.ExposureTime]) == pytest.approx(0.01)
    assert ExifTags.IFD.GPSInfo not in found and ExifTags.Base.Orientation not in found
    assert "Jürgen ©".encode() in data and b"secret place" not in data
    assert media.header(data) == (32, 24)


def test_exif_too_large_for_jpeg_gives_way_to_the_recipe() -> None:
    exif = exif_with()
    exif[ExifTags.Base.ImageDescription] = "x" * 65_400
    data = media.encode(smooth(), ".jpg", exif=exif.tobytes(), recipe="{}")
    assert media.read(data).recipe == "{}"


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["os.replace", "os.fsync", "PIL.Image.Image.save"])
def test_failure_leaves_the_old_file_and_nothing_else(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(place, fail)
    with pytest.raises(BadOutput, match=r"[Nn]o space left on device"):
        media.write(smooth(), target)
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"old"


def test_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        media.write(smooth(), tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_permissions_follow_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        media.write(smooth(), tmp_path / "out.png")
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o640


def test_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    link.symlink_to(real)
    media.write(smooth(), link)
    assert link.is_symlink() and media.header(real) == (32, 24)


def test_stream_gets_the_bytes_and_needs_a_suffix() -> None:
    stream = io.BytesIO()
    media.write(smooth(), stream, suffix=".tif")
    assert media.header(stream.getvalue()) == (32, 24)
    with pytest.raises(BadOutput, match="needs a suffix"):
        media.write(smooth(), stream)


def test_closed_pipe_is_bad_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "wb", buffering=0)
    with pytest.raises(BadOutput, match="broken pipe"):
        media.write(smooth(), stream, suffix=".png")
    stream.close()


def test_target_is_checked_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media.check_target(tmp_path / "new.JPG")
    (tmp_path / "folder.png").mkdir()
    for name, message in {
        "x.pgn": r"Did you mean '\.png'\? Choose from: \.png, \.jpg",
        "x": r"needs a suffix .*\.webp",
        "nowhere/x.png": "there is no folder",
        "folder.png": "it is a folder",
    }.items():
        with pytest.raises(BadOutput, match=message):
            media.check_target(tmp_path / name)
    (tmp_path / "null.png").symlink_to("/dev/null")
    with pytest.raises(BadOutput, match="not a regular file"):
        media.check_target(tmp_path / "null.png")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(BadOutput, match="permission denied"):
        media.check_target(tmp_path / "new.png")


def test_pictures_too_long_for_a_format(tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="at most 16383 pixels a side, not 20000"):
        media.check_target(tmp_path / "x.webp", (100, 20_000))
    media.check_target(tmp_path / "x.png", (100, 20_000))
    with pytest.raises(BadOutput, match="cannot be written as WEBP"):
        media.encode(torch.zeros(1, 3, 1, 16_384), ".webp")


# Sizes


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4096))
@QUICK
def test_fit(width: int, height: int, long_side: int) -> None:
    size = media.fit(width, height, long_side)
    assert max(size) == long_side and min(size) >= 1
    exact = height * long_side / max(width, height), width * long_side / max(width, height)
    assert all(abs(got - want) <= 0.5 or got == 1 for got, want in zip(size, exact, strict=True))


@given(SIZES, SIZES, st.sampled_from([1, 3, 7]))
@QUICK
def test_resize(old: tuple[int, int], new: tuple[int, int], channels: int) -> None:
    image = torch.rand(2, channels, *old).round()
    resized = media.resize(image, new)
    assert resized.shape == (2, channels, *new)
    assert channels == 7 or (resized.min() >= 0 and resized.max() <= 1)
    flat = media.resize(torch.full((1, channels, *old), 0.3), new)
    assert torch.allclose(flat, torch.tensor(0.3), atol=1e-5)


def test_resize_averages_what_it_cannot_show() -> None:
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    small = media.resize(checks.float().expand(1, 3, -1, -1), (8, 8))
    assert (small - 0.5).abs().max() < 0.05


# Same kind in, same kind out


def given_as(kind: str, path: Path) -> Any:
    array = np.asarray(Image.open(path))
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255
    return {
        "path": path,
        "str": str(path),
        "bytes": path.read_bytes(),
        "pil": Image.open(io.BytesIO(path.read_bytes())),
        "uint8": array,
        "uint16": array.astype(np.uint16) * 257,
        "float64": array / 255,
        "float16": (array / 255).astype(np.float16),
        "tensor3": tensor,
        "tensor4": tensor[None].double(),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["path", "str", "bytes", "pil", "uint8", "uint16", "float64", "float16", "tensor3", "tensor4"],
)
def test_same_kind_in_same_kind_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    colours(6, 5).save(path)
    photo = given_as(kind, path)
    picture = media.open_any(photo)
    pixels = media.read(path).pixels
    assert (picture.pixels - pixels).abs().max() < 1e-3
    result: Any = media.like(photo, pixels, recipe="{}")
    if kind in ("path", "str", "pil"):
        assert isinstance(result, Image.Image)
        assert media.open_any(result).recipe == "{}"
    elif kind == "bytes":
        assert result.startswith(b"\x89PNG") and media.read(result).recipe == "{}"
    else:
        assert type(result) is type(photo)
        assert (result.shape, result.dtype) == (photo.shape, photo.dtype)
    assert (media.open_any(result).pixels - pixels).abs().max() < 1e-3


def test_arrays_of_grey_and_with_alpha() -> None:
    grey = noise(5, 6).astype(np.uint8)
    pixels = media.to_tensor(grey)
    assert torch.equal(pixels, media.to_tensor(grey[:, :, None]))
    assert torch.equal(pixels[:, 0], pixels[:, 2])
    result: Any = media.like(grey, pixels)
    assert result.shape == (5, 6, 3)
    rgba = noise(5, 6, 4).astype(np.uint8)
    picture = media.open_any(rgba)
    assert (media.like(rgba, picture.pixels, picture.alpha) == rgba).all()
    opaque: Any = media.like(rgba, picture.pixels)
    assert (opaque[:, :, 3] == 255).all()


def test_pil_pictures_are_turned_and_converted() -> None:
    stored = Image.new("RGB", (4, 2), (200, 120, 90))
    stored.info["icc_profile"] = display_p3()
    stored.getexif()[ExifTags.Base.Orientation] = 6
    picture = media.open_any(stored)
    assert picture.pixels.shape == (1, 3, 4, 2)
    assert np.abs(levels(picture.pixels) - from_p3(np.array([200.0, 120.0, 90.0]))).max() < 3
    assert stored.size == (4, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 4, 5)), "An array must be"),
        (np.zeros((4, 4), np.int64), "An array must be uint8"),
        (np.full((4, 4, 3), 200.0), r"must hold values in \[0, 1\], not 200 to 200"),
        (np.full((4, 4, 3), np.nan), r"must hold values in \[0, 1\]"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
        (torch.zeros(4, 4, 3), "A tensor must be"),
        (torch.zeros(2, 3, 4, 4), "A tensor must be"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "A tensor must be"),
        (torch.full((3, 4, 4), torch.inf), r"must hold values in \[0, 1\]"),
        (42, "not int"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, message: str) -> None:
    with pytest.raises(BadPicture, match=message):
        media.open_any(given)


def test_openers_are_those_of_pillow() -> None:
    for kind, opener in decode.OPENERS.items():
        assert Image.OPEN[kind][0] is opener


def test_arrays_in_the_other_order_of_bytes() -> None:
    levels = np.arange(48, dtype=np.uint16).reshape(4, 4, 3) * 1000
    swapped = levels.astype(levels.dtype.newbyteorder(">"))
    wanted, got = media.open_any(levels), media.open_any(swapped)
    torch.testing.assert_close(got.pixels, wanted.pixels)


def test_a_file_that_is_open_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    with (tmp_path / "a.txt").open() as file, pytest.raises(BadPicture, match="binary mode"):
        media.read(file)  # type: ignore[arg-type]
