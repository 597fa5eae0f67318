"""Moments of features: what the encoder remembers of a style.

Per tap the channel mean and the raw second moment. The Gram matrix (Gatys), mean and standard
deviation (AdaIN) and the covariance (WCT) are all read off these two; and because both are plain
averages over positions, they add up over tiles, regions, pictures and machines.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5
"""Added to variances before their root, as in the code of AdaIN's authors."""

BLOCK = 16_384
"""Positions that are turned into float32 at a time."""


PART, PARTS = 256, 64
"""Positions, at least, and number, at most, of the parts whose sums are rounded to bfloat16."""


class Moments(NamedTuple):
    """First and second raw moment of one tap. mean: (B, C), second: (B, C, C), float32."""

    mean: Tensor
    second: Tensor

    def covariance(self) -> Tensor:
        """Second moment about the mean.  ->  (B, C, C)"""
        return self.second - self.mean.unsqueeze(2) * self.mean.unsqueeze(1)  # (B, C, C)

    def std(self) -> Tensor:
        """Standard deviation of each channel.  ->  (B, C)"""
        variance = self.second.diagonal(dim1=1, dim2=2) - self.mean.square()  # (B, C)
        return variance.clamp_min(0).sqrt()

    def to(self, device: torch.device) -> "Moments":
        """The same moments on another device."""
        return Moments(self.mean.to(device), self.second.to(device))


def about_mean(mean: Tensor, covariance: Tensor) -> Moments:
    """Moments from the mean (B, C) and the covariance about it (B, C, C)."""
    return Moments(mean, covariance + mean.unsqueeze(2) * mean.unsqueeze(1))


def moments(features: Tensor, mask: Tensor | None = None) -> Moments:
    """Average of the features and of the products of every pair of channels over positions.

    features: (B, C, H, W); mask: (B or 1, 1, h, w), weights >= 0, resized to the features
    ->  mean (B, C), second (B, C, C), float32 whatever the features are in

    Gatys et al. 2016, eq. (3). Differs: divided by the number of positions (or the sum of the
    mask), so that pictures of different size compare; the paper divides in the loss, eq. (4).
    """
    if mask is None:
        return Moments(features.float().mean((2, 3)), gram(features))
    with torch.autocast(features.device.type, enabled=False):
        return _masked(_rows(features).float(), position_weights(features, mask).mT)


def position_weights(features: Tensor, mask: Tensor | None) -> Tensor:
    """How much each position counts, summing to 1.  ->  (B or 1, 1, HW)

    features: (B, C, H, W); mask: as for ``moments``; without one, all count the same.
    """
    if mask is None:
        count = features.shape[-2] * features.shape[-1]
        return features.new_full((1, 1, count), 1 / count, dtype=torch.float32)
    weight = F.interpolate(mask.float(), features.shape[-2:], mode="area")
    weight = weight.flatten(1).unsqueeze(1)  # (B, 1, HW)
    return weight / weight.sum(2, keepdim=True).clamp_min(1e-8)


def _masked(rows: Tensor, weight: Tensor) -> Moments:
    return Moments((rows * weight).sum(1), rows.mT @ (rows * weight))


def mean_std(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over positions, or those that the mask shows.

    features: (B, C, H, W); mask: as for ``moments``  ->  (B, C), (B, C), float32
    """
    if mask is None:
        variance, mean = torch.var_mean(features.float(), (2, 3), correction=0)
    else:
        rows, weight = _rows(features).float(), position_weights(features, mask).mT
        mean = (rows * weight).sum(1)  # (B, C)
        variance = ((rows - mean.unsqueeze(1)).square() * weight).sum(1)
    return mean, (variance + EPS).sqrt()


def average(parts: Iterable[tuple[float, Moments]]) -> Moments:
    """Weighted mean of moments: of tiles, of regions, of several paintings.

    Weights need not sum to 1 and may be negative. Raises ValueError when there are no parts.
    """
    weights, items = zip(*parts, strict=True)
    total = sum(weights)
    return Moments(
        torch.stack([m.mean * (w / total) for w, m in zip(weights, items, strict=True)]).sum(0),
        torch.stack([m.second * (w / total) for w, m in zip(weights, items, strict=True)]).sum(0),
    )


def gram(features: Tensor) -> Tensor:
    """Correlation of every pair of channels, averaged over positions, in float32.

    features: (B, C, H, W)  ->  (B, C, C)

    Gatys et al. 2016, eq. (3). Differs: divided by H*W, see ``moments``.
    """
    result: Tensor = _Gram.apply(features)  # type: ignore[no-untyped-call]
    return result


class _Gram(torch.autograd.Function):
    """Sums in float32, block by block, without a float32 copy of the features.

    On wide, shallow layers in bfloat16 that copy and its gradient cost as much as the convolutions.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        rows = _rows(features)
        half = features.dtype == torch.bfloat16 and features.device.type == "cpu"
        total = _rough(rows) if half and ctx.needs_input_grad[0] else _exact(rows)
        return total / rows.shape[1]  # (B, C, C)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        features: Tensor = ctx.saved_tensors[0]
        rows = _rows(features)
        symmetric = (gradients[0] + gradients[0].mT) / rows.shape[1]
        gradient = rows @ symmetric.to(rows.dtype)  # (B, HW, C)
        b, c, h, w = features.shape
        return gradient.reshape(b, h, w, c).permute(0, 3, 1, 2)  # (B, C, H, W)


def _exact(rows: Tensor) -> Tensor:
    """(B, HW, C)  ->  (B, C, C), sums of products"""
    total = rows.new_zeros(len(rows), rows.shape[2], rows.shape[2], dtype=torch.float32)
    for block in torch.split(rows, BLOCK, 1):
        part = block.float()
        total.baddbmm_(part.mT, part)
    return total


def _rough(rows: Tensor) -> Tensor:
    """What ``_exact`` gives but for rounding by 1 in 1,000: products of bfloat16 in hardware.

    Optimisation needs no more. Each part's sums are in float32 until they are rounded.
    """
    b, positions, channels = rows.shape
    count = min(PARTS, max(1, positions // PART))
    even = positions - positions % count
    parts = rows[:, :even].reshape(b * count, -1, channels)
    total = torch.bmm(parts.mT, parts).float().view(b, count, channels, channels).sum(1)
    return total + _exact(rows[:, even:]) if even < positions else total


def _rows(features: Tensor) -> Tensor:
    """(B, C, H, W)  ->  (B, HW, C), a view where the features are channels last"""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


TapMoments = Mapping[str, Moments]
"""Moments of every tap, by its name."""
