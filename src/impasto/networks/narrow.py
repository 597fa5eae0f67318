"""Convolutions that compute four neighbouring outputs as one of four times the channels."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import recorded, repeated

CORNERS = ((1, 1), (1, 0), (0, 1), (0, 0))
"""Row and column of the four, counted from an even place: the order of doubled filters."""


class NarrowConv(nn.Conv2d):
    """A convolution with few output channels, as fast as one with many.

    Processors work on sixteen channels at a time, whether there are as many or not: the last layer
    of a network has three, and took longer than all others together. Weights, names and results are
    those of ``nn.Conv2d`` with stride 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W)  ->  (B, out, H - kernel + 1, W - kernel + 1)"""
        return narrow(x, self.weight, self.bias)


def narrow(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What ``NarrowConv`` does, with any weights.

    x: (B, C, H, W); weight: (out, C, h, w); bias: (out,)  ->  (B, out, H - h + 1, W - w + 1)
    """
    height, width = weight.shape[2:]
    if (x.shape[-2] - height) % 2 == 0 or (x.shape[-1] - width) % 2 == 0:  # an odd output
        return F.conv2d(x, weight, bias)
    # Each of the four sees the window from its own corner; (4 out, C, h + 1, w + 1)
    four = [F.pad(weight, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
    bias = None if bias is None else bias.repeat(4)
    placed = F.conv2d(x, torch.cat(four), bias, stride=2)
    return _recorded_spread(placed) if recorded() else _spread(placed)


def _spread(four: Tensor) -> Tensor:
    """``pixel_shuffle`` of channels last, which copies two neighbours at a time.

    (B, 4 C, H, W), the four before the channels  ->  (B, C, 2H, 2W)
    """
    b, c, h, w = four.shape[0], four.shape[1] // 4, four.shape[2], four.shape[3]
    rows = four.permute(0, 2, 3, 1).reshape(b, h, w, 2, 2 * c).transpose(2, 3)
    return rows.reshape(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


def _recorded_spread(four: Tensor) -> Tensor:
    """``_spread`` as OpenVINO writes the picture in one go: channels first."""
    b, c, h, w = four.shape[0], four.shape[1] // 4, four.shape[2], four.shape[3]
    four = four.permute(0, 2, 3, 1).reshape(b, h, w, 2, 2, c)
    return four.permute(0, 5, 1, 3, 2, 4).reshape(b, c, 2 * h, 2 * w)


class DoublingConv(nn.Conv2d):
    """Nearest upsampling by two, reflection and a convolution of 3 x 3, which sees pixels twice.

    Its four outputs over a pixel are convolutions of 2 x 2 of the small picture: 16 products where
    there were 36, and no large picture goes through the memory. Together they are a transposed
    convolution of 4 x 4, which puts each output in its place at once. The way back through that is
    slow, so where gradients flow the four are computed as channels. Weights and names are those of
    ``nn.Conv2d``, results too, but for rounding. Where a row is cut off, what is cut off was seen.

    Shi et al. 2016, arXiv:1609.05158 (the convolution at low resolution).
    """

    def forward(
        self, x: Tensor, size: tuple[int, int] | None = None, rectify: bool = False
    ) -> Tensor:
        """x: (B, C, H, W)  ->  (B, out, 2H, 2W), or the upper left of it, of ``size``

        rectify: of ReLU of x, see ``padding.pad``
        """
        height, width = size or (2 * x.shape[-2], 2 * x.shape[-1])
        x = repeated(x, rectify)
        learning = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        if learning and not recorded():
            bias = None if self.bias is None else self.bias.repeat(4)
            four = F.conv2d(x, self._filters(), bias)  # (B, 4 out, H + 1, W + 1)
            doubled: Tensor = _Interleaved.apply(four)  # type: ignore[no-untyped-call]
        else:
            doubled = F.conv_transpose2d(x, self._transposed(), self.bias, stride=2, padding=3)
        return doubled[..., :height, :width]

    def _filters(self) -> Tensor:
        """What the four make of their 2 x 2, in the order of ``CORNERS``.  ->  (4 out, C, 2, 2)"""
        return _sums(_sums(self.weight, 3), 3).flatten(0, 2)

    def _transposed(self) -> Tensor:
        """What a pixel gives to the 4 x 4 that see it.  ->  (C, out, 4, 4)"""
        return _seen(_seen(self.weight, 3), 2).transpose(0, 1)


def _sums(weight: Tensor, dim: int) -> Tensor:
    """Weights of the same pixel summed, for odd and even places.  (..., 3, ...) -> (2, ..., 2)"""
    a, b, c = weight.unbind(dim)
    return torch.stack([torch.stack([a + b, c], dim), torch.stack([a, b + c], dim)])


def _seen(weight: Tensor, dim: int) -> Tensor:
    """How a doubled pixel is seen by four in a row.  (..., 3, ...) -> (..., 4, ...)"""
    a, b, c = weight.unbind(dim)
    return torch.stack([c, b + c, a + b, a], dim)


class _Interleaved(torch.autograd.Function):
    """(B, 4 C, H + 1, W + 1), odd rows and columns first  ->  (B, C, 2H, 2W)

    Copies that skip: the other ways to write this go pixel by pixel, or copy once more to cut.
    """

    @staticmethod
    def forward(ctx: Any, four: Tensor) -> Tensor:
        b, c, h, w = four.shape[0], four.shape[1] // 4, four.shape[2] - 1, four.shape[3] - 1
        shape, layout = (b, c, 2 * h, 2 * w), torch.channels_last
        out = torch.empty(shape, dtype=four.dtype, device=four.device, memory_format=layout)
        for (i, j), part in zip(CORNERS, four.chunk(4, 1), strict=True):
            out[:, :, i::2, j::2] = part[:, :, i : i + h, j : j + w]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (g,) = gradients
        b, c, h, w = g.shape[0], g.shape[1], g.shape[2] // 2, g.shape[3] // 2
        four = g.new_zeros(b, 4 * c, h + 1, w + 1).contiguous(memory_format=torch.channels_last)
        for (i, j), part in zip(CORNERS, four.chunk(4, 1), strict=True):
            part[:, :, i : i + h, j : j + w] = g[:, :, i::2, j::2]
        return four
