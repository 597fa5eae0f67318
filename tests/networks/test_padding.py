"""Padding: the same as torch's, forth and back."""

import pytest
import torch
import torch.nn.functional as F

from impasto.networks.padding import pad

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
