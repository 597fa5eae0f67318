"""The teachers of the compact encoder: exact VGG-19 to relu3_1, and a slim VGG-19 to relu5_1.

Both are read from safetensors with keys ``conv{block}{index}.weight|bias``, ``conv0`` (the change
of colour space) and, for the slim one, ``conv{block}1_aux`` (1 x 1 maps of its features into the
channels of VGG-19).
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights
from impasto.networks.encoders import SHAPES, Encoder, Shape

EXACT_FILE = "vgg19_relu3_1.safetensors"
SLIM_FILE = "vgg19_slim16_relu5_1.safetensors"
EXACT_TAPS = ("relu1_1", "relu2_1", "relu3_1")
EXACT = Shape((64, 128, 256), (2, 2, 1))
SLIM = SHAPES["compact"]


class Teachers(nn.Module):
    """Both teachers, frozen, read at their own taps."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        for name in (EXACT_FILE, SLIM_FILE):
            if not (folder / name).is_file():
                raise MissingWeights(f"No {name!r} in {str(folder)!r}: give --teacher its folder.")
        self.exact = read_encoder(weights.read_raw(folder / EXACT_FILE)[0], EXACT, "vgg19")
        slim = weights.read_raw(folder / SLIM_FILE)[0]
        self.slim = read_encoder(slim, SLIM, "slim")
        self.aux = nn.ModuleDict()
        self.mean: dict[str, Tensor] = {}
        self.spread: dict[str, Tensor] = {}
        for key in slim:
            if match := re.fullmatch(r"conv(\d)1_aux.weight", key):
                conv = nn.Conv2d(slim[key].shape[1], slim[key].shape[0], 1)
                conv.load_state_dict({"weight": slim[key], "bias": slim[key[:-6] + "bias"]})
                self.aux[f"relu{match[1]}_1"] = conv
        self.requires_grad_(False).eval()

    def features(self, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Features of the slim network; those of the taps mapped into the channels of VGG-19."""
        return {
            layer: self.aux[layer](f) if layer in self.aux else f
            for layer, f in self.slim(image, layers).items()
        }

    def targets(self, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """``features`` about their mean, in units of their spread (one per layer)."""
        return {
            layer: (f - self.mean[layer]) / self.spread[layer]
            for layer, f in self.features(image, layers).items()
        }

    @torch.no_grad()
    def measure(self, images: Tensor, layers: tuple[str, ...]) -> None:
        """Take mean per channel and spread per layer from ``images``, once, before training.

        Layers between the taps have activations of any size; in these units one learning rate
        and one weight suit all.
        """
        for layer, f in self.features(images, layers).items():
            mean = f.float().mean((0, 2, 3), keepdim=True)
            self.mean[layer] = mean
            self.spread[layer] = (f.float() - mean).square().mean().sqrt()


class Eyes(nn.Module):
    """Exact VGG-19 as far as it goes, the slim one beyond: one network to those who look."""

    def __init__(self, teachers: Teachers) -> None:
        super().__init__()
        self.exact, self.slim = teachers.exact, teachers.slim

    def forward(self, image: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """The features at ``taps``, in order of depth, as ``Encoder.forward``."""
        near = sorted(tap for tap in taps if tap in EXACT_TAPS)
        far = sorted(set(taps).difference(near))
        return {
            **(self.exact(image, near) if near else {}),
            **(self.slim(image, far) if far else {}),
        }


def read_encoder(state: dict[str, Tensor], shape: Shape, name: str) -> Encoder:
    """An encoder from a flat state dict with keys ``conv{block}{index}.weight|bias``."""
    encoder = Encoder(shape, name)
    own = {}
    for key, value in state.items():
        if match := re.fullmatch(r"conv(\d)(\d)\.(weight|bias)", key):
            own[f"convs.{match[1]}_{match[2]}.{match[3]}"] = value
        elif key.startswith("conv0."):
            own[key] = value
    try:
        encoder.load_state_dict(own)
    except RuntimeError as error:
        raise DamagedWeights(f"The teacher {name!r} does not have the layers it should.") from error
    return encoder.requires_grad_(False).eval()
