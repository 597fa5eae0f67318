"""Padding: the same as torch's, forth and back."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.networks.padding import no_gradient, pad, repeated

SIZES = [(2, 2), (2, 5), (5, 2), (3, 3), (4, 6), (9, 8)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def test_it_reflects() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).expand(1, 1, 3, 3)
    assert pad(row)[0, 0, 0].tolist() == [2, 1, 2, 3, 2]
    assert pad(row.mT)[0, 0, :, 0].tolist() == [2, 1, 2, 3, 2]


def test_it_repeats_what_cannot_be_reflected() -> None:
    row = torch.tensor([5.0, 7.0]).reshape(1, 1, 1, 2)
    assert pad(row)[0, 0].tolist() == [[5, 5, 7, 7]] * 3
    assert pad(torch.full((1, 1, 1, 1), 4.0)).tolist() == [[[[4.0] * 3] * 3]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
def test_forward_is_that_of_torch(size: tuple[int, int], layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, *size).contiguous(memory_format=layout)
    before = x.clone()
    assert torch.equal(pad(x), F.pad(x, (1, 1, 1, 1), mode="reflect"))
    assert torch.equal(x, before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
def test_backward_is_that_of_torch(size: tuple[int, int], layout: torch.memory_format) -> None:
    """Where a side has two pixels each mirrors the other; corners flow back along both axes."""
    x = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=layout)
    upstream = torch.randn(2, 3, size[0] + 2, size[1] + 2, dtype=torch.float64)
    kept = upstream.clone()
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    (given,) = torch.autograd.grad(pad(ours), ours, upstream)
    reflected = F.pad(theirs, (1, 1, 1, 1), mode="reflect")
    (wanted,) = torch.autograd.grad(reflected, theirs, upstream)
    torch.testing.assert_close(given, wanted)
    assert torch.equal(upstream, kept)  # it belongs to somebody else


def test_the_gradient_of_a_repeated_border() -> None:
    x = torch.randn(1, 2, 1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pad, (x,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precision_is_kept(dtype: torch.dtype) -> None:
    x = torch.randn(1, 2, 4, 4).to(dtype).requires_grad_()
    padded = pad(x)
    (gradient,) = torch.autograd.grad(padded.sum(), x)
    assert padded.dtype == gradient.dtype == dtype


def test_channels_last_stays() -> None:
    """The convolution behind it is slower, were the layout lost on either way."""
    x = torch.randn(1, 4, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    padded = pad(x)
    assert padded.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(padded.square().sum(), x)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


# --- wider margins ---

WIDER = [(m, size) for m in (2, 3, 4) for size in ((m + 1, m + 1), (m + 1, 9), (9, m + 2), (8, 11))]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("margin", "size"), WIDER)
def test_wider_forward_is_that_of_torch(
    margin: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(2, 3, *size).contiguous(memory_format=layout)
    before = x.clone()
    assert torch.equal(pad(x, margin), F.pad(x, (margin,) * 4, mode="reflect"))
    assert torch.equal(x, before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("margin", "size"), WIDER)
def test_wider_backward_is_that_of_torch(
    margin: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    """A pixel in the middle of a small picture is mirrored at both of its ends."""
    x = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=layout)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    reflected = F.pad(theirs, (margin,) * 4, mode="reflect")
    upstream = torch.randn_like(reflected)
    kept = upstream.clone()
    (given,) = torch.autograd.grad(pad(ours, margin), ours, upstream)
    (wanted,) = torch.autograd.grad(reflected, theirs, upstream)
    torch.testing.assert_close(given, wanted)
    assert torch.equal(upstream, kept)


@given(margin=st.integers(1, 6), height=st.integers(1, 12), width=st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_the_size_grows_by_the_margins(margin: int, height: int, width: int) -> None:
    x = torch.randn(1, 2, height, width)
    mode = "reflect" if min(height, width) > margin else "replicate"
    padded = pad(x, margin)
    assert padded.shape[-2:] == (height + 2 * margin, width + 2 * margin)
    assert torch.equal(padded, F.pad(x, (margin,) * 4, mode=mode))


@pytest.mark.parametrize("size", [(4, 9), (9, 4), (1, 1), (2, 3)])
def test_too_small_for_the_margin_repeats_its_border(size: tuple[int, int]) -> None:
    x = torch.randn(1, 2, *size, dtype=torch.float64, requires_grad=True)
    assert torch.equal(pad(x, 4), F.pad(x, (4, 4, 4, 4), mode="replicate"))
    assert torch.autograd.gradcheck(lambda image: pad(image, 4), (x,))


# --- the border repeated ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), *SIZES])
def test_a_repeated_border_is_that_of_torch(
    size: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=layout)
    before, upstream = x.clone(), torch.randn(2, 3, size[0] + 2, size[1] + 2, dtype=torch.float64)
    kept, theirs, ours = upstream.clone(), x.clone().requires_grad_(), x.requires_grad_()
    wanted, got = F.pad(theirs, (1, 1, 1, 1), mode="replicate"), repeated(ours)
    assert torch.equal(got, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(got, ours, upstream), torch.autograd.grad(wanted, theirs, upstream)
    )
    assert torch.equal(x, before) and torch.equal(upstream, kept)
    assert got.is_contiguous(memory_format=torch.channels_last)


# --- ReLU in the same copy ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (5, 8)])
def test_rectified_on_the_way(size: tuple[int, int], dtype: torch.dtype) -> None:
    """Zeros of both signs, infinities and all: bit for bit what ReLU and padding make of them."""
    x = torch.randn(2, 3, *size).to(dtype)
    x[0, :, 0, 0] = torch.tensor([-0.0, float("inf"), float("-inf")])
    kept = x.clone()
    for padding in (pad, repeated):
        assert torch.equal(padding(x, rectify=True), padding(F.relu(x)))
    assert torch.equal(x, kept)


def test_rectified_only_where_nobody_wants_a_gradient() -> None:
    assert not no_gradient()
    with torch.no_grad():
        assert no_gradient()
