"""Features: waves add up as they should, and every picture is what its own channel wants."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor, nn

from impasto.errors import BadInput, UnknownName
from impasto.lens import features as module
from impasto.lens.features import (
    COLORS,
    CONTRAST,
    PHOTOS,
    SIDE,
    Channels,
    answer,
    basis,
    colored,
    features,
    frequencies,
    maximised,
    moved,
    noise,
    picture,
    side,
    telling,
    waves,
)
from impasto.networks.encoders import SHAPES, TAPS, Encoder
from impasto.runtime import Runtime


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 12)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- waves ---


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20))
def test_the_waves_of_a_picture_are_those_it_was_made_of(height: int, width: int) -> None:
    size = (height, width)
    spectrum, weights = noise(2, size, generator()), 1 / frequencies(size)
    found = torch.fft.rfft2(waves(spectrum, weights, size), norm="ortho") / weights
    # Of the first and, if there is one, the middle column a real picture has only half.
    free = slice(1, (width + 1) // 2)
    expected = torch.view_as_complex(spectrum)
    torch.testing.assert_close(found[..., free], expected[..., free], atol=1e-4, rtol=1e-4)


def test_long_waves_are_the_stronger() -> None:
    """Twice the frequency, a quarter of the amplitude: the slope of the power is -4."""
    size = (64, 64)
    image = waves(noise(40, size, generator()), frequencies(size) ** -2.0, size)
    power = torch.fft.rfft2(image).abs().square().mean((0, 1)).flatten()
    x, y = frequencies(size).log().flatten(), power.log()
    x, y = x - x.mean(), y - y.mean()
    assert float((x * y).sum() / x.square().sum()) == pytest.approx(-4, abs=0.05)


def test_frequencies() -> None:
    expected = [[0.25, 0.25, 0.5], [0.25, 0.125**0.5, 0.3125**0.5]]
    torch.testing.assert_close(frequencies((4, 4))[:2], torch.tensor(expected))


@settings(max_examples=20, deadline=None)
@given(size=st.integers(2, 40), scale=st.floats(1e-3, 1e3))
def test_a_picture_has_range_and_contrast(size: int, scale: float) -> None:
    """However strong the waves are."""
    image = picture(scale * noise(3, (size, size), generator()), size)
    assert image.shape == (3, 3, size, size)
    assert float(image.min()) >= 0 and float(image.max()) <= 1
    amounts = torch.einsum("ij,njhw->nihw", basis().inverse(), torch.logit(image, 1e-7) / 4)
    contrast = amounts.square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(contrast, torch.full((3,), CONTRAST), atol=1e-2, rtol=0)


# --- colors ---


def test_colors_are_those_of_the_photos() -> None:
    total = torch.zeros(3, 3)
    for name in PHOTOS:
        colors = torch.tensor(getattr(data, name)()).flatten(0, 1).float() / 255  # (HW, 3)
        total += torch.cov(colors.T, correction=0) / len(PHOTOS)
    torch.testing.assert_close(total, torch.tensor(COLORS), atol=5e-5, rtol=0)


def test_colors_are_decorrelated() -> None:
    """In the basis, the colors of photos have no covariance; lightness comes last."""
    inverse = basis().inverse()
    covariance = inverse @ torch.tensor(COLORS) @ inverse.mT
    torch.testing.assert_close(covariance, covariance.diagonal().diag(), atol=1e-4, rtol=0)
    lightness = basis()[:, 2]
    assert float(lightness.norm()) == pytest.approx(1, abs=1e-5)
    assert float(lightness.abs().min() / lightness.abs().max()) > 0.8


def test_nothing_is_grey() -> None:
    torch.testing.assert_close(colored(torch.zeros(1, 3, 2, 2)), torch.full((1, 3, 2, 2), 0.5))


# --- movement ---


def test_every_picture_is_moved_by_itself() -> None:
    image = torch.rand(1, 3, 32, 32).expand(3, -1, -1, -1)
    first, again = moved(image, generator(4)), moved(image, generator(4))
    assert torch.equal(first, again)
    assert first.shape == image.shape
    assert not torch.equal(first[0], first[1])
    assert float(first.min()) >= 0 and float(first.max()) <= 1


def test_movement_has_no_border() -> None:
    flat = torch.full((4, 3, 16, 16), 0.3)
    torch.testing.assert_close(moved(flat, generator()), flat)


# --- channels ---


def test_sides_fit_what_a_tap_sees() -> None:
    compact = Encoder(SHAPES["compact"])
    assert [side(compact, tap) for tap in TAPS] == [24, 48, 96, 192, 192]


def test_the_answer_is_taken_before_the_relu(
    encoder: Encoder, machine: Runtime, photo: Tensor
) -> None:
    pictures = photo.expand(3, -1, -1, -1)
    found = answer(encoder, machine, pictures, "relu2_1", (5, 0, 2))
    expected = encoder(photo, {"relu2_1"})["relu2_1"][0, [5, 0, 2]]
    torch.testing.assert_close(found.clamp_min(0), expected)
    assert (found < 0).any()


def test_chosen_channels_are_alive_and_different(encoder: Encoder, machine: Runtime) -> None:
    """Of four channels one is made silent, and one a weaker copy of another."""
    conv = encoder.convs["1_1"]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    conv.weight[1], conv.bias[1] = 0, -1
    conv.weight[3], conv.bias[3] = 0.5 * conv.weight[0], 0.5 * conv.bias[0]
    chosen = telling(encoder, machine, ["relu1_1"], 4)["relu1_1"]
    assert sorted(chosen.indices) == [0, 2]
    assert (chosen.deviations > 0).all()


def test_the_best_channel_comes_first(encoder: Encoder, machine: Runtime) -> None:
    first, second, *_ = telling(encoder, machine, ["relu2_1"], 3)["relu2_1"].indices
    conv = encoder.convs["2_1"]
    assert isinstance(conv, nn.Conv2d)
    conv.weight[second] *= 100
    again = telling(encoder, machine, ["relu2_1"], 3)["relu2_1"].indices
    assert again[0] == second
    assert first in again


# --- pictures ---


def strengths(encoder: Encoder, pictures: Tensor, tap: str, channels: Channels) -> Tensor:
    """How strongly each channel answers each picture.  ->  (pictures, channels)"""
    answers = encoder(pictures, {tap})[tap][:, channels.indices].mean((2, 3))
    return answers / channels.deviations


@pytest.mark.parametrize("tap", ["relu1_1", "relu2_2"])
def test_a_picture_is_what_its_channel_wants(
    encoder: Encoder, machine: Runtime, monkeypatch: pytest.MonkeyPatch, tap: str
) -> None:
    monkeypatch.setattr(module, "STEPS", 60)
    chosen = telling(encoder, machine, [tap], 3)[tap]
    size = side(encoder, tap)
    before = picture(noise(len(chosen.indices), (size, size), generator()), size)
    first = strengths(encoder, before, tap, chosen)
    last = strengths(encoder, maximised(encoder, machine, tap, chosen), tap, chosen)
    rise = last - first
    own = rise.diagonal()
    assert (own > 0.5 * first.diagonal()).all()
    assert (own > (rise.sum(1) - own) / (len(own) - 1)).all()
    for index in range(len(own)):
        assert last[:, index].argmax() == index


def test_a_channel_that_noise_leaves_silent_is_found(encoder: Encoder, machine: Runtime) -> None:
    conv = encoder.convs["1_1"]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    start = picture(noise(1, (24, 24), generator()), 24)
    conv.bias[2] -= answer(encoder, machine, start, "relu1_1", (2,)).max() + 0.01
    chosen = Channels((2,), torch.ones(1))
    assert float(strengths(encoder, start, "relu1_1", chosen)) == 0
    found = maximised(encoder, machine, "relu1_1", chosen)
    assert float(strengths(encoder, found, "relu1_1", chosen)) > 0


@pytest.mark.usefixtures("quick")
def test_same_seed_same_picture(encoder: Encoder, machine: Runtime) -> None:
    """Also when a tap is asked for together with others; and nobody else's numbers are drawn."""
    before = torch.random.get_rng_state()
    one = features(encoder, machine, ["relu2_1"], 2).rows[0]
    two = features(encoder, machine, ["relu1_1", "relu2_1"], 2).rows[1]
    other = features(encoder, machine, ["relu2_1"], 2, seed=1).rows[0]
    for first, again, third in zip(one.shown, two.shown, other.shown, strict=True):
        assert torch.equal(first.pixels, again.pixels)
        assert not torch.equal(first.pixels, third.pixels)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- the view ---


