"""AdaIN: the decoder gets the style's statistics, the finish its palette, and strength is even."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import openvino
from impasto.codes import Code, Region, at, blend, inner
from impasto.errors import MissingWeights
from impasto.methods.adain import FINISH, TAP, Adain
from impasto.moments import EPS, mean_std
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.transforms import repainted, whitened_and_colored

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)

PARTS = ("mean", "std", "finish/mean", "finish/color")


@pytest.fixture
def style(encoder: Encoder, painting: Tensor) -> Style:
    return Style.of(painting, encoder)


@pytest.fixture
def method(encoder: Encoder, machine: Runtime, decoders: None) -> Adain:
    return Adain.create(encoder, machine, Recipe(method="adain", encoder="tiny"))


@pytest.fixture
def unfinished(method: Adain) -> Adain:
    """Encoder, statistics, decoder: the paper's network."""
    return Adain(method.encoder, method.decoders, method.runtime, finish=False)


def paint(method: Adain, photo: Tensor, style: Style, strength: float = 1.0) -> Tensor:
    return method.stylize(photo, method.encode(style), strength)


def seen(method: Adain, tap: str) -> list[Tensor]:
    """A list that fills with what the decoder of a tap is given."""
    given: list[Tensor] = []
    method.decoders[tap].register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    return given


def own_code(method: Adain, photo: Tensor) -> Code:
    """What the photo itself looks like to the unfinished method, at its own size."""
    mean, std = mean_std(method.encoder(photo, (TAP,))[TAP])
    return {"512/mean": mean, "512/std": std}


def test_the_code_holds_means_and_deviations_of_the_style(method: Adain, style: Style) -> None:
    """And for the finish the mean and the root of the covariance, at full resolution."""
    code = method.encode(style)
    assert code.keys() == {f"{size}/{part}" for size in SIZES for part in PARTS}
    deep, fine = style.at(512)[TAP], style.at(512)[FINISH]
    torch.testing.assert_close(code["512/mean"], deep.mean)
    torch.testing.assert_close(code["512/std"], (deep.std().square() + EPS).sqrt())
    torch.testing.assert_close(code["512/finish/mean"], fine.mean)
    root = code["512/finish/color"]
    torch.testing.assert_close(root @ root, fine.covariance(), rtol=1e-3, atol=1e-5)


def test_a_style_seen_at_half_its_size_has_smaller_strokes(method: Adain, style: Style) -> None:
    """Twice the scale: what belongs to 512 px is used at 256 px already."""
    plain, larger = method.encode(style), method.encode(style, 2.0)
    torch.testing.assert_close(dict(at(larger, 256)), dict(at(plain, 512)))


def test_the_decoder_gets_the_statistics_of_the_style(
    method: Adain, photo: Tensor, style: Style
) -> None:
    """At full strength nothing of the photo's own is left, eq. (10): but in dead channels."""
    given = seen(method, TAP)
    paint(method, photo, style)
    alive = mean_std(method.encoder(photo, (TAP,))[TAP])[1][0] > 0.1
    assert alive.sum() > 3
    wanted = at(method.encode(style), max(photo.shape[-2:]))
    for got, part in zip(mean_std(given[0]), ("mean", "std"), strict=True):
        torch.testing.assert_close(got[:, alive], wanted[part][:, alive], rtol=1e-3, atol=1e-4)


def test_the_size_of_the_picture_sets_the_size_of_the_strokes(
    unfinished: Adain, photo: Tensor
) -> None:
    """A code that differs by size is read at the long side of the canvas."""
    plain = own_code(unfinished, photo)
    mean, std = plain["512/mean"], plain["512/std"]
    code = {"24/mean": mean * 3, "24/std": std, "48/mean": mean, "48/std": std * 2}
    expected = unfinished.stylize(photo, {"48/mean": mean, "48/std": std * 2})
    assert torch.equal(unfinished.stylize(photo, code), expected)


def test_strength_moves_evenly(unfinished: Adain, photo: Tensor, style: Style) -> None:
    """Always further from the photo, and never more than half of the way in a quarter."""
    away = [float((paint(unfinished, photo, style, s) - photo).norm()) for s in QUARTERS]
    steps = [b - a for a, b in pairwise(away)]
    assert away[0] == 0
    assert min(steps) > 0
    assert max(steps) < 0.5 * away[-1]


