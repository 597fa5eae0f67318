"""Colors: even steps, the right end for the right number."""

import torch
from skimage.color import rgb2lab

from impasto.lens.colormap import diverging, enlarged, overlay, peak, sequential


def lightness(picture: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rgb2lab(picture[0].permute(1, 2, 0).numpy())[..., 0])


def test_sequential_is_perceptually_even() -> None:
    """CIE lightness is a straight line, within 2 of 100."""
    shown = lightness(sequential(torch.linspace(0, 1, 101)[None]))[0]
    line = torch.linspace(float(shown[0]), float(shown[-1]), 101)
    assert shown[0] < 10 and shown[-1] > 90
    assert (shown - line).abs().max() < 2
    assert (shown.diff() > 0).all()


def test_diverging_is_blue_white_and_rust() -> None:
    low, zero, high = diverging(torch.tensor([[-1.0, 0.0, 1.0]]))[0, :, 0].T
    assert low[2] > low[0] and high[0] > high[2] and zero.min() > 0.9


def test_diverging_treats_both_signs_alike() -> None:
    shown = lightness(diverging(torch.linspace(-1, 1, 41)[None]))[0]
    assert (shown - shown.flip(0)).abs().max() < 8


def test_what_is_beyond_the_ends_is_the_end() -> None:
    assert torch.equal(sequential(torch.tensor([[-3.0, 7.0]])), sequential(torch.eye(2)[1:]))


def test_without_heat_a_photo_is_dark_and_grey() -> None:
    photo = torch.rand(1, 3, 6, 5)
    shown = overlay(photo, torch.zeros(6, 5))
    assert torch.equal(shown[:, 0], shown[:, 1]) and shown.max() < 0.5


def test_heat_is_brighter_where_there_is_more() -> None:
    shown = lightness(overlay(torch.full((1, 3, 1, 21), 0.5), torch.linspace(0, 1, 21)[None]))[0]
    assert (shown.diff()[2:] > 0).all() and shown[-1] > 90


def test_enlarged_repeats_pixels() -> None:
    small = torch.rand(1, 3, 2, 3)
    large = enlarged(small, 7)
    assert large.shape == (1, 3, 8, 12)
    assert torch.equal(large[:, :, ::4, ::4], small) and torch.equal(large[:, :, 3::4, 3::4], small)
    assert enlarged(large, 7) is not None and enlarged(large, 7).shape == large.shape


def test_one_pixel_does_not_set_the_scale() -> None:
    values = torch.ones(40, 40)
    values[0, 0] = 1000
    assert peak(values) == 1
    assert peak(-values) == 1
    assert peak(torch.zeros(3)) > 0
