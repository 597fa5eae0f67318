"""Moments: against the slow obvious way, numpy, and the promises that make them add up."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto import moments as module
from impasto.moments import EPS, Moments, about_mean, average, gram, mean_std, moments


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.5


def assert_same(a: Moments, b: Moments) -> None:
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a.second, b.second, rtol=1e-4, atol=1e-5)


def slow(f: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and second moment, one product at a time."""
    batch, channels, height, width = f.shape
    mean = torch.zeros(batch, channels)
    second = torch.zeros(batch, channels, channels)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for i in range(channels):
                    mean[b, i] += f[b, i, y, x] / (height * width)
                    for j in range(channels):
                        second[b, i, j] += f[b, i, y, x] * f[b, j, y, x] / (height * width)
    return mean, second


def test_against_a_slow_loop() -> None:
    """A wrong reshape mixes positions with channels and still gives the right shapes."""
    f = features(2, 3, 4, 5)
    assert_same(moments(f), Moments(*slow(f)))


def test_known_answer() -> None:
    """Two positions, two channels, by hand."""
    f = torch.tensor([[1.0, 3.0], [2.0, 0.0]]).reshape(1, 2, 1, 2)
    m = moments(f)
    assert m.mean.tolist() == [[2.0, 1.0]]
    assert m.second.tolist() == [[[5.0, 1.0], [1.0, 2.0]]]


def test_covariance_and_std_are_those_of_numpy() -> None:
    f = features(2, 4, 6, 7)
    m = moments(f)
    for b in range(2):
        rows = f[b].flatten(1).double().numpy()
        np.testing.assert_allclose(m.covariance()[b], np.cov(rows, bias=True), atol=1e-5)
        np.testing.assert_allclose(m.std()[b], rows.std(axis=1), atol=1e-5)


def test_gram_is_the_second_moment() -> None:
    """The optimisation compares grams of a picture with stored moments: they must be one thing."""
    f = features(2, 3, 5, 4)
    torch.testing.assert_close(gram(f), moments(f).second)


