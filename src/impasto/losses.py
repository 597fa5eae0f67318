"""Losses as pure functions, all relative: 0 is a perfect match, 1 is as far as nothing at all.

Dividing by the energy of the target makes one weight mean the same for every picture, size,
encoder and layer. Gatys et al. 2016, eq. (1)-(7). Differs: the paper's constants divide by sizes,
which leaves each layer's share of the loss to chance.
"""

from collections.abc import Mapping

from torch import Tensor

EPS = 1e-8


def content_error(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of features over the energy of the target, per picture.

    features, target: (B, C, H, W)  ->  (B,)

    Gatys et al. 2016, eq. (1).
    """
    difference = (features.float() - target.float()).square().flatten(1).sum(1)
    return difference / target.float().square().flatten(1).sum(1).clamp_min(EPS)


def gram_error(gram: Tensor, target: Tensor) -> Tensor:
    """Squared distance of Gram matrices over the squared norm of the target, per picture.

    gram, target: (B, C, C)  ->  (B,)

    Gatys et al. 2016, eq. (4).
    """
    difference = (gram - target).square().flatten(1).sum(1)
    return difference / target.square().flatten(1).sum(1).clamp_min(EPS)


def style_error(grams: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Sum of ``gram_error`` over the taps of ``targets``.  ->  (B,)

    Gatys et al. 2016, eq. (5) with all weights 1.
    """
    return sum(gram_error(grams[tap], targets[tap]) for tap in targets)  # type: ignore[return-value]


def total_variation(image: Tensor) -> Tensor:
    """Mean squared step between neighbouring pixels, per picture: what noise costs.

    image: (B, 3, H, W)  ->  (B,)
    """
    down = (image[:, :, 1:] - image[:, :, :-1]).square().flatten(1).sum(1)
    right = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().flatten(1).sum(1)
    return (down + right) / image[0].numel()
