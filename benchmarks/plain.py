"""The plain ways: each method as one writes it from its paper, with nothing but torch.

Eager, float32, channels first, torch's own padding, upsampling and instance norm, one scale. These
are what our own ways are measured against. They take weights, codes and settings from ours, so both
compute the same thing (``tests/benchmarks/test_plain.py`` compares what they paint), and only the
way of computing it differs. Decoders and transformation networks want sides in multiples of 16.

What an experienced author would do at once is done here too: no gradient where none is needed, ReLU
in place, the style looked at once and not for every picture, the roots of covariances taken of
C x C matrices.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks import transformer
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.normalisation import EPS


def conv(own: nn.Module) -> nn.Conv2d:
    """torch's convolution with the weights of one of ours."""
    assert isinstance(own, nn.Conv2d)
    height, width = own.kernel_size
    stride = own.stride[0], own.stride[1]
    new = nn.Conv2d(own.in_channels, own.out_channels, (height, width), stride)
    new.load_state_dict(own.state_dict())
    return new


class Vgg(nn.Module):
    """An encoder: VGG by Simonyan & Zisserman 2014, with ``nn.ReflectionPad2d``."""

    def __init__(self, own: Encoder) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"colour": conv(own.conv0)})
        for name, layer in own.convs.items():
            if name.endswith("_1") and name != "1_1":
                self.layers[f"pool{name}"] = nn.MaxPool2d(2, ceil_mode=True)
            self.layers[f"pad{name}"] = nn.ReflectionPad2d(1)
            self.layers[f"conv{name}"] = conv(layer)
            self.layers[f"relu{name}"] = nn.ReLU(inplace=True)
        self.requires_grad_(False)

    def forward(self, image: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """The features at ``taps``; no layer is run beyond the last."""
        wanted, features, x = set(taps), {}, image
        for name, layer in self.layers.items():
            x = layer(x)
            if name in wanted:
                features[name] = x
            if len(features) == len(wanted):
                break
        return features


def decoder(own: Decoder) -> nn.Sequential:
    """A decoder: the mirror of VGG, Huang & Belongie 2017, with ``nn.Upsample``."""
    layers: list[nn.Module] = []
    for name, layer in own.convs.items():
        layers += [nn.ReflectionPad2d(1), conv(layer)]
        if name != "1_1":
            layers.append(nn.ReLU(inplace=True))
            if name.endswith("_1"):
                layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
    return nn.Sequential(*layers).requires_grad_(False)


class Transformer(nn.Module):
    """The network of Johnson et al. 2016, and of Dumoulin et al. 2016 where it is given rows."""

    def __init__(self, own: transformer.Transformer) -> None:
        super().__init__()
        self.slots = dict(own.slots)
        self.convs, self.scales = nn.ModuleDict(), nn.ParameterDict()
        self.shifts = nn.ParameterDict()
        for name, layer in own.convs.items():
            new = conv(layer)
            self.convs[name] = nn.Sequential(nn.ReflectionPad2d(new.kernel_size[0] // 2), new)
            if name in own.norms and name not in self.slots:
                state = own.norms[name].state_dict()
                self.scales[name] = nn.Parameter(state["scale"].clone())
                self.shifts[name] = nn.Parameter(state["shift"].clone())

    def forward(self, image: Tensor, rows: Tensor | None = None) -> Tensor:
        """The repainted picture.  (B, 3, H, W), (B, row_size)  ->  (B, 3, H, W), [0, 1]"""
        x = image
        for name in transformer.CONTRACTION:
            x = F.relu_(self._layer(name, x, rows))
        for i in range(1, transformer.RESIDUALS + 1):
            inner = F.relu_(self._layer(f"residual{i}a", x, rows))
            x = x + self._layer(f"residual{i}b", inner, rows)
        for name in ("up1", "up2"):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu_(self._layer(name, x, rows))
        return torch.sigmoid(self._layer("out", x, rows))

    def _layer(self, name: str, x: Tensor, rows: Tensor | None) -> Tensor:
        x = self.convs[name](x)
        if name in self.slots:
            assert rows is not None
            start, channels = self.slots[name]
            scale, shift = rows[:, start : start + 2 * channels].split(channels, 1)
            return F.instance_norm(x, eps=EPS) * scale[..., None, None] + shift[..., None, None]
        if name in self.scales:
            return F.instance_norm(x, weight=self.scales[name], bias=self.shifts[name], eps=EPS)
        return x


@torch.no_grad()
def adain(
    image: Tensor, vgg: Vgg, decode: nn.Module, mean: Tensor, std: Tensor, tap: str = "relu4_1"
) -> Tensor:
    """Huang & Belongie 2017, eq. (8) to (10).

    image: (1, 3, H, W); mean, std: of the style, (1, C)  ->  (1, 3, H, W), [0, 1]
    """
    features = vgg(image, (tap,))[tap]
    flat = features.flatten(2)  # (1, C, HW)
    own_mean = flat.mean(2)[..., None, None]
    own_std = (flat.var(2, correction=0) + 1e-5).sqrt()[..., None, None]
    target = (features - own_mean) / own_std * std[..., None, None] + mean[..., None, None]
    painted: Tensor = decode(target)
    return painted.clamp(0, 1)


@torch.no_grad()
def wct_level(
    image: Tensor,
    vgg: Vgg,
    decode: nn.Module,
    tap: str,
    style: tuple[Tensor, Tensor],
    alpha: float,
) -> Tensor:
    """One level of Li et al. 2017, eq. (2) to (4); all of them, from relu5_1 on, are the method.

    Below alpha 1 what the decoder loses of the picture comes back, which is ours and not the
    paper's: without it the plain way would paint another picture, and decode half as often.

    image: (1, 3, H, W); style: mean (1, C) and colouring matrix (1, C, C); alpha: share of the
    style  ->  (1, 3, H, W), [0, 1]
    """
    features = vgg(image, (tap,))[tap]
    flat = features[0].flatten(1)  # (C, HW)
    mean = flat.mean(1, keepdim=True)
    centred = flat - mean
    values, vectors = torch.linalg.eigh((centred @ centred.T / centred.shape[1]).double().cpu())
    values = values.clamp_min(1e-5 * float(values[-1]))
    whiten = (vectors * values.rsqrt() @ vectors.T).to(flat)
    target = style[1][0] @ (whiten @ centred) + style[0][0][:, None]
    target = alpha * target + (1 - alpha) * flat
    painted: Tensor = decode(target.view_as(features))
    if alpha < 1:
        painted = painted + (1 - alpha) * (image - decode(features))
    return painted.clamp(0, 1)


def gram(features: Tensor) -> Tensor:
    """Gatys et al. 2016, eq. (3), over the number of positions.  (B, C, H, W)  ->  (B, C, C)"""
    flat = features.flatten(2)  # (B, C, HW)
    return flat @ flat.mT / flat.shape[2]


def relative(x: Tensor, target: Tensor) -> Tensor:
    """Squared distance over the energy of the target, per picture.  ->  (B,)"""
    return (x - target).square().flatten(1).sum(1) / target.square().flatten(1).sum(1)


def total_variation(image: Tensor) -> Tensor:
    """Mean squared step between neighbouring pixels.  ->  (B,)"""
    down, right = image.diff(dim=2).square(), image.diff(dim=3).square()
    return (down.flatten(1).sum(1) + right.flatten(1).sum(1)) / image[0].numel()


class Loss:
    """The loss of Gatys et al. 2016, eq. (7), with the weights of our own; also for training.

    content: features of the photo by tap; grams: of the style by tap; weights: by tap
    """

    def __init__(
        self,
        vgg: Vgg,
        grams: Mapping[str, Tensor],
        content_weights: Mapping[str, float],
        style_weights: Mapping[str, float],
        variation: float,
    ) -> None:
        self.vgg, self.grams, self.variation = vgg, grams, variation
        self.content_weights, self.style_weights = content_weights, style_weights

    @torch.no_grad()
    def content(self, photo: Tensor) -> dict[str, Tensor]:
        """What the pictures are to keep of photos."""
        features: dict[str, Tensor] = self.vgg(photo, self.content_weights)
        return features

    def __call__(self, image: Tensor, content: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum over the batch."""
        features = self.vgg(image, {*self.content_weights, *self.style_weights})
        loss = self.variation * total_variation(image)
        for tap, weight in self.style_weights.items():
            loss = loss + weight * relative(gram(features[tap]), self.grams[tap])
        for tap, weight in self.content_weights.items():
            loss = loss + weight * relative(features[tap], content[tap])
        return loss.sum()


def gatys(photo: Tensor, loss: Loss, optimiser: str = "lbfgs") -> Iterator[Tensor]:
    """The picture after every step: one scale, from the photo.  (1, 3, H, W)  ->  the same ...

    optimiser: ``lbfgs`` as in the paper, or ``adam`` as in many implementations since
    """
    image, content = photo.clone().requires_grad_(), loss.content(photo)
    step: torch.optim.Optimizer
    if optimiser == "lbfgs":
        step = torch.optim.LBFGS([image], max_iter=1, history_size=100)
    else:
        step = torch.optim.Adam([image], lr=0.02)

    def closure() -> Tensor:
        step.zero_grad()
        total = loss(image, content)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    while True:
        step.step(closure)  # type: ignore[no-untyped-call]
        yield image.detach().clamp(0, 1)


def training_step(network: Transformer, loss: Loss, photos: Tensor) -> Callable[[], object]:
    """Forward and backward of Johnson et al. 2016, ready to be run."""

    def step() -> float:
        total = loss(network(photos), loss.content(photos))
        network.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        return float(total.detach())

    return step


def style_grams(vgg: Vgg, style: Tensor) -> dict[str, Tensor]:
    """The Gram matrices of a painting.  (1, 3, H, W)  ->  (1, C, C) by tap"""
    with torch.no_grad():
        features: dict[str, Tensor] = vgg(style, TAPS)
    return {tap: gram(f) for tap, f in features.items()}
