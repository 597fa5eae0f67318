"""Statistics that arrive in parts are those of the whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.tiling.geometry import Grid
from impasto.tiling.statistics import Statistics

C = 5


def whole(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance in double precision.  ->  (C,), (C, C)"""
    rows, share = features.double().flatten(2)[0], weight.double().flatten(2)[0]
    share = share / share.sum()
    mean = (rows * share).sum(1, keepdim=True)
    return mean[:, 0], ((rows - mean) * share) @ (rows - mean).mT


def streamed(features: Tensor, weight: Tensor | None, full: bool, side: int) -> Statistics:
    own = Statistics(features.shape[1], full)
    for tile in Grid((features.shape[-2], features.shape[-1])).tiles((side, side)):
        own.add(tile.core.of(features), None if weight is None else tile.core.of(weight))
    return own


@given(
    size=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    side=st.integers(3, 40),
    offset=st.floats(-100, 100),
    masked=st.booleans(),
    full=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_statistics_are_those_of_the_whole(
    size: tuple[int, int], side: int, offset: float, masked: bool, full: bool, seed: int
) -> None:
    """Also far from zero, where a variance as mean of squares less squared mean would be noise."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, C, *size, generator=generator) + offset
    weight = torch.rand(1, 1, *size, generator=generator) if masked else torch.ones(1, 1, *size)
    mean, covariance = whole(features, weight)
    own = streamed(features, weight if masked else None, full, side)
    torch.testing.assert_close(own.mean()[0].double(), mean, rtol=1e-6, atol=1e-6)
    least = 3e-6 * float(covariance.diagonal().max()) + 2e-7 * abs(offset)
    variance = own.variance()[0].double()
    torch.testing.assert_close(variance, covariance.diagonal(), rtol=0, atol=least)
    if full:
        error = own.covariance()[0].double() - covariance
        assert float(error.abs().max()) < least


def test_many_parts_do_not_wear_precision_out() -> None:
    """A hundred million positions, as a sum in float32 would not survive."""
    own, part = Statistics(1, full=False), torch.tensor([1.0, 3.0]).expand(1, 1, 500, 2)
    own.add(part)
    for _ in range(17):  # doubled again and again
        own._merge(own.weight, own._mean.clone(), own._scatter.clone())
    own.add(part)
    assert own.weight == 1000 * (2**17 + 1)
    assert own.mean().item() == pytest.approx(2, abs=1e-7)
    assert own.variance().item() == pytest.approx(1, abs=1e-7)


def test_half_precision_is_summed_in_float32() -> None:
    features = (torch.randn(1, C, 64, 64) + 4).bfloat16()
    mean, covariance = whole(features, torch.ones(1, 1, 64, 64))
    own = streamed(features, None, True, 17)
    torch.testing.assert_close(own.mean()[0].double(), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(own.covariance()[0].double(), covariance, rtol=1e-4, atol=1e-6)


def test_where_a_mask_shows_nothing_nothing_is_added() -> None:
    own = streamed(torch.rand(1, C, 8, 8), torch.zeros(1, 1, 8, 8), True, 3)
    assert own.weight == 0
    assert not own.mean().any()
    assert not own.covariance().any()


def test_variances_are_no_covariance() -> None:
    with pytest.raises(ValueError, match="only variances"):
        Statistics(3, full=False).covariance()
