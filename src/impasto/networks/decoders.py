"""Decoders: the mirror of an encoder up to one tap, from features back to a picture.

As in Huang & Belongie 2017, arXiv:1703.06868, and Li et al. 2017, arXiv:1705.08086: every max pool
becomes nearest upsampling, padding is by reflection, there is no normalisation, and the last
convolution has no ReLU. Where upsampling makes a row or column too much, it is cut off after the
next convolution has seen it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights, UnknownName, unknown
from impasto.networks.encoders import TAPS, Encoder, Shape
from impasto.networks.narrow import DoublingConv, NarrowConv
from impasto.networks.padding import no_gradient, pad, recorded, rectified

LAST = "1_1"
"""The convolution that paints, without a ReLU behind it."""


class Decoder(nn.Module):
    """Features of ``tap`` in, a picture out: the encoder's convolutions in reverse order.

    ``width`` multiplies the channels between, but those at full size, which cost the most and
    gain the least; 1 is the mirror.
    """

    def __init__(self, shape: Shape, tap: str, width: float = 1.0) -> None:
        super().__init__()
        if tap not in TAPS:
            raise unknown("tap", tap, TAPS)
        self.tap = tap
        self.convs = nn.ModuleDict()
        layers = [layer for layer in shape.layers() if f"relu{layer[0]}" <= tap]
        kind: type[nn.Conv2d] = nn.Conv2d
        for name, outputs, inputs in reversed(layers):
            first, block = f"relu{name}" == tap, int(name[0])
            below = block - 1 if name.endswith("_1") else block
            last = name == LAST
            conv = (NarrowConv if last and kind is nn.Conv2d else kind)(
                inputs if first else _scaled(inputs, block, width),
                _scaled(outputs, below, width),
                3,
            )
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear" if last else "relu")
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
            self.convs[name] = conv
            kind = DoublingConv if name.endswith("_1") else nn.Conv2d

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """The picture of ``size`` that has these features; not clamped.

        features: (B, C, ceil(H / 2^(block-1)), ...)  ->  (B, 3, H, W), RGB about [0, 1]
        """
        return self._layer(LAST, *self._inner(features, size), size)

    def less(self, features: Tensor, other: Tensor, share: float, size: tuple[int, int]) -> Tensor:
        """The picture of ``features`` less ``share`` of that of ``other``.

        The last convolution is done once for both: it is linear.  (B, C, h, w)  ->  (B, 3, H, W)
        """
        parts = (self._inner(given, size) for given in (features, other))
        x, y = (rectified(part) if active else part for part, active in parts)
        painted = self._layer(LAST, torch.sub(x, y, alpha=share), False, size)
        bias = self.convs[LAST].bias
        assert isinstance(bias, Tensor)
        return painted - share * bias.to(painted.dtype)[:, None, None]

    def _inner(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, bool]:
        """What the last convolution takes, and whether it is still to be rectified."""
        x, rectify, together = features, False, no_gradient()
        for name in list(self.convs)[:-1]:
            x = self._layer(name, x, rectify, size)
            rectify = together
            if not together:
                x = F.relu_(x)
        return x, rectify  # (B, C, H, W)

    def _layer(self, name: str, x: Tensor, rectify: bool, size: tuple[int, int]) -> Tensor:
        conv = self.convs[name]
        if isinstance(conv, DoublingConv):
            block = int(name[0])
            x = conv(x, (_at_block(size[0], block), _at_block(size[1], block)), rectify)
        elif isinstance(conv, NarrowConv) and recorded():  # by fours it goes for even sides
            x = F.conv2d(pad(x), conv.weight, conv.bias)
        else:
            x = conv(pad(x, rectify=rectify))
        return x


def _scaled(channels: int, block: int, width: float) -> int:
    return round(channels * width) if block > 1 else channels


def _at_block(side: int, block: int) -> int:
    """The side of the features of a block, for a picture with that side (pools round up)."""
    share = 1 << (block - 1)
    return (side + share - 1) // share  # in whole numbers, so that tracing sees them


def decoder_of(decoders: nn.ModuleDict, tap: str) -> Decoder:
    """The one of that tap."""
    decoder = decoders[tap]
    assert isinstance(decoder, Decoder)
    return decoder


def load_decoders(kind: str, encoder: Encoder, taps: Sequence[str]) -> nn.ModuleDict:
    """The decoders of ``taps`` that were trained for a method on that encoder.

    Raises MissingWeights when there are none for this encoder, DamagedWeights when the file is not
    what it was.
    """
    try:
        path = weights.find(kind, encoder.name)
    except (MissingWeights, UnknownName) as error:
        raise MissingWeights(
            f"There are no decoders of {kind} for the encoder {encoder.name!r}. Train them with "
            f"recipes/{kind}-compact.toml after setting encoder = {encoder.name!r} in it."
        ) from error
    tensors, header = weights.read(path)
    try:
        width = float(header.config.get("width", 1.0))
        decoders = nn.ModuleDict({tap: Decoder(encoder.shape, tap, width) for tap in taps})
        decoders.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedWeights(f"{path} does not fit the encoder {encoder.name!r}.") from error
    return decoders.requires_grad_(False).eval()
