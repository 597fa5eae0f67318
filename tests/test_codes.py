"""Codes: weighted means tensor by tensor, the right size for the canvas, the right part of it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.codes import Code, Region, at, blend, coverage, for_canvas, inner, mosaic, near_sizes
from impasto.errors import BadInput

SIZES = (128, 256, 512, 1024)


def code(value: float, *names: str) -> Code:
    return {name: torch.full((1, 2), value) for name in names or ("a",)}


def half(height: int = 4, width: int = 6, left: bool = True) -> Tensor:
    """1 on one half of the picture, 0 on the other."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., : width // 2] = 1
    return mask if left else 1 - mask


# --- blending ---


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


# --- sizes ---


@pytest.mark.parametrize("size", SIZES)
def test_a_size_that_is_there_is_taken_alone(size: int) -> None:
    assert near_sizes(size, SIZES) == [(size, 1.0)]


@pytest.mark.parametrize(("size", "end"), [(1, 128), (127.9, 128), (1025, 1024), (1e5, 1024)])
def test_beyond_the_ends_the_ends_are_taken(size: float, end: int) -> None:
    assert near_sizes(size, SIZES) == [(end, 1.0)]


def test_half_way_in_the_logarithm() -> None:
    """Doubling is one step: half of it is the square root of two."""
    (lower, a), (upper, b) = near_sizes(256 * math.sqrt(2), SIZES)
    assert (lower, upper) == (256, 512)
    assert a == pytest.approx(0.5)
    assert b == pytest.approx(0.5)


@given(size=st.floats(1, 5000))
@settings(max_examples=50, deadline=None)
def test_shares_say_where_a_size_lies(size: float) -> None:
    """They sum to one, and their mean in the logarithm is the size itself."""
    near = near_sizes(size, reversed(SIZES))
    assert sum(share for _, share in near) == pytest.approx(1)
    assert all(0 <= share <= 1 for _, share in near)
    mean = sum(share * math.log(at_size) for at_size, share in near)
    assert mean == pytest.approx(math.log(min(max(size, SIZES[0]), SIZES[-1])))


def test_one_size_serves_all() -> None:
    """A small painting was looked at once only."""
    assert all(near_sizes(size, [128]) == [(128, 1.0)] for size in (1, 128, 4000))


SIZED = {f"{size}/{name}": torch.full((1, 2), float(size)) for size in SIZES for name in "ab"}


def test_the_code_of_a_size_loses_its_prefix() -> None:
    assert {name: t[0, 0].item() for name, t in at(SIZED, 512).items()} == {"a": 512, "b": 512}


def test_names_may_have_several_parts() -> None:
    assert at({"64/mean/relu4_1": torch.ones(1, 2)}, 64).keys() == {"mean/relu4_1"}


def test_the_code_of_a_layer() -> None:
    layers = {f"{tap}/{part}": torch.rand(1, 2) for tap in ("relu1_1", "relu4_1") for part in "ab"}
    assert inner(layers, "relu4_1") == {part: layers[f"relu4_1/{part}"] for part in "ab"}
    assert inner(layers, "relu4") == inner({}, "relu4_1") == {}


def test_the_code_of_a_method_within_a_method() -> None:
    """Its name goes and all else stays: the size before it, and what lies deeper."""
    names = ("512/start/mean", "512/start/finish/mean", "512/mean", "256/start/mean")
    found = inner({name: torch.rand(1, 2) for name in names}, "start")
    assert set(found) == {"512/mean", "512/finish/mean", "256/mean"}
    assert set(inner(found, "finish")) == {"512/mean"}


def test_the_inner_code_and_the_size_in_any_order() -> None:
    sized = {f"{size}/start/{part}": torch.rand(1, 2) for size in SIZES for part in "ab"}
    first, then = inner(at(sized, 300), "start"), at(inner(sized, "start"), 300)
    assert all(torch.equal(first[part], then[part]) for part in "ab")


@pytest.mark.parametrize(("size", "value"), [(20, 128), (362, 384), (9000, 1024)])
def test_the_code_between_two_sizes(size: int, value: float) -> None:
    """362 is half way from 256 to 512; beyond the ends nothing is extrapolated."""
    assert at(SIZED, size)["b"][0, 0].item() == pytest.approx(value, abs=0.2)


def test_codes_of_other_sizes_blend_as_codes_of_one() -> None:
    """First blended, then brought to the canvas, or the other way round: the same code."""
    other = {key: tensor.square() for key, tensor in SIZED.items()}
    first = at(blend([SIZED, other], [1, 2]), 300)
    then = blend([at(SIZED, 300), at(other, 300)], [1, 2])
    assert all(torch.allclose(first[name], then[name]) for name in "ab")


@pytest.mark.parametrize("shape", [(1, 3, 512, 100), (2, 3, 40, 512)])
def test_regions_come_to_the_long_side_of_the_canvas(shape: tuple[int, ...]) -> None:
    mask = half()
    plain, masked = for_canvas([Region(SIZED), Region(SIZED, mask)], torch.zeros(shape))
    for region in (plain, masked):
        assert {name: t[0, 0].item() for name, t in region.code.items()} == {"a": 512, "b": 512}
    assert plain.mask is None
    assert masked.mask is mask


