"""Features: what the channels of a network look for, grown from noise.

Activation maximisation as in Olah, Mordvintsev & Schubert 2017, distill.pub/2017/feature-
visualization: a picture made of waves, in the decorrelated colours of photos, is optimised for the
mean answer of one channel while it is shifted, turned and resized at random.

Differs: every picture has one fixed contrast, so that it cannot run into black and white; the
answer is taken before the ReLU and negative ones count a little, so that a channel that the noise
leaves silent has a gradient; shallow layers, which see a few pixels, get a small picture.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import BadInput, unknown
from impasto.lens.activations import SEEN, receptive_field
from impasto.lens.colormap import enlarged
from impasto.lens.view import Row, Shown, View
from impasto.losses import total_variation
from impasto.media.image import scaled, to_tensor
from impasto.moments import moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime

OnStep = Callable[[int, int], None]
"""Told of every step: (done, total)."""

SIDE = 192
"""Side of the pictures as they are shown, pixels."""

STEPS = 160
LR = 0.1

DECAY = 2.0
"""A wave weighs 1 / frequency to this power. Olah et al.: 1, which leaves fine noise."""

CONTRAST = 0.6
"""Root mean square of a picture in decorrelated colours."""

CHROMA = 2.0
"""How much stronger than in photos colours are against lightness: contrast being scarce, grey
would take all of it."""

VARIATION = 6.0
"""Weight of the total variation against answers in units of the channel's deviation."""

LEAK = 0.1
"""How much negative answers count."""

SHIFT, TURN, ZOOM = 8.0, 10.0, 0.2
"""Most that a picture of ``SIDE`` pixels is moved: pixels, degrees, logarithm of the size."""

COLORS = ((0.0502, 0.0405, 0.0326), (0.0405, 0.0444, 0.0408), (0.0326, 0.0408, 0.0429))
"""Covariance of sRGB about a photo's mean colour, the average of ``PHOTOS``. Its square roots of
eigenvalues, 0.35, 0.12 and 0.04, are near those of 400 photos of all kinds: 0.39, 0.10, 0.04."""

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
"""Color photos that come with scikit-image."""

SEEN_AT = 320
"""Long side at which the network looks at them, pixels."""


@dataclass(frozen=True)
class Channels:
    """Some channels of a layer."""

    indices: tuple[int, ...]
    deviations: Tensor
    """(N,), how much each varies over the photos"""


def features(
    encoder: Encoder,
    machine: Runtime,
    taps: Sequence[str] = TAPS,
    count: int = 6,
    seed: int = 0,
    on_step: OnStep = lambda done, total: None,
) -> View:
    """For each tap a row of pictures, each grown from noise for one channel.

    count: how many channels of each tap; fewer where fewer say anything

    Raises UnknownName for a tap the encoder does not have, BadInput for a count below 1.
    """
    if count < 1:
        raise BadInput(f"{count} channels cannot be shown: ask for 1 or more.")
    for tap in taps:
        if tap not in encoder.layers:
            raise unknown("layer", tap, encoder.layers)
    encoder = machine.place(encoder).requires_grad_(False).eval()
    chosen = {tap: c for tap, c in telling(encoder, machine, taps, count).items() if c.indices}
    rows = []
    for number, (tap, channels) in enumerate(chosen.items()):
        tell = _within(on_step, number * STEPS, len(chosen) * STEPS)
        pixels = maximised(encoder, machine, tap, channels, seed, tell)
        rows.append(_row(encoder, tap, channels, pixels))
    return View(
        "Features",
        "Each picture began as noise and was changed step by step until one channel of the network "
        "answered it as strongly as it could: it shows what that channel looks for. From row to "
        "row the channels look at a larger part of a picture, and stripes and plain colours turn "
        "into patterns, and patterns into parts of things.",
        tuple(rows),
    )


def _within(on_step: OnStep, before: int, total: int) -> Callable[[int], None]:
    """Counts the steps of a part from where it begins in the whole."""
    return lambda step: on_step(before + step, total)


def _row(encoder: Encoder, tap: str, channels: Channels, pixels: Tensor) -> Row:
    """pixels: (N, 3, S, S)"""
    total = encoder.convs[tap.removeprefix("relu")].out_channels
    field, times = receptive_field(encoder.shape, tap), SIDE // pixels.shape[-1]
    size = f", enlarged {times} times" if times > 1 else ""
    return Row(
        f"{tap}: {SEEN[f'relu{tap[4]}_1'].lower()}",
        tuple(
            Shown(f"channel {channel}", enlarged(picture[None], SIDE), exact=times > 1)
            for channel, picture in zip(channels.indices, pixels, strict=True)
        ),
        f"{len(pixels)} of {total} channels, those that say most about photos; each value comes "
        f"from a square of {field}\u00a0×\u00a0{field} pixels, each picture has "
        f"{pixels.shape[-2]}\u00a0×\u00a0{pixels.shape[-1]}{size}.",
    )


@torch.no_grad()
def telling(
    encoder: Encoder, machine: Runtime, taps: Sequence[str], count: int
) -> Mapping[str, Channels]:
    """The channels of each tap that together say most about photos, the best first.

    The first is the one that explains most of the variance of all; every further one explains most
    of what is left: a Cholesky decomposition of the covariance with pivoting. A channel that is
    silent, or repeats what the chosen ones say, has no part in it.
    """
    from skimage import data

    total: dict[str, Tensor] = {}
    for name in PHOTOS:
        photo = scaled(to_tensor(getattr(data, name)()), SEEN_AT)
        for tap, f in encoder(machine.tensor(photo), taps).items():
            covariance = moments(f).covariance()[0].double().cpu()  # (C, C)
            total[tap] = total.get(tap, torch.zeros_like(covariance)) + covariance / len(PHOTOS)
    return {tap: _pivots(total[tap], count) for tap in taps}


