"""The optimiser of the networks: Muon for the filters, AdamW for biases and 1 x 1 maps."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

MAP_RATE = 2.0
"""1 x 1 maps are linear and start from nothing: they may learn faster."""

BIAS_RATE = 0.1
"""Activations are small: biases that move as fast as the maps switch filters off for good."""


class Optimiser:
    """Muon on every filter bank, seen as a matrix (outputs x inputs); AdamW on the rest.

    Muon (Jordan et al. 2024) makes all directions of an update equally large. These networks have
    no normalisation layers, and with AdamW alone the deep ones learn several times slower.
    """

    def __init__(self, weights: Iterable[nn.Parameter], decay: float) -> None:
        every = list(weights)
        self.filters = [w for w in every if w.ndim == 4 and w.shape[-1] > 1]
        # A view shares its storage with the weight: what Muon does to one is done to the other.
        self.matrices = [nn.Parameter(_matrix(w.data)) for w in self.filters]
        self.muon = torch.optim.Muon(
            self.matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        )
        biases = [w for w in every if w.ndim == 1]
        maps = [w for w in every if w.ndim > 1 and w.shape[-1] == 1]
        self.adam = torch.optim.AdamW(
            [
                {"params": maps, "scale": MAP_RATE, "weight_decay": decay},
                {"params": biases, "scale": BIAS_RATE, "weight_decay": 0.0},
            ]
        )

    def step(self, lr: float) -> None:
        """One update with the gradients that the weights hold."""
        for weight, matrix in zip(self.filters, self.matrices, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad)
        for optimiser in (self.muon, self.adam):
            for group in optimiser.param_groups:
                group["lr"] = lr * group.get("scale", 1.0)
            optimiser.step()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """(O, I, h, w) in channels_last  ->  (O, h w I), sharing storage"""
    rows = weight.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return rows.flatten(1)  # (O, hwI)
