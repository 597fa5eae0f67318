"""Networks made ready to be written down: no Python looks at sizes, statistics are in float32."""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.narrow import NarrowConv
from impasto.networks.normalisation import EPS, Affine, InstanceNorm

Network = TypeVar("Network", bound=nn.Module)


def prepared(network: Network, half: bool = False) -> Network:
    """A copy that computes the same, of plain operations and with sizes left open.

    half: convolutions in float16; normalisation, tables and predictions stay in float32
    """
    own = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    own.requires_grad_(False).eval()
    for parent in [*own.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, Affine):
                setattr(parent, name, Norm(child))
            elif isinstance(child, NarrowConv):
                setattr(parent, name, Narrow(child))
    if half:
        for module in own.modules():
            if isinstance(module, nn.Conv2d):
                module.half()
    return own  # type: ignore[no-any-return]


class Norm(Affine):
    """A normalisation that works in float32 and goes back to the type of what it was given."""

    def __init__(self, inner: Affine) -> None:
        super().__init__(1, own=False)
        self.inner = inner

    def forward(
        self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """x: (B, C, H, W); scale, shift: (1 or B, C)  ->  like x"""
        if scale is None or shift is None:
            assert self.inner.scale is not None and self.inner.shift is not None
            scale, shift = self.inner.scale[None], self.inner.shift[None]
        return self.normalise(x.float(), scale, shift).to(x.dtype)

    def normalise(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Instance norm as one operation of ONNX, all others by their own formula."""
        if isinstance(self.inner, InstanceNorm):
            normal = F.instance_norm(x, eps=EPS)
            return scale[:, :, None, None] * normal + shift[:, :, None, None]
        return self.inner.normalise(x, scale, shift)

    def activate(self, x: Tensor) -> Tensor:
        """What follows."""
        return self.inner.activate(x)


class Narrow(nn.Conv2d):
    """``NarrowConv`` for sizes that are not known: one more row and column, which then go."""

    def __init__(self, conv: NarrowConv) -> None:
        size = conv.kernel_size[0], conv.kernel_size[1]
        super().__init__(conv.in_channels, conv.out_channels, size)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W)  ->  (B, out, H - kernel + 1, W - kernel + 1)"""
        height, width = self.kernel_size
        # Each of the four sees the window from its own corner; (4 out, C, kernel + 1, kernel + 1)
        four = [F.pad(self.weight, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
        filters = torch.stack(four, 1).flatten(0, 1)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        even = F.conv2d(F.pad(x, (0, 1, 0, 1)), filters, bias, stride=2)
        whole = F.pixel_shuffle(even, 2)
        return whole[..., : x.shape[-2] - height + 1, : x.shape[-1] - width + 1]
