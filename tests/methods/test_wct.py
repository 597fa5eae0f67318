"""WCT: mean and covariance of the features become the style's, as far as the photo can carry it."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.codes import Code, Region, at, blend, mosaic
from impasto.errors import BadInput, MissingWeights
from impasto.methods.wct import Config, Wct, roots, whitened_and_colored
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Step

C = 12
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def statistics(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and covariance in double precision.  (1, C, H, W)  ->  (C,), (C, C)"""
    rows = features.double().flatten(2)[0]
    weight = torch.ones_like(rows[:1]) if mask is None else mask.double().flatten(2)[0]
    weight = weight / weight.sum()
    mean = (rows * weight).sum(1, keepdim=True)
    return mean[:, 0], ((rows - mean) * weight) @ (rows - mean).mT


def code(channels: int = C, seed: int = 0) -> Code:
    """A style of full rank; any root of a covariance will do."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(1, channels, generator=generator) + 1
    return {"mean": mean, "color": torch.randn(1, channels, channels, generator=generator)}


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def off(got: Tensor, wanted: Tensor) -> float:
    """Relative error, Frobenius."""
    return float((got - wanted).norm() / wanted.norm())


def assert_has(features: Tensor, code: Code, mask: Tensor | None = None) -> None:
    """The features have the code's mean and covariance, within 1e-3."""
    mean, covariance = statistics(features, mask)
    color = code["color"][0].double()
    assert off(mean, code["mean"][0].double()) < 1e-3
    assert off(covariance, color @ color.mT) < 1e-3


def span(features: Tensor) -> Tensor:
    """The projector on the directions in which features differ.  (1, C, H, W)  ->  (C, C)"""
    values, vectors = torch.linalg.eigh(statistics(features)[1])
    used = vectors[:, values > 1e-6 * values.max().clamp_min(1e-6)]
    return used @ used.mT


# --- the equations ---


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_independent_features(offset: float) -> None:
    assert_has(whitened_and_colored(noise(1, C, 20, 20) + offset, code()), code())


@pytest.mark.parametrize("spread", [1.0, 1.5, 2.0])
def test_correlated_features(spread: float) -> None:
    """Deviations of the main axes from 1 down to a hundredth, about a mean as ReLUs have it."""
    axes = torch.linalg.qr(noise(C, C, seed=1)).Q @ torch.diag(torch.logspace(0, -spread, C))
    features = torch.einsum("dc,bchw->bdhw", axes, noise(1, C, 30, 30)) + 3
    assert_has(whitened_and_colored(features, code()), code())


def test_masked_features() -> None:
    """Weighted by a soft mask; what lies outside moves along, and counts for nothing."""
    features, mask = noise(1, C, 20, 24) * 2 + 1, torch.rand(1, 1, 20, 24)
    mask[..., :6] = 0
    painted = whitened_and_colored(features, code(), mask)
    assert_has(painted, code(), mask)
    features[..., :6] += 100
    again = whitened_and_colored(features, code(), mask)
    torch.testing.assert_close(again[..., 6:], painted[..., 6:], rtol=1e-3, atol=1e-3)


def test_each_picture_of_a_batch_is_whitened_alone() -> None:
    pair = torch.cat([noise(1, C, 9, 9), noise(1, C, 9, 9, seed=4) * 7 - 2])
    for part in whitened_and_colored(pair, code()).split(1):
        assert_has(part, code())


def test_known_answer() -> None:
    """A deviation of 2 about 5 becomes one of 3 about 1: 3 and 7 become -2 and 4."""
    features = torch.tensor([3.0, 7.0]).reshape(1, 1, 1, 2)
    wanted = {"mean": torch.tensor([[1.0]]), "color": torch.tensor([[[3.0]]])}
    painted = whitened_and_colored(features, wanted).flatten()
    torch.testing.assert_close(painted, torch.tensor([-2.0, 4.0]))


def test_its_own_statistics_change_nothing() -> None:
    """The symmetric root: colouring is the way back of whitening, not another rotation."""
    features = noise(1, C, 20, 20) + 1
    mean, covariance = (part[None].float() for part in statistics(features))
    painted = whitened_and_colored(features, {"mean": mean, "color": roots(covariance)[0]})
    torch.testing.assert_close(painted, features, rtol=1e-3, atol=1e-3)


