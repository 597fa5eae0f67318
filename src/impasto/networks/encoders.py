"""VGG-shaped encoders: a picture in, the features of named layers out.

Simonyan & Zisserman 2014, arXiv:1409.1556. Layers are named as there: ``relu4_1`` is the first
ReLU of the fourth block; a max pool of 2 x 2 lies between blocks.

Differs: padding is by reflection (zeros draw a frame around the picture), and pooling keeps the
last odd row and column, so that a picture of any size, one pixel included, has features.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, unknown
from impasto.networks.frozen import Frozen, freeze
from impasto.networks.frozen import features as through
from impasto.networks.padding import by_hand, pad

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The five layers that describe a style, from fine to coarse."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Shape:
    """Channels and number of convolutions of each of the five blocks."""

    channels: tuple[int, ...]
    convs: tuple[int, ...]

    def layers(self) -> list[tuple[str, int, int]]:
        """Every convolution as ``(name, channels in, channels out)``, from the picture on."""
        layers, width = [], 3
        for block, (channels, count) in enumerate(zip(self.channels, self.convs, strict=True), 1):
            for index in range(1, count + 1):
                layers.append((f"{block}_{index}", width, channels))
                width = channels
        return layers


SHAPES: Mapping[str, Shape] = {
    "compact": Shape((16, 32, 64, 128, 128), (2, 2, 4, 4, 1)),
    "vgg16": Shape((64, 128, 256, 512, 512), (2, 2, 3, 3, 3)),
    "vgg19": Shape((64, 128, 256, 512, 512), (2, 2, 4, 4, 4)),
}


class Encoder(nn.Module):
    """A stack of 3 x 3 convolutions with ReLU, read at named layers.

    ``conv0`` is the fixed 1 x 1 convolution that turns RGB in [0, 1] into what the network was
    trained on, so nothing outside has to know.
    """

    def __init__(self, shape: Shape, name: str = "encoder") -> None:
        super().__init__()
        self.name = name
        self.shape = shape
        self._frozen: tuple[object, Frozen | None] = None, None
        self.conv0 = nn.Conv2d(3, 3, 1)
        self.conv0.requires_grad_(False)
        with torch.no_grad():
            std = torch.tensor(IMAGENET_STD)
            self.conv0.weight.copy_(torch.diag(1 / std)[:, :, None, None])
            _bias(self.conv0).copy_(-torch.tensor(IMAGENET_MEAN) / std)
        self.convs = nn.ModuleDict()
        for layer, inputs, outputs in shape.layers():
            conv = nn.Conv2d(inputs, outputs, 3)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(_bias(conv))
            self.convs[layer] = conv

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers that can be read, shallow to deep."""
        return tuple(f"relu{name}" for name in self.convs)

    def bytes_per_pixel(self, half: bool) -> float:
        """Memory that one pass with gradient holds per pixel of the picture, in bytes.

        Every convolution keeps its padded input, its output and its activation. What the taps add
        was measured (1024 and 2048 px, both precisions: within 10 % of the process's peak).
        """
        width, total = 2 if half else 4, 0.0
        for name, _, channels in self.shape.layers():
            share = 0.25 ** (int(name[0]) - 1)
            total += share * channels * (3 * width + (3 if f"relu{name}" in TAPS else 0))
        return total

    def forward(
        self, image: Tensor, taps: Iterable[str] = TAPS, frozen: bool = False
    ) -> dict[str, Tensor]:
        """The features at ``taps``, in order of depth; layers beyond the last tap are not run.

        image: (B, 3, H, W), RGB in [0, 1]  ->  {tap: (B, C, ceil(H / 2^(block-1)), ...)}
        frozen: whether a gradient is wanted by the picture alone, which has a faster way

        Raises UnknownName for a tap the encoder does not have.
        """
        wanted = set(taps)
        for tap in wanted.difference(self.layers):
            raise unknown("layer", tap, self.layers)
        if frozen and wanted and self._has_faster_way(image):
            return through(image, self._layers(_precision(image)), wanted)
        features: dict[str, Tensor] = {}
        x = self.conv0(image)
        for name, conv in self.convs.items():
            if len(features) == len(wanted):
                break
            if name.endswith("_1") and name != "1_1":
                x = F.max_pool2d(x, 2, ceil_mode=True)  # (B, C, ceil(H/2), ceil(W/2))
            x = F.relu_(conv(pad(x)))
            if f"relu{name}" in wanted:
                features[f"relu{name}"] = x
        return features

    def _has_faster_way(self, image: Tensor) -> bool:
        """On processors; what two pixels are left of in the end can be padded everywhere."""
        smallest = 2 ** (len(self.shape.convs) - 1)
        return image.device.type == "cpu" and min(image.shape[-2:]) > smallest and by_hand()

    def _layers(self, dtype: torch.dtype) -> Frozen:
        """The layers as the faster way takes them, until the weights change."""
        tensors = (dtype, *((t.data_ptr(), t._version) for t in self.parameters()))
        known, frozen = self._frozen
        if frozen is None or known != tensors:
            frozen = freeze({name: _conv(self, name) for name in self.convs}, self.conv0, dtype)
            self._frozen = tensors, frozen
        return frozen


def _conv(encoder: Encoder, layer: str) -> nn.Conv2d:
    conv = encoder.convs[layer.removeprefix("relu")]
    assert isinstance(conv, nn.Conv2d)
    return conv


def _precision(image: Tensor) -> torch.dtype:
    """In which convolutions are computed."""
    if torch.is_autocast_enabled(image.device.type):
        return torch.get_autocast_dtype(image.device.type)
    return image.dtype


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


@torch.no_grad()
def normalise(encoder: Encoder, images: Iterable[Tensor], filters: bool = True) -> None:
    """Rescale every filter in place so that its mean activation over ``images`` is 1.

    Gatys et al. 2016, section 2: a ReLU network computes the same function when a filter's
    weights are divided by its mean activation and the next layer's inputs are multiplied by it.
    A filter that never fires on ``images`` is left alone. With ``filters=False`` all filters of a
    layer share one factor: a small network has filters that fire rarely, and to make their mean 1
    would let them outweigh all others.

    images: each (B, 3, H, W), RGB in [0, 1]
    """
    pictures = list(images)
    sums = {layer: torch.zeros(_conv(encoder, layer).out_channels) for layer in encoder.layers}
    for image in pictures:
        for layer, f in encoder(image, encoder.layers).items():
            sums[layer] += f.float().mean((0, 2, 3)).cpu() / len(pictures)
    previous: Tensor | None = None
    for layer, total in sums.items():
        conv = _conv(encoder, layer)
        total = total if filters else total.mean().expand_as(total)
        mean = torch.where(total > 1e-4, total, torch.ones_like(total)).to(conv.weight)
        if previous is not None:
            conv.weight.mul_(previous[None, :, None, None])
        conv.weight.div_(mean[:, None, None, None])
        _bias(conv).div_(mean)
        previous = mean


def load_encoder(name: str) -> Encoder:
    """The encoder of that name, with its weights.

    Raises UnknownName for a name that does not exist, MissingWeights when it has to be pulled
    first, DamagedWeights when its file is not what it was.
    """
    if name not in SHAPES:
        raise unknown("encoder", name, SHAPES)
    path = weights.find("encoder", name)
    tensors, _ = weights.read(path)
    encoder = Encoder(SHAPES[name], name)
    try:
        encoder.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except RuntimeError as error:
        raise DamagedWeights(f"{path} is not an encoder of the shape {name!r}.") from error
    return encoder.requires_grad_(False).eval()
