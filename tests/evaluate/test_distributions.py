"""FID of Gaussians whose distance is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from torch import Tensor

from impasto.errors import BadInput
from impasto.evaluate.distributions import art_fid, fid


def exactly(mean: Tensor, root: Tensor, count: int = 200, seed: int = 0) -> Tensor:
    """A set of features whose mean is ``mean`` and whose covariance is root.T @ root.  -> (N, C)"""
    draw = torch.Generator().manual_seed(seed)
    raw = torch.randn(count, len(mean), generator=draw, dtype=torch.float64)
    white, _ = torch.linalg.qr(raw - raw.mean(0))  # orthonormal columns of mean 0
    return mean + white * (count - 1) ** 0.5 @ root


def test_equal_covariances_leave_the_means() -> None:
    """|(3, 4, 0)|^2"""
    near = exactly(torch.zeros(3), torch.eye(3, dtype=torch.float64))
    far = exactly(torch.tensor([3.0, 4, 0]), torch.eye(3, dtype=torch.float64), 150, seed=1)
    assert fid(near, far) == pytest.approx(25)


def test_deviations_along_the_axes() -> None:
    """(1 - 2)^2 + (5 - 3)^2"""
    a = exactly(torch.zeros(2), torch.diag(torch.tensor([1.0, 5.0], dtype=torch.float64)))
    b = exactly(torch.zeros(2), torch.diag(torch.tensor([2.0, 3.0], dtype=torch.float64)), seed=1)
    assert fid(a, b) == pytest.approx(1 + 4)


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_it_is_the_formula_with_a_root_of_matrices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((40, 6)) @ rng.random((6, 6)), rng.random((30, 6)) + 0.3
    first, second = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(first @ second).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert fid(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected, rel=1e-6)
    assert fid(torch.tensor(b), torch.tensor(a)) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_not_far_from_itself() -> None:
    features = torch.rand(20, 50)  # fewer pictures than features: covariances have no inverse
    assert fid(features, features) == pytest.approx(0, abs=1e-9)
    assert fid(features, features[torch.randperm(20)]) == pytest.approx(0, abs=1e-9)
    assert fid(features, features + 0.1) == pytest.approx(50 * 0.01, rel=1e-4)


def test_few_pictures_make_it_larger() -> None:
    """Two sets of one distribution: 0 in the limit, and far from it for few."""
    row = [fid(torch.randn(count, 30), torch.randn(count, 30)) for count in (10, 40, 160, 640)]
    assert row == sorted(row, reverse=True)
    assert row[0] > 10 * row[-1]


def test_sets_that_do_not_compare() -> None:
    with pytest.raises(BadInput, match=r"not \(3, 8\) and \(3, 9\) features"):
        fid(torch.rand(3, 8), torch.rand(3, 9))
    with pytest.raises(BadInput, match="at least 2 pictures"):
        fid(torch.rand(1, 8), torch.rand(3, 8))


def test_art_fid() -> None:
    assert art_fid(0, 0) == 1
    assert art_fid(0.5, 19) == 30