def _pivots(covariance: Tensor, count: int) -> Channels:
    """covariance: (C, C), float64"""
    rest, chosen = covariance.clone(), []
    least = 1e-6 * covariance.trace()
    for _ in range(min(count, len(rest))):
        best = int(rest.diagonal().argmax())
        if rest[best, best] <= least:
            break
        chosen.append(best)
        rest -= torch.outer(rest[:, best], rest[best]) / rest[best, best].clone()
    return Channels(tuple(chosen), covariance.diagonal()[chosen].sqrt().float())


def maximised(
    encoder: Encoder,
    machine: Runtime,
    tap: str,
    channels: Channels,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """Pictures that the channels answer strongly.  ->  (N, 3, S, S), [0, 1], S as ``side`` says"""
    generator = torch.Generator().manual_seed(seed)
    size = side(encoder, tap)
    spectrum = (
        noise(len(channels.indices), (size, size), generator).to(machine.device).requires_grad_()
    )
    optimiser = torch.optim.Adam([spectrum], lr=LR, betas=(0.9, 0.99))
    deviations = channels.deviations.to(machine.device)
    for step in range(1, STEPS + 1):
        image = picture(spectrum, size)
        answers = answer(encoder, machine, moved(image, generator), tap, channels.indices)
        value = F.leaky_relu(answers, LEAK).mean((1, 2)) / deviations  # (N,)
        # A picture that is shown larger has softer steps.
        loss = VARIATION * size / SIDE * total_variation(image) - value
        optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        on_step(step)
    return picture(spectrum.detach(), size).cpu()


def side(encoder: Encoder, tap: str) -> int:
    """``SIDE`` or a half, fourth or eighth of it: still four times what a value of the tap sees."""
    fits = SIDE // (4 * receptive_field(encoder.shape, tap))
    return next(SIDE // times for times in (8, 4, 2, 1) if times <= max(1, fits))


def noise(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """A random spectrum of pictures (H, W), all waves alike.  ->  (N, 3, H, W//2 + 1, 2)"""
    height, width = size
    return torch.randn(count, 3, height, width // 2 + 1, 2, generator=generator)


def picture(spectrum: Tensor, size: int) -> Tensor:
    """What the waves add up to, long ones the stronger, in the colours of photos.

    spectrum: (N, 3, S, S//2 + 1, 2)  ->  (N, 3, S, S), [0, 1], all of one contrast
    """
    summed = waves(spectrum, frequencies((size, size)) ** -DECAY, (size, size))
    return colored(CONTRAST * summed / summed.square().mean((1, 2, 3), keepdim=True).sqrt())


def frequencies(size: tuple[int, int]) -> Tensor:
    """Cycles per pixel of every wave, at least one per picture.  (H, W)  ->  (H, W//2 + 1)"""
    down, right = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    return torch.hypot(down[:, None], right).clamp_min(1 / max(size))


def waves(spectrum: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """The sum of all waves.

    spectrum: (N, 3, H, W//2 + 1, 2), real and imaginary; weights: (H, W//2 + 1)
    ->  (N, 3, H, W)
    """
    weighted = torch.view_as_complex(spectrum) * weights.to(spectrum)
    image: Tensor = torch.fft.irfft2(weighted, s=size, norm="ortho")
    return image


def colored(values: Tensor) -> Tensor:
    """Amounts of the colours of ``basis`` as a picture, 0 being grey.

    (N, 3, H, W)  ->  (N, 3, H, W), [0, 1]
    """
    mixed = torch.einsum("ij,njhw->nihw", basis().to(values), values)
    return torch.sigmoid(4 * mixed)  # its slope at grey is 1


def basis() -> Tensor:
    """Three colours that vary independently in photos, in columns; the last is lightness.

    ->  (3, 3), of length 1 at most

    The eigenvectors of ``COLORS``, as long as the deviations along them.
    """
    values, vectors = torch.linalg.eigh(torch.tensor(COLORS))
    scale = (values / values[-1]).sqrt() * torch.tensor((CHROMA, CHROMA, 1.0))
    columns: Tensor = vectors * scale
    return columns


def moved(image: Tensor, generator: torch.Generator) -> Tensor:
    """Every picture shifted, turned and resized at random.  (N, 3, S, S)  ->  (N, 3, S, S)"""
    share = image.shape[-1] / SIDE
    chance = 2 * torch.rand(4, len(image), generator=generator) - 1  # [-1, 1]
    angle, zoom = chance[0] * math.radians(TURN) * share, torch.exp(chance[1] * ZOOM * share)
    shift = chance[2:] * 2 * SHIFT / SIDE  # of half the side, which is 1 to affine_grid
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack([cos, -sin, shift[0], sin, cos, shift[1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(rows.to(image), list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)


def answer(
    encoder: Encoder, machine: Runtime, image: Tensor, tap: str, channels: Sequence[int]
) -> Tensor:
    """What each channel says to its picture, before the ReLU.  (N, 3, S, S)  ->  (N, h, w)"""
    found: list[Tensor] = []
    conv = encoder.convs[tap.removeprefix("relu")]
    # A copy, for the ReLU works in place.
    handle = conv.register_forward_hook(lambda module, given, out: found.append(out.clone()))
    with handle, machine.autocast():
        encoder(machine.tensor(image), {tap})
    own = torch.arange(len(image), device=image.device)
    return found[0][own, torch.tensor(channels, device=image.device)].float()
