"""A judge of paintings: all figures of one at once, each photo and each style looked at once."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.evaluate import artefacts, perception, pixels
from impasto.evaluate.metrics import METRICS, Figures
from impasto.evaluate.perception import STRUCTURE_TAP, Features
from impasto.evaluate.sliced import Profile
from impasto.media.image import resize, scaled
from impasto.moments import TapMoments, moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.lpips import Lpips
from impasto.runtime import Runtime
from impasto.style import Style, check_encoder, sizes_of

CONTENT_TAP = "relu4_1"


class _Photo(NamedTuple):
    """A photo at the size of a painting, as far as it is looked at."""

    pixels: Tensor
    features: Features
    similarities: Tensor
    looks: list[Tensor] | None


class _Look(NamedTuple):
    """A style at the size of a painting. Without pixels there are moments only."""

    moments: TapMoments
    features: Mapping[str, Profile] | None = None
    patches: list[Profile] | None = None
    colors: Profile | None = None


class Judge:
    """Measures paintings; remembers the last photos and styles that they were of.

    Always in float32, so that figures of different machines compare. A photo of 512 px takes about
    40 MB with ``compact`` and 150 MB with a VGG, a style 1 MB; take photos in the outer loop.
    """

    def __init__(
        self, encoder: Encoder, machine: Runtime, lpips: Lpips | None = None, photos: int = 2
    ) -> None:
        self.encoder, self.machine = machine.place(encoder), machine
        self.lpips = lpips if lpips is None else machine.place(lpips)
        self._photo = lru_cache(photos)(self._see_photo)  # a tensor is itself and nothing else
        self._style = lru_cache(64)(self._see_style)

    @torch.no_grad()
    def measure(self, photo: Tensor, style: Style | Tensor, painted: Tensor) -> Figures:
        """The figures of one painting: all of METRICS that are of a picture.

        photo, painted: (1, 3, H, W), [0, 1]; the photo is brought to the size of the painting.
        style: its picture (1, 3, h, w), seen at the painting's long side, or the largest at which
        a Style of it would be; or a Style, which has no pixels, so that feature, patch and
        histogram distance are None.

        Raises BadInput for a Style of another encoder.
        """
        height, width = painted.shape[-2:]
        own = self._photo(photo, height, width)
        if isinstance(style, Style):
            check_encoder([style], self.encoder.name)
            look = _Look(style.at(max(height, width)))
        else:
            look = self._style(style, max(height, width))
        features = self.encoder(self.machine.tensor(painted), TAPS)
        found = {
            **_of_features(features, own, look),
            **_of_pixels(painted, own, look),
            **_of_artefacts(painted, own.pixels),
            "lpips": self._lpips(painted, own),
        }
        return {name: found[name] for name, metric in METRICS.items() if metric.of == "picture"}

    def _see_photo(self, photo: Tensor, height: int, width: int) -> _Photo:
        seen = self.machine.tensor(resize(photo, (height, width)))
        features = self.encoder(seen, TAPS)
        similar = perception.similarities(features[STRUCTURE_TAP])
        looks = None if self.lpips is None else self.lpips.looks(seen)
        return _Photo(seen.cpu(), features, similar, looks)

    def _see_style(self, style: Tensor, long_side: int) -> _Look:
        seen = scaled(style, min(long_side, max(sizes_of(max(style.shape[-2:])))))
        features = self.encoder(self.machine.tensor(seen), TAPS)
        profiles = perception.feature_profiles(features)
        return _Look(_moments(features), profiles, pixels.patches(seen), pixels.colors(seen))

    def _lpips(self, painted: Tensor, photo: _Photo) -> float | None:
        if self.lpips is None or photo.looks is None:
            return None
        looks = self.lpips.looks(self.machine.tensor(painted))
        return float(self.lpips.compare(looks, photo.looks))


def _of_features(features: Features, photo: _Photo, style: _Look) -> Figures:
    """What the encoder sees of a painting, per tap too."""
    looks = _moments(features)
    of_style = perception.style_errors(looks, style.moments)
    of_content = perception.content_errors(features, photo.features)
    similar = perception.similarities(features[STRUCTURE_TAP])
    distance = None
    if style.features is not None:
        profiles = perception.feature_profiles(features)
        distance = perception.compare_features(profiles, style.features)
    return {
        "style_error": sum(of_style.values()),
        "content_error": of_content[CONTENT_TAP],
        "mean_std_loss": perception.mean_std_loss(looks, style.moments),
        "feature_distance": distance,
        "cfsd": perception.structural_distance(similar, photo.similarities),
        **{f"style_error/{tap}": error for tap, error in of_style.items()},
        **{f"content_error/{tap}": error for tap, error in of_content.items()},
    }


def _of_pixels(painted: Tensor, photo: _Photo, style: _Look) -> Figures:
    of_patches = of_colors = None
    if style.patches is not None and style.colors is not None:
        of_patches = pixels.compare_patches(pixels.patches(painted), style.patches)
        of_colors = pixels.color_distance(pixels.colors(painted), style.colors)
    return {
        "patch_distance": of_patches,
        "histogram_distance": of_colors,
        "ssim": pixels.ssim(painted, photo.pixels),
        "edge_ssim": pixels.edge_ssim(painted, photo.pixels),
    }


def _of_artefacts(painted: Tensor, photo: Tensor) -> Figures:
    return {
        "blobs": artefacts.blobs(painted, photo),
        "checkerboard": artefacts.checkerboard(painted),
        "border": artefacts.border(painted),
    }


def _moments(features: Features) -> TapMoments:
    """On the processor, where those of a Style are."""
    return {tap: moments(f).to(torch.device("cpu")) for tap, f in features.items()}
