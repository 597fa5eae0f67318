"""Kernels: what a convolution is, by hand and as the encoder's first layer has learned it."""

import numpy as np
import torch
from torch import Tensor, nn

from impasto.lens.colormap import diverging, enlarged, peak
from impasto.lens.convolution import (
    CLASSIC,
    REACH,
    SOBEL_RIGHT,
    WHITE,
    Kernel,
    Levels,
    clear_edge,
    grey_levels,
    window,
)
from impasto.lens.view import Cell, Row, Shown, Table, View
from impasto.networks.encoders import Encoder
from impasto.networks.padding import pad

CLOSE = 10
"""Pixels that the closer look reaches beyond its middle."""

MOST = 24
"""Learned kernels that are shown."""


def kernels(photo: Tensor, encoder: Encoder) -> View:
    """Classic kernels on a photo, one window worked out, and the kernels of the first layer.

    photo: (1, 3, H, W), [0, 1]
    """
    levels = grey_levels(photo)
    return View(
        "Kernels",
        "A kernel is a small grid of numbers that is laid over every spot of a picture: each "
        "number is multiplied with the pixel beneath it, and the sum is one pixel of a new "
        "picture. Where a kernel looks for something, bright says that it is there, dark that its "
        "opposite is, and middle grey that there is nothing of the kind.",
        (_by_hand(levels), _classic(levels), _learned(photo, encoder)),
    )


def _by_hand(levels: Levels) -> Row:
    kernel, spot = SOBEL_RIGHT, clear_edge(levels)
    result = kernel(levels)
    # Nothing to see of one pixel, so the square drawn into the whole photo is larger.
    margin = max(CLOSE, round(max(levels.shape) / 40))
    return Row(
        "One pixel, worked out",
        (
            Shown("Where we look", _framed(_picture(levels), spot, margin)),
            Shown(
                "A closer look: the window of 5 × 5 pixels", _close(levels, spot, REACH), exact=True
            ),
            Shown("The result there: one pixel", _close(result, spot, 0), exact=True),
        ),
        "In grey, a photo is numbers: 0 is black, 255 is white. This kernel takes what lies to "
        "the left of the middle away from what lies to the right, so it answers where a picture "
        "grows brighter or darker from left to right. At last the sum is divided and moved up to "
        "128, so that zero is middle grey.",
        _arithmetic(window(levels, spot), kernel),
    )


def _arithmetic(pixels: Levels, kernel: Kernel) -> tuple[Table, ...]:
    weights = np.array(kernel.weights)
    products = pixels * weights
    total = int(products.sum())
    one = kernel.level(np.array([[total]]))
    return (
        Table("The pixels in the window", _cells(pixels, _picture(pixels))),
        Table("The kernel", _cells(weights, _signs(weights)), "×"),
        Table("Pixel times kernel", _cells(products, _signs(products)), "="),
        Table(_sum(total, kernel, int(one[0, 0])), _cells(one, _picture(one)), "→"),
    )


def _sum(total: int, kernel: Kernel, level: int) -> str:
    """From the sum of the products to the pixel, in words."""
    exact = total / kernel.divisor + kernel.offset
    equal = (
        "=" if exact == level else "≈" if abs(exact - level) <= 0.5 else f"≈ {exact:.0f}, shown as"
    )
    scale = f"{total} ÷ {kernel.divisor} + {kernel.offset} {equal} {level}"
    return _minus(f"One pixel: the 25 products add up to {total}, and {scale}")


def _cells(numbers: Levels, colors: Tensor) -> tuple[tuple[Cell, ...], ...]:
    fills = colors[0].permute(1, 2, 0).tolist()
    return tuple(
        tuple(Cell(_minus(str(number)), tuple(fill)) for number, fill in zip(*line, strict=True))
        for line in zip(numbers.tolist(), fills, strict=True)
    )


def _minus(text: str) -> str:
    """The text with a true minus sign."""
    return text.replace("-", "−")


def _signs(numbers: Levels) -> Tensor:
    """Numbers by sign and size.  (h, w)  ->  (1, 3, h, w)"""
    return diverging(torch.from_numpy(numbers / max(1, np.abs(numbers).max())))


