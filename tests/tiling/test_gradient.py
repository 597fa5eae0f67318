"""The gradient of an optimisation tile by tile is that of the whole picture."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.codes import Region
from impasto.methods.gatys import BETAS, Config, Gatys, Targets
from impasto.networks.encoders import Encoder
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.tiling.gradient import Objective, measured
from impasto.tiling.walk import Walk

Picture = Callable[[int, int], Tensor]


def objective(gatys: Gatys, targets: Targets) -> Objective:
    config = gatys.config
    weights = (config.style, config.content, config.variation)
    return Objective(gatys.encoder, gatys.runtime, targets, *weights)


def assert_same(gatys: Gatys, targets: Targets, image: Tensor, side: int) -> None:
    leaf = image.clone().requires_grad_()
    wanted, errors = gatys._loss(leaf, targets)
    wanted.backward()
    assert leaf.grad is not None
    loss, found, gradient = measured(image, objective(gatys, targets), side, Walk())
    torch.testing.assert_close(loss.sum(), wanted.detach(), rtol=1e-5, atol=1e-6)
    assert found.keys() == errors.keys()
    for name, error in errors.items():
        torch.testing.assert_close(found[name], error.detach(), rtol=1e-4, atol=1e-6)
    off = (gradient - leaf.grad).abs().max() / leaf.grad.abs().max()
    assert float(off) < 1e-4


@pytest.fixture
def gatys(encoder: Encoder, machine: Runtime) -> Gatys:
    return Gatys(encoder, machine)


def noisy(image: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return image.lerp(torch.rand(image.shape, generator=generator), 0.3)


@pytest.mark.parametrize("side", [16, 40, 200])
def test_tiles_are_the_whole(gatys: Gatys, picture: Picture, painting: Tensor, side: int) -> None:
    photo = picture(93, 75)
    code = gatys.encode(Style.of(painting, gatys.encoder))
    assert_same(gatys, gatys._targets(photo, [Region(code)], 0.5), noisy(photo), side)


@pytest.mark.parametrize("covered", [0.5, 1.0])
def test_masks(gatys: Gatys, picture: Picture, painting: Tensor, covered: float) -> None:
    photo, ramp = picture(93, 75), torch.linspace(0, 1, 75).expand(1, 1, 93, 75) * covered
    styles = [Style.of(image, gatys.encoder) for image in (painting, 1 - painting)]
    regions = [
        Region(gatys.encode(style), mask)
        for style, mask in zip(styles, (ramp, covered - ramp), strict=True)
    ]
    assert_same(gatys, gatys._targets(photo, regions, 0.5), noisy(photo), 32)


@given(height=st.integers(2, 60), width=st.integers(2, 60), side=st.integers(8, 70))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_size(
    gatys: Gatys, picture: Picture, painting: Tensor, height: int, width: int, side: int
) -> None:
    photo = picture(height, width)
    code = gatys.encode(Style.of(painting, gatys.encoder))
    assert_same(gatys, gatys._targets(photo, [Region(code)], 0.5), noisy(photo), side)


def test_the_same_picture_after_some_steps(
    encoder: Encoder, machine: Runtime, picture: Picture, painting: Tensor
) -> None:
    """Rounding may turn a step of Adam where the gradient is next to nothing, and no more."""
    gatys, photo = Gatys(encoder, machine, Config(init="content")), picture(70, 54)
    code = gatys.encode(Style.of(painting, encoder))
    targets = gatys._targets(photo, [Region(code)], 0.5)
    *_, (wanted, _) = gatys._optimise(photo, targets, 12)
    image, aim = photo.clone().requires_grad_(), objective(gatys, targets)
    optimiser = torch.optim.Adam([image], lr=gatys.config.lr, betas=BETAS, fused=True)
    average = torch.zeros_like(photo)
    for _ in range(12):
        _, _, image.grad = measured(image, aim, 32, Walk())
        optimiser.step()
        with torch.no_grad():
            image.clamp_(0, 1)
            average.lerp_(image, 1 - gatys.config.keep)
    got = (average / (1 - gatys.config.keep**12)).clamp(0, 1)
    assert float((got - wanted).abs().max()) < 2 / 255


def test_little_memory_gives_the_same(
    gatys: Gatys, picture: Picture, painting: Tensor, little_memory: Callable[[int], None]
) -> None:
    photo = picture(200, 150)
    code = gatys.encode(Style.of(painting, gatys.encoder))
    aim = objective(gatys, gatys._targets(photo, [Region(code)], 0.5))
    _, _, wanted = measured(noisy(photo), aim, 500, Walk())
    little_memory(28_000)
    walk = Walk()
    _, _, gradient = measured(noisy(photo), aim, 500, walk)
    assert walk.failed > 0
    assert float((gradient - wanted).abs().max() / wanted.abs().max()) < 1e-4
