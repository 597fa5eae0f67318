"""Feature transforms: a picture's features take a style's statistics, and a decoder paints them."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from impasto.codes import Code, Region, Transform, coverage, mosaic
from impasto.moments import BLOCK, EPS, mean_std, position_weights
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.narrow import narrow
from impasto.networks.normalisation import standardised
from impasto.networks.padding import pad

ROUNDING = 1e-6
"""Variance that counts as nothing, as a share of the squared mean."""

CHANNEL_BYTES = 21
"""Memory that ``repainted`` holds in float32 per pixel and channel of the first layer (measured, 3
to 12 megapixels, in OpenVINO)."""


class Whitening(NamedTuple):
    """How whitening is kept tame."""

    floor: float = 1e-5
    """Least eigenvalue that it counts with, as a share of the largest."""
    shrinkage: float = 0.0
    """How far covariances of the photo go towards their diagonal: 1 whitens channel by channel."""


FULL = Whitening()


def adain(features: Tensor, code: Code, mask: Tensor | None = None) -> Tensor:
    """Features with the code's ``mean`` and ``std`` in each channel.

    features: (B, C, H, W); mask: where their own statistics are taken, see ``moments``
    ->  (B, C, H, W), float32

    Huang & Belongie 2017, arXiv:1703.06868, eq. (8).
    """
    wanted = code["std"].clamp_min(0)  # beyond a style (negative weights) deviations end at zero
    if mask is None and min(features.shape[2:]) > 1:
        batch = len(features), -1
        return standardised(features.float(), wanted.expand(batch), code["mean"].expand(batch), EPS)
    mean, std = mean_std(features, mask)
    scale = (wanted / std)[..., None, None]  # (B, C, 1, 1)
    return (features.float() - mean[..., None, None]) * scale + code["mean"][..., None, None]


def roots(
    covariance: Tensor, floor: float = 0.0, nothing: Tensor | float = 1e-12
) -> tuple[Tensor, Tensor]:
    """Square root of covariances, and the inverse of it.  (B, C, C)  ->  (B, C, C), (B, C, C)

    For the inverse, eigenvalues are at least ``floor`` times the largest and at least ``nothing``
    (B, 1), so directions in which there is next to nothing are not blown up.
    """
    values, vectors = torch.linalg.eigh(covariance.double().cpu())  # (B, C), (B, C, C)
    values = values.clamp_min(0)
    least = (values.amax(1, keepdim=True) * floor).maximum(torch.as_tensor(nothing).to(values))
    root = vectors * values.sqrt().unsqueeze(1) @ vectors.mT
    inverse = vectors * values.maximum(least).rsqrt().unsqueeze(1) @ vectors.mT
    return root.to(covariance), inverse.to(covariance)


def whitened_and_colored(
    features: Tensor,
    code: Code,
    mask: Tensor | None = None,
    whitening: Whitening = FULL,
) -> Tensor:
    """Features with the mean and the covariance of the code.

    features: (B, C, H, W); mask: where their own statistics are taken, see ``moments``
    code: ``mean`` (1, C) and ``color`` (1, C, C), the root of the style's covariance
    ->  (B, C, H, W), float32

    Li et al. 2017, arXiv:1705.08086, eq. (2), (3).
    """
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, HW, C)
    weight = None if mask is None else position_weights(features, mask)
    mean, transform, shift = _affine(rows, code, weight, whitening)
    colored = rows.new_empty(rows.shape, dtype=torch.float32)
    for block, out in zip(torch.split(rows, BLOCK, 1), torch.split(colored, BLOCK, 1), strict=True):
        torch.baddbmm(shift, block.float() - mean, transform, out=out)
    b, c, h, w = features.shape
    return colored.view(b, h, w, c).permute(0, 3, 1, 2)  # (B, C, H, W)


def coloring(mean: Tensor, covariance: Tensor, code: Code, whitening: Whitening) -> Tensor:
    """What whitens features and gives them the code's covariance, as rows are multiplied by it.

    mean: (B, C); covariance: (B, C, C), the features' own  ->  (B, C, C), as the code's ``color``
    """
    diagonal = torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
    nothing = (ROUNDING * mean.square().amax(1, keepdim=True)).clamp_min(1e-12)  # (B, 1)
    covariance = covariance.lerp(diagonal, whitening.shrinkage)
    _, whiten = roots(covariance, whitening.floor, nothing)
    return (code["color"] @ whiten.to(code["color"])).mT


def _affine(
    rows: Tensor, code: Code, weight: Tensor | None, whitening: Whitening
) -> tuple[Tensor, Tensor, Tensor]:
    """What to take off features, what to multiply by then, what to add.

    rows: (B, HW, C); weight: (B or 1, 1, HW), summing to 1  ->  (B, 1, C), (B, C, C), (B, 1, C)
    """
    mean, rest, covariance = _centred_moments(rows, weight)
    transform = coloring(mean[:, 0], covariance, code, whitening)
    # What rounding left of the mean would be blown up with all else.
    return mean, transform, code["mean"].unsqueeze(1) - rest @ transform


def _centred_moments(rows: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (B, 1, C), what is left of it after it was taken off, and the covariance (B, C, C).

    rows: (B, HW, C); weight: (B or 1, 1, HW), summing to 1, or the same for all. Block by block, so
    that no float32 copy of all features goes through the memory.
    """
    batch, count, channels = rows.shape
    if weight is None:
        first = rows[:, :BLOCK].float().mean(1, keepdim=True)  # near the mean: little is lost
        total = first.new_zeros(batch, 1, channels)
        second = first.new_zeros(batch, channels, channels)
        for block in torch.split(rows, BLOCK, 1):
            part = block.float() - first
            total += part.sum(1, keepdim=True)
            second.baddbmm_(part.mT, part)
        offset = total / count
        return first + offset, torch.zeros_like(offset), second / count - offset.mT @ offset
    blocks = list(zip(torch.split(rows, BLOCK, 1), torch.split(weight, BLOCK, 2), strict=True))
    mean, rest = rows.new_zeros(2, batch, 1, channels, dtype=torch.float32)
    for block, share in blocks:
        mean = mean + share @ block.float()
    second = rows.new_zeros(batch, channels, channels, dtype=torch.float32)
    for block, share in blocks:
        centred = block.float() - mean
        rest = rest + share @ centred
        second.baddbmm_((centred * share.mT).mT, centred)
    return mean, rest, second - rest.mT @ rest


