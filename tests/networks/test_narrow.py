"""The narrow convolution: nothing but a convolution, whatever the size."""

import pytest
import torch
from torch import nn

from impasto.networks.narrow import NarrowConv


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