@given(positions=st.integers(2, C), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_fewer_positions_than_channels(positions: int, seed: int) -> None:
    """A photo with few features has few directions: in those it is the style, elsewhere nothing."""
    features = noise(1, C, 1, positions, seed=seed) + 1
    painted = whitened_and_colored(features, code())
    mean, covariance = statistics(painted)
    color = code()["color"][0].double()
    values = torch.linalg.eigvalsh(statistics(features)[1])
    if values[-(positions - 1)] > 1e-4 * values[-1]:  # above the floor
        assert off(covariance, color @ span(features) @ color.mT) < 1e-2
    assert off(mean, code()["mean"][0].double()) < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (20, 20)])
@pytest.mark.parametrize("value", [0.0, 0.7, 60.0])
def test_flat_features_become_the_mean(size: tuple[int, int], value: float) -> None:
    """Rounding is all that differs: divided by its own deviation it would be a pattern."""
    features = (noise(1, C, 1, 1).abs() * value).expand(1, C, *size)
    painted = whitened_and_colored(features, code())
    expected = code()["mean"][..., None, None].expand_as(painted)
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-2)


def test_a_flat_part_is_flat_too() -> None:
    """A mask over blue sky; the rest of the photo is anything but."""
    features, mask = noise(1, C, 8, 8) * 5, torch.zeros(1, 1, 8, 8)
    features[..., :4, :] = noise(1, C, 1, 1, seed=1)
    mask[..., :4, :] = 1
    painted = whitened_and_colored(features, code(), mask)[..., :4, :]
    expected = code()["mean"][..., None, None].expand_as(painted)
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-2)


def test_an_empty_mask_gives_no_nan() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    assert whitened_and_colored(noise(1, C, 4, 4), code(), mask).isfinite().all()


def test_half_precision_is_computed_in_float32() -> None:
    painted = whitened_and_colored(noise(1, C, 20, 20).bfloat16(), code())
    assert painted.dtype == torch.float32
    assert_has(painted, code())


@given(weight=st.floats(-1, 2))
@settings(max_examples=15, deadline=None)
def test_a_blend_of_codes_is_the_mean_of_coloured_features(weight: float) -> None:
    """As the paper mixes styles, at the cost of one; beyond both ends too."""
    features, shares = noise(1, C, 9, 9), (1 - weight, weight)
    codes = [code(seed=1), code(seed=2)]
    mixed = whitened_and_colored(features, blend(codes, shares))
    parts = [whitened_and_colored(features, c) * w for c, w in zip(codes, shares, strict=True)]
    torch.testing.assert_close(mixed, parts[0] + parts[1], rtol=1e-3, atol=1e-4)


def test_each_region_has_its_own_statistics() -> None:
    features, mask = noise(1, C, 12, 20), torch.zeros(1, 1, 12, 20)
    mask[..., :8] = 1
    regions = [Region(code(seed=1), mask), Region(code(seed=2), 1 - mask)]
    painted = mosaic(features, regions, whitened_and_colored)
    assert_has(painted[..., :8], code(seed=1))
    assert_has(painted[..., 8:], code(seed=2))


# --- what keeps whitening tame ---

WHITE = {"mean": torch.zeros(1, 2), "color": torch.eye(2)[None]}


def pair(first: float, second: float) -> Tensor:
    """Two independent channels with these deviations about 0.  ->  (1, 2, 2, 2)"""
    signs = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]], [[1.0, -1.0], [1.0, -1.0]]])
    return (signs * torch.tensor([first, second]).reshape(2, 1, 1))[None]


@pytest.mark.parametrize(("floor", "expected"), [(1e-6, 1.0), (0.01, 0.1), (1.0, 0.01)])
def test_the_floor_bounds_the_gain(floor: float, expected: float) -> None:
    """Deviations 10 and 0.1: eigenvalues 100 and 0.01, which count as at least 100 x floor."""
    painted = whitened_and_colored(pair(10, 0.1), WHITE, config=Config(floor=floor))
    torch.testing.assert_close(painted.abs()[0, :, 0, 0], torch.tensor([1.0, expected]))


