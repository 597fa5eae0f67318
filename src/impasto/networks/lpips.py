"""LPIPS: how different two pictures look, by the features of AlexNet.

Zhang et al. 2018, arXiv:1801.03924, version 0.1, AlexNet: the variant that the field's tables
show. Layers are named as in torchvision, which published the filters (Krizhevsky 2014,
arXiv:1404.5997). Our own encoders do not fit the learned weights: their filters are rescaled.

Differs: pictures too small for the network are enlarged.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights, UnknownName

SMALLEST = 64
"""Shorter sides are enlarged to this, pixels."""

MEAN = (-0.030, -0.088, -0.188)
STD = (0.458, 0.448, 0.450)
"""Of the pixels in [-1, 1], as the authors rounded them."""


class Layer(NamedTuple):
    """A convolution with its ReLU, and whether a max pool of 3 x 3 comes before it."""

    outputs: int
    kernel: int
    stride: int = 1
    pooled: bool = False


LAYERS: Mapping[str, Layer] = {
    "0": Layer(64, 11, stride=4),
    "3": Layer(192, 5, pooled=True),
    "6": Layer(384, 3, pooled=True),
    "8": Layer(256, 3),
    "10": Layer(256, 3),
}
"""By their numbers in torchvision's ``features``."""


class Published(NamedTuple):
    """A file of others that one part of LPIPS is imported from."""

    what: str
    file: str
    url: str


PARTS: Mapping[str, Published] = {
    "alexnet": Published(
        "the filters of AlexNet",
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "heads": Published(
        "its learned weights",
        "alex.pth",
        "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
    ),
}


class Lpips(nn.Module):
    """Five layers of AlexNet, and what each channel counts."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        inputs = 3
        for number, (name, layer) in enumerate(LAYERS.items()):
            # torchvision pads the 11 x 11 filters by 2 only
            margin = min(layer.kernel // 2, 2)
            self.features[name] = nn.Conv2d(
                inputs, layer.outputs, layer.kernel, layer.stride, margin
            )
            self.register_buffer(f"lin{number}", torch.ones(layer.outputs))
            inputs = layer.outputs

    def looks(self, pictures: Tensor) -> list[Tensor]:
        """The features of each layer, every position a unit vector.

        (B, 3, H, W), [0, 1]  ->  five of (B, C, h, w)
        """
        height, width = (max(side, SMALLEST) for side in pictures.shape[-2:])
        if (height, width) != pictures.shape[-2:]:
            pictures = F.interpolate(pictures, (height, width), mode="bilinear")
        mean, std = (pictures.new_tensor(c).view(3, 1, 1) for c in (MEAN, STD))
        x, found = (2 * pictures - 1 - mean) / std, []
        for name, layer in LAYERS.items():
            x = F.max_pool2d(x, 3, 2) if layer.pooled else x
            x = F.relu(self.features[name](x))
            found.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return found

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """``forward`` of pictures whose ``looks`` are known.  ->  (B,)"""
        total = a[0].new_zeros(len(a[0]))
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            square = (one - other).square().mean((2, 3))  # (B, C)
            total = total + square @ self.get_buffer(f"lin{number}")
        return total

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of B pairs of pictures of one size.  (B, 3, H, W), [0, 1]  ->  (B,), >= 0

        Zhang et al. 2018, eq. (1).
        """
        return self.compare(self.looks(a), self.looks(b))


def part(name: str) -> dict[str, torch.Size]:
    """The tensors of one of PARTS, as they are stored, and their shapes."""
    with torch.device("meta"):  # shapes without memory
        state = Lpips().state_dict()
    return {key: t.shape for key, t in state.items() if key.startswith("lin") == (name == "heads")}


def load_lpips() -> Lpips:
    """The network with the published weights.

    Raises MissingWeights, which names the file to get, DamagedWeights when one is not what it was.
    """
    network = Lpips()
    state: dict[str, Tensor] = {}
    for name in PARTS:
        path = _find(name)
        tensors, _ = weights.read(path)
        if {key: t.shape for key, t in tensors.items()} != part(name):
            raise DamagedWeights(f"{path} does not hold {PARTS[name].what}. Import it again.")
        state |= {key: tensor.float() for key, tensor in tensors.items()}
    network.load_state_dict(state)
    return network.requires_grad_(False).eval()


def _find(name: str) -> Path:
    try:
        return weights.find("lpips", name)
    except (MissingWeights, UnknownName) as error:
        published = PARTS[name]
        raise MissingWeights(
            f"LPIPS lacks {published.what}. Get {published.url} and import it with: "
            f"impasto weights import {published.file} --as lpips"
        ) from error
