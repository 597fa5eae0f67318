"""Convolutions four outputs at a time: nothing but convolutions, whatever the size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.narrow import DoublingConv, NarrowConv


@pytest.mark.parametrize("kernel", [1, 3, 9])
@pytest.mark.parametrize("size", [(16, 20), (17, 20), (16, 21), (9, 9)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution(kernel: int, size: tuple[int, int], bias: bool) -> None:
    narrow, x = NarrowConv(4, 3, kernel, bias=bias), torch.randn(2, 4, *size, requires_grad=True)
    plain = nn.Conv2d(4, 3, kernel, bias=bias)
    plain.load_state_dict(narrow.state_dict())
    torch.testing.assert_close(narrow(x), plain(x))
    weight = torch.randn_like(plain(x))
    for conv in (narrow, plain):
        (conv(x) * weight).sum().backward()
    torch.testing.assert_close(narrow.weight.grad, plain.weight.grad, atol=1e-4, rtol=1e-4)


def plainly(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Enlarged, mirrored, convolved."""
    large = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (1, 1, 1, 1), mode="reflect")
    return F.conv2d(large, conv.weight, conv.bias)


@pytest.mark.parametrize("less", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1), (1, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_doubled_and_convolved(size: tuple[int, int], less: tuple[int, int], bias: bool) -> None:
    conv = DoublingConv(3, 2, 3, bias=bias).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    height, width = 2 * size[0] - less[0], 2 * size[1] - less[1]
    got, wanted = conv(x, (height, width)), plainly(conv, x)[..., :height, :width]
    torch.testing.assert_close(got, wanted)
    with torch.no_grad():  # by another way
        torch.testing.assert_close(conv(x, (height, width)), wanted)
    weight, inputs = torch.randn_like(wanted), (x, *conv.parameters())
    gradients = (torch.autograd.grad((y * weight).sum(), inputs) for y in (got, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_one_pixel_doubled_by_hand() -> None:
    """Of a 3 x 3 kernel 1 .. 9, summed where it sees the pixel twice; none sees it all."""
    conv, x = DoublingConv(1, 1, 3, bias=False), torch.zeros(1, 1, 3, 3)
    conv.weight.copy_(torch.arange(1.0, 10).view(1, 1, 3, 3))
    x[..., 1, 1] = 1
    wanted = torch.tensor([[9, 17, 15, 7], [15, 28, 24, 11], [9, 16, 12, 5], [3, 5, 3, 1]])
    torch.testing.assert_close(conv(x)[0, 0], F.pad(wanted.float(), (1, 1, 1, 1)))


def test_without_a_size_it_doubles() -> None:
    conv, x = DoublingConv(3, 2, 3), torch.randn(1, 3, 4, 5)
    assert torch.equal(conv(x), conv(x, (8, 10)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_doubling_keeps_the_layout_that_is_fast(layout: torch.memory_format) -> None:
    conv = DoublingConv(16, 16, 3).to(memory_format=layout)  # type: ignore[call-overload]
    doubled = conv(torch.randn(1, 16, 8, 10).contiguous(memory_format=torch.channels_last))
    assert doubled.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore")  # what tracing warns of
@pytest.mark.parametrize("bias", [True, False])
def test_a_narrow_convolution_can_be_traced(bias: bool) -> None:
    """For any even size, once for all."""
    conv = NarrowConv(4, 3, 9, bias=bias).requires_grad_(False)
    traced = torch.jit.trace(conv, torch.randn(1, 4, 12, 14), check_trace=False)
    x = torch.randn(2, 4, 20, 16)
    torch.testing.assert_close(traced(x), F.conv2d(x, conv.weight, conv.bias))


@pytest.mark.filterwarnings("ignore")  # what tracing warns of
@pytest.mark.parametrize("cut", [True, False])
def test_doubling_can_be_traced(cut: bool) -> None:
    """For any size, once for all."""

    class Caller(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            less = (2 * x.shape[-2] - 1, 2 * x.shape[-1])
            return conv(x, less if cut else None)  # type: ignore[no-any-return]

    conv = DoublingConv(3, 2, 3).requires_grad_(False)
    traced = torch.jit.trace(Caller(), torch.randn(1, 3, 4, 5), check_trace=False)
    x = torch.randn(1, 3, 7, 6)
    torch.testing.assert_close(traced(x), Caller()(x))
