"""The optimiser of the networks: Muon for the filters, AdamW for all other weights."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

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
        self.filters = [w for w in every if w.ndim == 4 and w.shape[-1] > 1 and w.shape[0] > 3]
        rest = [w for w in every if not any(w is f for f in self.filters)]
        self.matrices = [nn.Parameter(_matrix(w.detach()).clone()) for w in self.filters]
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        if self.matrices:
            self.optimisers["muon"] = torch.optim.Muon(
                self.matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )
        if rest:
            maps = {"params": [w for w in rest if w.ndim > 1], "scale": MAP_RATE}
            biases = {"params": [w for w in rest if w.ndim <= 1], "scale": BIAS_RATE}
            groups = [{**maps, "weight_decay": decay}, {**biases, "weight_decay": 0.0}]
            self.optimisers["adam"] = torch.optim.AdamW(groups)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One update with the gradients that the weights hold."""
        for weight, matrix in zip(self.filters, self.matrices, strict=True):
            matrix.copy_(_matrix(weight))
            matrix.grad = None if weight.grad is None else _matrix(weight.grad).clone()
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = lr * group.get("scale", 1.0)
            optimiser.step()
        for weight, matrix in zip(self.filters, self.matrices, strict=True):
            o, i, h, w = weight.shape
            weight.copy_(matrix.view(o, h, w, i).permute(0, 3, 1, 2))  # (O, I, h, w)

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state[name])


def _matrix(weight: Tensor) -> Tensor:
    """(O, I, h, w)  ->  (O, h w I)"""
    return weight.permute(0, 2, 3, 1).flatten(1)