def test_the_least_strength_is_nearly_the_photo(method: Adain, photo: Tensor, style: Style) -> None:
    """Strength 0 is the photo, not the autoencoder's copy of it, and there is no jump behind it."""
    torch.testing.assert_close(paint(method, photo, style, 1e-6), photo, atol=1e-3, rtol=0)


@pytest.mark.parametrize("strength", [0.25, 0.75])
def test_its_own_statistics_give_the_copy_mixed_with_the_photo(
    unfinished: Adain, photo: Tensor, strength: float
) -> None:
    """Known answer: features are left as they are, so only the decoder's errors come in."""
    with torch.no_grad():
        features = unfinished.encoder(photo, (TAP,))[TAP]
        copy = unfinished.decoders[TAP](features, photo.shape[-2:])
    painted = unfinished.stylize(photo, own_code(unfinished, photo), strength)
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


def test_a_full_mask_or_nearly_full_strength_is_the_same_network(
    unfinished: Adain, photo: Tensor, style: Style
) -> None:
    """At full strength without a mask the network runs as one."""
    whole = paint(unfinished, photo, style)
    torch.testing.assert_close(paint(unfinished, photo, style, 1 - 1e-6), whole, atol=1e-4, rtol=0)


@pytest.mark.skipif(not openvino.there(), reason="no OpenVINO")
@pytest.mark.parametrize("size", [(64, 80), (75, 101)])
def test_compiled_it_is_the_same_network(
    method: Adain,
    style: Style,
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Odd sizes too, where features are cut on every level."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    photo = torch.rand(1, 3, *size)
    compiled = Adain(method.encoder, method.decoders, method.runtime)
    compiled.engine.worth = 0
    painted = paint(compiled, photo, style)
    assert compiled.engine.able
    torch.testing.assert_close(painted, paint(method, photo, style), atol=1e-3, rtol=0)


def test_each_picture_of_a_batch_has_its_own_statistics(
    method: Adain, photo: Tensor, style: Style
) -> None:
    pair = torch.cat([photo, 1 - photo.flip(3)])
    alone = torch.cat([paint(method, one, style) for one in pair.split(1)])
    torch.testing.assert_close(paint(method, pair, style), alone, atol=1e-4, rtol=0)


# --- the finish ---


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_the_finish_comes_after_the_painting(
    method: Adain, unfinished: Adain, photo: Tensor, style: Style, strength: float
) -> None:
    """As strong as the rest, and on what was painted, not on the photo."""
    first = paint(unfinished, photo, style, strength)
    regions = [Region(inner(at(method.encode(style), max(photo.shape[-2:])), "finish"))]
    with torch.no_grad():
        expected = repainted(
            first,
            method.encoder,
            method.decoders[FINISH],
            FINISH,
            whitened_and_colored,
            regions,
            strength,
        )
    painted = paint(method, photo, style, strength)
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-5)
    assert (painted - first).abs().mean() > 0.01


@pytest.mark.parametrize("finish", [True, False])
def test_a_recipe_says_whether_there_is_a_finish(
    encoder: Encoder, machine: Runtime, decoders: None, photo: Tensor, style: Style, finish: bool
) -> None:
    """Left out, its tap is not even looked at."""
    recipe = Recipe(method="adain", encoder="tiny", finish=finish)
    method = Adain.create(encoder, machine, recipe)
    taps: list[str] = []
    method.encoder.register_forward_hook(lambda _, inputs, __: taps.extend(inputs[1]))
    paint(method, photo, style)
    assert taps == [TAP, FINISH][: 1 + finish]


def test_by_default_there_is_a_finish(method: Adain) -> None:
    assert Recipe().finish and method.finish


def test_codes_are_the_same_with_and_without(
    method: Adain, unfinished: Adain, style: Style
) -> None:
    """A code that was kept can be painted either way."""
    torch.testing.assert_close(dict(method.encode(style)), dict(unfinished.encode(style)))


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
    unfinished: Adain, style: Style, encoder: Encoder
) -> None:
    """Its statistics are its own: what style the neighbour has makes no difference far inside."""
    method = unfinished  # the finish looks at what was painted, and that is mixed at the edge
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
