"""Means and covariances of features that arrive in parts, merged in double precision.

Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
variances": sums are about the mean of each part, so nothing cancels, however large the picture.
"""

import torch
from torch import Tensor

from impasto.moments import BLOCK


class Statistics:
    """Mean, and covariance or (cheaper) variance, of the channels of one picture."""

    def __init__(self, channels: int, full: bool) -> None:
        """full: covariances of all pairs of channels; otherwise only their variances."""
        self.full = full
        self.weight = 0.0
        self._mean = torch.zeros(channels, dtype=torch.float64)
        # Sum over positions of weighted products of deviations, (C, C) or (C,).
        self._scatter = torch.zeros((channels,) * (2 if full else 1), dtype=torch.float64)

    @classmethod
    def of(cls, features: Tensor, full: bool, weight: Tensor | None = None) -> "Statistics":
        """Those of one part alone, see ``add``."""
        own = cls(features.shape[1], full)
        own.add(features, weight)
        return own

    def join(self, other: "Statistics") -> None:
        """Those of more positions."""
        if other.weight > 0:
            self._merge(other.weight, other._mean, other._scatter)

    def add(self, features: Tensor, weight: Tensor | None = None) -> None:
        """One more part.  features: (1, C, h, w); weight: (1, 1, h, w), >= 0, of each position"""
        with torch.autocast(features.device.type, enabled=False):
            if weight is None and not self.full:
                variance, mean = torch.var_mean(features.float(), (0, 2, 3), correction=0)
                count = features[0, 0].numel()
                self._merge(count, mean, variance * count)
                return
            rows = features.permute(0, 2, 3, 1).flatten(0, 2)  # (hw, C)
            shares = (
                rows.new_ones(len(rows)) if weight is None else weight.flatten().to(rows.device)
            )
            blocks = zip(torch.split(rows, BLOCK), torch.split(shares, BLOCK), strict=True)
            for block, share in blocks:
                self._add_rows(block.float(), share.float().unsqueeze(1))

    def _add_rows(self, rows: Tensor, share: Tensor) -> None:
        """rows: (N, C); share: (N, 1)"""
        total = float(share.sum())
        if total <= 0:
            return
        mean = (rows * share).sum(0) / total
        centred = rows - mean
        weighted = centred * share
        scatter = weighted.mT @ centred if self.full else (weighted * centred).sum(0)
        rest = (weighted.sum(0) / total).cpu().double()  # what rounding left of the mean
        cancelled = torch.outer(rest, rest) if self.full else rest.square()
        self._merge(total, mean.cpu().double() + rest, scatter.cpu().double() - total * cancelled)

    def _merge(self, weight: float, mean: Tensor, scatter: Tensor) -> None:
        step = mean.cpu().double() - self._mean
        total = self.weight + weight
        products = torch.outer(step, step) if self.full else step.square()
        self._scatter += scatter.cpu().double() + products * (self.weight * weight / total)
        self._mean += step * (weight / total)
        self.weight = total

    def mean(self) -> Tensor:
        """->  (1, C), float32; 0 where nothing was added"""
        return self._mean.float().unsqueeze(0)

    def variance(self) -> Tensor:
        """->  (1, C), float32"""
        values = self._scatter.diagonal() if self.full else self._scatter
        return (values / max(self.weight, 1e-8)).float().unsqueeze(0)

    def covariance(self) -> Tensor:
        """->  (1, C, C), float32. Raises ValueError unless ``full``."""
        if not self.full:
            raise ValueError("only variances were gathered")
        return (self._scatter / max(self.weight, 1e-8)).float().unsqueeze(0)