def _picture(levels: Levels) -> Tensor:
    """(H, W)  ->  (1, 3, H, W), [0, 1]"""
    return (torch.from_numpy(levels).float() / WHITE).expand(1, 3, -1, -1)


def _close(levels: Levels, spot: tuple[int, int], reach: int) -> Tensor:
    """What lies around a spot, enlarged, with a frame around the pixels within ``reach``."""
    around = enlarged(_picture(window(levels, spot, CLOSE)), 420)
    scale = around.shape[-1] // (2 * CLOSE + 1)
    middle = round((CLOSE + 0.5) * scale)
    return _framed(around, (middle, middle), round((reach + 0.5) * scale))


def _framed(picture: Tensor, spot: tuple[int, int], margin: int) -> Tensor:
    """A square drawn around a spot, orange between dark lines: seen on any ground."""
    framed, (height, width) = picture.clone(), picture.shape[-2:]
    down = (torch.arange(height) - spot[0]).abs()[:, None]  # (H, 1)
    across = (torch.arange(width) - spot[1]).abs()[None]  # (1, W)
    distance = down.maximum(across) - margin
    framed[:, :, (distance >= -1) & (distance <= 3)] = 0.08
    orange = torch.tensor((1.0, 0.62, 0.2))[None, :, None]
    framed[:, :, (distance >= 0) & (distance <= 2)] = orange
    return framed


def _classic(levels: Levels) -> Row:
    return Row(
        "Kernels that people wrote",
        tuple(
            Shown(kernel.name, _picture(kernel(levels)), _squares(_signs(np.array(kernel.weights))))
            for kernel in CLASSIC
        ),
        "Beside each caption its kernel: rust adds, blue takes away, white leaves out.",
    )


def _squares(picture: Tensor) -> Tensor:
    return enlarged(picture, 60)


@torch.no_grad()
def _learned(photo: Tensor, encoder: Encoder) -> Row:
    responses, weights = first_responses(photo, encoder)[0], learned_kernels(encoder)
    order = responses.relu().std((1, 2)).argsort(descending=True, stable=True)[:MOST].tolist()
    shown = tuple(
        Shown(f"channel {channel}", _zero_centred(responses[channel]), _squares(weights[channel]))
        for channel in order
    )
    count = (
        f"{len(shown)} of {len(weights)}" if len(shown) < len(weights) else f"all {len(weights)}"
    )
    return Row(
        f"Kernels that the network {encoder.name} learned",
        shown,
        "Nobody wrote these: the first layer of the network found them by itself, and rediscovered "
        "edges and plain colours. What is darker than middle grey the network leaves out. "
        f"Here are {count}, those that answer most to this photo first.",
    )


@torch.no_grad()
def first_responses(photo: Tensor, encoder: Encoder) -> Tensor:
    """What the first layer answers before its ReLU.  (B, 3, H, W)  ->  (B, C, H, W)"""
    given = encoder.conv0(photo.to(encoder.conv0.weight.device))
    answers: Tensor = encoder.convs["1_1"](pad(given))
    return answers.float().cpu()


def learned_kernels(encoder: Encoder) -> Tensor:
    """The kernels of the first layer as they act on RGB, each as strong as can be shown.

    ->  (C, 1, 3, 3, 3), [0, 1], middle grey is zero
    """
    first = encoder.convs["1_1"]
    assert isinstance(first, nn.Conv2d)
    rgb = encoder.conv0.weight[:, :, 0, 0]  # (3, 3)
    weights = torch.einsum("oikl,ij->ojkl", first.weight, rgb).float().cpu()
    strongest = weights.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-8)
    return (0.5 + 0.5 * weights / strongest)[:, None]


def _zero_centred(response: Tensor) -> Tensor:
    """Middle grey where there is no answer.  (H, W)  ->  (1, 3, H, W), [0, 1]"""
    return (0.5 + 0.5 * response / peak(response)).clamp(0, 1).expand(1, 3, -1, -1)
