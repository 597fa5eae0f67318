"""The layers of a transformation network, normalised by statistics that are given."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.narrow import DoublingConv
from impasto.networks.normalisation import EPS, Affine, BatchNorm, ResponseNorm
from impasto.networks.padding import pad
from impasto.networks.transformer import Transformer
from impasto.tiling.geometry import Layer, steps
from impasto.tiling.statistics import Statistics


class Layers:
    """The layers of a network for one row, with the statistics that are known so far."""

    def __init__(self, network: Transformer, row: Tensor | None) -> None:
        """row: (1, row_size), for a network that has conditional layers"""
        self.network, self.row = network, row
        self.known: dict[str, Statistics] = {}

    def conv(self, name: str) -> nn.Conv2d:
        """The convolution of a layer."""
        module = self.network.convs[name]
        assert isinstance(module, nn.Conv2d)
        return module

    def steps(self, names: Sequence[str]) -> list[Layer]:
        """What layers do to positions."""
        return [step for name in names for step in steps(self.conv(name))]

    def norm(self, name: str) -> Affine | None:
        """The normalisation of a layer, None where it has none."""
        if name not in self.network.norms:
            return None
        norm = self.network.norms[name]
        assert isinstance(norm, Affine)
        return norm

    def measured(self, name: str) -> bool:
        """Whether a layer needs statistics of the picture."""
        norm = self.norm(name)
        return norm is not None and not isinstance(norm, BatchNorm)

    def raw(self, name: str, x: Tensor) -> Tensor:
        """Before normalisation.  (1, C, H, W)  ->  (1, C', H', W')"""
        module = self.conv(name)
        if not isinstance(module, DoublingConv):  # those pad for themselves
            x = pad(x, module.kernel_size[0] // 2)
        return module(x)  # type: ignore[no-any-return]

    def normed(self, name: str, x: Tensor) -> Tensor:
        """What ``raw`` gave, with the statistics of the whole picture."""
        norm = self.norm(name)
        if norm is None:
            return x
        scale: Tensor | None = norm.scale  # (C,)
        shift: Tensor | None = norm.shift
        if name in self.network.slots:
            start, channels = self.network.slots[name]
            assert self.row is not None
            scale, shift = torch.split(self.row[0, start : start + 2 * channels], channels)
        assert scale is not None and shift is not None
        return _normalised(norm, x, self.known.get(name), scale, shift)

    def active(self, name: str, x: Tensor) -> Tensor:
        """... and activated."""
        norm = self.norm(name)
        assert norm is not None
        return norm.activate(self.normed(name, x))


def _normalised(
    norm: Affine, x: Tensor, own: Statistics | None, scale: Tensor, shift: Tensor
) -> Tensor:
    """``norm.normalise`` with given statistics.  x: (1, C, H, W); scale, shift: (C,)"""
    if own is None:
        return norm.normalise(x, scale.unsqueeze(0), shift.unsqueeze(0))
    mean, variance = (t[0].to(x.device) for t in (own.mean(), own.variance()))
    if isinstance(norm, ResponseNorm):
        factor = scale * (variance + mean.square() + EPS).rsqrt()
        return x * factor[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)
    return F.batch_norm(x, mean, variance, scale, shift, False, 0.0, EPS)