def test_shrinkage_one_whitens_channel_by_channel() -> None:
    """Every channel has variance 1, correlations are left as they were: AdaIN, in fact."""
    mix = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    features = torch.einsum("dc,bchw->bdhw", mix, noise(1, 2, 20, 20)) * 3 + 1
    painted = whitened_and_colored(features, WHITE, config=Config(shrinkage=1.0))
    mean, covariance = statistics(features)
    deviation = covariance.diagonal().sqrt()
    expected = (features[0].double() - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(painted[0].double(), expected, rtol=1e-3, atol=1e-3)


def test_shrinkage_between_leaves_some_correlation() -> None:
    mix = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    features = torch.einsum("dc,bchw->bdhw", mix, noise(1, 2, 20, 20))
    left = [
        statistics(whitened_and_colored(features, WHITE, config=Config(shrinkage=s)))[1][0, 1]
        for s in QUARTERS
    ]
    assert left[0].abs() < 1e-4
    assert all(a < b for a, b in pairwise(left))


# --- roots ---


def covariances(count: int, channels: int, rank: int) -> Tensor:
    factors = noise(count, channels, rank)
    return factors @ factors.mT


def test_the_root_is_a_root() -> None:
    covariance = covariances(3, 6, 20)
    root, inverse = roots(covariance)
    torch.testing.assert_close(root @ root, covariance, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(root, root.mT, rtol=1e-4, atol=1e-5)
    assert (torch.linalg.eigvalsh(root) > 0).all()
    torch.testing.assert_close(root @ inverse, torch.eye(6).expand(3, 6, 6), rtol=0, atol=1e-3)


def test_roots_by_hand() -> None:
    """Eigenvalues 1 and 9 along the diagonals of the plane."""
    root, inverse = roots(torch.tensor([[[5.0, 4.0], [4.0, 5.0]]]))
    torch.testing.assert_close(root, torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]))
    torch.testing.assert_close(inverse, torch.tensor([[[2.0, -1.0], [-1.0, 2.0]]]) / 3)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_roots_of_what_has_no_inverse(rank: int) -> None:
    """Zeros, and what rounding leaves below zero, give neither NaN nor infinity."""
    covariance = covariances(2, 6, rank) - 1e-8 * torch.eye(6)
    root, inverse = roots(covariance, 1e-5)
    assert root.isfinite().all()
    assert inverse.isfinite().all()
    torch.testing.assert_close(root @ root, covariance, rtol=1e-3, atol=1e-3)


def test_the_floor_bounds_the_inverse() -> None:
    _, inverse = roots(torch.diag_embed(torch.tensor([[4.0, 1e-9]])), 0.01)
    torch.testing.assert_close(inverse.diagonal(dim1=1, dim2=2), torch.tensor([[0.5, 5.0]]))


# --- the method ---


@pytest.fixture
def style(encoder: Encoder, painting: Tensor) -> Style:
    return Style.of(painting, encoder)


@pytest.fixture
def make(encoder: Encoder, machine: Runtime, decoders: None) -> "type[Maker]":
    Maker.encoder, Maker.machine = encoder, machine
    return Maker


class Maker:
    """Makes the method with settings of a Recipe."""

    encoder: Encoder
    machine: Runtime

    @classmethod
    def of(cls, **settings: object) -> Wct:
        recipe = Recipe.model_validate({"method": "wct", "encoder": "tiny", **settings})
        return Wct.create(cls.encoder, cls.machine, recipe)


def ran(method: Wct) -> list[str]:
    """A list that fills with the taps whose decoders are called."""
    taps: list[str] = []
    for tap, decoder in method.decoders.items():
        decoder.register_forward_hook(lambda *_, tap=tap: taps.append(tap))
    return taps


def paint(method: Wct, photo: Tensor, style: Style, strength: float | None = 1.0) -> Tensor:
    return method.stylize(photo, method.encode(style), strength)


