"""Numbers as colors, in steps that look even, on light pages and on dark ones."""

import torch
from torch import Tensor

SEQUENTIAL = (
    (6, 23, 52),
    (39, 37, 102),
    (106, 38, 136),
    (182, 15, 128),
    (231, 48, 102),
    (255, 103, 71),
    (255, 155, 61),
    (255, 202, 94),
    (255, 243, 166),
)
"""From night blue to pale yellow: CIE lightness 8 to 96 in even steps."""

DIVERGING = (
    (23, 62, 124),
    (76, 118, 186),
    (158, 186, 224),
    (244, 241, 236),
    (240, 180, 142),
    (206, 106, 62),
    (134, 48, 18),
)
"""From blue by almost white, which is zero, to rust."""

Stops = tuple[tuple[int, int, int], ...]


def sequential(values: Tensor) -> Tensor:
    """Amounts as colors: the more, the brighter.  (H, W), [0, 1]  ->  (1, 3, H, W)"""
    return _colored(values, SEQUENTIAL)


def diverging(values: Tensor) -> Tensor:
    """What has a sign as colors: blue is less, rust is more.  (H, W), [-1, 1]  ->  (1, 3, H, W)"""
    return _colored((values + 1) / 2, DIVERGING)


def overlay(photo: Tensor, heat: Tensor) -> Tensor:
    """Heat over a photo that is dark and grey where there is none.

    photo: (1, 3, H, W), [0, 1]; heat: (H, W), [0, 1]  ->  (1, 3, H, W)
    """
    dark = 0.06 + 0.42 * photo.mean(1, keepdim=True)  # (1, 1, H, W)
    heat = heat.clamp(0, 1)
    # The dark half of the ramp would hide the photo and say nothing.
    return dark.lerp(sequential(0.45 + 0.55 * heat), heat**0.75).clamp(0, 1)


def enlarged(pixels: Tensor, least: int) -> Tensor:
    """Every pixel as a square, so that the short side has at least ``least`` pixels.

    pixels: (1, 3, h, w)  ->  (1, 3, h n, w n)
    """
    times = max(1, -(-least // min(pixels.shape[-2:])))
    return pixels.repeat_interleave(times, 2).repeat_interleave(times, 3)


def peak(values: Tensor, share: float = 0.995) -> float:
    """What only the outermost values lie above, so that one pixel does not set the scale; > 0."""
    flat = values.abs().flatten().float()
    rank = max(1, round(share * len(flat)))
    return max(float(flat.kthvalue(rank).values), 1e-8)


def _colored(values: Tensor, stops: Stops) -> Tensor:
    """Linear between stops that are evenly spaced.  (H, W), [0, 1]  ->  (1, 3, H, W)"""
    table = torch.tensor(stops, dtype=torch.float32) / 255  # (S, 3)
    place = values.detach().float().cpu().clamp(0, 1) * (len(stops) - 1)  # (H, W)
    below = place.floor().long().clamp(max=len(stops) - 2)
    colors = table[below].lerp(table[below + 1], (place - below)[..., None])  # (H, W, 3)
    return colors.permute(2, 0, 1)[None]
