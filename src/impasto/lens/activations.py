"""Activations: where in a photo the channels of a network fire."""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.lens.colormap import overlay, peak
from impasto.lens.view import Row, Shown, View
from impasto.networks.encoders import TAPS, Encoder, Shape

SEEN = {
    "relu1_1": "Edges and plain colours",
    "relu2_1": "Textures of a few pixels",
    "relu3_1": "Patterns: stripes, corners, curls",
    "relu4_1": "Parts of things",
    "relu5_1": "Larger parts, and what lies around them",
}
"""What channels answer to at each tap, in a few words."""

COARSE = 24
"""Rows and columns in which two channels are compared."""


@torch.no_grad()
def activations(photo: Tensor, encoder: Encoder, count: int = 6) -> View:
    """The channels of each tap that say most about a photo, as heat over it.

    photo: (1, 3, H, W), [0, 1]; count: how many channels of each tap
    """
    features = encoder(photo.to(next(encoder.parameters()).device), TAPS)
    first = Row("The photo", (Shown("as it is given to the network", photo),))
    rows = (_row(tap, f.float().cpu(), photo, encoder.shape, count) for tap, f in features.items())
    return View(
        "Activations",
        "A network looks at a photo with many channels at once, and each one lights up where it "
        "finds what it looks for: bright yellow is a strong answer, dark grey is none. From row "
        "to row the channels look at a larger part of the photo, and what they find turns from "
        "edges into things.",
        (first, *rows),
    )


def _row(tap: str, features: Tensor, photo: Tensor, shape: Shape, count: int) -> Row:
    """features: (1, C, h, w); photo: (1, 3, H, W)"""
    stride, field = 2 ** (int(tap[4]) - 1), receptive_field(shape, tap)
    maps = features[0]
    return Row(
        f"{tap}: {SEEN[tap].lower()}",
        tuple(
            Shown(f"{tap}, channel {channel}", overlay(photo, heat(maps[channel], stride, photo)))
            for channel in telling(maps, count)
        ),
        f"{min(count, len(maps))} of {len(maps)} channels; each value comes from a square of "
        f"{field} × {field} pixels.",
    )


def heat(channel: Tensor, stride: int, photo: Tensor) -> Tensor:
    """A channel at the size of the photo, its strongest answers at 1.

    channel: (h, w), each value for ``stride`` x ``stride`` pixels; photo: (1, 3, H, W)
    ->  (H, W), [0, 1]
    """
    # A value lies in the middle of its pixels, of which the last may be beyond the border.
    size = (channel.shape[0] * stride, channel.shape[1] * stride)
    large = F.interpolate(channel[None, None], size, mode="bicubic")[0, 0]
    cut = large[: photo.shape[-2], : photo.shape[-1]].clamp_min(0)
    return (cut / peak(cut)).clamp(0, 1)


def telling(maps: Tensor, count: int) -> list[int]:
    """The channels that vary most for their level, and unlike one another; the best first.

    maps: (C, h, w), >= 0

    A channel's level counts with the level of all: one that hardly ever fires says little, however
    much that little varies. Every further channel loses what the chosen ones already show.
    """
    level = maps.mean((1, 2))  # (C,)
    score = maps.std((1, 2), correction=0) / (level + level.mean()).clamp_min(1e-12)
    # Seen from a distance: two kinds of thin edges in one place are alike to the eye.
    coarse = F.adaptive_avg_pool2d(maps, (min(maps.shape[1], COARSE), min(maps.shape[2], COARSE)))
    flat = coarse.flatten(1) - level[:, None]
    unit = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)
    alike = (unit @ unit.mT).clamp(0, 1)  # (C, C)
    chosen: list[int] = []
    for _ in range(min(count, len(maps))):
        rest = score.clone()
        if chosen:
            rest *= (1 - alike[chosen].amax(0)).square()
        rest[chosen] = -1
        chosen.append(int(rest.argmax()))
    return chosen


def receptive_field(shape: Shape, tap: str) -> int:
    """Side of the square of pixels that a value of the tap comes from."""
    field, step = 1, 1
    for name, _, _ in shape.layers():
        if name.endswith("_1") and name != "1_1":
            field, step = field + step, step * 2  # the pool before
        field += 2 * step
        if f"relu{name}" == tap:
            break
    return field
