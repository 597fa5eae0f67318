"""Metrics of pixels: known answers, and what must not matter to them."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import BadInput
from impasto.evaluate.pixels import (
    BANDS,
    edge_ssim,
    histogram_distance,
    luma,
    octaves,
    patch_distance,
    ssim,
)

Compare = Callable[[Tensor, Tensor], float]

LIKENESS = (ssim, edge_ssim)
DISTANCE = (histogram_distance, patch_distance)


def plain(red: float, green: float, blue: float, height: int = 40, width: int = 48) -> Tensor:
    color = torch.tensor([red, green, blue], dtype=torch.float32)
    return color[None, :, None, None].expand(1, 3, height, width)


def grey(level: float, height: int = 40, width: int = 48) -> Tensor:
    return plain(level, level, level, height, width)


def noisy(picture: Tensor, amount: float) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    return (picture + amount * torch.randn(picture.shape, generator=draw)).clamp(0, 1)


def blurred(picture: Tensor, radius: int) -> Tensor:
    padded = F.pad(picture, [radius] * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, 1)


# --- all of them ---


@pytest.mark.parametrize("likeness", LIKENESS)
def test_a_picture_is_like_itself(likeness: Compare, photo: Tensor) -> None:
    assert likeness(photo, photo) == pytest.approx(1)


@pytest.mark.parametrize("distance", DISTANCE)
def test_a_picture_is_not_far_from_itself(distance: Compare, photo: Tensor) -> None:
    assert distance(photo, photo) == 0


@pytest.mark.parametrize("compare", [*LIKENESS, *DISTANCE])
def test_either_may_come_first(compare: Compare, photo: Tensor, painting: Tensor) -> None:
    painting = F.interpolate(painting, photo.shape[-2:])
    assert compare(photo, painting) == pytest.approx(compare(painting, photo))


@pytest.mark.parametrize("compare", [*LIKENESS, *DISTANCE])
@pytest.mark.parametrize("worse", [noisy, lambda p, amount: noisy(p, amount) ** (1 + amount)])
def test_the_more_noise_the_worse(
    compare: Compare, worse: Callable[[Tensor, float], Tensor], photo: Tensor
) -> None:
    row = [compare(photo, worse(photo, amount)) for amount in (0.02, 0.05, 0.1, 0.2)]
    assert row == sorted(row, reverse=compare in LIKENESS)
    assert len(set(row)) == 4


@pytest.mark.parametrize("compare", [ssim, edge_ssim, patch_distance])
def test_the_more_blur_the_worse(compare: Compare, photo: Tensor) -> None:
    row = [compare(photo, blurred(photo, radius)) for radius in (0, 1, 2, 4)]
    assert row == sorted(row, reverse=compare in LIKENESS)
    assert len(set(row)) == 4


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (10, 11), (3, 40)])
@pytest.mark.parametrize("compare", [*LIKENESS, *DISTANCE])
def test_tiny_pictures(compare: Compare, size: tuple[int, int]) -> None:
    tiny = torch.rand(1, 3, *size)
    same = float(compare in LIKENESS)
    assert compare(tiny, tiny) == pytest.approx(same)
    if compare is not edge_ssim:  # which does not see what is light and what is dark
        assert compare(tiny, 1 - tiny) != pytest.approx(same, abs=1e-3)


# --- of structure ---


def test_luma_weighs_green_most() -> None:
    assert [float(luma(p)[0, 0]) for p in (plain(1, 0, 0), plain(0, 1, 0), plain(0, 0, 1))] == (
        pytest.approx([0.2125, 0.7154, 0.0721])
    )


def test_ssim_of_flat_pictures() -> None:
    """Wang et al. 2004: without any structure (2 ab + C1) / (a^2 + b^2 + C1) is left."""
    a, b, c1 = 0.2, 0.8, 0.01**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(grey(a), grey(b)) == pytest.approx(expected, abs=1e-4)
    assert ssim(grey(0), grey(1)) == pytest.approx(c1 / (1 + c1), abs=1e-5)


def test_ssim_of_a_negative_is_negative() -> None:
    picture = noisy(grey(0.5), 0.2)
    assert ssim(picture, 1 - picture) < -0.9


def test_ssim_sees_no_colour() -> None:
    """A red and a green of one luma, exchanged."""
    red, green = plain(0.7154, 0, 0), plain(0, 0.2125, 0)
    assert ssim(red, green) == pytest.approx(1, abs=1e-6)


def test_edges_do_not_know_light_or_sign(photo: Tensor) -> None:
    dim = 0.2 + 0.5 * photo
    assert edge_ssim(dim, dim + 0.3) == pytest.approx(1, abs=1e-5)
    assert edge_ssim(dim, 1 - dim) == pytest.approx(1, abs=1e-5)
    assert ssim(dim, 1 - dim) < 0.3


def test_a_shift_costs_structure_only(photo: Tensor) -> None:
    shifted = photo.roll(5, 3)
    assert ssim(photo, shifted) < 0.5
    assert edge_ssim(photo, shifted) < 0.5
    assert histogram_distance(photo, shifted) == 0


@pytest.mark.parametrize("likeness", LIKENESS)
def test_pictures_of_different_size_are_refused(likeness: Compare, photo: Tensor) -> None:
    with pytest.raises(BadInput, match=r"Pictures of 40 x 48 and 39 x 48 pixels do not"):
        likeness(photo, photo[..., :-1])


# --- of colours ---


def test_black_and_white_differ_in_one_channel_of_three() -> None:
    assert histogram_distance(grey(0), grey(1)) == pytest.approx(100 / 3, abs=0.01)


def test_half_black_half_white() -> None:
    """From black half of the picture has to move."""
    half = grey(0).clone()
    half[..., :24] = 1
    assert histogram_distance(grey(0), half) == pytest.approx(50 / 3, abs=0.01)
    assert histogram_distance(half, half.flip(3)) == 0


def test_red_in_lab() -> None:
    """sRGB red is L* 53.24, a* 80.09, b* 67.20."""
    red = histogram_distance(grey(0), plain(1, 0, 0))
    assert red == pytest.approx((53.24 + 80.09 + 67.20) / 3, abs=0.02)


def test_blue_and_green_are_farthest() -> None:
    corners = [plain(r, g, b, 2, 2) for r in (0, 1) for g in (0, 1) for b in (0, 1)]
    farthest = max(histogram_distance(a, b) for a in corners for b in corners)
    blue, green = plain(0, 0, 1, 2, 2), plain(0, 1, 0, 2, 2)
    assert histogram_distance(blue, green) == farthest == pytest.approx(137.3, abs=0.1)


def test_colours_do_not_know_places_or_sizes(photo: Tensor) -> None:
    pixels = photo.flatten(2)
    shuffled = pixels[..., torch.randperm(pixels.shape[2])].view_as(photo)
    assert histogram_distance(photo, shuffled) == 0
    assert histogram_distance(photo, photo.repeat(1, 1, 2, 3)) < 0.1
    larger = F.interpolate(photo, scale_factor=3)
    assert histogram_distance(photo, larger) < 0.1


# --- of patches ---


def test_octaves_add_up_to_the_picture(photo: Tensor) -> None:
    bands = list(octaves(photo))
    assert [tuple(b.shape[-2:]) for b in bands] == [(48, 40), (24, 20), (12, 10), (6, 5)]
    for band in reversed(bands[:-1]):
        size = band.shape[-2:]
        larger = F.interpolate(bands[-1], size, mode="bicubic", antialias=True).clamp(0, 1)
        bands[-1] = larger + band
    torch.testing.assert_close(bands[-1], photo)


def test_flat_pictures_differ_in_the_coarsest_octave() -> None:
    """Grey 0.2 and 0.6: |0.6 - 0.2| / (0.6 + 0.2) in one octave, nothing in the others."""
    assert patch_distance(grey(0.2), grey(0.6)) == pytest.approx(0.5 / BANDS, abs=1e-4)
    assert patch_distance(grey(0), grey(1)) == pytest.approx(1 / BANDS, abs=1e-4)


def test_half_the_contrast() -> None:
    """Detail of half the height: 1/3 in the three octaves of detail."""
    detail = noisy(grey(0.5, 64, 64), 0.1) - 0.5
    distance = patch_distance(0.5 + detail, 0.5 + detail / 2)
    assert distance == pytest.approx(3 / 3 / BANDS, abs=0.02)


def test_patches_do_not_know_places(painting: Tensor) -> None:
    """Tiles in another order are nearer than another picture; a texture moved is the same."""
    tile = painting[..., :16, :16]
    texture = tile.repeat(1, 1, 16, 16)
    assert patch_distance(texture, texture.roll((16, 32), (2, 3))) == 0
    assert patch_distance(texture, texture.roll((8, 24), (2, 3))) < 0.05
    tiles = painting.unfold(2, 16, 16).unfold(3, 16, 16).flatten(2, 3)  # (1, 3, 16, 16, 16)
    mixed = tiles[:, :, torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    mixed = mixed.unflatten(2, (4, 4)).permute(0, 1, 2, 4, 3, 5).reshape(painting.shape)
    assert patch_distance(painting, mixed) < 0.6 * patch_distance(painting, noisy(painting, 0.3))


def test_patches_do_not_know_sizes(painting: Tensor) -> None:
    assert patch_distance(painting.repeat(1, 1, 2, 2), painting.repeat(1, 1, 4, 3)) < 0.03
    large = painting.repeat(1, 1, 4, 4)  # more patches than are looked at
    assert patch_distance(large, large.repeat(1, 1, 1, 2)) < 0.03


def test_strokes_of_another_size_are_seen() -> None:
    """The same colours in squares of 2 and of 8 pixels."""
    squares = torch.rand(1, 3, 8, 8).round()
    fine = F.interpolate(squares, scale_factor=2).repeat(1, 1, 4, 4)
    coarse = F.interpolate(squares, scale_factor=8)
    assert histogram_distance(fine, coarse) == 0
    assert patch_distance(fine, coarse) > 0.1