def test_the_code_holds_means_and_roots_of_the_style(make: type[Maker], style: Style) -> None:
    code = make.of().encode(style)
    parts = {f"{size}/{part}/{tap}" for size in SIZES for part in ("mean", "color") for tap in TAPS}
    assert code.keys() == parts
    expected = style.at(512)["relu3_1"]
    torch.testing.assert_close(code["512/mean/relu3_1"], expected.mean)
    root = code["512/color/relu3_1"]
    torch.testing.assert_close(root @ root, expected.covariance(), rtol=1e-3, atol=1e-4)


def test_a_style_seen_at_half_its_size_has_smaller_strokes(make: type[Maker], style: Style) -> None:
    """Twice the scale: what belongs to 512 px is used at 256 px already."""
    method = make.of(levels=2)
    plain, larger = method.encode(style), method.encode(style, 2.0)
    torch.testing.assert_close(dict(at(larger, 256)), dict(at(plain, 512)))


def test_from_deep_to_shallow(make: type[Maker], photo: Tensor, style: Style) -> None:
    """Coarse shapes first: the other way round they would wipe out what is fine."""
    method, steps = make.of(), list[Step]()
    taps = ran(method)
    method.stylize(photo, method.encode(style), 1.0, steps.append)
    assert taps == list(reversed(TAPS))
    assert [step.done for step in steps] == [1, 2, 3, 4, 5]
    assert all(step.total == 5 and step.image.shape == photo.shape for step in steps)


@pytest.mark.parametrize("levels", [1, 3])
def test_fewer_levels_begin_less_deep(
    make: type[Maker], photo: Tensor, style: Style, levels: int
) -> None:
    method = make.of(levels=levels)
    taps = ran(method)
    paint(method, photo, style)
    assert taps == list(reversed(TAPS[:levels]))


def test_a_level_of_strength_zero_is_left_out(
    make: type[Maker], photo: Tensor, style: Style
) -> None:
    """Even its decoder, whose errors would come in for nothing."""
    method, steps = make.of(levels=4, level_strengths="1,0,0.5,0"), list[Step]()
    taps = ran(method)
    method.stylize(photo, method.encode(style), 1.0, steps.append)
    assert set(taps) == {"relu4_1", "relu2_1"}
    assert [(step.done, step.total) for step in steps] == [(1, 2), (2, 2)]


def test_no_level_at_all_is_the_photo(make: type[Maker], photo: Tensor, style: Style) -> None:
    torch.testing.assert_close(paint(make.of(levels=2, level_strengths="0,0"), photo, style), photo)


@pytest.mark.parametrize(("levels", "given"), [(5, "1,1"), (2, "1,1,1"), (1, "1,1,1,1,1")])
def test_one_strength_for_each_level(make: type[Maker], levels: int, given: str) -> None:
    count = len(given.split(","))
    with pytest.raises(BadInput, match=f"{levels} levels but {count} level strengths: give one"):
        make.of(levels=levels, level_strengths=given)


def test_strengths_of_levels_and_of_the_whole_are_multiplied(
    make: type[Maker], photo: Tensor, style: Style
) -> None:
    weak = paint(make.of(levels=2, level_strengths="0.5,0.5"), photo, style, 0.8)
    torch.testing.assert_close(weak, paint(make.of(levels=2), photo, style, 0.4))


@pytest.mark.parametrize("settings", [{"floor": 0.5}, {"shrinkage": 1.0}])
def test_settings_of_the_recipe_are_heard(
    make: type[Maker], photo: Tensor, style: Style, settings: dict[str, float]
) -> None:
    plain, other = (paint(make.of(levels=2, **s), photo, style) for s in ({}, settings))
    assert (plain - other).abs().mean() > 1e-4


@pytest.mark.parametrize("tap", TAPS[:3])
def test_the_decoder_gets_the_statistics_of_the_style(
    make: type[Maker], photo: Tensor, style: Style, tap: str
) -> None:
    """At full strength: its mean, and its covariance in every direction that the photo has."""
    level = TAPS.index(tap) + 1
    method = make.of(levels=level, level_strengths=(1,) + (0,) * (level - 1), floor=0)
    seen: list[Tensor] = []
    method.decoders[tap].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    code = at(method.encode(style), max(photo.shape[-2:]))
    paint(method, photo, style)
    mean, covariance = statistics(seen[0])
    color = code[f"color/{tap}"][0].double()
    projector = span(method.encoder(photo, (tap,))[tap])
    torch.testing.assert_close(mean, code[f"mean/{tap}"][0].double(), rtol=1e-3, atol=1e-3)
    assert off(covariance, color @ projector @ color.mT) < 1e-2


