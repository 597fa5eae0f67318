"""AdaIN: the features take the code's statistics, whatever they were, and strength is even."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.codes import Code, Region, at, blend, mosaic
from impasto.errors import MissingWeights
from impasto.methods.adain import TAP, Adain, adain
from impasto.moments import EPS, mean_std
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def statistics(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel in double precision.  (B, C, H, W)  ->  (B, C), (B, C)"""
    rows = features.double().flatten(2)
    weight = torch.ones_like(rows[:, :1]) if mask is None else mask.double().flatten(2)
    weight = weight / weight.sum(2, keepdim=True)
    mean = (rows * weight).sum(2, keepdim=True)
    return mean[..., 0], ((rows - mean).square() * weight).sum(2).sqrt()


def code(channels: int, seed: int = 0) -> Code:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(1, channels, generator=generator)
    return {"mean": mean, "std": torch.rand(1, channels, generator=generator) + 0.1}


def assert_has(features: Tensor, code: Code, mask: Tensor | None = None) -> None:
    """The features' statistics are the code's within 1e-4."""
    for got, part in zip(statistics(features, mask), ("mean", "std"), strict=True):
        assert ((got - code[part]).norm(dim=1) < 1e-4 * code[part].norm(dim=1)).all()


# --- the equation ---


def test_known_answer() -> None:
    """1 and 3 have mean 2 and deviation 1; with mean 10 and deviation 5 they are 5 and 15."""
    features = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
    wanted = {"mean": torch.tensor([[10.0]]), "std": torch.tensor([[5.0]])}
    painted = adain(features, wanted)
    torch.testing.assert_close(painted.flatten(), torch.tensor([5.0, 15.0]), rtol=1e-4, atol=0)


@given(
    channels=st.integers(1, 6),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    scale=st.floats(0.5, 100),
    offset=st.floats(-10, 10),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_statistics_become_those_of_the_code(
    channels: int, size: tuple[int, int], scale: float, offset: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, channels, *size, generator=generator)
    features = features / statistics(features)[1][..., None, None].float()  # none nearly flat
    assert_has(adain((features + offset) * scale, code(channels, seed)), code(channels, seed))


def test_masked_statistics_become_those_of_the_code() -> None:
    """Weighted by a soft mask; what lies outside moves along, and counts for nothing."""
    features, mask = torch.randn(2, 5, 8, 6) * 3 + 1, torch.rand(1, 1, 8, 6)
    mask[..., :2] = 0
    painted = adain(features, code(5), mask)
    assert_has(painted, code(5), mask)
    features[..., :2] += 100
    torch.testing.assert_close(adain(features, code(5), mask)[..., 2:], painted[..., 2:])


def test_own_statistics_change_nothing() -> None:
    features = torch.randn(2, 5, 8, 6) * 3 + 1
    mean, std = mean_std(features)
    torch.testing.assert_close(adain(features, {"mean": mean, "std": std}), features)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 4)])
@pytest.mark.parametrize("value", [0.0, 0.7, 60.0])
def test_flat_features_become_the_mean(size: tuple[int, int], value: float) -> None:
    """There is nothing to be scaled: neither NaN nor the noise of rounding blown up."""
    painted = adain(torch.full((1, 5, *size), value), code(5))
    expected = code(5)["mean"][..., None, None].expand_as(painted)
    torch.testing.assert_close(painted, expected, rtol=1e-3, atol=1e-3)


def test_an_empty_mask_gives_no_nan() -> None:
    """A region may vanish at the size of the features."""
    assert adain(torch.randn(1, 5, 4, 4), code(5), torch.zeros(1, 1, 4, 4)).isfinite().all()


def test_half_precision_is_computed_in_float32() -> None:
    painted = adain(torch.randn(1, 5, 8, 8).bfloat16(), code(5))
    assert painted.dtype == torch.float32
    assert_has(painted, code(5))


