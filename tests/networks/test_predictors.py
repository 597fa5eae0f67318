"""Style prediction: what is looked at, the embedding, and the row that follows from it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.moments import Moments, TapMoments, about_mean, moments
from impasto.networks.encoders import SHAPES, TAPS, Encoder, Shape
from impasto.networks.predictors import (
    EMBEDDING,
    HIDDEN,
    Equalised,
    Head,
    MomentsPredictor,
    described,
)
from impasto.networks.transformer import EXPANSION, Transformer

TINY = Shape((4, 6, 8, 8, 8), (2, 2, 1, 1, 1))
COUNT = 2 * (4 + 6 + 8 + 8 + 8) + (4 * 5 + 6 * 7) // 2
"""Mean and deviation of every channel, and the pairs of two taps."""


def looks(count: int, spread: float = 1.0) -> TapMoments:
    """The moments of random features of ``count`` paintings."""
    return {
        tap: moments(
            spread * torch.randn(count, channels, 12, 12).relu() + torch.rand(count, 1, 1, 1)
        )
        for tap, channels in zip(TAPS, TINY.channels, strict=True)
    }


def flat(values: Tensor) -> TapMoments:
    """The moments of pictures without any structure.  values: (B,)"""
    return {
        tap: moments(values[:, None, None, None].expand(-1, channels, 33, 33))
        for tap, channels in zip(TAPS, TINY.channels, strict=True)
    }


# --- what is looked at ---


def test_one_number_for_each_statistic() -> None:
    assert described(looks(3)).shape == (3, COUNT)
    assert MomentsPredictor(TINY.channels).centre.shape == (COUNT,)


@pytest.mark.parametrize("name", SHAPES)
def test_every_encoder_fits(name: str) -> None:
    """The inputs that the network counts are those that it is given."""
    shape = SHAPES[name]
    black = {
        tap: Moments(torch.zeros(1, c), torch.zeros(1, c, c))
        for tap, c in zip(TAPS, shape.channels, strict=True)
    }
    with torch.device("meta"):
        predictor = MomentsPredictor(shape.channels)
    assert described(black).shape == (1, len(predictor.centre))


def test_roots_of_means_and_deviations_by_hand() -> None:
    """Mean 9, variances 16 and 1, covariance 2: correlation 1/2."""
    covariance = torch.tensor([[[16.0, 2.0], [2.0, 1.0]]])
    values = described({tap: about_mean(torch.tensor([[9.0, 0.25]]), covariance) for tap in TAPS})
    plain, pairs = [3, 0.5, 2, 1], [1, 0.5, 1]
    expected = torch.tensor([[*plain, *pairs] * 2 + plain * 3])
    torch.testing.assert_close(values, expected)


@given(gain=st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_correlations_do_not_depend_on_contrast(gain: float) -> None:
    torch.manual_seed(0)
    features = {tap: torch.rand(1, c, 9, 9) for tap, c in zip(TAPS, TINY.channels, strict=True)}
    once = described({tap: moments(f) for tap, f in features.items()})
    louder = described({tap: moments(gain * f) for tap, f in features.items()})
    pairs = slice(2 * 4, 2 * 4 + 10)
    torch.testing.assert_close(once[:, pairs], louder[:, pairs], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gain**0.5 * once[:, :8], louder[:, :8], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, 2.9])
def test_flat_pictures_are_described_in_bounds(value: float) -> None:
    """No channel varies, so what is left of a covariance is rounding and says nothing."""
    values = described(flat(torch.tensor([value])))
    assert values.isfinite().all()
    assert values.abs().max() <= max(1, value**0.5) + 1e-3


def test_a_mean_below_zero_is_none() -> None:
    """Features follow a ReLU; what averaging tiles leaves below zero is rounding."""
    m = {tap: about_mean(torch.full((1, 2), -1e-7), torch.eye(2)[None]) for tap in TAPS}
    assert described(m).isfinite().all()


def test_of_a_real_encoder(encoder: Encoder, painting: Tensor, photo: Tensor) -> None:
    first, second = (
        described({tap: moments(f) for tap, f in encoder(image, TAPS).items()})
        for image in (painting, photo)
    )
    assert first.shape == (1, COUNT)
    assert first.isfinite().all()
    assert (first - second).abs().max() > 0.05


# --- the embedding ---


def test_measured_inputs_are_standardised() -> None:
    predictor, seen = MomentsPredictor(TINY.channels), looks(200)
    predictor.measure(seen)
    values = (described(seen) - predictor.centre) / predictor.spread
    torch.testing.assert_close(values.mean(0), torch.zeros(COUNT), rtol=0, atol=1e-2)
    deviations = values.std(0)
    varying = predictor.spread > 1e-3  # a channel's correlation with itself is always one
    assert varying.sum() == COUNT - 4 - 6
    torch.testing.assert_close(deviations[varying], torch.ones(int(varying.sum())))
    assert (deviations[~varying] <= 1).all()


def test_the_embedding() -> None:
    predictor = MomentsPredictor(TINY.channels)
    predictor.measure(looks(50))
    embedding = predictor(looks(3))
    assert (embedding.shape, embedding.dtype) == ((3, EMBEDDING), torch.float32)
    assert 0.3 < embedding.std() < 3  # about one, whatever the width


def test_each_painting_by_itself() -> None:
    predictor, many = MomentsPredictor(TINY.channels), looks(3)
    predictor.measure(many)
    second = {tap: Moments(m.mean[1:2], m.second[1:2]) for tap, m in many.items()}
    torch.testing.assert_close(predictor(many)[1:2], predictor(second))


def test_what_was_never_seen_does_not_run_away() -> None:
    """Standardised inputs end at five deviations."""
    predictor = MomentsPredictor(TINY.channels)
    predictor.measure(looks(50))
    usual = predictor(looks(20)).std()
    for odd in (looks(4, spread=1e4), flat(torch.tensor([0.0, 0.5]))):
        embedding = predictor(odd)
        assert embedding.isfinite().all()
        assert embedding.std() < 6 * usual


def test_the_embedding_is_float32_in_half_precision() -> None:
    predictor, seen = MomentsPredictor(TINY.channels), looks(2)
    predictor.measure(looks(20))
    with torch.autocast("cpu", torch.bfloat16):
        embedding = predictor(seen)
    assert torch.equal(embedding, predictor(seen))


def test_what_was_measured_is_kept_with_the_weights() -> None:
    predictor, again = MomentsPredictor(TINY.channels), MomentsPredictor(TINY.channels)
    predictor.measure(looks(20))
    again.load_state_dict(predictor.state_dict())
    seen = looks(2)
    assert torch.equal(predictor(seen), again(seen))


# --- the row ---


def test_at_the_start_every_style_is_nearly_neutral() -> None:
    network = Transformer(0.125, conditional=EXPANSION)
    head = Head(network.neutral())
    row = head(torch.randn(20, EMBEDDING))
    assert row.shape == (20, network.row_size)
    away = row - network.neutral()
    assert 0.05 < away.std() < 0.2
    assert torch.equal(head(torch.zeros(1, EMBEDDING))[0], network.neutral())


def test_the_row_is_linear_in_the_embedding() -> None:
    """Styles mixed as embeddings are styles mixed as rows."""
    head = Head(torch.randn(12))
    a, b = torch.randn(2, 1, EMBEDDING)
    torch.testing.assert_close(head(a.lerp(b, 0.3)), head(a).lerp(head(b), 0.3))


def test_the_row_is_float32_in_half_precision() -> None:
    head, embedding = Head(torch.ones(12)), torch.randn(2, EMBEDDING)
    with torch.autocast("cpu", torch.bfloat16):
        row = head(embedding.bfloat16().float())
    assert torch.equal(row, head(embedding.bfloat16().float()))


def test_the_neutral_row_does_not_learn() -> None:
    neutral = torch.ones(5)
    head = Head(neutral)
    assert "neutral" not in dict(head.named_parameters())
    neutral.zero_()
    assert head.neutral.tolist() == [1] * 5


def test_gradients_flow_from_the_row_to_the_first_layer() -> None:
    predictor, head = MomentsPredictor(TINY.channels), Head(torch.ones(10))
    predictor.measure(looks(20))
    head(predictor(looks(4))).square().sum().backward()
    for name, weight in (*predictor.named_parameters(), *head.named_parameters()):
        assert weight.grad is not None, name
        assert weight.grad.any(), name


# --- equalised layers ---


@pytest.mark.parametrize(("inputs", "gain"), [(10, 1.0), (1000, 1.0), (1000, 0.1)])
def test_weights_are_of_size_one_and_outputs_of_size_gain(inputs: int, gain: float) -> None:
    layer = Equalised(inputs, 400, gain)
    torch.testing.assert_close(layer.weight.std(), torch.tensor(1.0), rtol=0.05, atol=0)
    assert not layer.bias.any()
    out = layer(torch.randn(500, inputs))
    torch.testing.assert_close(out.std(), torch.tensor(gain), rtol=0.1, atol=0)


def test_an_equalised_layer_by_hand() -> None:
    layer = Equalised(4, 1, gain=3.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        layer.bias.fill_(0.5)
    assert layer(torch.ones(1, 4)).item() == 10 * 3 / 2 + 0.5


def test_a_hidden_layer_keeps_the_size_of_what_it_is_given() -> None:
    """The gain makes up for the half that a ReLU cuts off."""
    hidden = torch.relu(Equalised(300, HIDDEN, math.sqrt(2))(torch.randn(200, 300)))
    torch.testing.assert_close(hidden.square().mean(), torch.tensor(1.0), rtol=0.1, atol=0)
