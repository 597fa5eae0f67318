"""Sliced Wasserstein distance against scipy, against geometry, and against itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import Tensor

from impasto.evaluate.sliced import (
    DIRECTIONS,
    QUANTILES,
    SAMPLES,
    profile,
    quantiles,
    relative_distance,
    sample,
    wasserstein,
)


def cloud(count: int, dimension: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def test_quantiles_of_as_many_values_are_the_values() -> None:
    values = np.random.default_rng(0).random((3, 64), dtype=np.float32)
    np.testing.assert_array_equal(quantiles(values, 64), np.sort(values, axis=1))


def test_quantiles_by_hand() -> None:
    """Halves of 0, 1, 2, 3 lie around 0.5 and 2.5; one value is all its quantiles."""
    np.testing.assert_allclose(quantiles(np.array([[3, 1, 0, 2]], np.float32), 2), [[0.5, 2.5]])
    np.testing.assert_array_equal(quantiles(np.array([[7]], np.float32), 3), [[7, 7, 7]])


@given(few=st.integers(500, 2000), many=st.integers(2000, 5000), shift=st.floats(-2, 2))
@settings(max_examples=15, deadline=None)
def test_wasserstein_is_that_of_scipy(few: int, many: int, shift: float) -> None:
    rng = np.random.default_rng(few)
    a = rng.standard_normal((1, few)).astype(np.float32)
    b = (rng.standard_normal((1, many)) * 2 + shift).astype(np.float32)
    ours = wasserstein(quantiles(a), quantiles(b))
    assert ours[0] == pytest.approx(wasserstein_distance(a[0], b[0]), abs=0.02)


def test_two_points() -> None:
    """Along any line points at x and -x are as far apart as they are from zero together."""
    a, b = profile(torch.ones(1, 7)), profile(-torch.ones(4, 7))
    assert a.shape == (DIRECTIONS, QUANTILES)
    assert relative_distance(a, b) == pytest.approx(1)
    assert relative_distance(a, profile(2 * torch.ones(3, 7))) == pytest.approx(1 / 3)


def test_a_cloud_and_itself_larger() -> None:
    """|2x - x| / (|2x| + |x|), whatever the cloud."""
    assert relative_distance(profile(cloud(999)), profile(2 * cloud(999))) == pytest.approx(1 / 3)


def test_nothing_is_not_far_from_nothing() -> None:
    zero = profile(torch.zeros(9, 3))
    assert relative_distance(zero, zero) == 0
    assert relative_distance(zero, profile(torch.full((9, 3), 1e-4))) < 0.05  # below 8 bits


@given(seed=st.integers(1, 99), scale=st.floats(0.1, 10))
@settings(max_examples=15, deadline=None)
def test_it_is_a_distance(seed: int, scale: float) -> None:
    a, b = profile(cloud(300)), profile(cloud(400, seed=seed) * scale + 1)
    assert 0 < relative_distance(a, b) <= 1
    assert relative_distance(a, b) == relative_distance(b, a)
    assert relative_distance(b, b) == 0


def test_order_and_number_of_points_do_not_matter() -> None:
    points = cloud(600)
    shuffled = points[torch.randperm(600)]
    assert relative_distance(profile(points), profile(shuffled)) == 0
    assert relative_distance(profile(points), profile(points.repeat(3, 1))) < 2e-3


def test_all_patches_of_a_small_grid() -> None:
    grid = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert torch.equal(sample(grid), grid[0].flatten(1).T)
    patches = sample(grid, 2)  # 2 x 3 places
    assert patches.shape == (6, 8)
    assert patches[0].tolist() == [0, 1, 4, 5, 12, 13, 16, 17]
    assert patches[5].tolist() == [6, 7, 10, 11, 18, 19, 22, 23]


def test_some_patches_of_a_large_grid() -> None:
    rows = torch.arange(200.0)[:, None].expand(200, 150)
    grid = torch.stack([rows, torch.arange(150.0).expand(200, 150)])[None]
    places = sample(grid)
    assert places.shape == (SAMPLES, 2)
    assert torch.equal(places, sample(grid))  # the same places every time
    assert len(places.unique(dim=0)) > 0.7 * SAMPLES
    assert places.mean(0).tolist() == pytest.approx([99.5, 74.5], abs=2)
