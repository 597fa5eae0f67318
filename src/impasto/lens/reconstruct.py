"""Reconstruct: a photo rebuilt from noise, of which only what a network remembers is known.

The two rows of figure 1 of Gatys, Ecker & Bethge 2015, arXiv:1508.06576: from the features of one
tap (Mahendran & Vedaldi 2015, arXiv:1412.0035), and from the Gram matrices of one tap and all
before it.

Differs: the picture is made of waves in decorrelated colours, as for ``features``. On pixels as
many steps of Adam leave five times the error of Gram matrices or more, and fine noise. For Gram
matrices, waves longer than twice what the deepest tap sees are no stronger than those: the noise
would bring large forms of which the network knows nothing.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from impasto.lens.activations import SEEN, receptive_field
from impasto.lens.features import OnStep, colored, frequencies, noise, waves
from impasto.lens.view import Row, Shown, View
from impasto.losses import content_error, style_error, total_variation
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime

STEPS = 200
"""For every picture."""

LR = 0.6
"""At its highest."""

CONTRAST = 0.15
"""Deviation of the noise to begin with, in decorrelated colours."""

VARIATION = 0.5
"""Weight of the total variation against the relative error."""

GRAIN = 2.0
"""Longest wave of a texture, in sizes of what its deepest tap sees."""

Loss = Callable[[Tensor], Tensor]
"""(1, 3, H, W)  ->  (1,)"""


def reconstruct(
    photo: Tensor,
    encoder: Encoder,
    machine: Runtime,
    seed: int = 0,
    on_step: OnStep = lambda done, total: None,
) -> View:
    """The photo, and a row of reconstructions for each of the two ways to remember it.

    photo: (1, 3, H, W), [0, 1], of any size
    """
    encoder = machine.place(encoder).requires_grad_(False).eval()
    total = 2 * len(TAPS) * STEPS

    def rebuilt(number: int, loss: Loss, longest: float) -> Tensor:
        size, before = (photo.shape[-2], photo.shape[-1]), number * STEPS
        return optimised(
            loss, size, machine, longest, seed, lambda step: on_step(before + step, total)
        )

    content, style = [], []
    for number, tap in enumerate(TAPS):
        loss = features_loss(photo, encoder, machine, tap)
        content.append(Shown(f"{tap}: {_seen(tap)}", rebuilt(number, loss, max(photo.shape))))
    for number, tap in enumerate(TAPS, len(TAPS)):
        loss = moments_loss(photo, encoder, machine, TAPS[: TAPS.index(tap) + 1])
        longest = GRAIN * receptive_field(encoder.shape, tap)
        taps = tap if tap == TAPS[0] else f"{TAPS[0]} to {tap}"
        style.append(Shown(f"{taps}: {_seen(tap)}", rebuilt(number, loss, longest)))
    return _view(photo, tuple(content), tuple(style))


def _seen(tap: str) -> str:
    return SEEN[tap].lower()


def _view(photo: Tensor, content: tuple[Shown, ...], style: tuple[Shown, ...]) -> View:
    return View(
        "Reconstructions",
        "Every picture here was painted from noise by a program that never saw the photo, only "
        "what the network remembers of it. If the network remembers what it saw and where, the "
        "photo comes back, with fewer details the deeper one asks; if it remembers only what goes "
        "with what, the style comes back: colours and strokes of the photo, in other places.",
        (
            Row("The photo", (Shown("what is to be remembered", photo),)),
            Row(
                "What and where: content",
                content,
                "Rebuilt from the answers of all channels of one layer, each in its place.",
            ),
            Row(
                "What goes with what: style",
                style,
                "Rebuilt from how often channels answer together, wherever that is (the Gram "
                "matrix): in the first layer, in the first two, and so on. The more, the larger "
                "the pieces of the photo that come back.",
            ),
        ),
    )


@torch.no_grad()
def features_loss(photo: Tensor, encoder: Encoder, machine: Runtime, tap: str) -> Loss:
    """How far a picture's features at a tap are from the photo's."""
    with machine.autocast():
        target = encoder(machine.tensor(photo), {tap})[tap]

    def loss(image: Tensor) -> Tensor:
        with machine.autocast():
            features = encoder(image, {tap})[tap]
        return content_error(features, target)

    return loss


@torch.no_grad()
def moments_loss(photo: Tensor, encoder: Encoder, machine: Runtime, taps: Sequence[str]) -> Loss:
    """How far a picture's Gram matrices at some taps are from the photo's."""

    def grams(image: Tensor) -> dict[str, Tensor]:
        with machine.autocast():
            features = encoder(image, taps)
        return {tap: gram(f) for tap, f in features.items()}

    targets = grams(machine.tensor(photo))
    return lambda image: style_error(grams(image), targets)


def optimised(
    loss: Loss,
    size: tuple[int, int],
    machine: Runtime,
    longest: float,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """A picture of that size, grown from noise, with a small loss.  ->  (1, 3, H, W), [0, 1]

    longest: the length of a wave, pixels, from which on waves are no longer stronger
    """
    found = frequencies(size)
    strength = 1 / found.clamp_min(1 / longest)
    strength[0, 0] = 1 / found[0, 0]  # the mean colour is to be found easily, whatever the grain
    strength = (CONTRAST * strength / strength.square().mean().sqrt()).to(machine.device)
    generator = torch.Generator().manual_seed(seed)
    spectrum = noise(1, size, generator).to(machine.device).requires_grad_()
    optimiser = torch.optim.Adam([spectrum], lr=LR, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, STEPS, pct_start=0.1)
    for step in range(1, STEPS + 1):
        image = machine.tensor(colored(waves(spectrum, strength, size)))
        error = loss(image) + VARIATION * total_variation(image)
        optimiser.zero_grad()
        error.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        on_step(step)
    return colored(waves(spectrum.detach(), strength, size)).cpu()