@pytest.mark.usefixtures("quick")
def test_view(encoder: Encoder, machine: Runtime) -> None:
    steps: list[tuple[int, int]] = []
    view = features(
        encoder, machine, ("relu1_1", "relu4_1"), 2, on_step=lambda *step: steps.append(step)
    )
    assert steps == [(done, 24) for done in range(1, 25)]
    assert [row.title.partition(":")[0] for row in view.rows] == ["relu1_1", "relu4_1"]
    assert len(re.findall(r"\w\.(?: |$)", view.text)) == 2
    for row in view.rows:
        assert 1 <= len(row.shown) <= 2
        for shown in row.shown:
            assert shown.pixels.shape == (1, 3, SIDE, SIDE)
            assert shown.pixels.dtype == torch.float32
            assert float(shown.pixels.min()) >= 0 and float(shown.pixels.max()) <= 1
            assert float(shown.pixels.std()) > 0.01
    small = view.rows[0].shown[0]
    assert small.exact
    assert torch.equal(small.pixels[..., ::8, ::8], small.pixels[..., 7::8, 7::8])


@pytest.mark.usefixtures("quick")
def test_no_more_channels_than_there_are(encoder: Encoder, machine: Runtime) -> None:
    (row,) = features(encoder, machine, ["relu1_1"], 64).rows
    assert 1 < len(row.shown) <= 4


@pytest.mark.usefixtures("quick")
def test_a_silent_layer_has_no_row(encoder: Encoder, machine: Runtime) -> None:
    conv = encoder.convs["2_1"]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    conv.weight.zero_()
    conv.bias.fill_(-1)
    rows = features(encoder, machine, ["relu1_1", "relu2_1"], 1).rows
    assert [row.title[:7] for row in rows] == ["relu1_1"]


def test_errors(encoder: Encoder, machine: Runtime) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'relu1_1'"):
        features(encoder, machine, ["rleu1_1"])
    with pytest.raises(BadInput, match="ask for 1 or more"):
        features(encoder, machine, count=0)


def test_an_interruption_goes_through(encoder: Encoder, machine: Runtime) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(encoder, machine, ["relu1_1"], 1, on_step=interrupt)
