"""Feature transforms tile by tile are those of the whole picture."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.codes import Code, Region, Transform
from impasto.errors import OutOfMemory
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.tiling.features import Coloring, Fit, Level, Scaling, levels, repainted
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk
from impasto.transforms import Whitening, adain, whitened_and_colored
from impasto.transforms import repainted as whole

SAME = 2e-4
"""What rounding may differ by, where whitening blows it up: a twentieth of a level of 8 bits."""

TAME = Whitening(floor=1e-3, shrinkage=0.1)

Picture = Callable[[int, int], Tensor]


def code(channels: int, seed: int = 0) -> Code:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(1, channels, channels, generator=generator)
    return {
        "mean": torch.rand(1, channels, generator=generator),
        "std": torch.rand(1, channels, generator=generator) + 0.1,
        "color": (spread + spread.mT) / channels,
    }


def level(encoder: Encoder, tap: str, fit: Fit, machine: Runtime) -> Level:
    torch.manual_seed(2)
    decoder = Decoder(encoder.shape, tap).requires_grad_(False)
    with torch.no_grad():
        decoder.convs["1_1"].weight.mul_(0.3)  # type: ignore[operator, union-attr]
        decoder.convs["1_1"].bias.fill_(0.5)  # type: ignore[operator, union-attr]
    return Level(encoder, decoder, tap, fit, machine)


def tiled(
    image: Tensor,
    level: Level,
    regions: list[Region],
    strength: float,
    side: int,
    walk: Walk | None = None,
) -> Tensor:
    target = Raster.empty((image.shape[-2], image.shape[-1]), torch.float32)
    repainted(Raster(image), target, level, regions, strength, side, walk or Walk())
    return target.read()


def assert_same(
    image: Tensor, level: Level, regions: list[Region], strength: float, side: int
) -> None:
    transform: Transform = adain
    if isinstance(level.fit, Coloring):
        transform = partial(whitened_and_colored, whitening=level.fit.whitening)
    with torch.no_grad():
        wanted = whole(image, level.encoder, level.decoder, level.tap, transform, regions, strength)
    got = tiled(image, level, regions, strength, side)
    assert got.shape == image.shape
    assert float((got - wanted).abs().max()) < SAME


@pytest.mark.parametrize("side", [16, 40, 200])
@pytest.mark.parametrize("tap", TAPS)
@pytest.mark.parametrize("fit", [Scaling(), Coloring(TAME)], ids=["adain", "wct"])
def test_tiles_are_the_whole(
    encoder: Encoder, machine: Runtime, picture: Picture, fit: Fit, tap: str, side: int
) -> None:
    """Height and width are no multiples of any stride."""
    own = level(encoder, tap, fit, machine)
    style = code(encoder.shape.channels[int(tap[4]) - 1])
    assert_same(picture(117, 75), own, [Region(style)], 1.0, side)


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    side=st.integers(1, 90),
    strength=st.sampled_from([0.3, 1.0]),
    tap=st.sampled_from(TAPS),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_size(
    encoder: Encoder,
    machine: Runtime,
    picture: Picture,
    height: int,
    width: int,
    side: int,
    strength: float,
    tap: str,
) -> None:
    """Also what is smaller than the halo, or than the stride."""
    style = code(encoder.shape.channels[int(tap[4]) - 1])
    own = level(encoder, tap, Scaling(), machine)
    assert_same(picture(height, width), own, [Region(style)], strength, side)


@pytest.mark.parametrize("strength", [0.4, 1.0])
@pytest.mark.parametrize("size", [(117, 75), (60, 31)], ids=["of the picture", "other"])
@pytest.mark.parametrize("tap", ["relu1_1", "relu4_1"])
@pytest.mark.parametrize("fit", [Scaling(), Coloring(TAME)], ids=["adain", "wct"])
def test_masks(
    encoder: Encoder,
    machine: Runtime,
    picture: Picture,
    fit: Fit,
    tap: str,
    size: tuple[int, int],
    strength: float,
) -> None:
    """Two styles that share a part of the picture; the rest is the picture itself."""
    channels = encoder.shape.channels[int(tap[4]) - 1]
    ramp = torch.linspace(0, 1, size[1]).expand(1, 1, *size)
    top = (torch.arange(size[0]) < size[0] * 0.6).float().view(1, 1, -1, 1)
    regions = [Region(code(channels), ramp * top), Region(code(channels, 1), (1 - ramp) * top)]
    own = level(encoder, tap, fit, machine)
    assert_same(picture(117, 75), own, regions, strength, 32)


def test_an_empty_region_paints_nothing(
    encoder: Encoder, machine: Runtime, picture: Picture
) -> None:
    own, image = level(encoder, "relu3_1", Coloring(), machine), picture(50, 40)
    got = tiled(image, own, [Region(code(8), torch.zeros(1, 1, 50, 40))], 1.0, 16)
    torch.testing.assert_close(got, image, rtol=0, atol=1e-5)


def test_little_memory_paints_the_same(
    encoder: Encoder,
    machine: Runtime,
    picture: Picture,
    little_memory: Callable[[int], None],
) -> None:
    own, image = level(encoder, "relu2_1", Scaling(), machine), picture(200, 150)
    wanted, walk = tiled(image, own, [Region(code(6))], 1.0, 500), Walk()
    little_memory(14_000)
    got = tiled(image, own, [Region(code(6))], 1.0, 500, walk)
    assert walk.failed == 2
    assert float((got - wanted).abs().max()) < SAME


def test_too_little_memory_is_said(
    encoder: Encoder,
    machine: Runtime,
    picture: Picture,
    little_memory: Callable[[int], None],
) -> None:
    little_memory(1000)
    with pytest.raises(OutOfMemory, match="Not even a tile"):
        tiled(
            picture(200, 150),
            level(encoder, "relu2_1", Scaling(), machine),
            [Region(code(6))],
            1.0,
            500,
        )


def test_progress_of_both_passes(encoder: Encoder, machine: Runtime, picture: Picture) -> None:
    told: list[tuple[int, int]] = []
    walk = Walk(lambda done, total: told.append((done, total)))
    tiled(
        picture(64, 96),
        level(encoder, "relu4_1", Scaling(), machine),
        [Region(code(8))],
        1,
        32,
        walk,
    )
    assert told == [(done, 12) for done in range(1, 13)]


def test_levels_follow_on_one_another(encoder: Encoder, machine: Runtime, picture: Picture) -> None:
    """And the source stays what it was."""
    image, told = picture(70, 50), list[tuple[int, int]]()
    before, wanted = image.clone(), image
    steps = [
        (level(encoder, tap, Scaling(), machine), [Region(code(channels))], strength)
        for tap, channels, strength in (
            ("relu4_1", 8, 0.9),
            ("relu3_1", 8, 0.5),
            ("relu2_1", 6, 1.0),
            ("relu1_1", 4, 0.7),
        )
    ]
    for own, regions, strength in steps:
        wanted = tiled(wanted, own, regions, strength, 40)
    target = Raster.empty((70, 50), torch.float32)
    levels(Raster(image), target, steps, 40, lambda done, total: told.append((done, total)))
    assert torch.equal(target.read(), wanted)
    assert torch.equal(image, before)
    assert [done for done, _ in told] == [*range(1, len(told) + 1)]
