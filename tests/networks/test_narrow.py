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
    weight, inputs = torch.randn_like(wanted), (x, *conv.parameters())
    gradients = (torch.autograd.grad((y * weight).sum(), inputs) for y in (got, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_a_size_it_doubles() -> None:
    conv, x = DoublingConv(3, 2, 3), torch.randn(1, 3, 4, 5)
    assert torch.equal(conv(x), conv(x, (8, 10)))


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