def test_more_strength_leads_further(make: type[Maker], photo: Tensor, style: Style) -> None:
    """One level: random decoders in a row end in black and white, however weak."""
    method = make.of(levels=1)
    away = [float((paint(method, photo, style, s) - photo).norm()) for s in QUARTERS]
    assert away[0] == 0
    assert all(a < b for a, b in pairwise(away))


@pytest.mark.parametrize("levels", [1, 5])
def test_the_least_strength_is_nearly_the_photo(
    make: type[Maker], photo: Tensor, style: Style, levels: int
) -> None:
    """Strength 0 is the photo, not the autoencoders' copy of it: there is no jump behind it."""
    painted = paint(make.of(levels=levels), photo, style, 1e-6)
    torch.testing.assert_close(painted, photo, atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (16, 17)])
@pytest.mark.parametrize("strengths", ["1", "1,0,0", "1,0,0,0"])
def test_constant_pictures_stay_even(
    make: type[Maker], style: Style, size: tuple[int, int], strengths: str
) -> None:
    """A grey wall has no texture to be repainted: a level makes nothing out of rounding."""
    method = make.of(levels=len(strengths.split(",")), level_strengths=strengths)
    painted = paint(method, torch.full((1, 3, *size), 0.7), style)
    torch.testing.assert_close(painted, painted[:, :, :1, :1].expand_as(painted), atol=0.02, rtol=0)


# --- regions ---


def left(photo: Tensor, share: float = 0.5) -> Tensor:
    mask = torch.zeros(1, 1, *photo.shape[-2:])
    mask[..., : round(photo.shape[3] * share)] = 1
    return mask


def test_a_full_mask_is_no_mask(make: type[Maker], photo: Tensor, style: Style) -> None:
    method = make.of()
    code = method.encode(style)
    painted = method.stylize(photo, [Region(code, torch.ones(1, 1, 7, 9))], 0.7)
    expected = method.stylize(photo, code, 0.7)
    torch.testing.assert_close(painted, expected, atol=1e-2, rtol=0)


def test_an_empty_mask_is_the_photo(make: type[Maker], photo: Tensor, style: Style) -> None:
    method = make.of()
    painted = method.stylize(photo, [Region(method.encode(style), torch.zeros(1, 1, 7, 9))])
    torch.testing.assert_close(painted, photo, atol=1e-4, rtol=0)


def test_far_from_the_mask_the_photo_is_kept(make: type[Maker], style: Style) -> None:
    photo, method = torch.rand(1, 3, 32, 160), make.of(levels=3)
    painted = method.stylize(photo, [Region(method.encode(style), left(photo, 0.25))])
    torch.testing.assert_close(painted[..., 100:], photo[..., 100:], atol=1e-4, rtol=0)
    assert (painted - photo)[..., :40].abs().mean() > 1e-2


def test_inside_its_mask_a_region_does_not_see_the_others(
    make: type[Maker], style: Style, encoder: Encoder
) -> None:
    """One level, so that statistics are all that could carry a neighbour's style so far."""
    photo, method = torch.rand(1, 3, 32, 160), make.of(levels=3, level_strengths="1,0,0")
    code, mask = method.encode(style), left(photo)
    others = [method.encode(Style.of(torch.rand(1, 3, 64, 64) * s, encoder)) for s in (0.2, 1.0)]
    painted = [
        method.stylize(photo, [Region(code, mask), Region(other, 1 - mask)]) for other in others
    ]
    torch.testing.assert_close(painted[0][..., :40], painted[1][..., :40], atol=1e-4, rtol=0)
    assert (painted[0] - painted[1])[..., 120:].abs().mean() > 1e-3


def test_decoders_have_to_be_there(home: Path, encoder: Encoder, machine: Runtime) -> None:
    with pytest.raises(MissingWeights, match=r"recipes/wct-compact\.toml"):
        Wct.create(encoder, machine, Recipe(method="wct", encoder="tiny"))