@given(weight=st.floats(-1, 2))
@settings(max_examples=15, deadline=None)
def test_a_blend_of_codes_is_the_mean_of_outputs(weight: float) -> None:
    """Huang & Belongie 2017, eq. (15), by statistics instead of features; beyond both ends too."""
    features = torch.randn(1, 5, 6, 7, generator=torch.Generator().manual_seed(1))
    first, second, shares = code(5, 1), code(5, 2), (1 - weight, weight)
    mixed = adain(features, blend([first, second], shares))
    parts = [adain(features, part) * w for part, w in zip((first, second), shares, strict=True)]
    torch.testing.assert_close(mixed, parts[0] + parts[1], rtol=1e-4, atol=1e-5)


def test_each_region_has_its_own_statistics() -> None:
    features, mask = torch.randn(1, 5, 6, 8), torch.zeros(1, 1, 6, 8)
    mask[..., :3] = 1
    painted = mosaic(features, [Region(code(5, 1), mask), Region(code(5, 2), 1 - mask)], adain)
    assert_has(painted[..., :3], code(5, 1))
    assert_has(painted[..., 3:], code(5, 2))


# --- the method ---


@pytest.fixture
def style(encoder: Encoder, painting: Tensor) -> Style:
    return Style.of(painting, encoder)


@pytest.fixture
def method(encoder: Encoder, machine: Runtime, decoders: None) -> Adain:
    return Adain.create(encoder, machine, Recipe(method="adain", encoder="tiny"))


def paint(method: Adain, photo: Tensor, style: Style, strength: float = 1.0) -> Tensor:
    return method.stylize(photo, method.encode(style), strength)


def own_code(method: Adain, photo: Tensor) -> Code:
    """What the photo itself looks like to the method, at its own size."""
    mean, std = mean_std(method.encoder(photo, (TAP,))[TAP])
    return {"512/mean": mean, "512/std": std}


def test_the_code_holds_means_and_deviations_of_the_style(method: Adain, style: Style) -> None:
    code = method.encode(style)
    assert code.keys() == {f"{size}/{part}" for size in SIZES for part in ("mean", "std")}
    expected = style.at(512)[TAP]
    torch.testing.assert_close(code["512/mean"], expected.mean)
    torch.testing.assert_close(code["512/std"], (expected.std().square() + EPS).sqrt())


def test_a_style_seen_at_half_its_size_has_smaller_strokes(method: Adain, style: Style) -> None:
    """Twice the scale: what belongs to 512 px is used at 256 px already."""
    plain, larger = method.encode(style), method.encode(style, 2.0)
    torch.testing.assert_close(dict(at(larger, 256)), dict(at(plain, 512)))


def test_the_decoder_gets_the_statistics_of_the_style(
    method: Adain, photo: Tensor, style: Style
) -> None:
    """At full strength nothing of the photo's own is left, eq. (10): but in dead channels."""
    seen: list[Tensor] = []
    method.decoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    paint(method, photo, style)
    alive = mean_std(method.encoder(photo, (TAP,))[TAP])[1][0] > 0.1
    wanted = at(method.encode(style), max(photo.shape[-2:]))
    assert alive.sum() > 3
    assert_has(seen[0][:, alive], {part: tensor[:, alive] for part, tensor in wanted.items()})


def test_the_size_of_the_picture_sets_the_size_of_the_strokes(method: Adain, photo: Tensor) -> None:
    """A code that differs by size is read at the long side of the canvas."""
    plain = own_code(method, photo)
    mean, std = plain["512/mean"], plain["512/std"]
    code = {"24/mean": mean * 3, "24/std": std, "48/mean": mean, "48/std": std * 2}
    expected = method.stylize(photo, {"48/mean": mean, "48/std": std * 2})
    assert torch.equal(method.stylize(photo, code), expected)


def test_strength_moves_evenly(method: Adain, photo: Tensor, style: Style) -> None:
    """Always further from the photo, and never more than half of the way in a quarter."""
    away = [float((paint(method, photo, style, s) - photo).norm()) for s in QUARTERS]
    steps = [b - a for a, b in pairwise(away)]
    assert away[0] == 0
    assert min(steps) > 0
    assert max(steps) < 0.5 * away[-1]


