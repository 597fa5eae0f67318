"""Kernels against sums written out, and the spot that is worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from impasto.lens.convolution import (
    BOX,
    CLASSIC,
    EMBOSS,
    GAUSSIAN,
    IDENTITY,
    LAPLACIAN,
    REACH,
    SHARPEN,
    SOBEL_DOWN,
    SOBEL_RIGHT,
    Kernel,
    Levels,
    clear_edge,
    grey_levels,
    window,
)

PICTURES = arrays(
    np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 255)
)
FLAT = np.full((7, 8), 90)
RISING = np.tile(np.arange(12) * 4, (9, 1))
"""Brighter to the right, by 4 a pixel."""


def by_name(kernel: Kernel) -> str:
    return kernel.name.split(":")[0]


@pytest.mark.parametrize("kernel", CLASSIC, ids=by_name)
@settings(max_examples=10, deadline=None)
@given(levels=PICTURES)
def test_every_pixel_is_the_sum_over_its_window(kernel: Kernel, levels: Levels) -> None:
    sums, weights = kernel.sums(levels), np.array(kernel.weights)
    for spot in np.ndindex(levels.shape):
        assert sums[spot] == (window(levels, spot) * weights).sum()


@pytest.mark.parametrize("kernel", CLASSIC, ids=by_name)
def test_flat_pictures_stay_or_become_grey(kernel: Kernel) -> None:
    """Weights add up to the divisor, or to nothing where grey is zero."""
    assert (kernel(FLAT) == (128 if kernel.offset else 90)).all()


def test_what_kernels_are_for() -> None:
    middle = (slice(2, -2), slice(2, -2))
    assert (IDENTITY(RISING) == RISING).all()
    for kernel in (BOX, GAUSSIAN, SHARPEN):
        assert (kernel(RISING) == RISING)[middle].all()
    assert (SOBEL_RIGHT(RISING)[middle] > 128).all()
    assert (SOBEL_RIGHT(RISING[:, ::-1])[middle] < 128).all()
    assert (SOBEL_DOWN(RISING) == 128).all()
    assert (LAPLACIAN(RISING)[middle] == 128).all()
    assert (EMBOSS(RISING)[middle] > 128).all()


def test_one_step_of_sobel() -> None:
    """A step of 40 levels: half of all weights times 40, over 32, from grey."""
    step = np.zeros((9, 9), dtype=int)
    step[:, 5:] = 40
    assert SOBEL_RIGHT(step)[4, 4] == round(48 * 40 / 32 + 128)


def test_results_are_clipped() -> None:
    step = np.zeros((9, 9), dtype=int)
    step[:, 5:] = 255
    assert SOBEL_RIGHT(step).max() == 255
    assert SOBEL_RIGHT(step[:, ::-1]).min() == 0


def test_grey_levels() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    levels = grey_levels(corners.T.reshape(1, 3, 1, 5))
    assert levels.tolist() == [[0, 255, 76, 150, 29]]


def test_the_clear_edge_is_found() -> None:
    """One clean step among noise: the window lies across it."""
    levels = np.random.default_rng(0).integers(0, 255, (40, 50))
    levels[10:30, 10:20], levels[10:30, 20:30] = 60, 110
    row, column = clear_edge(levels)
    assert column in (19, 20) and 12 <= row <= 27
    assert 0 < SOBEL_RIGHT(levels)[row, column] < 255


def test_the_clear_edge_lies_inside(photo: Tensor) -> None:
    levels = grey_levels(photo)
    row, column = clear_edge(levels)
    assert REACH <= row < 48 - REACH and REACH <= column < 40 - REACH
    assert 0 < SOBEL_RIGHT(levels)[row, column] < 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (5, 5)])
def test_tiny_pictures_have_a_window(shape: tuple[int, int]) -> None:
    levels = np.arange(shape[0] * shape[1]).reshape(shape)
    assert window(levels, clear_edge(levels)).shape == (5, 5)
