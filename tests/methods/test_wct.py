"""WCT: level by level the decoders get the style's statistics, and strengths do what they say."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.codes import Region, at
from impasto.errors import BadInput, MissingWeights
from impasto.methods.wct import TEXTURE_PASSES, Config, Wct, texture
from impasto.moments import moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Step
from impasto.transforms import FULL, Whitening

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


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
    """A list that fills with the taps that are looked at."""
    taps: list[str] = []
    method.encoder.register_forward_hook(lambda _, inputs, __: taps.extend(inputs[1]))
    return taps


def paint(method: Wct, photo: Tensor, style: Style, strength: float | None = 1.0) -> Tensor:
    return method.stylize(photo, method.encode(style), strength)


def test_the_code_holds_means_and_roots_of_the_style(make: type[Maker], style: Style) -> None:
    code = make.of().encode(style)
    parts = {f"{size}/{tap}/{part}" for size in SIZES for part in ("mean", "color") for tap in TAPS}
    assert code.keys() == parts
    expected = style.at(512)["relu3_1"]
    torch.testing.assert_close(code["512/relu3_1/mean"], expected.mean)
    root = code["512/relu3_1/color"]
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
    """To the last bit, and a picture of its own."""
    painted = paint(make.of(levels=2, level_strengths="0,0"), photo, style)
    assert torch.equal(painted, photo) and painted is not photo


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


def test_a_recipe_sets_the_method(make: type[Maker]) -> None:
    config = make.of(levels=2, level_strengths="1,0.5", floor=0.1, shrinkage=0.3).config
    assert config == Config((1.0, 0.5), Whitening(0.1, 0.3))
    assert make.of().config == Config() == Config((1.0,) * 5, FULL)


@pytest.mark.parametrize("tap", TAPS[1:3])
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
    own = moments(method.encoder(photo, (tap,))[tap].double())
    values, vectors = torch.linalg.eigh(own.covariance()[0])
    used = vectors[:, values > 1e-6 * values.max()]
    got, color = moments(seen[0]), code[f"{tap}/color"][0]
    torch.testing.assert_close(got.mean, code[f"{tap}/mean"], rtol=1e-3, atol=1e-3)
    expected = color @ used.float() @ used.float().mT @ color
    assert (got.covariance()[0] - expected).norm() < 1e-2 * expected.norm()


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


# --- textures ---


def test_a_texture_is_made_of_noise_in_several_passes(
    encoder: Encoder, machine: Runtime, decoders: None, style: Style
) -> None:
    """At full strength, each pass on what the one before has made."""
    method = Wct.create(encoder, machine, Recipe(method="wct", encoder="tiny"))
    torch.manual_seed(7)
    image = torch.rand(1, 3, 40, 40)
    for _ in range(TEXTURE_PASSES):
        image = paint(method, image, style)
    torch.manual_seed(7)
    assert torch.equal(texture(encoder, machine, style, 40), image)


def test_textures_differ_by_seed_and_by_style(
    encoder: Encoder, machine: Runtime, decoders: None, style: Style, photo: Tensor
) -> None:
    def made(seed: int, style: Style) -> Tensor:
        torch.manual_seed(seed)
        return texture(encoder, machine, style, 32)

    first, again, other = made(1, style), made(1, style), made(2, style)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first, made(1, Style.of(photo.flip(1), encoder)))
    assert 0 <= first.min() < first.max() <= 1


def test_a_texture_needs_decoders(
    home: Path, encoder: Encoder, machine: Runtime, style: Style
) -> None:
    with pytest.raises(MissingWeights, match=r"recipes/wct-compact\.toml"):
        texture(encoder, machine, style, 32)