# --- regions ---


def test_a_mask_comes_to_the_size_of_the_features() -> None:
    """Halving takes means: a pixel picked here and there would lose thin parts."""
    checks = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).repeat(3, 5)[None, None]
    mask = Region({}, checks).mask_like(torch.zeros(2, 7, 3, 5))
    assert mask is not None
    assert mask.tolist() == torch.full((1, 1, 3, 5), 0.25).tolist()
    assert Region({}).mask_like(torch.zeros(2, 7, 3, 5)) is None


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (11, 7), (64, 64)])
def test_a_mask_of_any_size_stays_a_mask(size: tuple[int, int]) -> None:
    mask = Region({}, torch.rand(1, 1, 8, 9)).mask_like(torch.zeros(1, 4, *size))
    assert mask is not None
    assert mask.shape == (1, 1, *size)
    assert 0 <= mask.min() <= mask.max() <= 1


def test_coverage_is_the_sum_of_the_masks() -> None:
    like = torch.zeros(2, 3, 4, 6)
    shares = [Region({}, half() * 0.25), Region({}, half() * 0.5), Region({}, half(left=False))]
    covered = coverage(shares, like)
    assert isinstance(covered, Tensor)
    assert covered.tolist() == (half() * 0.75 + half(left=False)).tolist()


def test_coverage_is_never_more_than_all() -> None:
    """Masks are rounded: what is painted 100.4 % would take the photo away once too often."""
    covered = coverage(
        [Region({}, half() * 0.7), Region({}, half() * 0.5)], torch.zeros(1, 3, 4, 6)
    )
    assert isinstance(covered, Tensor)
    assert covered.tolist() == half().tolist()


def test_without_a_mask_everything_is_covered() -> None:
    assert coverage([Region({})], torch.zeros(1, 3, 4, 6)) == 1


def shift(features: Tensor, code: Code, mask: Tensor | None) -> Tensor:
    """A transform with a known answer."""
    return features + code["a"][:, :, None, None]


def test_a_region_without_mask_is_the_transform() -> None:
    features = torch.randn(2, 2, 4, 6)
    got = mosaic(features, [Region(code(3))], shift)
    torch.testing.assert_close(got, features + 3)


def test_a_full_mask_is_no_mask() -> None:
    features = torch.randn(2, 2, 4, 6)
    got = mosaic(features, [Region(code(3), torch.ones(1, 1, 9, 9))], shift)
    torch.testing.assert_close(got, features + 3)


def test_every_region_takes_its_own_code() -> None:
    features = torch.randn(1, 2, 4, 6)
    got = mosaic(features, [Region(code(3), half()), Region(code(-5), half(left=False))], shift)
    torch.testing.assert_close(got, features + 3 * half() - 5 * half(left=False))


def test_what_no_mask_covers_is_kept() -> None:
    features = torch.randn(1, 2, 4, 6)
    got = mosaic(features, [Region(code(3), half())], shift)
    assert torch.equal(got[..., 3:], features[..., 3:])
    torch.testing.assert_close(got[..., :3], features[..., :3] + 3)
    empty = mosaic(features, [Region(code(3), torch.zeros(1, 1, 4, 6))], shift)
    assert torch.equal(empty, features)


def test_soft_masks_mix() -> None:
    """A quarter of one, a half of the other, a quarter of what was there."""
    features = torch.randn(1, 2, 4, 6)
    regions = [Region(code(4), half() * 0.25), Region(code(-8), half() * 0.5)]
    got = mosaic(features, regions, shift)
    torch.testing.assert_close(got, features + half() * (4 * 0.25 - 8 * 0.5))


def test_the_transform_is_told_where_to_look() -> None:
    """Statistics under the mask, at the size of the features; the features are whole."""
    features, seen = torch.randn(1, 2, 2, 3), list[tuple[Tensor, Tensor | None]]()

    def look(features: Tensor, code: Code, mask: Tensor | None) -> Tensor:
        seen.append((features, mask))
        return features

    mosaic(features, [Region(code(1), half(8, 12)), Region(code(1), half(8, 12, False))], look)
    for (whole, mask), expected in zip(seen, (half(2, 3), 1 - half(2, 3)), strict=True):
        assert torch.equal(whole, features)
        assert mask is not None
        assert mask.shape == (1, 1, 2, 3)
        assert mask[..., 0].tolist() == expected[..., 0].tolist()
        assert mask[..., 1].tolist() == [[[0.5, 0.5]]]


def test_a_mosaic_is_float32_and_leaves_its_features_alone() -> None:
    """Statistics of half precision are not good enough to be inverted."""
    features = torch.randn(1, 2, 4, 6).bfloat16()
    before = features.clone()
    assert mosaic(features, [Region(code(3), half())], shift).dtype == torch.float32
    assert torch.equal(features, before)


def test_masks_that_leave_nothing_out_cover_all() -> None:
    """Then nothing of the photo has to be worked out, and no second decode."""
    half = torch.full((1, 1, 4, 6), 0.5)
    like = torch.zeros(1, 3, 4, 6)
    covered = coverage([Region({}, half), Region({}, half)], like)
    assert isinstance(covered, float) and covered == 1
    assert isinstance(coverage([Region({}, half)], like), torch.Tensor)
