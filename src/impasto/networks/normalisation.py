"""Normalisation of features over positions, with a scale and a shift per channel.

Instance norm: Ulyanov et al. 2016, arXiv:1607.08022; batch norm: Ioffe & Szegedy 2015,
arXiv:1502.03167; filter response norm: Singh & Krishnan 2020, arXiv:1911.09737.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import recorded

Norm = Literal["instance", "batch", "frn"]

EPS = 1e-3
"""Floor of the variance: what is flatter than this is not blown up into blobs."""


class Affine(nn.Module, ABC):
    """A normalisation with its own scale and shift, or with those it is called with."""

    def __init__(self, channels: int, own: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels)) if own else None
        self.shift = nn.Parameter(torch.zeros(channels)) if own else None

    def forward(
        self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """x: (B, C, H, W); scale, shift: (B, C) where there are none of its own  ->  like x"""
        if scale is None or shift is None:
            assert self.scale is not None and self.shift is not None
            scale, shift = self.scale.expand(len(x), -1), self.shift.expand(len(x), -1)
        return self.normalise(x, scale, shift)

    @abstractmethod
    def normalise(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """The formula itself; scale, shift: (B, C)."""

    def activate(self, x: Tensor) -> Tensor:
        """What follows: a ReLU."""
        return F.relu_(x)


class InstanceNorm(Affine):
    """Zero mean and unit variance for every picture and channel."""

    def normalise(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """The kernel is that of batch norm."""
        if x.shape[2] * x.shape[3] == 1:  # a single position is its own mean
            return 0 * x * _spread(scale) + _spread(shift)
        return standardised(x, scale, shift, EPS)


class BatchNorm(Affine):
    """Zero mean and unit variance for every channel over the batch; in use, over all batches."""

    def __init__(self, channels: int, own: bool) -> None:
        super().__init__(channels, own)
        self.statistics = nn.BatchNorm2d(channels, eps=EPS, affine=False)

    def normalise(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Scale and shift may differ within the batch."""
        x = self.statistics(x)
        return x * _spread(scale).to(x.dtype) + _spread(shift).to(x.dtype)


class ResponseNorm(Affine):
    """Unit mean square for every picture and channel; the mean stays. ReLU with a learned floor."""

    def __init__(self, channels: int, own: bool, active: bool = True) -> None:
        super().__init__(channels, own)
        self.floor = nn.Parameter(torch.zeros(channels)) if active else None

    def normalise(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """In float32."""
        energy = x.float().square().mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        factor = _spread(scale) * (energy + EPS).rsqrt()
        return x * factor.to(x.dtype) + _spread(shift).to(x.dtype)

    def activate(self, x: Tensor) -> Tensor:
        """The thresholded linear unit."""
        assert self.floor is not None
        return torch.maximum(x, self.floor[:, None, None].to(x.dtype))


def standardised(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Instance norm with a scale and a shift for every picture.

    Picture by picture through batch norm, whose kernel is several times as fast.
    x: (B, C, H, W), more than one position; scale, shift: (B, C)  ->  like x
    """
    if recorded():
        return _spread(scale) * F.instance_norm(x, eps=eps) + _spread(shift)
    parts = zip(torch.split(x, 1), scale.unbind(), shift.unbind(), strict=True)
    done = [F.batch_norm(p, None, None, a, b, True, 0.0, eps) for p, a, b in parts]
    return torch.cat(done) if len(done) > 1 else done[0]


def normalisation(norm: Norm, channels: int, own: bool, active: bool = True) -> Affine:
    """The module of that name; ``active``: whether an activation follows."""
    if norm == "frn":
        return ResponseNorm(channels, own, active)
    return {"instance": InstanceNorm, "batch": BatchNorm}[norm](channels, own)


def _spread(values: Tensor) -> Tensor:
    """(B, C)  ->  (B, C, 1, 1)"""
    return values[:, :, None, None]