def test_memory_format_does_not_matter() -> None:
    f = features(2, 3, 5, 4)
    assert_same(moments(f), moments(f.contiguous(memory_format=torch.channels_last)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_statistics_are_float32(dtype: torch.dtype) -> None:
    """Sums over a picture in half precision overflow or stop growing."""
    f = torch.full((1, 2, 300, 300), 2.0, dtype=dtype)
    m = moments(f)
    assert m.mean.dtype == m.second.dtype == gram(f).dtype == torch.float32
    assert m.mean.tolist() == [[2.0, 2.0]]
    assert gram(f).flatten().tolist() == [4.0] * 4


@pytest.mark.parametrize("masked", [False, True])
def test_statistics_are_float32_under_autocast_too(masked: bool) -> None:
    """Networks run in bfloat16; products of whole pictures must not."""
    f = features(1, 4, 40, 50)
    mask = torch.ones(1, 1, 40, 50) if masked else None
    with torch.autocast("cpu", torch.bfloat16):
        m = moments(f, mask)
    assert m.second.dtype == torch.float32
    assert_same(m, moments(f, mask))


# --- gradients ---


def plain_gram(f: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", f, f) / (f.shape[2] * f.shape[3])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("block", [1, 7, 35, 1000])
def test_gram_by_blocks(
    monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format, block: int
) -> None:
    """A last block that is shorter, or a single one: forth and back as in one piece."""
    monkeypatch.setattr(module, "BLOCK", block)
    f = features(2, 3, 5, 7).contiguous(memory_format=layout)
    torch.testing.assert_close(gram(f), plain_gram(f), rtol=1e-4, atol=1e-5)
    upstream = features(2, 3, 3, seed=1)  # not symmetric
    ours, plain = (f.clone().requires_grad_() for _ in range(2))
    (given,) = torch.autograd.grad(gram(ours), ours, upstream)
    (wanted,) = torch.autograd.grad(plain_gram(plain), plain, upstream)
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-6)


def test_gradient_in_half_precision() -> None:
    """The gradient comes in the features' own precision, and points the same way."""
    exact = features(1, 4, 20, 20).requires_grad_()
    half = exact.detach().bfloat16().requires_grad_()
    (wanted,) = torch.autograd.grad(gram(exact).square().sum(), exact)
    (given,) = torch.autograd.grad(gram(half).square().sum(), half)
    assert given.dtype == torch.bfloat16
    assert (given.float() - wanted).norm() < 0.02 * wanted.norm()


# --- masks ---


def test_mask_cuts_out() -> None:
    """Pixels outside the mask must count for nothing."""
    f = features(1, 3, 6, 8)
    mask = torch.zeros(1, 1, 6, 8)
    mask[..., 1:4, 2:7] = 1
    assert_same(moments(f, mask), moments(f[..., 1:4, 2:7]))


def test_mask_is_resized_to_the_features() -> None:
    """Masks are drawn on the picture; features of deep taps are much smaller."""
    f = features(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    assert_same(moments(f, mask), moments(f[..., :2]))


def test_fine_masks_are_averaged() -> None:
    """Picking single pixels of a finely drawn mask would be a matter of luck."""
    f = features(1, 3, 4, 4)
    stripes = torch.arange(32.0).remainder(2).expand(1, 1, 32, 32)
    assert_same(moments(f, stripes), moments(f))


def test_soft_mask_is_a_weighted_mean() -> None:
    f = torch.tensor([0.0, 4.0]).reshape(1, 1, 1, 2)
    m = moments(f, torch.tensor([3.0, 1.0]).reshape(1, 1, 1, 2))
    assert m.mean.item() == pytest.approx(1.0)
    assert m.second.item() == pytest.approx(4.0)


@pytest.mark.parametrize("value", [1.0, 0.2, 7.0])
def test_even_mask_changes_nothing(value: float) -> None:
    """A mask says which part, not how bright: its scale must cancel."""
    f = features(2, 3, 5, 4)
    assert_same(moments(f, torch.full((1, 1, 5, 4), value)), moments(f))


def test_each_picture_has_its_own_mask() -> None:
    f = features(2, 3, 4, 4)
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, :2] = 1
    mask[1, :, 2:] = 1
    both = moments(f, mask)
    for b, part in enumerate((f[:1, :, :2], f[1:, :, 2:])):
        assert_same(Moments(both.mean[b : b + 1], both.second[b : b + 1]), moments(part))


def test_empty_mask_gives_no_nan() -> None:
    m = moments(features(1, 2, 3, 3), torch.zeros(1, 1, 3, 3))
    assert m.mean.isfinite().all()
    assert m.second.isfinite().all()


# --- adding up ---


def test_two_halves_make_the_whole() -> None:
    """Tiles of a huge painting must give the moments of the painting."""
    f = features(2, 3, 6, 8)
    assert_same(average([(6, moments(f[..., :6])), (2, moments(f[..., 6:]))]), moments(f))


@given(cuts=st.lists(st.integers(1, 11), min_size=1, max_size=4, unique=True), seed=st.integers())
@settings(max_examples=20, deadline=None)
def test_any_tiles_make_the_whole(cuts: list[int], seed: int) -> None:
    f = features(1, 3, 2, 12, seed=seed % 2**32)
    edges = [0, *sorted(cuts), 12]
    tiles = [f[..., a:b] for a, b in pairwise(edges)]
    assert_same(average((t.shape[-1], moments(t)) for t in tiles), moments(f))


def test_weights_need_not_sum_to_one() -> None:
    a, b = moments(features(1, 2, 3, 3, seed=1)), moments(features(1, 2, 3, 3, seed=2))
    assert_same(average([(10, a), (30, b)]), average([(0.25, a), (0.75, b)]))


def test_negative_weights_lead_away() -> None:
    """2 a - b is as far beyond a as b is before it."""
    a, b = moments(features(1, 2, 3, 3, seed=1)), moments(features(1, 2, 3, 3, seed=2))
    away = average([(2.0, a), (-1.0, b)])
    torch.testing.assert_close(away.second, 2 * a.second - b.second)
    torch.testing.assert_close(away.mean, 2 * a.mean - b.mean)


def test_average_of_one_is_itself() -> None:
    a = moments(features(1, 2, 3, 3))
    assert_same(average([(0.3, a)]), a)


def test_average_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"."):
        average([])


@given(
    channels=st.integers(1, 6),
    positions=st.integers(1, 12),
    scale=st.floats(0.1, 100),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_covariance_is_positive_semidefinite(
    channels: int, positions: int, scale: float, seed: int
) -> None:
    """Whitening takes its square root: a clearly negative eigenvalue would be a wrong formula."""
    m = moments(features(1, channels, 1, positions, seed=seed) * scale)
    covariance, rounding = m.covariance()[0], 1e-5 * float(m.second.abs().max())
    assert (covariance - covariance.T).abs().max() <= rounding
    assert torch.linalg.eigvalsh(covariance.double()).min() >= -rounding


@pytest.mark.parametrize("value", [0.0, 0.3, 50.0])
def test_constant_features_do_not_spread(value: float) -> None:
    """The difference of two equal squares is all rounding; little of it may be left."""
    std = moments(torch.full((1, 3, 7, 9), value)).std()
    assert std.isfinite().all()
    assert std.max() <= 1e-3 * value


def test_rounding_below_zero_is_no_spread() -> None:
    """Stored in half precision, a square of the mean may be more than the second moment."""
    m = Moments(torch.full((1, 2), 1.001), torch.ones(1, 2, 2))
    assert m.std().tolist() == [[0, 0]]


def test_moving_keeps_the_values() -> None:
    a = moments(features(1, 2, 3, 3))
    assert_same(a.to(torch.device("cpu")), a)


# --- mean and deviation alone ---


def test_mean_std_are_those_of_numpy() -> None:
    f = features(2, 4, 6, 7)
    mean, std = mean_std(f)
    rows = f.flatten(2).double().numpy()
    np.testing.assert_allclose(mean, rows.mean(axis=2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, np.sqrt(rows.var(axis=2) + EPS), rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_mean_std_are_read_off_the_moments_too(masked: bool) -> None:
    """A style is stored as moments, the photo's statistics are taken directly: one thing."""
    f, mask = features(2, 3, 6, 5), torch.rand(2, 1, 12, 10) if masked else None
    mean, std = mean_std(f, mask)
    m = moments(f, mask)
    torch.testing.assert_close(mean, m.mean)
    torch.testing.assert_close(std, (m.std().square() + EPS).sqrt(), rtol=1e-4, atol=1e-5)


def test_mean_std_under_a_mask_are_those_of_the_part() -> None:
    f = features(1, 3, 6, 8)
    mask = torch.zeros(1, 1, 6, 8)
    mask[..., 1:4, 2:7] = 1
    torch.testing.assert_close(mean_std(f, mask), mean_std(f[..., 1:4, 2:7]))


def test_mean_std_under_a_soft_mask_by_hand() -> None:
    """0 and 4 in shares of 3 : 1 have mean 1 and variance 3."""
    f = torch.tensor([0.0, 4.0]).reshape(1, 1, 1, 2)
    mean, std = mean_std(f, torch.tensor([0.75, 0.25]).reshape(1, 1, 1, 2))
    assert mean.item() == pytest.approx(1)
    assert std.item() == pytest.approx((3 + EPS) ** 0.5)


@pytest.mark.parametrize("masked", [False, True])
def test_a_small_spread_about_a_large_mean_is_seen(masked: bool) -> None:
    """The difference of two large squares would be all rounding."""
    f = features(1, 2, 20, 20) * 0.1
    mean, std = mean_std(f + 1000, torch.ones(1, 1, 20, 20) if masked else None)
    torch.testing.assert_close(std, mean_std(f)[1], rtol=2e-3, atol=0)
    torch.testing.assert_close(mean, mean_std(f)[0] + 1000)


@pytest.mark.parametrize("mask", [None, torch.ones(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)])
def test_flat_features_and_empty_masks_can_be_divided_by(mask: Tensor | None) -> None:
    f = torch.full((1, 2, 3, 3), 5.0, requires_grad=True)
    mean, std = mean_std(f, mask)
    (gradient,) = torch.autograd.grad(std.sum() + mean.sum(), f)
    assert std.min() >= EPS**0.5
    assert all(tensor.isfinite().all() for tensor in (mean, std, gradient))


def test_mean_std_are_float32() -> None:
    mean, std = mean_std(torch.full((1, 2, 300, 300), 300.0, dtype=torch.float16))
    assert mean.dtype == std.dtype == torch.float32
    assert mean.tolist() == [[300, 300]]


def test_about_mean_by_hand() -> None:
    """The variance is 1 and 4 about the means 2 and 3: raw squares are 5 and 13."""
    m = about_mean(torch.tensor([[2.0, 3.0]]), torch.tensor([[[1.0, -1.0], [-1.0, 4.0]]]))
    assert m.mean.tolist() == [[2, 3]]
    assert m.second.tolist() == [[[5, 5], [5, 13]]]


def test_about_mean_is_the_way_back() -> None:
    """Style files hold covariances: what is read is what was written."""
    m = moments(features(2, 4, 5, 6))
    assert_same(about_mean(m.mean, m.covariance()), m)
