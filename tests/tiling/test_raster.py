"""Pictures that are read and written in parts, in any type."""

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.media.image import resize, to_pil
from impasto.tiling.geometry import Box
from impasto.tiling.raster import Raster, mapped, resized

DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32]
STEP = {
    torch.uint8: 1 / 255,
    torch.uint16: 1 / 65_535,
    torch.float16: 2**-11,
    torch.bfloat16: 2**-8,
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_written_is_read(dtype: torch.dtype, photo: Tensor) -> None:
    """Within half a step of the type."""
    raster = Raster.empty((48, 40), dtype)
    for box in (Box(0, 0, 20, 40), Box(20, 0, 48, 13), Box(20, 13, 48, 40)):
        raster.write(box, box.of(photo))
    assert raster.size == (48, 40)
    read = raster.read()
    assert read.dtype == torch.float32
    assert float((read - photo).abs().max()) <= STEP.get(dtype, 0) / 2 + 1e-7
    box = Box(3, 5, 30, 31)
    torch.testing.assert_close(raster.read(box), box.of(read), rtol=0, atol=0)


def test_integers_do_not_wrap_around() -> None:
    raster = Raster.empty((1, 2), torch.uint8)
    raster.write(Box(0, 0, 1, 2), torch.tensor([-0.5, 1.5]).expand(1, 3, 1, 2))
    assert raster.levels[0, 0].tolist() == [[0, 255]]


def test_reading_hands_out_a_copy() -> None:
    raster = Raster(torch.zeros(1, 3, 4, 4))
    raster.read().add_(1)
    assert not raster.levels.any()


def test_what_is_written_is_the_same_picture_as_ever(photo: Tensor) -> None:
    """Bytes lie as (H, W, C), so that Pillow takes them as they are."""
    raster = Raster.empty((48, 40), torch.uint8)
    raster.write(Box(0, 0, 48, 40), photo)
    levels = raster.levels[0].permute(1, 2, 0)
    assert levels.is_contiguous()
    assert np.array_equal(levels.numpy(), np.asarray(to_pil(photo)))


def test_mapping_goes_over_all_pixels(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.tiling.raster.STRIP", 100)
    target = Raster.empty((48, 40), torch.float32)
    mapped(lambda a, b: a - b * 0.5, target, Raster(photo), Raster(photo))
    torch.testing.assert_close(target.read(), photo * 0.5)
    mapped(lambda a: a * 2, target, target)
    torch.testing.assert_close(target.read(), photo)


@pytest.mark.parametrize("size", [(24, 20), (97, 61), (7, 200), (48, 40), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
def test_resizing_is_that_of_pictures(
    photo: Tensor, size: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.tiling.raster.STRIP", 300)
    got = resized(Raster(photo), size, dtype).read()
    tolerance = 1e-5 if dtype == torch.float32 else 0.6 / 255
    torch.testing.assert_close(got, resize(photo, size), rtol=0, atol=tolerance)


def test_a_single_column_is_resized_like_its_neighbours() -> None:
    """Cut into strips of one column, or not."""
    column = torch.rand(1, 3, 30, 1)
    got = resized(Raster(column), (70, 1), torch.float32).read()
    wanted = resize(column.expand(1, 3, 30, 4), (70, 4))[..., :1]
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


def test_opacity_is_resized_as_one_channel() -> None:
    opacity = torch.rand(1, 1, 40, 30)
    got = resized(Raster(opacity), (20, 24), torch.float32).read()
    assert got.shape == (1, 1, 20, 24)
    torch.testing.assert_close(got, resize(opacity, (20, 24)), rtol=0, atol=1e-5)
