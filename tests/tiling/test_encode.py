"""What an encoder sees tile by tile is what it sees of the whole picture."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto import losses, style
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.tiling.encode import content_error, features, looks
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk

Picture = Callable[[int, int], Tensor]


@pytest.mark.parametrize("side", [16, 48, 300])
def test_features_are_those_of_the_whole(
    encoder: Encoder, machine: Runtime, picture: Picture, side: int
) -> None:
    image, taps = picture(93, 75), ("relu2_1", "relu4_1")
    got = features(Raster(image), encoder, machine, taps, side, Walk())
    for tap, wanted in encoder(image, taps).items():
        torch.testing.assert_close(got[tap], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_moments_are_those_of_the_whole(
    encoder: Encoder, machine: Runtime, picture: Picture, masked: bool
) -> None:
    image = picture(93, 75)
    mask = torch.linspace(0, 1, 75).expand(1, 1, 93, 75) if masked else None
    got = looks(Raster(image), encoder, machine, 32, Walk(), mask)
    assert tuple(got) == TAPS
    for tap, wanted in style.looks(encoder, image, mask).items():
        torch.testing.assert_close(got[tap].mean, wanted.mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(got[tap].second, wanted.second, rtol=1e-4, atol=1e-5)


def test_the_content_error_is_that_of_the_whole(
    encoder: Encoder, machine: Runtime, picture: Picture
) -> None:
    photo, image = picture(93, 75), picture(93, 75).flip(-1)
    got = content_error(Raster(image), Raster(photo), encoder, machine, "relu4_1", 32)
    f, target = (encoder(x, ("relu4_1",))["relu4_1"] for x in (image, photo))
    assert got == pytest.approx(float(losses.content_error(f, target)), rel=1e-4)
