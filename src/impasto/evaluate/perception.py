"""What an encoder says of a painting: of its style, of its content, of its structure.

Nothing here knows which encoder it is; errors are relative unless they say otherwise.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.evaluate import sliced
from impasto.evaluate.sliced import Profile
from impasto.losses import content_error, gram_error
from impasto.media.image import fit
from impasto.moments import TapMoments
from impasto.networks.encoders import TAPS

Features = Mapping[str, Tensor]
"""(1, C, H, W) by tap."""

STATISTICS_TAPS = TAPS[:4]
"""Where Huang & Belongie 2017 compare means and deviations."""

STRUCTURE_TAP = "relu3_1"

POSITIONS = 32
"""Most positions along the long side of which similarities are taken: a matrix of 1024 squared."""

TEMPERATURE = 0.1


def style_errors(looks: TapMoments, target: TapMoments) -> dict[str, float]:
    """``gram_error`` of each tap of ``target``; their sum is style_error."""
    return {tap: float(gram_error(looks[tap].second, m.second)) for tap, m in target.items()}


def content_errors(features: Features, target: Features) -> dict[str, float]:
    """``content_error`` of each tap of ``target``; that of relu4_1 is content_error."""
    return {tap: float(content_error(features[tap], f)) for tap, f in target.items()}


def mean_std_loss(looks: TapMoments, target: TapMoments) -> float:
    """How far channel means and standard deviations are from the target's, as vectors.  ->  >= 0

    Huang & Belongie 2017, arXiv:1703.06868, eq. (13), summed over relu1_1 to relu4_1. It is not
    relative: figures of different encoders do not compare.
    """
    total = 0.0
    for tap in STATISTICS_TAPS:
        total += float((looks[tap].mean - target[tap].mean).norm())
        total += float((looks[tap].std() - target[tap].std()).norm())
    return total


def feature_profiles(features: Features) -> dict[str, Profile]:
    """The distribution of the features of each tap, as ``compare_features`` takes it."""
    return {tap: sliced.profile(sliced.sample(f)) for tap, f in features.items()}


def compare_features(a: Mapping[str, Profile], b: Mapping[str, Profile]) -> float:
    """``feature_distance`` of pictures whose ``feature_profiles`` are known."""
    return sum(sliced.relative_distance(a[tap], b[tap]) for tap in b) / len(b)


def feature_distance(features: Features, target: Features) -> float:
    """Sliced Wasserstein distance of features, mean over the taps of ``target``.  ->  [0, 1]

    Unlike Gram matrices it sees the whole distribution: 0 is the same features in other places.
    Pictures of any sizes.

    Heitz et al. 2021, arXiv:2006.07229. Differs: order 1, and relative.
    """
    wanted = feature_profiles(target)
    return compare_features(feature_profiles({tap: features[tap] for tap in wanted}), wanted)


def similarities(features: Tensor) -> Tensor:
    """Which positions of a picture look like which: a distribution, as logarithm, for each.

    features: (1, C, H, W)  ->  (N, N), N <= 1024
    """
    height, width = features.shape[-2:]
    size = fit(width, height, min(POSITIONS, max(height, width)))
    pooled = F.interpolate(features.float(), size, mode="area")  # (1, C, h, w)
    rows = F.normalize(pooled[0].flatten(1).T, dim=1)  # (N, C)
    return torch.log_softmax(rows @ rows.T / TEMPERATURE, 1)


def structural_distance(painted: Tensor, photo: Tensor) -> float:
    """Divergence of the painting's ``similarities`` from the photo's, mean over rows.  ->  >= 0"""
    return float(F.kl_div(painted, photo, reduction="batchmean", log_target=True).clamp_min(0))


def cfsd(features: Tensor, photo: Tensor) -> float:
    """Content feature structural distance: whether alike places of the photo are alike still.

    features, photo: (1, C, H, W), relu3_1 of pictures of one size  ->  >= 0, in nats

    Chung et al. 2024, arXiv:2312.09008: the Kullback-Leibler divergence of the rows of the
    similarity of all pairs of positions. Differs: cosines at temperature 0.1 for dot products,
    so that it does not depend on an encoder's scale; at most 32 x 32 positions; the mean over the
    rows for their sum.
    """
    return structural_distance(similarities(features), similarities(photo))