def repainted(
    image: Tensor,
    encoder: Encoder,
    decoder: Decoder,
    tap: str,
    transform: Transform,
    regions: Sequence[Region],
    strength: float,
) -> Tensor:
    """The picture decoded from transformed features of one tap.

    image: (B, 3, H, W), [0, 1]; decoder: of that tap; regions: codes as ``transform`` takes them
    ->  (B, 3, H, W), [0, 1]; where strength or coverage is 0 it is ``image`` itself
    """
    features = encoder(image, (tap,), frozen=True)[tap]
    with torch.autocast(image.device.type, enabled=False):
        target = mosaic(features, regions, transform)
    painted = decoded(image, features, target, decoder, strength, coverage(regions, image))
    return painted.clamp(0, 1)


def decoded(
    image: Tensor,
    features: Tensor,
    target: Tensor,
    decoder: Decoder,
    strength: float,
    covered: Tensor | float,
) -> Tensor:
    """The picture with ``features`` moved towards ``target``, as far as strength goes.

    What the decoder loses of the picture comes back as far as the style is left out.

    image: (B, 3, H, W); features, target: (B, C, h, w); covered: (B or 1, 1, H, W), by any style
    ->  (B, 3, H, W), float32, not clamped
    """
    size, kept = (image.shape[-2], image.shape[-1]), 1 - strength * covered
    if strength != 1:
        target = (strength * target).add_(features, alpha=1 - strength)
    target = target.to(features.dtype)  # as the first convolution would, after padding
    painted: Tensor
    if isinstance(kept, float) and kept > 0:
        painted = decoder.less(target, features, kept, size).float()
        return painted.add_(image, alpha=kept)
    painted = decoder(target, size).float()
    if not isinstance(kept, float):
        painted += kept * (image - decoder(features, size).float())
    return painted


def recolored(
    image: Tensor,
    encoder: Encoder,
    decoder: Decoder,
    regions: Sequence[Region],
    strength: float,
    whitening: Whitening = FULL,
) -> Tensor:
    """``repainted`` at the first tap, whitened and coloured: the palette and the finest strokes.

    There the decoder is one linear convolution, which takes the transform and the strength into its
    weights: nothing large is computed in between.
    """
    tap = TAPS[0]
    if len(regions) > 1 or regions[0].mask is not None:
        transform = partial(whitened_and_colored, whitening=whitening)
        return repainted(image, encoder, decoder, tap, transform, regions, strength)
    code, features, parts = regions[0].code, encoder(image, (tap,), frozen=True)[tap], []
    for own, picture in zip(torch.split(features, 1), torch.split(image, 1), strict=True):
        with torch.autocast(image.device.type, enabled=False):
            weight, bias = _recoloring(own, decoder, code, whitening)
        painted = narrow(pad(own), strength * weight, strength * bias).float()
        parts.append((painted + (1 - strength) * picture if strength < 1 else painted).clamp_(0, 1))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _recoloring(
    features: Tensor, decoder: Decoder, code: Code, whitening: Whitening
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the decoder of whitened and coloured features."""
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # (1, HW, C)
    mean, transform, shift = _affine(rows, code, None, whitening)
    (conv,) = (module for module in decoder.modules() if isinstance(module, nn.Conv2d))
    assert conv.bias is not None
    weight = torch.einsum("ochw,dc->odhw", conv.weight, transform[0]).to(features.dtype).float()
    wanted = torch.einsum("ochw,c->o", conv.weight, shift[0, 0])
    # The mean as the rounded weight sees it, so that it becomes the style's for all that.
    return weight, conv.bias + wanted - torch.einsum("ochw,c->o", weight, mean[0, 0])
