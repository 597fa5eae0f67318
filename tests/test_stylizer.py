"""Blending codes: a weighted mean, tensor by tensor."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.codes import Code, blend
from impasto.errors import BadInput


def code(value: float, *names: str) -> Code:
    return {name: torch.full((1, 2), value) for name in names or ("a",)}


def test_blend_of_one_is_itself() -> None:
    """Whatever its weight: only the shares count."""
    one = {"a": torch.rand(1, 3, 3), "b": torch.rand(1, 3)}
    for weight in (1.0, 0.3, -2.0):
        blended = blend([one], [weight])
        assert blended.keys() == one.keys()
        assert all(torch.equal(blended[name], one[name]) for name in one)


def test_known_mean() -> None:
    """1 : 3 of 0 and 4 is 3, whether the weights sum to one or not."""
    for weights in ([1, 3], [0.25, 0.75], [100, 300]):
        assert blend([code(0), code(4)], weights)["a"].tolist() == [[3, 3]]


def test_negative_weights_lead_away() -> None:
    assert blend([code(1), code(4)], [-1, 2])["a"].tolist() == [[7, 7]]


@given(
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=5),
    weight=st.floats(0.01, 100),
)
@settings(max_examples=30, deadline=None)
def test_equal_weights_are_the_mean(values: list[float], weight: float) -> None:
    blended = blend([code(v) for v in values], [weight] * len(values))
    assert blended["a"][0, 0].item() == pytest.approx(sum(values) / len(values), abs=1e-4)


def test_the_order_does_not_matter() -> None:
    forth = blend([code(1), code(2), code(4)], [1, 2, 3])["a"]
    back = blend([code(4), code(2), code(1)], [3, 2, 1])["a"]
    torch.testing.assert_close(forth, back)


def test_codes_are_left_alone() -> None:
    """An encoded style is used again for the next picture."""
    first, second = code(1), code(3)
    blend([first, second], [1, 1])
    assert (first["a"][0, 0].item(), second["a"][0, 0].item()) == (1, 3)


def test_every_tensor_is_blended() -> None:
    blended = blend([code(1, "a", "b"), code(4, "a", "b")], [1, 2])
    assert {name: t[0, 0].item() for name, t in blended.items()} == {"a": 3, "b": 3}


def test_a_blend_of_nothing() -> None:
    with pytest.raises(BadInput):
        blend([], [])


@pytest.mark.parametrize("weights", [[0, 0], [1, -1]])
def test_weights_that_cancel(weights: list[float]) -> None:
    with pytest.raises(BadInput, match="sum to zero: raise one of them"):
        blend([code(1), code(2)], weights)


def test_one_weight_for_each_code() -> None:
    """A missing weight must not silently drop a style."""
    with pytest.raises(BadInput, match="2 styles but 1 weights: give one for each"):
        blend([code(1), code(2)], [1])
