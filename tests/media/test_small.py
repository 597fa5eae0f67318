"""Large photos that are wanted small: the same picture for a fraction of the work."""

import io
import random

import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from torch import Tensor

from impasto.errors import BadPicture
from impasto.media import image as media
from impasto.media.decode import drafted
from impasto.media.samples import sample_photo
from impasto.media.small import read_small


def encoded(
    size: tuple[int, int], kind: str = "JPEG", mode: str = "RGB", **options: object
) -> bytes:
    """A photo with as much detail as there is room for."""
    photo = media.to_pil(sample_photo("astronaut")).resize(size, Image.Resampling.LANCZOS)
    noise = Image.frombytes("RGB", size, random.Random(0).randbytes(3 * size[0] * size[1]))
    file = io.BytesIO()
    Image.blend(photo, noise, 0.1).convert(mode).save(file, kind, **options)
    return file.getvalue()


def usual(data: bytes, long_side: int) -> Tensor:
    pixels = media.read(data).pixels
    return media.resize(pixels, media.fit(pixels.shape[-1], pixels.shape[-2], long_side))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("long_side", [64, 130, 256])
def test_the_same_picture(mode: str, long_side: int) -> None:
    """Within less than a level on average."""
    data = encoded((1037, 778), mode=mode, quality=92)
    found = read_small(data, long_side)
    assert found.levels.shape == usual(data, long_side).shape
    assert float((found.pixels - usual(data, long_side)).abs().mean()) < 1 / 255
    assert found.opacity is None


@pytest.mark.parametrize("size", [(1037, 778), (801, 1201), (999, 333), (517, 516)])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_shapes_are_those_of_the_whole_photo(size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(size, exif=exif.tobytes())
    for long_side in (60, 101, 129):
        assert read_small(data, long_side).levels.shape == usual(data, long_side).shape
    assert float((read_small(data, 101).pixels - usual(data, 101)).abs().mean()) < 1 / 255


@pytest.mark.parametrize(
    ("long_side", "width"), [(100, 200), (200, 200), (201, 400), (400, 400), (401, 800)]
)
def test_no_more_detail_than_is_of_use(long_side: int, width: int) -> None:
    with drafted(encoded((1600, 1200)), long_side) as found:
        assert found is not None
        assert (found[0].width, found[1]) == (width, (width, 0.75 * width))


@pytest.mark.parametrize(
    "data",
    [encoded((400, 300)), encoded((1600, 1200), "PNG"), encoded((1600, 1200), "WEBP")],
    ids=["small", "png", "webp"],
)
def test_all_else_comes_as_it_is(data: bytes) -> None:
    found = read_small(data, 201)
    assert torch.equal(found.levels, media.read(data).levels)


def test_colours_and_metadata_are_kept() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    data = encoded((800, 600), icc_profile=lab, exif=exif.tobytes())
    found, whole = read_small(data, 100), media.read(data)
    assert (found.exif, found.recipe) == (whole.exif, whole.recipe)
    assert found.exif is not None and b"Camera" in found.exif
    painted = io.BytesIO(media.encode(whole.levels, ".jpg", recipe='{"a": 1}'))
    assert read_small(painted.getvalue(), 100).recipe == '{"a": 1}'


def test_what_is_damaged_is_said() -> None:
    with pytest.raises(BadPicture, match="damaged"):
        read_small(encoded((800, 600))[:5000], 100)
    with pytest.raises(BadPicture, match="No such file"):
        read_small("none.jpg", 100)
