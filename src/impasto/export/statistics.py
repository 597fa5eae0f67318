"""Codes and feature transforms as plain operations on tensors, without a look at any size."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.codes import Code
from impasto.export.roots import inverse_root
from impasto.moments import EPS, Moments
from impasto.style import SIZES
from impasto.transforms import FULL, ROUNDING, Whitening


def by_size(code: Code) -> dict[str, Tensor]:
    """``{"128/finish/mean": (1, C), "256/...": ...}`` as ``{"finish_mean": (4, C)}``."""
    names = dict.fromkeys(key.partition("/")[2] for key in code)
    return {
        name.replace("/", "_"): torch.cat([code[f"{size}/{name}"].float() for size in SIZES])
        for name in names
    }


def at_canvas(code: Mapping[str, Tensor], content: Tensor) -> dict[str, Tensor]:
    """``codes.at`` in tensors: what ``by_size`` made, mixed from the two sizes nearest.

    Sizes double, so the shares are even in the logarithm.  (4, ...)  ->  (1, ...)
    """
    side = torch.sym_max(content.shape[-2], content.shape[-1])  # type: ignore[no-untyped-call]
    longest = torch.full((), side).float()
    place = (longest / SIZES[0]).log2().clamp(0, len(SIZES) - 1)
    shares = (1 - (place - torch.arange(len(SIZES))).abs()).clamp_min(0)  # (4,)
    return {
        name: (shares.view(-1, *[1] * (tensor.ndim - 1)) * tensor).sum(0, keepdim=True)
        for name, tensor in code.items()
    }


def part(code: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """``codes.inner`` for names as files have them: ``finish_mean`` is ``mean``."""
    return {k.removeprefix(f"{name}_"): t for k, t in code.items() if k.startswith(f"{name}_")}


def moments(features: Tensor) -> Moments:
    """``moments.moments`` as plain products.  (B, C, H, W), float32  ->  (B, C), (B, C, C)"""
    rows = features.flatten(2)  # (B, C, HW)
    return Moments(rows.mean(2), rows @ rows.mT / rows.shape[2])


def moved(features: Tensor, code: Code) -> Tensor:
    """``transforms.adain`` as one operation of ONNX.

    features: (B, C, H, W), float32; code: ``mean``, ``std`` (1, C)  ->  like features
    """
    scale, shift = code["std"].clamp_min(0), code["mean"]
    return F.instance_norm(features, eps=EPS) * scale[..., None, None] + shift[..., None, None]


def colored(features: Tensor, code: Code, whitening: Whitening = FULL) -> Tensor:
    """``transforms.whitened_and_colored`` without eigenvalues, see ``roots``.

    features: (B, C, H, W), float32; code: ``mean`` (1, C), ``color`` (1, C, C)  ->  like features
    """
    rows = features.flatten(2)  # (B, C, HW)
    mean = rows.mean(2, keepdim=True)  # (B, C, 1)
    centred = rows - mean
    rest = centred.mean(2, keepdim=True)  # what rounding left
    covariance = centred @ centred.mT / rows.shape[2] - rest @ rest.mT
    nothing = (ROUNDING * mean.square().amax(1)).clamp_min(1e-12)  # (B, 1)
    if whitening.shrinkage:
        diagonal = covariance * torch.eye(rows.shape[1])
        covariance = covariance.lerp(diagonal, whitening.shrinkage)
    transform = code["color"] @ inverse_root(covariance, whitening.floor, nothing)
    moved = transform @ (centred - rest) + code["mean"][:, :, None]
    return moved.reshape(features.shape)
