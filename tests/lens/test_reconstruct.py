"""Reconstruct: what was rebuilt has what the network remembers, and shallow taps remember all."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.lens import reconstruct as module
from impasto.lens.reconstruct import Loss, features_loss, moments_loss, optimised, reconstruct
from impasto.networks.encoders import TAPS, Encoder, Shape
from impasto.runtime import Runtime


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 4)


def rebuilt(photo: Tensor, loss: Loss, machine: Runtime) -> tuple[Tensor, list[float]]:
    """The picture, and its losses from step to step."""
    losses: list[float] = []

    def watched(image: Tensor) -> Tensor:
        value = loss(image)
        losses.append(float(value.detach()))
        return value

    size = (photo.shape[-2], photo.shape[-1])
    return optimised(watched, size, machine, max(size)), losses


# --- losses ---


def test_the_photo_has_what_is_remembered_of_it(
    encoder: Encoder, machine: Runtime, photo: Tensor, painting: Tensor
) -> None:
    for loss in (
        features_loss(photo, encoder, machine, "relu3_1"),
        moments_loss(photo, encoder, machine, TAPS[:3]),
    ):
        assert float(loss(photo)) == pytest.approx(0, abs=1e-6)
        assert float(loss(painting[..., :48, :40])) > 0.05


def test_only_features_know_where(encoder: Encoder, machine: Runtime, photo: Tensor) -> None:
    """Rolled by a multiple of all strides, a picture with no border keeps its moments."""
    tile = F.interpolate(photo, (32, 32))
    tile = torch.cat([tile, tile.flip(-1)], 3)
    tile = torch.cat([tile, tile.flip(-2)], 2)  # (1, 3, 64, 64)
    turned = tile.flip(-1, -2).roll((32, 32), (-2, -1))
    assert not torch.equal(turned, tile)
    assert float(moments_loss(tile, encoder, machine, ["relu1_1"])(turned)) < 0.02
    assert float(features_loss(tile, encoder, machine, "relu1_1")(turned)) > 0.1


# --- pictures ---


def test_a_wide_first_tap_remembers_the_photo(machine: Runtime, photo: Tensor) -> None:
    encoder = Encoder(Shape((24, 1, 1, 1, 1), (1, 1, 1, 1, 1)))
    image, losses = rebuilt(photo, features_loss(photo, encoder, machine, "relu1_1"), machine)
    assert losses[-1] < 0.02 * losses[0]
    assert float((image - photo).square().mean().sqrt()) < 0.05


@pytest.mark.parametrize("tap", ["relu2_1", "relu4_1"])
def test_features_come_back(encoder: Encoder, machine: Runtime, photo: Tensor, tap: str) -> None:
    image, losses = rebuilt(photo, features_loss(photo, encoder, machine, tap), machine)
    assert losses[-1] < 0.1 * losses[0]
    assert image.shape == photo.shape
    assert float(image.min()) >= 0 and float(image.max()) <= 1


def test_moments_come_back_in_other_places(
    encoder: Encoder, machine: Runtime, photo: Tensor
) -> None:
    image, losses = rebuilt(photo, moments_loss(photo, encoder, machine, TAPS), machine)
    assert losses[-1] < 0.05 * losses[0]
    assert float((image - photo).square().mean().sqrt()) > 0.15


@pytest.mark.usefixtures("quick")
def test_noise_has_no_longer_waves_than_asked_for(
    machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LR", 1e-9)

    def coarse(longest: float) -> float:
        """Contrast between blocks of 16 pixels, in shares of that between pixels."""
        start = optimised(lambda image: image.mean((1, 2, 3)), (128, 128), machine, longest)
        return float(F.avg_pool2d(start, 16).std() / start.std())

    assert coarse(8) < 0.25 < 0.5 < coarse(128)


# --- the view ---


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("size", [(17, 9), (9, 17), (1, 1), (1, 30), (48, 40)])
def test_view(encoder: Encoder, machine: Runtime, photo: Tensor, size: tuple[int, int]) -> None:
    small = F.interpolate(photo, size, mode="bilinear")
    steps: list[tuple[int, int]] = []
    view = reconstruct(small, encoder, machine, on_step=lambda *step: steps.append(step))
    assert steps == [(done, 40) for done in range(1, 41)]
    assert [len(row.shown) for row in view.rows] == [1, 5, 5]
    assert len(re.findall(r"\w\.(?: |$)", view.text)) == 2
    assert torch.equal(view.rows[0].shown[0].pixels, small)
    for row in view.rows:
        for shown in row.shown:
            assert shown.pixels.shape == small.shape
            assert shown.pixels.isfinite().all()
    names = [shown.caption.partition(":")[0] for shown in view.rows[2].shown]
    assert names == ["relu1_1", *(f"relu1_1 to {tap}" for tap in TAPS[1:])]


@pytest.mark.usefixtures("quick")
def test_same_seed_same_pictures(encoder: Encoder, machine: Runtime, photo: Tensor) -> None:
    def pictures(seed: int) -> Tensor:
        rows = reconstruct(photo, encoder, machine, seed).rows[1:]
        return torch.cat([shown.pixels for row in rows for shown in row.shown])

    before = torch.random.get_rng_state()
    first = pictures(3)
    assert torch.equal(first, pictures(3))
    assert not torch.equal(first, pictures(4))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_interruption_goes_through(encoder: Encoder, machine: Runtime, photo: Tensor) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(photo, encoder, machine, on_step=interrupt)
