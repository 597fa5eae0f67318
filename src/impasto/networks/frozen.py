"""The way through an encoder whose weights stay as they are, and the gradient's way back.

Differs from what autograd makes of the same layers by rounding alone, and carries less: ReLU,
pooling and their ways back work on the bits of numbers, which for those that are not negative are
ordered as integers are; padding and ReLU are one copy; only padded activations are kept; the
normalisation of the picture is part of the first filters.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import bits, framed, rectified

GROUP = 4
"""So many neighbouring pixels are computed as one of more channels, see ``narrow``."""


class Layer(NamedTuple):
    """Padding by reflection, a convolution of 3 x 3, ReLU; before it max pooling, or not."""

    name: str
    pooled: bool
    filters: Tensor
    """(out, in, 3, 3)"""
    bias: Tensor
    back: Tensor
    """Filters of the gradient, (in, out, 3, 3); those of the first layer see a group of pixels."""


class Frozen(NamedTuple):
    """An encoder whose weights stay as they are."""

    centre: Tensor
    """The colour that it sees as nothing, (1, 3, 1, 1): taken off by the first layer's bias, it
    would leave the difference of large numbers."""
    layers: tuple[Layer, ...]


def freeze(convs: Mapping[str, nn.Conv2d], colour: nn.Conv2d, dtype: torch.dtype) -> Frozen:
    """The layers of an encoder; ``colour`` is the convolution of 1 x 1 before all others."""
    layers: list[Layer] = []
    mix = colour.weight.detach()[:, :, 0, 0]
    centre = torch.linalg.solve(mix.double(), -_bias(colour).double()).to(mix)
    for name, conv in convs.items():
        weight, bias, first = conv.weight.detach(), _bias(conv), not layers
        if first:  # what is reflected is normalised as well, so the order is all the same
            weight = torch.einsum("oihw,ij->ojhw", weight, mix)
        back = weight.flip(2, 3).transpose(0, 1)
        filters, back = (_placed(w, dtype) for w in (weight, _grouped(back) if first else back))
        pooled = name.endswith("_1") and not first
        layers.append(Layer(f"relu{name}", pooled, filters, bias.to(dtype), back))
    return Frozen(centre.view(1, -1, 1, 1), tuple(layers))


def features(image: Tensor, encoder: Frozen, taps: set[str]) -> dict[str, Tensor]:
    """The features at ``taps``, in order of depth; layers beyond the last tap are not run.

    image: (B, 3, H, W), in [0, 1]; what comes before any padding is at least two pixels wide
    """
    layers = encoder.layers
    last = max(i for i, layer in enumerate(layers) if layer.name in taps)
    names = [layer.name for layer in layers[: last + 1] if layer.name in taps]
    centred = image - encoder.centre.to(image)
    found = _Through.apply(centred, layers[: last + 1], names)  # type: ignore[no-untyped-call]
    return dict(zip(names, found, strict=True))


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, layers: Sequence[Layer], taps: list[str]
    ) -> tuple[Tensor, ...]:
        x, kept, found = image, list[Tensor](), list[Tensor]()
        wanted = ctx.needs_input_grad[0]
        for layer in layers:
            if layer.pooled:
                whole = rectified(x)
                columns = _larger(whole, 3)
                x = _larger(columns, 2)
                if wanted:
                    kept += [whole, columns]
            padded = _padded(x, layer.filters.dtype, rectify=x is not image)
            x = F.conv2d(padded, layer.filters, layer.bias)
            if layer.name in taps:
                found.append(rectified(x))
            if wanted:
                kept.append(padded)
        ctx.layers, ctx.taps, ctx.dtype = layers, taps, image.dtype
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*kept, found[-1])
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        kept, asked = list(ctx.saved_tensors), dict(zip(ctx.taps, gradients, strict=True))
        output, gradient, rectified = kept.pop(), None, False
        for index in range(len(ctx.layers) - 1, -1, -1):
            layer, padded = ctx.layers[index], kept.pop()
            tapped = asked.get(layer.name)
            if tapped is not None:
                tapped = tapped.contiguous(memory_format=torch.channels_last)
                gradient = tapped if gradient is None else tapped + gradient
                rectified = False
            if gradient is not None:
                gradient = gradient if rectified else _where_positive(gradient, output)
                if index == 0:
                    pixels = _to_picture(gradient, layer.back, padded.shape, ctx.dtype)
                    return pixels, None, None
                gradient = _folded(F.conv2d(gradient, layer.back, padding=2))
            output, rectified = _inner(padded), False
            if layer.pooled:
                columns, whole = kept.pop(), kept.pop()
                if gradient is not None:
                    gradient = _where_positive(gradient, output)
                    gradient = _handed(_handed(gradient, columns, 2), whole, 3)
                output, rectified = whole, True
        return None, None, None


def _padded(x: Tensor, dtype: torch.dtype, rectify: bool) -> Tensor:
    """Reflected by one pixel at every border.  (B, C, H, W)  ->  (B, C, H + 2, W + 2)"""
    out = framed(x, 1, rectify, dtype)
    out[:, :, 0], out[:, :, -1] = out[:, :, 2], out[:, :, -3]
    out[:, :, :, 0], out[:, :, :, -1] = out[:, :, :, 2], out[:, :, :, -3]
    return out


def _folded(padded: Tensor) -> Tensor:
    """What flowed to the border flows to the pixels it mirrors; in place, a view of the inside."""
    padded[:, :, 2] += padded[:, :, 0]
    padded[:, :, -3] += padded[:, :, -1]
    padded[:, :, :, 2] += padded[:, :, :, 0]
    padded[:, :, :, -3] += padded[:, :, :, -1]
    return _inner(padded)


def _inner(padded: Tensor) -> Tensor:
    return padded[:, :, 1:-1, 1:-1]


def _where_positive(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient before a ReLU; 0 and 1 as factors of bits keep them or clear them."""
    passes = bits(output).clamp_max(1)
    return passes.mul_(bits(gradient)).view(gradient.dtype)


