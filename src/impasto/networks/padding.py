"""Padding by reflection, as fast as padding by zeros."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def recorded() -> bool:
    """Whether a graph is being made of what runs, which has to hold for pictures of any size."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def pad(x: Tensor, margin: int = 1) -> Tensor:
    """Reflect ``margin`` pixels at every border; what is too small for that repeats its border.

    x: (B, C, H, W)  ->  (B, C, H + 2 margin, W + 2 margin)
    """
    if min(x.shape[-2:]) <= margin:
        return F.pad(x, (margin,) * 4, mode="replicate")
    if recorded():
        return F.pad(x, (margin,) * 4, mode="reflect")
    result: Tensor = _Reflect.apply(x, margin)  # type: ignore[no-untyped-call]
    return result


def repeated(x: Tensor) -> Tensor:
    """Repeat the border by one pixel.  (B, C, H, W)  ->  (B, C, H + 2, W + 2), channels last"""
    if recorded():
        return F.pad(x, (1, 1, 1, 1), mode="replicate")
    result: Tensor = _Repeat.apply(x)  # type: ignore[no-untyped-call]
    return result


class _Reflect(torch.autograd.Function):
    """Copies whole blocks in channels last.

    Differs: torch's own padding by reflection works pixel by pixel and leaves channels last on the
    way back; on shallow layers that took longer than the convolution.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, margin: int) -> Tensor:
        ctx.margin, m = margin, margin
        b, c, h, w = x.shape
        shape = (b, c, h + 2 * m, w + 2 * m)
        layout = torch.channels_last
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
        out[:, :, m:-m, m:-m] = x
        for i in range(m):
            out[:, :, i, m:-m], out[:, :, -1 - i, m:-m] = x[:, :, m - i], x[:, :, i - m - 1]
        for i in range(m):
            out[:, :, :, i], out[:, :, :, -1 - i] = (
                out[:, :, :, 2 * m - i],
                out[:, :, :, i - 2 * m - 1],
            )
        return out  # (B, C, H + 2 margin, W + 2 margin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """What flowed to the border flows to the pixels it mirrors."""
        (g,), m = gradients, ctx.margin
        inner = g[:, :, m:-m, m:-m].clone(memory_format=torch.channels_last)  # (B, C, H, W)
        for i in range(m):
            inner[:, :, m - i] += g[:, :, i, m:-m]
            inner[:, :, i - m - 1] += g[:, :, -1 - i, m:-m]
        for i in range(m):
            inner[:, :, :, m - i] += _folded(g[:, :, :, i], m)
            inner[:, :, :, i - m - 1] += _folded(g[:, :, :, -1 - i], m)
        return inner, None


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
    def forward(ctx: Any, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        shape, layout = (b, c, h + 2, w + 2), torch.channels_last
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
        out[:, :, 1:-1, 1:-1] = x
        out[:, :, 0, 1:-1], out[:, :, -1, 1:-1] = x[:, :, 0], x[:, :, -1]
        out[:, :, :, 0], out[:, :, :, -1] = out[:, :, :, 1], out[:, :, :, -2]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        g = gradients[0].clone(memory_format=torch.channels_last)
        g[:, :, :, 1] += g[:, :, :, 0]
        g[:, :, :, -2] += g[:, :, :, -1]
        g[:, :, 1] += g[:, :, 0]
        g[:, :, -2] += g[:, :, -1]
        return g[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)
