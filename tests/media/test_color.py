"""Colour modes: known answers, and no NaN for any picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import color as skcolor
from torch import Tensor

from impasto.media import color

IMAGES = st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
QUICK = settings(max_examples=60, deadline=None)


def image(batch: int, height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, height, width, generator=generator)


def mild(seed: int, spread: float = 0.06) -> Tensor:
    """Colours that lie far enough inside of [0, 1] that nothing is clipped."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(3, 3, generator=generator)
    raw = torch.rand(2, 3, 30 * 20, generator=generator) - 0.5
    mixed = (mixing / mixing.norm() @ raw) * spread / 0.3
    return (0.5 + mixed).view(2, 3, 30, 20)


def statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    flat = pixels.flatten(2)
    return flat.mean(2), torch.stack([torch.cov(item, correction=0) for item in flat])


@given(IMAGES)
@QUICK
def test_transfer_curve_there_and_back(shape: tuple[int, int, int, int]) -> None:
    pixels = image(*shape)
    assert torch.allclose(color.to_srgb(color.to_linear(pixels)), pixels, atol=1e-5)


def test_transfer_curve_known_answers() -> None:
    grey = torch.tensor([0.0, 0.04045, 0.5, 188 / 255, 1.0])
    expected = torch.tensor([0.0, 0.0031308, 0.2140411, 0.5028865, 1.0])
    assert torch.allclose(color.to_linear(grey), expected, atol=1e-6)


def test_oklab_known_answers() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert color.to_oklab(red).flatten().tolist() == pytest.approx(
        [0.62796, 0.22486, 0.12585], abs=1e-4
    )
    white = color.to_oklab(torch.ones(1, 3, 1, 1)).flatten()
    assert white.tolist() == pytest.approx([1, 0, 0], abs=1e-4)


@given(IMAGES)
@QUICK
def test_oklab_there_and_back(shape: tuple[int, int, int, int]) -> None:
    pixels = image(*shape)
    back = color.to_srgb(color.from_oklab(color.to_oklab(pixels)))
    assert torch.allclose(back, pixels, atol=2e-4)


@given(IMAGES, st.integers(100, 199))
@QUICK
def test_luma_keeps_the_lightness_of_the_painting(
    shape: tuple[int, int, int, int], seed: int
) -> None:
    painted, photo = image(*shape), image(*shape[:3], seed)
    result = color.luma(painted, photo)
    assert result.shape == painted.shape
    assert result.min() >= 0 and result.max() <= 1
    lightness = color.to_oklab(result)[:, 0] - color.to_oklab(painted)[:, 0]
    assert lightness.abs().max() < 5e-3
    hue, given = color.to_oklab(result)[:, 1:], color.to_oklab(photo)[:, 1:]
    assert ((hue * given).sum(1) >= -1e-4).all()  # never the opposite colour
    assert (hue.norm(dim=1) <= given.norm(dim=1) + 1e-3).all()  # never stronger


def test_luma_of_a_photo_with_itself_is_the_photo() -> None:
    photo = image(1, 20, 20, 3)
    assert torch.allclose(color.luma(photo, photo), photo, atol=1e-2)


def test_luma_with_a_grey_photo_is_grey_to_any_eye() -> None:
    result = color.luma(image(1, 16, 16, 1), image(1, 16, 16, 2)[:, :1].expand(-1, 3, -1, -1))
    lab = skcolor.rgb2lab(np.asarray(result[0].permute(1, 2, 0)))
    assert np.abs(lab[:, :, 1:]).max() < 0.3


@given(st.integers(0, 99), st.integers(100, 199))
@QUICK
def test_match_gives_mean_and_covariance_of_the_photo(first: int, second: int) -> None:
    style, photo = mild(first), mild(second, spread=0.03)[:, :, :10]
    result = color.match(style, photo)
    assert result.shape == style.shape
    (mean, covariance), (wanted_mean, wanted) = statistics(result), statistics(photo)
    assert torch.allclose(mean, wanted_mean, atol=1e-4)
    # Directions in which the style has next to no variance cannot be filled: see LEAST_VARIANCE.
    if torch.linalg.eigvalsh(statistics(style)[1]).min() > color.LEAST_VARIANCE:
        assert torch.allclose(covariance, wanted, atol=2e-5)


def test_match_with_itself_changes_nothing() -> None:
    style = mild(5)
    assert torch.allclose(color.match(style, style), style, atol=1e-3)


def test_match_moves_no_more_than_needed() -> None:
    """Where both covariances share their axes, each axis is scaled: nothing is turned."""
    style = 0.5 + 0.1 * torch.tensor(
        [[1.0, -1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1]]
    )
    photo = 0.5 + (style - 0.5) * torch.tensor([[0.5], [1.0], [2.0]])
    result = color.match(style.view(1, 3, 2, 3), photo.view(1, 3, 2, 3))
    assert torch.allclose(result, photo.view(1, 3, 2, 3), atol=1e-5)


@given(IMAGES, st.sampled_from(["style", "photo", "both"]), st.floats(0, 1))
@QUICK
def test_match_of_flat_pictures(shape: tuple[int, int, int, int], flat: str, level: float) -> None:
    style = torch.full((shape[0], 3, 7, 5), level) if flat != "photo" else image(*shape)
    photo = torch.full((shape[0], 3, 6, 8), level) if flat != "style" else image(*shape)
    result = color.match(style, photo)
    assert result.shape == style.shape
    expected = photo.mean((2, 3), keepdim=True).expand_as(style)
    assert torch.allclose(result, expected, atol=1e-3)


def test_match_of_a_grey_style_does_not_blow_up_its_noise() -> None:
    grey = image(1, 40, 40, 1)[:, :1].expand(-1, 3, -1, -1)
    noisy = (grey + torch.randn(1, 3, 40, 40) * 1e-4).clamp(0, 1)
    difference = (color.match(noisy, mild(3)[:1]) - color.match(grey, mild(3)[:1])).abs()
    assert difference.mean() < 0.01
