"""The image transformation network: a picture in, the repainted picture out, in one pass.

Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155 (supplement, table 1): ``c9s1-32, d64, d128,
R128 x 5, u64, u32, c9s1-3``. Conditional normalisation: Dumoulin et al. 2016, arXiv:1610.07629,
eq. (5); Ghiasi et al. 2017, arXiv:1705.06830, section 2.2.

Differs: nearest upsampling and a convolution instead of the transposed one, which leaves
checkerboards (as in Dumoulin et al.); reflection at every convolution instead of 40 px around the
picture, so that the size stays as it is; a sigmoid at the end, which is the paper's scaled tanh in
another range.
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from impasto.networks.narrow import DoublingConv, NarrowConv
from impasto.networks.normalisation import Affine, Norm, normalisation
from impasto.networks.padding import pad

RESIDUALS = 5


class Layer(NamedTuple):
    """One convolution."""

    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1


def layers(width: float = 1.0) -> tuple[Layer, ...]:
    """The sixteen convolutions of the network, channels times ``width``."""
    a, b, c = (round(channels * width) for channels in (32, 64, 128))
    return (
        Layer("down1", 3, a, kernel=9),
        Layer("down2", a, b, stride=2),
        Layer("down3", b, c, stride=2),
        *(Layer(f"residual{i}{half}", c, c) for i in range(1, RESIDUALS + 1) for half in "ab"),
        Layer("up1", c, b),
        Layer("up2", b, a),
        Layer("out", a, 3, kernel=9),
    )


CONTRACTION = ("down1", "down2", "down3")

KINDS: dict[str, type[nn.Conv2d]] = {"up1": DoublingConv, "up2": DoublingConv, "out": NarrowConv}

EVERY = tuple(layer.name for layer in layers())
"""Names of all layers: those that Dumoulin et al. condition."""

EXPANSION = EVERY[len(CONTRACTION) :]
"""All but the first three: those that Ghiasi et al. condition."""


class Transformer(nn.Module):
    """The network; layers in ``conditional`` take scale and shift from the rows it is called with.

    Without any it is Johnson's: every layer but the last has its own scale and shift; 1,679,235
    weights at full width, 424,899 at half.
    """

    def __init__(
        self, width: float = 1.0, norm: Norm = "instance", conditional: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.width, self.norm = width, norm
        self.slots: dict[str, tuple[int, int]] = {}
        self.row_size = 0
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for layer in layers(width):
            kind = KINDS.get(layer.name, nn.Conv2d)
            conv = kind(layer.inputs, layer.outputs, layer.kernel, layer.stride)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.convs[layer.name] = conv
            if layer.name in conditional:
                self.slots[layer.name] = (self.row_size, layer.outputs)
                self.row_size += 2 * layer.outputs
            if layer.name in conditional or layer.name != "out":
                own = layer.name not in conditional
                active = layer.name != "out" and not layer.name.endswith("b")
                self.norms[layer.name] = normalisation(norm, layer.outputs, own, active)

    def neutral(self) -> Tensor:
        """The row that scales by one and shifts by nothing.  ->  (row_size,)"""
        row = torch.zeros(self.row_size)
        for start, channels in self.slots.values():
            row[start : start + channels] = 1
        return row

    def forward(self, image: Tensor, rows: Tensor | None = None) -> Tensor:
        """The repainted picture.

        image: (B, 3, H, W), [0, 1]; rows: (B, row_size), scale and shift per conditional layer
        ->  (B, 3, H, W), [0, 1], float32
        """
        x = self._active("down1", image, rows)  # (B, 32, H, W)
        x = self._active("down2", x, rows)  # (B, 64, H/2, W/2)
        x = self._active("down3", x, rows)  # (B, 128, H/4, W/4)
        for i in range(1, RESIDUALS + 1):
            x = x + self._normed(f"residual{i}b", self._active(f"residual{i}a", x, rows), rows)
        x = self._active("up1", x, rows)  # (B, 64, H/2, W/2)
        x = self._active("up2", x, rows)  # (B, 32, H, W)
        x = self._normed("out", x, rows).float()  # (B, 3, H, W)
        return torch.sigmoid(x)[..., : image.shape[-2], : image.shape[-1]]

    def _active(self, name: str, x: Tensor, rows: Tensor | None) -> Tensor:
        return self._norm(name).activate(self._normed(name, x, rows))

    def _norm(self, name: str) -> Affine:
        norm = self.norms[name]
        assert isinstance(norm, Affine)
        return norm

    def _normed(self, name: str, x: Tensor, rows: Tensor | None) -> Tensor:
        conv = self.convs[name]
        assert isinstance(conv, nn.Conv2d)
        x = conv(x if name.startswith("up") else pad(x, conv.kernel_size[0] // 2))
        if name not in self.norms:
            return x
        if name not in self.slots:
            return self._norm(name)(x)  # type: ignore[no-any-return]
        if rows is None:
            raise ValueError("a network with conditional layers needs rows")
        start, channels = self.slots[name]
        scale, shift = torch.split(rows[:, start : start + 2 * channels], channels, 1)
        return self._norm(name)(x, scale, shift)  # type: ignore[no-any-return]