def _larger(x: Tensor, dim: int) -> Tensor:
    """The larger of each two neighbours; the last alone, if they are odd.  x >= 0"""
    first, second = _pairs(bits(x), dim)
    pairs = second.shape[dim]
    if pairs == first.shape[dim]:
        return torch.maximum(first, second).view(x.dtype)
    out = first.clone()
    torch.maximum(first.narrow(dim, 0, pairs), second, out=out.narrow(dim, 0, pairs))
    return out.view(x.dtype)


def _handed(gradient: Tensor, x: Tensor, dim: int) -> Tensor:
    """The gradient of ``_larger``: to the larger of each two, to the first if they are equal."""
    out, g = torch.empty_like(x), bits(gradient)
    (first, second), (to_first, to_second) = _pairs(bits(x), dim), _pairs(bits(out), dim)
    pairs = second.shape[dim]
    if pairs < first.shape[dim]:
        to_first.narrow(dim, pairs, 1).copy_(g.narrow(dim, pairs, 1))
    first, to_first, g = (t.narrow(dim, 0, pairs) for t in (first, to_first, g))
    behind = (first - second) >> (8 * x.element_size() - 1)  # all bits where second is larger
    torch.bitwise_and(g, behind, out=to_second)
    torch.bitwise_xor(g, to_second, out=to_first)
    return out


def _pairs(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    if dim == 2:
        return x[:, :, 0::2], x[:, :, 1::2]
    return x[:, :, :, 0::2], x[:, :, :, 1::2]


def _to_picture(gradient: Tensor, back: Tensor, padded: torch.Size, dtype: torch.dtype) -> Tensor:
    """(B, C, H, W)  ->  (B, 3, H, W)"""
    b, colours, height, width = padded
    across = GROUP + 2  # a whole group before the border, which is cut off
    groups = F.conv2d(gradient, back, stride=(1, GROUP), padding=(2, across))
    pixels = groups.permute(0, 2, 3, 1).to(dtype)
    pixels = pixels.reshape(b, height, -1, colours)[:, :, GROUP : GROUP + width]
    return _folded(pixels.permute(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)


def _grouped(weight: Tensor) -> Tensor:
    """(out, C, 3, 3)  ->  (GROUP out, C, 3, GROUP + 2)"""
    windows = [F.pad(weight, (k, GROUP - 1 - k)) for k in range(GROUP)]
    return torch.stack(windows).flatten(0, 1)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach()


def _placed(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype).contiguous(memory_format=torch.channels_last)