def test_the_least_strength_is_nearly_the_photo(method: Adain, photo: Tensor, style: Style) -> None:
    """Strength 0 is the photo, not the autoencoder's copy of it, and there is no jump behind it."""
    torch.testing.assert_close(paint(method, photo, style, 1e-6), photo, atol=1e-3, rtol=0)


@pytest.mark.parametrize("strength", [0.25, 0.75])
def test_its_own_statistics_give_the_copy_mixed_with_the_photo(
    method: Adain, photo: Tensor, strength: float
) -> None:
    """Known answer: features are left as they are, so only the decoder's errors come in."""
    with torch.no_grad():
        copy = method.decoder(method.encoder(photo, (TAP,))[TAP], photo.shape[-2:])
    painted = method.stylize(photo, own_code(method, photo), strength)
    torch.testing.assert_close(
        painted, photo.lerp(copy, strength).clamp(0, 1), atol=1e-4, rtol=1e-4
    )


def test_blended_styles_lie_between(
    method: Adain, photo: Tensor, style: Style, encoder: Encoder
) -> None:
    other = Style.of(1 - photo.flip(2), encoder)
    codes = [method.encode(style), method.encode(other)]
    ends = [method.stylize(photo, code) for code in codes]
    middle = method.stylize(photo, blend(codes, [1, 1]))
    apart = (ends[0] - ends[1]).norm()
    assert 0 < (middle - ends[0]).norm() < apart
    assert 0 < (middle - ends[1]).norm() < apart


# --- regions ---


def left(photo: Tensor, share: float = 0.5) -> Tensor:
    mask = torch.zeros(1, 1, *photo.shape[-2:])
    mask[..., : round(photo.shape[3] * share)] = 1
    return mask


def test_a_full_mask_is_no_mask(method: Adain, photo: Tensor, style: Style) -> None:
    code = method.encode(style)
    painted = method.stylize(photo, [Region(code, torch.ones(1, 1, 7, 9))], 0.7)
    torch.testing.assert_close(painted, method.stylize(photo, code, 0.7), atol=1e-4, rtol=1e-4)


def test_an_empty_mask_is_the_photo(method: Adain, photo: Tensor, style: Style) -> None:
    painted = method.stylize(photo, [Region(method.encode(style), torch.zeros(1, 1, 7, 9))])
    torch.testing.assert_close(painted, photo, atol=1e-4, rtol=0)


def test_far_from_the_mask_the_photo_is_kept(method: Adain, style: Style) -> None:
    photo = torch.rand(1, 3, 32, 160)
    painted = method.stylize(photo, [Region(method.encode(style), left(photo, 0.25))])
    torch.testing.assert_close(painted[..., 100:], photo[..., 100:], atol=1e-4, rtol=0)
    assert (painted - photo)[..., :40].abs().mean() > 1e-2


def test_inside_its_mask_a_region_does_not_see_the_others(
    method: Adain, style: Style, encoder: Encoder
) -> None:
    """Its statistics are its own: what style the neighbour has makes no difference far inside."""
    photo = torch.rand(1, 3, 32, 160)
    code, mask = method.encode(style), left(photo)
    others = [method.encode(Style.of(torch.rand(1, 3, 64, 64) * s, encoder)) for s in (0.2, 1.0)]
    painted = [
        method.stylize(photo, [Region(code, mask), Region(other, 1 - mask)]) for other in others
    ]
    torch.testing.assert_close(painted[0][..., :40], painted[1][..., :40], atol=1e-4, rtol=0)
    assert (painted[0] - painted[1])[..., 120:].abs().mean() > 1e-3


def test_a_decoder_has_to_be_there(home: Path, encoder: Encoder, machine: Runtime) -> None:
    with pytest.raises(MissingWeights, match=r"recipes/adain-compact\.toml"):
        Adain.create(encoder, machine, Recipe(method="adain", encoder="tiny"))
