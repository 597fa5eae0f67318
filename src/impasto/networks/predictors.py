"""Style prediction networks: from a painting to an embedding, and from there to a row.

Ghiasi et al. 2017, arXiv:1705.06830, section 2.3: an embedding of 100 numbers between the painting
and the scales and shifts that it asks for. Differs: ``MomentsPredictor`` looks at the moments that
a Style keeps instead of at the painting; ``inception.InceptionPredictor`` is the paper's.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.moments import TapMoments
from impasto.networks.encoders import TAPS

EMBEDDING = 100
HIDDEN = 512

COVARIANCES = TAPS[:2]
"""Taps whose covariance is looked at, not only mean and deviation: colours and their edges."""


class Equalised(nn.Linear):
    """A linear layer whose weights are all of size one: one learning rate suits every width."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain / math.sqrt(inputs)
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs)  ->  (B, outputs)"""
        return F.linear(x, self.weight * self.gain, self.bias)


class MomentsPredictor(nn.Module):
    """From the moments of a painting to its embedding, through one hidden layer."""

    centre: Tensor
    spread: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = [c * (c + 1) // 2 for c in channels[: len(COVARIANCES)]]
        count = 2 * sum(channels) + sum(pairs)
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.hidden = Equalised(count, HIDDEN, gain=math.sqrt(2))
        self.embedding = Equalised(HIDDEN, EMBEDDING)

    @torch.no_grad()
    def measure(self, moments: TapMoments) -> None:
        """Take centre and spread of the inputs from those of many paintings, before training."""
        values = described(moments)
        self.centre.copy_(values.mean(0))
        self.spread.copy_(values.std(0).clamp_min(1e-4))

    def forward(self, moments: TapMoments) -> Tensor:
        """The embeddings of B paintings.  ->  (B, 100)"""
        with torch.autocast(self.centre.device.type, enabled=False):
            values = ((described(moments) - self.centre) / self.spread).clamp(-5, 5)
            return self.embedding(F.relu(self.hidden(values)))  # type: ignore[no-any-return]


def described(moments: TapMoments) -> Tensor:
    """Means, deviations and shallow covariances in one vector; roots, so that none runs away.

    (B, C) and (B, C, C) per tap  ->  (B, count)
    """
    parts = []
    for tap in TAPS:
        m = moments[tap]
        covariance = m.covariance()
        std = covariance.diagonal(dim1=1, dim2=2).clamp_min(1e-8).sqrt()  # (B, C)
        parts += [m.mean.clamp_min(0).sqrt(), std.sqrt()]
        if tap in COVARIANCES:
            rows, columns = torch.triu_indices(std.shape[1], std.shape[1])
            correlation = covariance / (std[:, :, None] * std[:, None])  # (B, C, C)
            # Of a flat picture it is nothing but rounding.
            parts.append(correlation[:, rows, columns].clamp(-1, 1))
    return torch.cat(parts, 1)


class Head(nn.Module):
    """From an embedding to a row of the transformation network."""

    neutral: Tensor

    def __init__(self, neutral: Tensor) -> None:
        super().__init__()
        self.register_buffer("neutral", neutral.clone())
        self.linear = Equalised(EMBEDDING, len(neutral), gain=0.1)

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, 100)  ->  (B, row_size)"""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.neutral + self.linear(embedding)  # type: ignore[no-any-return]
