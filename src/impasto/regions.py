"""Masks: from what people draw to who paints which part of the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.errors import BadInput
from impasto.media import image as media
from impasto.recipe import MaskShare, Recipe
from impasto.style import Style

ALPHA = "alpha"
"""The mask that is no file but the photo's own transparency: its opaque part is the region."""

LEAST = 1 / 255
"""What a mask has less of is nothing: black in a JPEG is not quite black, and blurs have tails."""

STRETCH = 0.02
"""How far a mask's aspect ratio may be from the photo's before it is worth a word."""

FINE = 8.0
"""Sigma, pixels, at which edges are softened; a larger one is reached on a smaller picture."""

REACH = (-1.0, 2.0)
"""Least and largest share of a style in a mix: further out there is only noise."""


@dataclass(frozen=True)
class Part:
    """Some styles, mixed by weight, and the part of the picture that they paint."""

    styles: tuple[Style, ...]
    weights: tuple[float, ...]
    mask: Tensor | None = None
    """(1, 1, H, W), [0, 1]; all parts together are at most 1. None: everywhere."""


def divided(
    recipe: Recipe,
    styles: Mapping[str, Style],
    photo: Tensor,
    given: Mapping[str, object],
    alpha: Tensor | None = None,
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Who paints which part of the picture, and what people ought to be told about it.

    styles: by source; photo: (1, 3, H, W), the size of the result
    given: masks that are already read, by name; alpha: the photo's transparency, (1, 1, h, w)

    Raises BadInput when nothing is left to be painted, and for the mask ``alpha`` without
    transparency; BadPicture for a mask that cannot be read.
    """
    masks, notices = _masks(recipe, photo, given, alpha)
    groups = _by_mask(recipe.masks)
    rest = None
    parts = []
    if masks:
        stack = torch.cat(list(masks.values()))  # (K, 1, H, W)
        shares = shared(stack, [sum(m.weight for m in groups[name]) for name in masks])
        rest = 1 - covered(stack)
        for name, mask in zip(masks, shares.unsqueeze(1), strict=True):  # (1, 1, H, W)
            largest = max(m.weight for m in groups[name])
            weights = tuple(m.weight / largest for m in groups[name])
            parts.append(Part(tuple(styles[m.style] for m in groups[name]), weights, mask))
    if recipe.styles and (rest is None or bool(rest.any())):
        given_weights = tuple(share.weight for share in recipe.styles)
        weights = tamed(given_weights)
        if weights != given_weights:
            notices.append(_tamed_notice(given_weights, weights))
        parts.append(Part(tuple(styles[s.source] for s in recipe.styles), weights, rest))
    if not parts:
        raise BadInput("Every mask is empty and there is no other style: nothing is to be painted.")
    return tuple(parts), tuple(notices)


def _by_mask(shares: Sequence[MaskShare]) -> dict[str, list[MaskShare]]:
    """Styles that go to the same mask are mixed in it."""
    groups: dict[str, list[MaskShare]] = {}
    for share in shares:
        groups.setdefault(share.mask, []).append(share)
    return groups


def _masks(
    recipe: Recipe, photo: Tensor, given: Mapping[str, object], alpha: Tensor | None
) -> tuple[dict[str, Tensor], list[str]]:
    """The masks of a Recipe that cover something, by name, at the size of the photo."""
    masks, notices = {}, []
    for name in _by_mask(recipe.masks):
        drawn = _drawn(name, given, alpha)
        if _stretched(drawn, photo):
            size = f"{drawn.shape[-1]} x {drawn.shape[-2]}"
            notices.append(f"The mask {name!r}, {size}, is stretched to the shape of the photo.")
        mask = feathered(media.resize(drawn, (photo.shape[-2], photo.shape[-1])), recipe.feather)
        if bool(mask.any()):
            masks[name] = mask
        else:
            notices.append(f"The mask {name!r} is empty and left out: white is what it covers.")
    return masks, notices


def _drawn(name: str, given: Mapping[str, object], alpha: Tensor | None) -> Tensor:
    """A mask as it was drawn: its grey, where it is not transparent.  ->  (1, 1, h, w)"""
    if name == ALPHA:
        if alpha is None:
            raise BadInput(
                "The mask 'alpha' is the photo's transparency, but nothing in this photo is "
                "transparent: give a picture as the mask, REGION.png=STYLE."
            )
        return alpha
    found = given.get(name)
    picture = found if isinstance(found, media.Picture) else media.read(name)
    grey = picture.pixels.mean(1, keepdim=True)
    return grey if picture.alpha is None else grey * picture.alpha


def _stretched(mask: Tensor, photo: Tensor) -> bool:
    (height, width), (own_height, own_width) = mask.shape[-2:], photo.shape[-2:]
    return abs(width * own_height / (height * own_width) - 1) > STRETCH


def open_mask(mask: media.AnyPicture) -> media.Picture:
    """Read a mask of any kind: a picture, and also arrays of booleans and tensors with one channel.

    Raises BadPicture.
    """
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
        mask = mask.astype(np.float32)
    if isinstance(mask, Tensor) and mask.shape[-3:-2] in ((), (1,)):
        mask = mask.float().expand(*mask.shape[:-3], 3, *mask.shape[-2:])
    return media.open_any(mask)


def feathered(mask: Tensor, percent: float) -> Tensor:
    """A mask with soft edges.  (1, 1, H, W)  ->  the same

    percent: standard deviation of the Gaussian, in % of the long side; 0 leaves edges as drawn
    """
    from scipy import ndimage

    height, width = mask.shape[-2:]
    if percent == 0:
        return _rounded(mask)
    side = min(max(height, width), max(1, round(FINE * 100 / percent)))
    small = media.resize(mask, media.fit(width, height, side))
    soft = ndimage.gaussian_filter(small[0, 0].numpy(), percent / 100 * side, mode="nearest")
    return _rounded(media.resize(torch.from_numpy(soft)[None, None], (height, width)))


def _rounded(mask: Tensor) -> Tensor:
    """Next to nothing is nothing, and next to all is all."""
    return mask.where(mask > LEAST, 0).where(mask < 1 - LEAST, 1)


def covered(masks: Tensor) -> Tensor:
    """How much of every pixel the masks cover together.  (K, 1, H, W)  ->  (1, 1, H, W), [0, 1]"""
    return _rounded(masks.sum(0, keepdim=True).clamp(max=1))


def shared(masks: Tensor, weights: Sequence[float]) -> Tensor:
    """Every mask's share of what they cover together, by weight where they overlap.

    masks: (K, 1, H, W), [0, 1]; weights: K, above 0  ->  (K, 1, H, W), summing to ``covered``
    """
    parts = torch.tensor(weights, dtype=torch.float64) / max(weights)
    weighted = masks * parts.float().view(-1, 1, 1, 1)
    total = weighted.sum(0, keepdim=True)  # (1, 1, H, W)
    return covered(masks) * (weighted / total).nan_to_num(0)  # 0 / 0 where there is no mask


def tamed(weights: tuple[float, ...]) -> tuple[float, ...]:
    """Weights of a mix, drawn towards equal shares until each is within ``REACH`` of the whole.

    Weights that are within it stay what they are. Their sum must not be 0.
    """
    largest = max(abs(weight) for weight in weights)
    scaled = [weight / largest for weight in weights]
    even, total = 1 / len(weights), sum(scaled)
    offsets = [weight / total - even for weight in scaled]
    limits = [REACH[1] if offset > 0 else REACH[0] for offset in offsets]
    room = [(end - even) / o for o, end in zip(offsets, limits, strict=True) if o]
    keep = min(room, default=1.0)
    if keep >= 1 - 1e-9:
        return weights
    return tuple(even + keep * offset for offset in offsets)


def _tamed_notice(given: Sequence[float], taken: Sequence[float]) -> str:
    before, after = (", ".join(f"{weight:.3g}" for weight in some) for some in (given, taken))
    return f"Weights {before} lead too far away from the styles: taken as {after}."
