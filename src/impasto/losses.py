"""Losses as pure functions, all relative: 0 is a perfect match, 1 is as far as nothing at all.

Dividing by the energy of the target makes one weight mean the same for every picture, size,
encoder and layer. Gatys et al. 2016, eq. (1)-(7). Differs: the paper's constants divide by sizes,
which leaves each layer's share of the loss to chance.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

EPS = 1e-8


def content_error(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of features over the energy of the target, per picture.

    features, target: (B, C, H, W)  ->  (B,)

    Gatys et al. 2016, eq. (1).
    """
    if target.requires_grad:
        distance = (features.float() - target.float()).square().flatten(1).sum(1)
    else:
        distance = _Distance.apply(features, target)  # type: ignore[no-untyped-call]
    return distance / target.float().square().flatten(1).sum(1).clamp_min(EPS)


def gram_error(gram: Tensor, target: Tensor) -> Tensor:
    """Squared distance of Gram matrices over the squared norm of the target, per picture.

    gram, target: (B, C, C)  ->  (B,)

    Gatys et al. 2016, eq. (4).
    """
    difference = (gram - target).square().flatten(1).sum(1)
    return difference / target.square().flatten(1).sum(1).clamp_min(EPS)


def style_error(grams: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Sum of ``gram_error`` over the taps of ``targets``.  ->  (B,)

    Gatys et al. 2016, eq. (5) with all weights 1.
    """
    return sum(gram_error(grams[tap], targets[tap]) for tap in targets)  # type: ignore[return-value]


def total_variation(image: Tensor) -> Tensor:
    """Mean squared step between neighbouring pixels, per picture: what noise costs.

    image: (B, 3, H, W)  ->  (B,)
    """
    steps: Tensor = _Steps.apply(image)  # type: ignore[no-untyped-call]
    return steps / image[0].numel()


class _Distance(torch.autograd.Function):
    """Sum of squared differences in float32, with one copy where autograd makes three."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, target: Tensor) -> Tensor:
        difference = features.float() - target.float()
        ctx.save_for_backward(difference)
        ctx.dtype = features.dtype
        return difference.square().flatten(1).sum(1)  # (B,)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        return (difference * (2 * _each(gradients[0]))).to(ctx.dtype), None


class _Steps(torch.autograd.Function):
    """Sum of squared steps. Differs: autograd fills a picture with zeros for every slice."""

    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        down, right = image[:, :, 1:] - image[:, :, :-1], image[..., 1:] - image[..., :-1]
        ctx.save_for_backward(image, down, right)
        return down.square().flatten(1).sum(1) + right.square().flatten(1).sum(1)  # (B,)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        image, down, right = ctx.saved_tensors
        slope = torch.zeros_like(image)
        slope[:, :, 1:] += down
        slope[:, :, :-1] -= down
        slope[..., 1:] += right
        slope[..., :-1] -= right
        return slope.mul_(2 * _each(gradients[0]))  # (B, 3, H, W)


def _each(values: Tensor) -> Tensor:
    """(B,)  ->  (B, 1, 1, 1)"""
    return values.reshape(-1, 1, 1, 1)
