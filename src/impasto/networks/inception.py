"""The paper's style prediction network: a painting in, its embedding out.

Ghiasi et al. 2017, arXiv:1705.06830, section 2.3: Inception-v3 (Szegedy et al. 2015,
arXiv:1512.00567) as far as Mixed_6e, the mean over positions, a linear map to 100 numbers. Layers
are named as in torchvision, so that the weights published there fit.

Differs from torchvision: the zeros around a picture do not count in an average pool. The weights
were trained so in TensorFlow, and torchvision did the same until torch changed its default.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights, UnknownName
from impasto.networks.predictors import EMBEDDING, Equalised

SMALLEST = 75
"""Shorter sides are enlarged to this, pixels; 3 of their positions are left at Mixed_6e."""


class Layer(NamedTuple):
    """A convolution, its batch norm and its ReLU."""

    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


SQUARE, ROW, COLUMN = (3, 3), (1, 7), (7, 1)
"""Kernels, (height, width)."""

STEM: Mapping[str, Layer] = {
    "Conv2d_1a_3x3": Layer(32, SQUARE, stride=2, padded=False),
    "Conv2d_2a_3x3": Layer(32, SQUARE, padded=False),
    "Conv2d_2b_3x3": Layer(64, SQUARE),
    "Conv2d_3b_1x1": Layer(80),
    "Conv2d_4a_3x3": Layer(192, SQUARE, padded=False),
}

POOLED = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")
"""Layers of the stem with a max pool behind them."""

Branches = Mapping[str, tuple[Layer, ...]]
"""What runs side by side in a block; ``branch_pool`` begins with a pool."""


def _square(pool: int) -> Branches:
    return {
        "branch1x1": (Layer(64),),
        "branch5x5": (Layer(48), Layer(64, (5, 5))),
        "branch3x3dbl": (Layer(64), Layer(96, SQUARE), Layer(96, SQUARE)),
        "branch_pool": (Layer(pool),),
    }


def _halving() -> Branches:
    last = Layer(96, SQUARE, stride=2, padded=False)
    return {
        "branch3x3": (last._replace(outputs=384),),
        "branch3x3dbl": (Layer(64), Layer(96, SQUARE), last),
        "branch_pool": (),
    }


def _crossed(c: int) -> Branches:
    there_and_back = (Layer(c, COLUMN), Layer(c, ROW), Layer(c, COLUMN), Layer(192, ROW))
    return {
        "branch1x1": (Layer(192),),
        "branch7x7": (Layer(c), Layer(c, ROW), Layer(192, COLUMN)),
        "branch7x7dbl": (Layer(c), *there_and_back),
        "branch_pool": (Layer(192),),
    }


BLOCKS: Mapping[str, Branches] = {
    "Mixed_5b": _square(32),
    "Mixed_5c": _square(64),
    "Mixed_5d": _square(64),
    "Mixed_6a": _halving(),
    "Mixed_6b": _crossed(128),
    "Mixed_6c": _crossed(160),
    "Mixed_6d": _crossed(160),
    "Mixed_6e": _crossed(192),
}


class InceptionPredictor(nn.Module):
    """From paintings to their embeddings."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for name, layer in STEM.items():
            self.add_module(name, _Convolution(channels, layer))
            channels = layer.outputs
        for name, branches in BLOCKS.items():
            block = _Block(channels, branches)
            self.add_module(name, block)
            channels = block.channels
        self.bottleneck = Equalised(channels, EMBEDDING)

    def features(self, pictures: Tensor) -> Tensor:
        """What Mixed_6e gives: a position for every 16 pixels, but at the border.

        (B, 3, H, W), [0, 1]  ->  (B, 768, about H/16 - 1, about W/16 - 1)
        """
        height, width = (max(side, SMALLEST) for side in pictures.shape[-2:])
        if (height, width) != pictures.shape[-2:]:
            pictures = F.interpolate(pictures, (height, width), mode="bilinear")
        x = 2 * pictures - 1
        for name in STEM:
            x = self.get_submodule(name)(x)
            if name in POOLED:
                x = F.max_pool2d(x, 3, 2)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x

    def forward(self, pictures: Tensor) -> Tensor:
        """The embeddings of B paintings.  (B, 3, H, W), [0, 1]  ->  (B, 100), float32"""
        mean = self.features(pictures).float().mean((2, 3))  # (B, 768)
        with torch.autocast(mean.device.type, enabled=False):
            return self.bottleneck(mean)  # type: ignore[no-any-return]

    def filters(self) -> dict[str, Tensor]:
        """What is published: all weights but the linear map at the end."""
        beside = ("bottleneck", "num_batches_tracked")
        state = self.state_dict()
        return {key: t for key, t in state.items() if not any(name in key for name in beside)}

    def take(self, filters: Mapping[str, Tensor]) -> None:
        """Put ``filters`` in place of its own; raises ValueError where they do not fit."""
        own = self.filters()
        if {key: t.shape for key, t in filters.items()} != {key: t.shape for key, t in own.items()}:
            raise ValueError("not the filters of this network")
        self.load_state_dict({**self.state_dict(), **filters})


class _Convolution(nn.Module):
    def __init__(self, inputs: int, layer: Layer) -> None:
        super().__init__()
        height, width = layer.kernel
        margin = (height // 2, width // 2) if layer.padded else (0, 0)
        self.conv = nn.Conv2d(inputs, layer.outputs, layer.kernel, layer.stride, margin, bias=False)
        self.bn = nn.BatchNorm2d(layer.outputs, eps=1e-3)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches side by side, their outputs one behind the other."""

    def __init__(self, inputs: int, branches: Branches) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}
        self.channels = 0
        for branch, layers in branches.items():
            channels = inputs
            self.names[branch] = _numbered(branch, len(layers))
            for name, layer in zip(self.names[branch], layers, strict=True):
                self.add_module(name, _Convolution(channels, layer))
                channels = layer.outputs
            self.channels += channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._branch(branch, x) for branch in self.names], 1)

    def _branch(self, branch: str, x: Tensor) -> Tensor:
        names = self.names[branch]
        if branch == "branch_pool" and names:
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        elif branch == "branch_pool":
            x = F.max_pool2d(x, 3, stride=2)
        for name in names:
            x = self.get_submodule(name)(x)
        return x


def _numbered(branch: str, count: int) -> list[str]:
    """torchvision numbers the layers of a branch only where there are several."""
    return [branch] if count == 1 else [f"{branch}_{number + 1}" for number in range(count)]


def load_inception() -> InceptionPredictor:
    """The network with the published filters, ready to be trained on; its linear map is random.

    It is in evaluation mode: the statistics of its batch norms are those of ImageNet.

    Raises MissingWeights when the filters have to be imported first, DamagedWeights when their
    file is not what it was.
    """
    try:
        path = weights.find("inception", "v3")
    except (MissingWeights, UnknownName) as error:
        raise MissingWeights(
            "The weights of Inception-v3 are not on this machine. Get torchvision's "
            "inception_v3_google-0cc3c7bd.pth and give it to convert.torchvision_inception."
        ) from error
    tensors, _ = weights.read(path)
    predictor = InceptionPredictor()
    try:
        predictor.take({key: tensor.float() for key, tensor in tensors.items()})
    except ValueError as error:
        raise DamagedWeights(f"{path} does not hold the filters of Inception-v3.") from error
    return predictor.eval()
