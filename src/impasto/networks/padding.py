"""Padding by reflection, as fast as padding by zeros."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By the bytes of a number."""


def recorded() -> bool:
    """Whether a graph is being made of what runs, which has to hold for pictures of any size."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def bits(x: Tensor) -> Tensor:
    """The same memory as integers, which for numbers that are not negative are ordered alike."""
    return x.view(INTEGERS[x.element_size()])


def rectified(x: Tensor) -> Tensor:
    """ReLU in place: a negative number is a negative integer."""
    bits(x).clamp_min_(0)
    return x


def by_hand() -> bool:
    """Whether layers may be computed on the bits of numbers: of that no graph can be made."""
    return not recorded() and not torch.compiler.is_compiling()


def no_gradient() -> bool:
    """Whether ReLU may be part of padding: nobody wants a gradient."""
    return not torch.is_grad_enabled() and by_hand()


def pad(x: Tensor, margin: int = 1, rectify: bool = False) -> Tensor:
    """Reflect ``margin`` pixels at every border; what is too small for that repeats its border.

    x: (B, C, H, W)  ->  (B, C, H + 2 margin, W + 2 margin)
    rectify: pad ReLU of x, in the same copy; only where there is ``no_gradient``
    """
    if min(x.shape[-2:]) <= margin:
        x = F.relu(x) if rectify else x
        return F.pad(x, (margin,) * 4, mode="replicate")
    if recorded():
        return F.pad(x, (margin,) * 4, mode="reflect")
    result: Tensor = _Reflect.apply(x, margin, rectify)  # type: ignore[no-untyped-call]
    return result


def repeated(x: Tensor, rectify: bool = False) -> Tensor:
    """Repeat the border by one pixel.  (B, C, H, W)  ->  (B, C, H + 2, W + 2), channels last

    rectify: see ``pad``
    """
    if recorded():
        return F.pad(x, (1, 1, 1, 1), mode="replicate")
    result: Tensor = _Repeat.apply(x, rectify)  # type: ignore[no-untyped-call]
    return result


def framed(x: Tensor, margin: int, rectify: bool, dtype: torch.dtype | None = None) -> Tensor:
    """A copy with a margin that is still to be written; rectified, of the same ``dtype``.

    x: (B, C, H, W)  ->  (B, C, H + 2 margin, W + 2 margin), channels last
    """
    b, c, h, w = x.shape
    shape, layout = (b, c, h + 2 * margin, w + 2 * margin), torch.channels_last
    out = torch.empty(shape, dtype=dtype or x.dtype, device=x.device, memory_format=layout)
    inner = out[:, :, margin:-margin, margin:-margin]
    if rectify:
        torch.clamp_min(bits(x), 0, out=bits(inner))  # a negative number is a negative integer
    else:
        inner.copy_(x)
    return out


class _Reflect(torch.autograd.Function):
    """Copies whole blocks in channels last.

    Differs: torch's own padding by reflection works pixel by pixel and leaves channels last on the
    way back; on shallow layers that took longer than the convolution.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, margin: int, rectify: bool) -> Tensor:
        ctx.margin, m = margin, margin
        out = framed(x, margin, rectify)
        for i in range(m):
            out[:, :, i], out[:, :, -1 - i] = out[:, :, 2 * m - i], out[:, :, i - 2 * m - 1]
        for i in range(m):
            out[:, :, :, i], out[:, :, :, -1 - i] = (
                out[:, :, :, 2 * m - i],
                out[:, :, :, i - 2 * m - 1],
            )
        return out  # (B, C, H + 2 margin, W + 2 margin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """What flowed to the border flows to the pixels it mirrors."""
        (g,), m = gradients, ctx.margin
        inner = g[:, :, m:-m, m:-m].clone(memory_format=torch.channels_last)  # (B, C, H, W)
        for i in range(m):
            inner[:, :, m - i] += g[:, :, i, m:-m]
            inner[:, :, i - m - 1] += g[:, :, -1 - i, m:-m]
        for i in range(m):
            inner[:, :, :, m - i] += _folded(g[:, :, :, i], m)
            inner[:, :, :, i - m - 1] += _folded(g[:, :, :, -1 - i], m)
        return inner, None, None


def _folded(line: Tensor, margin: int) -> Tensor:
    """The ends of a line added to what they mirror.  (B, C, H + 2 margin)  ->  (B, C, H)"""
    inner = line[:, :, margin:-margin].clone()  # (B, C, H)
    for i in range(margin):
        inner[:, :, margin - i] += line[:, :, i]
        inner[:, :, i - margin - 1] += line[:, :, -1 - i]
    return inner


class _Repeat(torch.autograd.Function):
    """For the same reason as ``_Reflect``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectify: bool) -> Tensor:
        out = framed(x, 1, rectify)
        out[:, :, 0], out[:, :, -1] = out[:, :, 1], out[:, :, -2]
        out[:, :, :, 0], out[:, :, :, -1] = out[:, :, :, 1], out[:, :, :, -2]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        g = gradients[0].clone(memory_format=torch.channels_last)
        g[:, :, :, 1] += g[:, :, :, 0]
        g[:, :, :, -2] += g[:, :, :, -1]
        g[:, :, 1] += g[:, :, 0]
        g[:, :, -2] += g[:, :, -1]
        return g[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last), None
