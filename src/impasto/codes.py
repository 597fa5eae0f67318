"""Codes: what a method needs of a style, how codes blend, and where in a picture they go."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import BadInput

Code = Mapping[str, Tensor]
"""Tensors by name; blends by weighted mean, tensor by tensor.

Names may begin with the long side of the canvas they are for (``512/mean``), see ``at``.
"""


Transform = Callable[[Tensor, Code, Tensor | None], Tensor]
"""(features, code, mask) -> features with the code's statistics, see ``transforms.adain``."""


@dataclass(frozen=True)
class Region:
    """A style and the part of the picture it is for."""

    code: Code
    mask: Tensor | None = None
    """(1, 1, H, W), [0, 1], any size; all masks together are at most 1. None: everywhere."""

    def mask_like(self, features: Tensor) -> Tensor | None:
        """The mask at the size of ``features``.  (B, C, H, W)  ->  (1, 1, H, W)"""
        if self.mask is None:
            return None
        return F.interpolate(self.mask.to(features.device), features.shape[-2:], mode="area")


def blend(codes: Sequence[Code], weights: Sequence[float]) -> Code:
    """Weighted mean of codes, tensor by tensor; weights need not sum to 1 and may be negative.

    Raises BadInput when the weights sum to zero or do not fit the codes.
    """
    if len(codes) != len(weights):
        raise BadInput(f"{len(codes)} styles but {len(weights)} weights: give one for each.")
    total = sum(weights)
    if abs(total) < 1e-8:
        raise BadInput("The weights of the styles sum to zero: raise one of them.")
    shares = [weight / total for weight in weights]
    return {
        name: torch.stack([code[name] * w for code, w in zip(codes, shares, strict=True)]).sum(0)
        for name in codes[0]
    }


def near_sizes(size: float, sizes: Iterable[int]) -> list[tuple[int, float]]:
    """The sizes around ``size`` with their shares, even in the logarithm; at the ends only one."""
    ordered = sorted(sizes)
    size = min(max(size, ordered[0]), ordered[-1])
    upper = next(s for s in ordered if s >= size)
    lower = max(s for s in ordered if s <= size)
    if upper == lower:
        return [(upper, 1.0)]
    share = math.log(size / lower) / math.log(upper / lower)
    return [(lower, 1 - share), (upper, share)]


def at(code: Code, long_side: int) -> Code:
    """The code for a canvas of that size, mixed from the two nearest: ``512/mean`` is ``mean``."""
    near = near_sizes(long_side, {int(key.partition("/")[0]) for key in code})
    names = sorted({key.partition("/")[2] for key in code})
    return {
        name: torch.stack([code[f"{size}/{name}"].float() * share for size, share in near]).sum(0)
        for name in names
    }


def inner(code: Code, name: str) -> Code:
    """What a code holds for one layer or for a method within a method.

    ``{"relu4_1/mean": ...}`` is ``{"mean": ...}``; ``{"512/start/mean": ...}`` is
    ``{"512/mean": ...}``.
    """
    found = {}
    for key, tensor in code.items():
        parts = key.split("/")
        if name in parts:
            parts.remove(name)
            found["/".join(parts)] = tensor
    return found


def for_canvas(regions: Sequence[Region], image: Tensor) -> list[Region]:
    """The regions with their codes at the size of a picture, on its device."""
    device, long_side = image.device, max(image.shape[-2:])
    return [
        Region({k: t.to(device) for k, t in at(region.code, long_side).items()}, region.mask)
        for region in regions
    ]


def coverage(regions: Sequence[Region], like: Tensor) -> Tensor | float:
    """How much of every pixel is to be painted.  ->  (1, 1, H, W) of ``like``'s size, or 1.0"""
    masks = [region.mask_like(like) for region in regions]
    given = [mask for mask in masks if mask is not None]
    if len(given) < len(masks):
        return 1.0
    total = torch.stack(given).sum(0).clamp(0, 1)  # (1, 1, H, W)
    return 1.0 if bool((total == 1).all()) else total


def mosaic(
    features: Tensor,
    regions: Sequence[Region],
    transform: Transform,
) -> Tensor:
    """Features that every region's style has transformed, and their own where there is none.

    features: (B, C, H, W); transform: (features, code, mask) -> (B, C, H, W), which takes the
    statistics of the features under the mask  ->  (B, C, H, W), float32
    """
    if len(regions) == 1 and regions[0].mask is None:
        return transform(features, regions[0].code, None).float()
    result = features.float() * (1 - coverage(regions, features))
    for region in regions:
        mask = region.mask_like(features)
        part = transform(features, region.code, mask)
        result = result + (part if mask is None else part * mask)
    return result
