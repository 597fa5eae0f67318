"""Inception-v3, and what is made of it: a style prediction network, and the features of FID.

Szegedy et al. 2015, arXiv:1512.00567. The prediction network of Ghiasi et al. 2017,
arXiv:1705.06830, section 2.3, takes it as far as Mixed_6e, the mean over positions, and a linear
map to 100 numbers; FID (Heusel et al. 2017, arXiv:1706.08500) the mean behind Mixed_7c. Layers are
named as in torchvision, so that the weights published there fit.

Differs from torchvision: the zeros around a picture do not count in an average pool. The weights
were trained so in TensorFlow, and torchvision did the same until torch changed its default.
Differs from the FID of others: theirs is by an older training of the network, so figures do not
compare with published ones; pictures are scaled with antialiasing.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights, UnknownName
from impasto.networks.predictors import EMBEDDING, Equalised

FILE = "inception_v3_google-0cc3c7bd.pth"
URL = f"https://download.pytorch.org/models/{FILE}"

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

Fork = tuple[Layer, Layer]
"""Two layers that see the same; their outputs lie one behind the other."""

Branches = Mapping[str, tuple[Layer | Fork, ...]]
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


def _halving_again() -> Branches:
    last = Layer(192, SQUARE, stride=2, padded=False)
    return {
        "branch3x3": (Layer(192), last._replace(outputs=320)),
        "branch7x7x3": (Layer(192), Layer(192, ROW), Layer(192, COLUMN), last),
        "branch_pool": (),
    }


def _forked() -> Branches:
    fork = (Layer(384, (1, 3)), Layer(384, (3, 1)))
    return {
        "branch1x1": (Layer(320),),
        "branch3x3": (Layer(384), fork),
        "branch3x3dbl": (Layer(448), Layer(384, SQUARE), fork),
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
"""As far as the prediction network goes."""

ALL_BLOCKS: Mapping[str, Branches] = {
    **BLOCKS,
    "Mixed_7a": _halving_again(),
    "Mixed_7b": _forked(),
    "Mixed_7c": _forked(),
}

FID_SIDE = 299
"""Pictures are brought to so many pixels squared before FID looks at them."""


class Inception(nn.Module):
    """The network without its classifier."""

    def __init__(self, blocks: Mapping[str, Branches] = ALL_BLOCKS) -> None:
        super().__init__()
        self.blocks, channels = tuple(blocks), 3
        for name, layer in STEM.items():
            self.add_module(name, _Convolution(channels, layer))
            channels = layer.outputs
        for name, branches in blocks.items():
            block = _Block(channels, branches)
            self.add_module(name, block)
            channels = block.channels
        self.channels = channels

    def features(self, pictures: Tensor) -> Tensor:
        """What the last block gives.

        (B, 3, H, W), [0, 1]  ->  (B, 768, about H/16 - 1, about W/16 - 1) as far as Mixed_6e,
        (B, 2048, about H/32 - 1, about W/32 - 1) as far as Mixed_7c
        """
        height, width = (max(side, SMALLEST) for side in pictures.shape[-2:])
        if (height, width) != pictures.shape[-2:]:
            pictures = F.interpolate(pictures, (height, width), mode="bilinear")
        x = 2 * pictures - 1
        for name in STEM:
            x = self.get_submodule(name)(x)
            if name in POOLED:
                x = F.max_pool2d(x, 3, 2)
        for name in self.blocks:
            x = self.get_submodule(name)(x)
        return x

    def forward(self, pictures: Tensor) -> Tensor:
        """What FID compares pictures by.  (B, 3, H, W), [0, 1]  ->  (B, 2048), float32"""
        size = (FID_SIDE, FID_SIDE)
        seen = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        return self.features(seen).float().mean((2, 3))

    def filters(self) -> dict[str, Tensor]:
        """What is published: all weights but the linear map at the end."""
        beside = ("bottleneck", "num_batches_tracked")  # ours, and what older files lack
        state = self.state_dict()
        return {key: t for key, t in state.items() if not any(name in key for name in beside)}

    def take(self, filters: Mapping[str, Tensor]) -> None:
        """Put ``filters`` in place of its own; raises ValueError where they do not fit."""
        own = self.filters()
        if {key: t.shape for key, t in filters.items()} != {key: t.shape for key, t in own.items()}:
            raise ValueError("not the filters of this network")
        self.load_state_dict({**self.state_dict(), **filters})


class InceptionPredictor(Inception):
    """From paintings to their embeddings."""

    def __init__(self) -> None:
        super().__init__(BLOCKS)
        self.bottleneck = Equalised(self.channels, EMBEDDING)

    def forward(self, pictures: Tensor) -> Tensor:
        """The embeddings of B paintings.  (B, 3, H, W), [0, 1]  ->  (B, 100), float32"""
        mean = self.features(pictures).float().mean((2, 3))  # (B, 768)
        with torch.autocast(mean.device.type, enabled=False):
            return self.bottleneck(mean)  # type: ignore[no-any-return]


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
        self.steps: dict[str, list[list[str]]] = {}
        self.channels = 0
        for branch, layers in branches.items():
            channels, self.steps[branch] = inputs, []
            for name, step in _numbered(branch, layers):
                names, outputs = [], 0
                for letter, layer in step.items():
                    names.append(name + letter)
                    self.add_module(name + letter, _Convolution(channels, layer))
                    outputs += layer.outputs
                self.steps[branch].append(names)
                channels = outputs
            self.channels += channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._branch(branch, x) for branch in self.steps], 1)

    def _branch(self, branch: str, x: Tensor) -> Tensor:
        steps = self.steps[branch]
        if branch == "branch_pool" and steps:
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        elif branch == "branch_pool":
            x = F.max_pool2d(x, 3, stride=2)
        for names in steps:
            seen = [self.get_submodule(name)(x) for name in names]
            x = seen[0] if len(seen) == 1 else torch.cat(seen, 1)
        return x


def _numbered(
    branch: str, layers: tuple[Layer | Fork, ...]
) -> Iterator[tuple[str, dict[str, Layer]]]:
    """The names that torchvision gives to a branch's layers, and to those of a fork their letters.

    It numbers the layers only where there are several.
    """
    for number, step in enumerate(layers, 1):
        name = branch if len(layers) == 1 else f"{branch}_{number}"
        yield name, {"": step} if isinstance(step, Layer) else dict(zip("ab", step, strict=True))


def load_inception() -> InceptionPredictor:
    """The prediction network with the published filters; its linear map is random.

    It is in evaluation mode: the statistics of its batch norms are those of ImageNet.

    Raises MissingWeights when the filters have to be imported first, DamagedWeights when their
    file is not what it was.
    """
    predictor = InceptionPredictor()
    _fill(predictor)
    return predictor.eval()


def load_fid() -> Inception:
    """The whole network with the published filters; raises as ``load_inception`` does."""
    network = Inception()
    _fill(network)
    return network.requires_grad_(False).eval()


def _fill(network: Inception) -> None:
    try:
        path = weights.find("inception", "v3")
    except (MissingWeights, UnknownName) as error:
        raise MissingWeights(
            f"The weights of Inception-v3 are not on this machine. Get {URL} and import it with: "
            f"impasto weights import {FILE} --as inception"
        ) from error
    tensors, _ = weights.read(path)
    try:
        if any(key.partition(".")[0] not in (*STEM, *ALL_BLOCKS) for key in tensors):
            raise ValueError("not the filters of this network")
        network.take({key: tensors[key].float() for key in network.filters()})
    except (KeyError, ValueError) as error:
        raise DamagedWeights(
            f"{path} does not hold the filters of Inception-v3. Import it again."
        ) from error
