"""Losses by hand: 0 is a perfect match, 1 is as far as nothing at all."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.losses import content_error, gram_error, style_error, total_variation


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.1


def test_content_error_by_hand() -> None:
    """|(3, 4) - (3, 0)|^2 / |(3, 4)|^2 = 16 / 25"""
    target = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert content_error(torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1), target).item() == (
        pytest.approx(16 / 25)
    )


def test_gram_error_by_hand() -> None:
    """|I - 2 I|^2 / |2 I|^2 = 2 / 8"""
    eye = torch.eye(2)[None]
    assert gram_error(eye, 2 * eye).item() == pytest.approx(0.25)


@pytest.mark.parametrize("error", [content_error, gram_error])
@given(scale=st.floats(1e-2, 1e3))
@settings(max_examples=10, deadline=None)
def test_relative_errors_do_not_know_units(
    error: Callable[[Tensor, Tensor], Tensor], scale: float
) -> None:
    """One weight must mean the same for every layer: the scale of its features cancels."""
    shape = (2, 3, 3) if error is gram_error else (2, 3, 4, 5)
    target = noise(*shape) * scale
    assert error(target, target).tolist() == [0, 0]
    assert error(torch.zeros(shape), target).tolist() == pytest.approx([1, 1])
    assert error(2 * target, target).tolist() == pytest.approx([1, 1], rel=1e-4)


def test_no_target_gives_no_nan() -> None:
    """A black picture may have no features at all."""
    zeros = torch.zeros(1, 2, 3, 3)
    assert content_error(zeros, zeros).item() == 0
    assert gram_error(zeros[0], zeros[0]).tolist() == [0, 0]


def test_content_error_of_half_precision() -> None:
    """Squares of bfloat16 features summed in bfloat16 would be off by percents."""
    target = noise(1, 8, 32, 32).bfloat16()
    exact = (0.1**2 * 8 * 32 * 32) / target.float().square().sum()
    shifted = target.float() + 0.1
    assert content_error(shifted, target).item() == pytest.approx(exact.item(), rel=1e-3)
    assert content_error(target, target).dtype == torch.float32


def test_style_error_sums_over_the_taps_of_the_target() -> None:
    """Features at more taps than the style has (content layers) must not count."""
    eye = torch.eye(2)[None]
    grams = {"relu1_1": eye, "relu2_1": eye, "relu4_2": eye}
    targets = {"relu1_1": 2 * eye, "relu2_1": eye}
    assert style_error(grams, targets).item() == pytest.approx(0.25)
    targets["relu2_1"] = 2 * eye
    assert style_error(grams, targets).item() == pytest.approx(0.5)


def test_total_variation_of_two_halves() -> None:
    """[[0, 1], [0, 1]] in three channels: 6 steps of 1 among 12 values."""
    image = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).expand(1, 3, 2, 2)
    assert total_variation(image).item() == pytest.approx(0.5)
    assert total_variation(image.mT).item() == pytest.approx(0.5)


def test_total_variation_of_a_ramp() -> None:
    """Steps of 0.1 along a row of 11: 10 of 11 values have a right neighbour."""
    image = torch.linspace(0, 1, 11).expand(1, 3, 4, 11)
    assert total_variation(image).item() == pytest.approx(0.01 * 10 / 11, rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (4, 6)])
def test_total_variation_of_a_flat_picture(size: tuple[int, int]) -> None:
    """A side of one pixel has no neighbours: 0, not NaN."""
    assert total_variation(torch.full((2, 3, *size), 0.4)).tolist() == [0, 0]


def test_a_batch_is_its_pictures_one_by_one() -> None:
    """An error summed over the batch would couple pictures that have nothing to do with another."""
    a, b = noise(2, 3, 4, 5), noise(2, 3, 4, 5).flip(0).sqrt()
    grams = noise(2, 3, 3), noise(2, 3, 3).square()
    for i in range(2):
        one = slice(i, i + 1)
        assert content_error(a, b)[i] == content_error(a[one], b[one])[0]
        assert gram_error(*grams)[i] == gram_error(grams[0][one], grams[1][one])[0]
        assert total_variation(a)[i] == total_variation(a[one])[0]


def test_one_target_for_a_whole_batch() -> None:
    """A style is encoded once and compared with every picture of the batch."""
    grams, target = noise(2, 3, 3), noise(1, 3, 3) + 1
    error = gram_error(grams, target)
    assert error.shape == (2,)
    assert error[1] == gram_error(grams[1:], target)[0]
