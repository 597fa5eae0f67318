"""Normalisation: known statistics, torch's own results, and what is flat stays flat."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.networks.normalisation import (
    EPS,
    BatchNorm,
    InstanceNorm,
    Norm,
    ResponseNorm,
    normalisation,
)

NORMS: tuple[Norm, ...] = get_args(Norm)


def features(*shape: int) -> Tensor:
    """Channels of different means and deviations."""
    channels = torch.arange(1.0, shape[1] + 1)[:, None, None]
    return torch.randn(shape) * channels + 2 * channels


# --- instance norm ---


def test_instance_norm_by_hand() -> None:
    x = torch.tensor([1.0, 3.0, 5.0, 7.0]).reshape(1, 1, 2, 2)
    normed = InstanceNorm(1, own=True)(x)
    expected = torch.tensor([-3.0, -1.0, 1.0, 3.0]) / (5 + EPS) ** 0.5
    torch.testing.assert_close(normed.flatten(), expected)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(2, 9), st.integers(2, 9))
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_instance_norm_has_the_asked_mean_and_deviation(b: int, c: int, h: int, w: int) -> None:
    x, scale, shift = 10 * features(b, c, h, w), torch.rand(b, c) + 0.5, torch.randn(b, c)
    normed = InstanceNorm(c, own=False)(x, scale, shift)
    variance = x.var((2, 3), correction=0)
    torch.testing.assert_close(normed.mean((2, 3)), shift, rtol=1e-3, atol=1e-3)
    wanted = scale * (variance / (variance + EPS)).sqrt()
    torch.testing.assert_close(normed.std((2, 3), correction=0), wanted, rtol=1e-3, atol=1e-3)


def test_instance_norm_is_that_of_torch() -> None:
    """Forth and back, channels last as the network has it."""
    x = features(3, 4, 5, 7).contiguous(memory_format=torch.channels_last)
    norm = InstanceNorm(4, own=True)
    assert norm.scale is not None
    assert norm.shift is not None
    torch.nn.init.normal_(norm.scale)
    torch.nn.init.normal_(norm.shift)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    upstream = torch.randn_like(x)
    given = torch.autograd.grad(norm(ours), (ours, norm.scale, norm.shift), upstream)
    reference = F.instance_norm(theirs, weight=norm.scale, bias=norm.shift, eps=EPS)
    wanted = torch.autograd.grad(reference, (theirs, norm.scale, norm.shift), upstream)
    torch.testing.assert_close(norm(x), reference)
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_instance_norm_does_not_see_the_other_pictures() -> None:
    x, norm = features(2, 3, 6, 6), InstanceNorm(3, own=True)
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]))
    louder = torch.cat([x[:1], 100 * x[1:]])
    torch.testing.assert_close(norm(louder)[:1], norm(x)[:1])


# --- what is flat ---


@pytest.mark.parametrize("size", [(4, 6), (1, 2), (1, 1)])
def test_a_flat_picture_becomes_the_shift(size: tuple[int, int]) -> None:
    """Sky, a black bar, a single pixel: nothing to divide by."""
    x = torch.full((2, 3, *size), 0.7, requires_grad=True)
    scale, shift = torch.full((2, 3), 5.0), torch.tensor([[-1.0, 0.0, 2.0]]).repeat(2, 1)
    normed = InstanceNorm(3, own=False)(x, scale, shift)
    torch.testing.assert_close(normed, shift[:, :, None, None].expand_as(x), rtol=0, atol=1e-4)
    (gradient,) = torch.autograd.grad(normed.square().sum(), x)
    assert gradient.isfinite().all()


@torch.no_grad()
def test_faint_noise_is_not_blown_up_into_blobs() -> None:
    """Of a deviation of 1e-2 less than a third is made of the 1 that a textbook makes."""
    x = 0.5 + 1e-2 * torch.randn(1, 8, 32, 32)
    assert InstanceNorm(8, own=True)(x).std() < 1 / 3
    assert F.instance_norm(x).std() > 0.9
    fainter = 0.5 + 1e-3 * torch.randn(1, 8, 32, 32)
    assert InstanceNorm(8, own=True)(fainter).std() < 0.05


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_black_stays_finite(norm: Norm) -> None:
    module = normalisation(norm, 3, own=True).eval()
    normed = module(torch.zeros(1, 3, 4, 4))
    assert torch.equal(normed, torch.zeros_like(normed))


# --- filter response norm ---


def test_response_norm_by_hand() -> None:
    x = torch.tensor([3.0, 1.0, -1.0, 3.0]).reshape(1, 1, 2, 2)
    expected = x / (5 + EPS) ** 0.5
    torch.testing.assert_close(ResponseNorm(1, own=True)(x), expected)


@torch.no_grad()
def test_response_norm_has_a_mean_square_of_one() -> None:
    normed = ResponseNorm(5, own=True)(features(3, 5, 9, 8))
    torch.testing.assert_close(normed.square().mean((2, 3)), torch.ones(3, 5), rtol=1e-3, atol=0)
    assert (normed.mean((2, 3)) > 0.5).all()  # the mean stays


def test_response_norm_learns_its_floor() -> None:
    norm = ResponseNorm(2, own=True)
    with torch.no_grad():
        norm.floor.copy_(torch.tensor([-0.5, 1.0]))
    x = torch.tensor([-1.0, 0.0, 2.0]).reshape(1, 1, 1, 3).repeat(1, 2, 1, 1)
    active = norm.activate(x)
    assert active[0, :, 0].tolist() == [[-0.5, 0, 2], [1, 1, 2]]
    active.sum().backward()
    assert norm.floor.grad is not None
    assert norm.floor.grad.tolist() == [1, 2]  # as many as lie below


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_the_others_cut_off_at_zero(norm: Norm) -> None:
    x = torch.tensor([-1.0, 0.0, 2.0])
    assert normalisation(norm, 1, own=True).activate(x).tolist() == [0, 0, 2]


# --- batch norm ---


@torch.no_grad()
def test_batch_norm_uses_running_statistics() -> None:
    """What it saw on the way counts, not the picture at hand."""
    norm = BatchNorm(4, own=True)
    for _ in range(60):
        norm(features(8, 4, 12, 12))
    norm.eval()
    channels = torch.arange(1.0, 5.0)
    torch.testing.assert_close(norm.statistics.running_mean, 2 * channels, rtol=0.05, atol=0)
    x = features(1, 4, 3, 3)
    expected = (x - 2 * channels[:, None, None]) / channels[:, None, None]
    torch.testing.assert_close(norm(x), expected, rtol=0.1, atol=0.2)
    before = norm.statistics.running_mean.clone()
    norm(x + 100)
    assert torch.equal(norm.statistics.running_mean, before)


@torch.no_grad()
def test_batch_norm_in_training_looks_at_the_batch() -> None:
    normed = BatchNorm(3, own=True)(features(4, 3, 6, 6))
    torch.testing.assert_close(normed.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(normed.var((0, 2, 3)), torch.ones(3), rtol=0.02, atol=0)


# --- all of them ---


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_scale_and_shift_of_each_picture(norm: Norm) -> None:
    module = normalisation(norm, 3, own=False).eval()
    x, scale, shift = features(2, 3, 5, 5), torch.randn(2, 3), torch.randn(2, 3)
    plain = module(x, torch.ones(2, 3), torch.zeros(2, 3))
    expected = plain * scale[:, :, None, None] + shift[:, :, None, None]
    torch.testing.assert_close(module(x, scale, shift), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_its_own_scale_and_shift_begin_neutral(norm: Norm) -> None:
    own, given = normalisation(norm, 3, own=True).eval(), normalisation(norm, 3, own=False).eval()
    x = features(2, 3, 5, 5)
    torch.testing.assert_close(own(x), given(x, torch.ones(2, 3), torch.zeros(2, 3)))


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_bfloat16_stays_close(norm: Norm) -> None:
    """Statistics are taken in float32: only the rounding of input and output remains."""
    module = normalisation(norm, 6, own=True).eval()
    x = features(2, 6, 64, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        normed = module(x)
    assert normed.dtype == torch.bfloat16
    torch.testing.assert_close(normed.float(), module(x.float()), rtol=0.02, atol=0.02)
