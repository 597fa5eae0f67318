"""Gatys: the optimisation does what its pieces promise, and gets nearer to the style."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.codes import Code, Region, at, blend
from impasto.errors import MissingWeights
from impasto.losses import style_error
from impasto.methods.gatys import (
    LONGER,
    QUALITIES,
    Config,
    Gatys,
    Targets,
    odds,
    texture,
)
from impasto.moments import Moments, gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.scales import pyramid
from impasto.style import SIZES, Style
from impasto.stylizer import Cost, OnStep, Step, Stylizer

QUICK = Config(smallest=16, steps=(12, 8, 6), content={"relu4_1": 1.0}, variation=0.1)
"""Three scales on the 48 px photo, a fraction of a second."""


@pytest.fixture
def style(encoder: Encoder, painting: Tensor) -> Style:
    return Style.of(painting, encoder)


@pytest.fixture
def gatys(encoder: Encoder, machine: Runtime) -> Gatys:
    return Gatys(encoder, machine, QUICK)


def error(encoder: Encoder, image: Tensor, style: Style) -> float:
    """The picture's distance from the style, as the command line prints it."""
    targets = {tap: m.second for tap, m in style.at(max(image.shape[-2:])).items()}
    with torch.no_grad():
        return float(style_error({t: gram(f) for t, f in encoder(image).items()}, targets))


def paint(method: Gatys, photo: Tensor, style: Style, strength: float = 0.5) -> Tensor:
    torch.manual_seed(5)
    return method.stylize(photo, method.encode(style), strength)


# --- what comes out ---


def test_it_gets_nearer_to_the_style(
    gatys: Gatys, encoder: Encoder, photo: Tensor, style: Style
) -> None:
    """The whole point: a sign, a target or a scale that is wrong shows here."""
    painted = paint(gatys, photo, style)
    assert error(encoder, painted, style) < 0.5 * error(encoder, photo, style)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_every_optimiser_from_every_start(
    encoder: Encoder,
    machine: Runtime,
    photo: Tensor,
    style: Style,
    optimizer: Literal["adam", "lbfgs"],
    init: Literal["content", "noise"],
) -> None:
    config = replace(QUICK, optimizer=optimizer, init=init)
    painted = paint(Gatys(encoder, machine, config), photo, style)
    assert error(encoder, painted, style) < error(encoder, photo, style)


def test_noise_depends_on_the_seed(
    encoder: Encoder, machine: Runtime, photo: Tensor, style: Style
) -> None:
    noisy = Gatys(encoder, machine, replace(QUICK, init="noise"))
    code = noisy.encode(style)
    pictures = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        pictures.append(noisy.stylize(photo, code))
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


def test_from_the_photo_no_seed_is_needed(gatys: Gatys, photo: Tensor, style: Style) -> None:
    code = gatys.encode(style)
    torch.manual_seed(1)
    first = gatys.stylize(photo, code)
    torch.manual_seed(2)
    assert torch.equal(gatys.stylize(photo, code), first)


def test_strength_zero_is_the_photo_and_no_work(gatys: Gatys, photo: Tensor, style: Style) -> None:
    steps: list[Step] = []
    painted = gatys.stylize(photo, gatys.encode(style), 0.0, steps.append)
    assert torch.equal(painted, photo)
    assert painted is not photo
    assert steps == []


def test_more_strength_is_nearer_to_the_style_and_farther_from_the_photo(
    gatys: Gatys, encoder: Encoder, photo: Tensor, style: Style
) -> None:
    weak, strong = paint(gatys, photo, style, 0.02), paint(gatys, photo, style, 0.9)
    assert error(encoder, strong, style) < error(encoder, weak, style)
    assert (strong - photo).abs().mean() > (weak - photo).abs().mean()


def test_bfloat16_gets_as_near_to_the_style(encoder: Encoder, photo: Tensor, style: Style) -> None:
    """Statistics and losses stay in float32: only the convolutions have fewer digits."""
    method = Gatys(encoder, Runtime(torch.device("cpu"), bf16=True), QUICK)
    painted = paint(method, photo, style)
    assert painted.dtype == torch.float32
    assert error(encoder, painted, style) < 0.5 * error(encoder, photo, style)


def test_two_styles_are_between_them(
    gatys: Gatys, encoder: Encoder, photo: Tensor, painting: Tensor, style: Style
) -> None:
    """A mix that forgets one of its styles is no mix."""
    other = Style.of(1 - painting, encoder)
    codes = [gatys.encode(style), gatys.encode(other)]
    mixed = gatys.stylize(photo, blend(codes, [1, 1]))
    one, two = (gatys.stylize(photo, code) for code in codes)
    assert error(encoder, two, style) > error(encoder, mixed, style) > error(encoder, one, style)


def test_a_texture_has_the_style_alone(encoder: Encoder, machine: Runtime, style: Style) -> None:
    swatch = texture(encoder, machine, style, 40)
    assert swatch.shape == (1, 3, 40, 40)
    assert swatch.min() >= 0
    assert swatch.max() <= 1
    assert error(encoder, swatch, style) < error(encoder, torch.full_like(swatch, 0.5), style)


def test_a_photo_in_the_network_s_own_layout_is_left_alone(
    gatys: Gatys, photo: Tensor, style: Style
) -> None:
    """Placing it is then no copy, and optimisation works in place."""
    placed = photo.contiguous(memory_format=torch.channels_last)
    before = placed.clone()
    for method in (gatys, Gatys(gatys.encoder, gatys.runtime, replace(QUICK, smallest=64))):
        method.stylize(placed, method.encode(style))
        assert torch.equal(placed, before)


# --- regions ---


def left(photo: Tensor, value: float = 1.0) -> Tensor:
    mask = torch.zeros(1, 1, *photo.shape[-2:])
    mask[..., : photo.shape[3] // 2] = value
    return mask


def test_composed_by_hand() -> None:
    """What is kept of the photo is the photo, and half of it is half."""
    image, photo = torch.zeros(1, 3, 1, 3), torch.ones(1, 3, 1, 3)
    kept = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    assert Targets({}, (), photo, kept).composed(image)[0, 0].tolist() == [[0, 0.5, 1]]
    assert Targets({}, (), photo).composed(image) is image


def test_what_no_mask_covers_is_the_photo(gatys: Gatys, photo: Tensor, style: Style) -> None:
    """Also on the way: a preview does not repaint what is to be kept."""
    steps, mask = list[Step](), left(photo)
    painted = gatys.stylize(photo, [Region(gatys.encode(style), mask)], 0.9, steps.append)
    outside = (mask == 0).expand_as(photo)
    assert torch.equal(painted[outside], photo[outside])
    assert torch.equal(steps[-3].image[outside], photo[outside])
    assert (painted - photo)[..., :20].abs().mean() > 0.01


def test_a_full_mask_is_no_mask(gatys: Gatys, photo: Tensor, style: Style) -> None:
    code = gatys.encode(style)
    painted = gatys.stylize(photo, [Region(code, torch.ones(1, 1, 7, 9))])
    torch.testing.assert_close(painted, gatys.stylize(photo, code), atol=0.02, rtol=0)


def test_a_soft_mask_knows_of_the_photo_that_shines_through(
    gatys: Gatys, encoder: Encoder, photo: Tensor, style: Style
) -> None:
    """Half of every pixel is the photo's: the other half is painted so that the sum is the style.

    Laid over the photo afterwards, a finished painting is further away from it.
    """
    code = gatys.encode(style)
    half = gatys.stylize(photo, [Region(code, torch.full((1, 1, 4, 4), 0.5))], 0.9)
    pasted = photo.lerp(gatys.stylize(photo, code, 0.9), 0.5)
    assert error(encoder, half, style) < 0.9 * error(encoder, pasted, style)
    assert (half - photo).min() >= -0.5 * photo.max()  # no pixel loses more than its half


def test_an_empty_mask_is_the_photo(gatys: Gatys, photo: Tensor, style: Style) -> None:
    nothing = [Region(gatys.encode(style), torch.zeros(1, 1, 4, 4))]
    assert torch.equal(gatys.stylize(photo, nothing), photo)


# --- other starts ---


class Plain(Stylizer):
    """Paints everything in the colour of its code; remembers what it was asked."""

    name, paper, strength = "plain", "nobody", 1.0

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, Sequence[Region], float]] = []

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Plain":
        return cls()

    def encode(self, style: Style, scale: float = 1.0) -> Code:
        return {f"{size / scale:.0f}/deep/color": torch.full((1, 1), 0.7) for size in SIZES}

    def paint(
        self, content: Tensor, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Tensor:
        self.asked.append((content, regions, strength))
        return torch.full_like(content, regions[0].code["512/deep/color"].item())

    def cost(self, height: int, width: int) -> Cost:
        raise NotImplementedError

    def rehearse(self, image: Tensor) -> Callable[[], object]:
        raise NotImplementedError


def test_another_method_paints_the_start(
    encoder: Encoder, machine: Runtime, photo: Tensor, style: Style
) -> None:
    """On the smallest canvas, once; the first step is a step away from that."""
    plain, steps = Plain(), list[Step]()
    gatys = Gatys(encoder, machine, replace(QUICK, init="adain"), plain)
    gatys.stylize(photo, gatys.encode(style), 0.5, steps.append)
    ((content, _, _),) = plain.asked
    assert content.shape == (1, 3, 16, 13)
    torch.testing.assert_close(steps[0].image, torch.full_like(content, 0.7), atol=0.03, rtol=0)


def test_by_itself_it_starts_from_the_photo_in_their_colours(
    encoder: Encoder, machine: Runtime, photo: Tensor, style: Style
) -> None:
    """Large patches are as the other method has them, and within them the photo's detail."""
    gatys, steps = Gatys(encoder, machine, replace(QUICK, smallest=48), Plain()), list[Step]()
    gatys.stylize(0.3 + 0.2 * photo, gatys.encode(style), 0.5, steps.append)
    begun = steps[0].image
    torch.testing.assert_close(begun.mean((2, 3)), torch.full((1, 3), 0.7), atol=0.03, rtol=0)
    detail = (0.2 * photo - F.avg_pool2d(0.2 * photo, 9, 1, 4, count_include_pad=False)).flatten()
    kept = (begun - F.avg_pool2d(begun, 9, 1, 4, count_include_pad=False)).flatten()
    assert torch.corrcoef(torch.stack([detail, kept]))[0, 1] > 0.8


@pytest.mark.parametrize(("strength", "expected"), [(0.2, 0.4), (0.5, 1.0), (0.8, 1.0)])
def test_the_start_is_as_strong_as_the_picture(
    encoder: Encoder,
    machine: Runtime,
    photo: Tensor,
    style: Style,
    strength: float,
    expected: float,
) -> None:
    """Half is as much as optimisation is asked for by default, and all that a start can give."""
    plain = Plain()
    gatys = Gatys(encoder, machine, replace(QUICK, smallest=48, iterations=1), plain)
    gatys.stylize(photo, gatys.encode(style), strength)
    assert plain.asked[0][2] == pytest.approx(expected)


def test_the_start_gets_its_own_codes_and_the_same_regions(
    encoder: Encoder, machine: Runtime, photo: Tensor, style: Style
) -> None:
    plain = Plain()
    gatys = Gatys(encoder, machine, replace(QUICK, smallest=48, iterations=1), plain)
    code, mask = gatys.encode(style), left(photo)
    gatys.stylize(photo, [Region(code, mask), Region(code, 1 - mask)])
    _, regions, _ = plain.asked[0]
    assert all(region.code.keys() == plain.encode(style).keys() for region in regions)
    assert [region.mask is not None for region in regions] == [True, True]
    assert regions[0].mask is mask
    assert at(code, 48).keys() == {*TAPS, "start/deep/color"}


@pytest.mark.parametrize("init", ["adain", "wct"])
def test_a_recipe_names_the_method_that_starts(
    encoder: Encoder, machine: Runtime, decoders: None, photo: Tensor, style: Style, init: str
) -> None:
    """It paints what it would paint alone, and optimisation goes on from there."""
    recipe = Recipe.model_validate({"init": init, "encoder": "tiny", "iterations": 1})
    gatys, steps = Gatys.create(encoder, machine, recipe), list[Step]()
    assert gatys.start is not None and gatys.start.name == init
    gatys.stylize(photo, gatys.encode(style), 0.5, steps.append)
    alone = gatys.start.stylize(photo, gatys.start.encode(style), 1.0)
    torch.testing.assert_close(steps[0].image, alone, atol=0.03, rtol=0)
    assert (alone - photo).abs().mean() > 0.1


@pytest.mark.parametrize("init", ["adain", "wct"])
def test_from_every_method_it_gets_near_to_the_style(
    encoder: Encoder, machine: Runtime, decoders: None, photo: Tensor, style: Style, init: str
) -> None:
    """Even from what decoders of random weights make of it; styles are mixed and masks heard."""
    recipe = Recipe.model_validate({"init": init, "encoder": "tiny", "iterations": 60})
    gatys = Gatys.create(encoder, machine, recipe)
    assert error(encoder, paint(gatys, photo, style), style) < 0.5 * error(encoder, photo, style)
    code, mask = blend([gatys.encode(style)] * 2, [1, 3]), left(photo)
    half = gatys.stylize(photo, [Region(code, mask)])
    assert torch.equal(half[..., 20:], photo[..., 20:])


@pytest.mark.parametrize("init", ["adain", "wct"])
def test_a_start_needs_its_decoders(
    home: Path, encoder: Encoder, machine: Runtime, init: str
) -> None:
    recipe = Recipe.model_validate({"init": init, "encoder": "tiny"})
    with pytest.raises(MissingWeights, match=rf"recipes/{init}-compact\.toml"):
        Gatys.create(encoder, machine, recipe)


@pytest.mark.parametrize("init", ["content", "noise"])
def test_without_another_method_nothing_else_is_loaded(
    home: Path, encoder: Encoder, machine: Runtime, style: Style, init: str
) -> None:
    gatys = Gatys.create(encoder, machine, Recipe.model_validate({"init": init}))
    assert gatys.start is None
    assert at(gatys.encode(style), 48).keys() == set(TAPS)


# --- steps ---


def test_every_step_is_reported(gatys: Gatys, photo: Tensor, style: Style) -> None:
    steps: list[Step] = []
    painted = gatys.stylize(photo, gatys.encode(style), 0.5, steps.append)
    assert [step.done for step in steps] == list(range(1, 27))
    assert {step.total for step in steps} == {26}
    assert [step.done for step in steps if step.scale_done] == [12, 20, 26]
    sizes = [tuple(step.image.shape[-2:]) for step in steps]
    assert sizes == [(16, 13)] * 12 + [(28, 23)] * 8 + [(48, 40)] * 6
    assert torch.equal(steps[-1].image, painted)


def test_reported_pictures_can_be_shown(gatys: Gatys, photo: Tensor, style: Style) -> None:
    """The first average of iterates is divided by almost nothing: it must be a picture too."""
    steps: list[Step] = []
    gatys.stylize(photo, gatys.encode(style), 0.5, steps.append)
    for step in steps:
        assert step.image.min() >= 0
        assert step.image.max() <= 1
        assert not step.image.requires_grad
    small = torch.nn.functional.interpolate(photo, (16, 13), mode="bilinear", antialias=True)
    assert (steps[0].image - small).abs().mean() < 0.1


def test_reported_pictures_are_kept_as_they_were(gatys: Gatys, photo: Tensor, style: Style) -> None:
    """Whoever keeps a step (an interruption does) must not find a later one in its place."""
    kept: list[tuple[Tensor, Tensor]] = []
    gatys.stylize(
        photo, gatys.encode(style), 0.5, lambda s: kept.append((s.image, s.image.clone()))
    )
    assert all(torch.equal(image, copy) for image, copy in kept)


def test_losses_are_named_and_fall(gatys: Gatys, photo: Tensor, style: Style) -> None:
    steps: list[Step] = []
    gatys.stylize(photo, gatys.encode(style), 0.5, steps.append)
    assert set(steps[0].losses) == {*(f"style/{tap}" for tap in TAPS), "content/relu4_1"}
    for first, last in ((0, 11), (12, 19), (20, 25)):
        start, end = (
            sum(v for k, v in steps[i].losses.items() if k.startswith("style"))
            for i in (first, last)
        )
        assert end < start


def test_no_content_layer_means_no_content_loss(
    encoder: Encoder, machine: Runtime, photo: Tensor, style: Style
) -> None:
    steps: list[Step] = []
    free = Gatys(encoder, machine, replace(QUICK, content={}))
    free.stylize(photo, free.encode(style), 0.5, steps.append)
    assert not any(name.startswith("content") for name in steps[0].losses)


# --- going on ---


@pytest.mark.parametrize("init", ["content", "noise"])
def test_after_a_scale_the_rest_is_the_same_bit_for_bit(
    encoder: Encoder,
    machine: Runtime,
    photo: Tensor,
    style: Style,
    init: Literal["content", "noise"],
) -> None:
    """From numbers that were stored, whatever has been drawn from the generator since."""
    method = Gatys(encoder, machine, replace(QUICK, init=init))
    steps: list[Step] = []
    whole = method.stylize(photo, method.encode(style), 0.5, steps.append)
    for last in (12, 20):
        stored = torch.from_numpy(steps[last - 1].image.numpy().copy(order="C"))
        rest: list[Step] = []
        again = method.continued(stored).stylize(photo, method.encode(style), 0.5, rest.append)
        assert torch.equal(again, whole)
        assert [step.done for step in rest] == list(range(last + 1, 27))
        assert [step.losses for step in rest] == [step.losses for step in steps[last:]]


@pytest.mark.parametrize(("size", "first"), [(10, 16), (16, 28), (27, 28), (28, 48), (47, 48)])
def test_it_goes_on_above_the_size_of_a_picture(
    gatys: Gatys, photo: Tensor, style: Style, size: int, first: int
) -> None:
    steps: list[Step] = []
    begun = torch.rand(1, 3, size, size)
    gatys.continued(begun).stylize(photo, gatys.encode(style), 0.5, steps.append)
    assert max(steps[0].image.shape[-2:]) == first
    assert (steps[-1].done, steps[-1].total) == (26, 26)


@pytest.mark.parametrize("size", [(48, 40), (96, 80)])
def test_a_picture_as_large_goes_through_the_last_scale_once_more(
    gatys: Gatys, photo: Tensor, style: Style, size: tuple[int, int]
) -> None:
    """A part of its steps; a batch begins with the same picture."""
    steps: list[Step] = []
    again = gatys.continued(torch.rand(1, 3, *size))
    painted = again.stylize(torch.cat([photo, photo]), gatys.encode(style), 0.5, steps.append)
    assert [step.done for step in steps] == [24, 25, 26]
    assert painted.shape == (2, 3, 48, 40)


def test_what_is_painted_is_treated_gently(gatys: Gatys, photo: Tensor, style: Style) -> None:
    """Three steps of Adam, each a quarter as long as usual; nothing of the photo comes into it."""
    begun = torch.rand_like(photo)
    painted = gatys.continued(begun).stylize(photo, gatys.encode(style))
    assert 1e-3 < (painted - begun).abs().max() < 3.3 * 0.02 / 4


def test_where_nothing_is_trusted_it_begins_anew(gatys: Gatys, photo: Tensor, style: Style) -> None:
    code, begun = gatys.encode(style), torch.rand_like(photo)
    right = torch.zeros(1, 1, 48, 40)
    right[..., 20:] = 1
    mixed = gatys.continued(begun, right).stylize(photo, code)
    beside = gatys.continued(torch.cat([photo[..., :20], begun[..., 20:]], 3)).stylize(photo, code)
    assert torch.equal(mixed, beside)
    nowhere = gatys.continued(begun, torch.zeros(1, 1, 24, 20)).stylize(photo, code)
    assert torch.equal(nowhere, gatys.continued(photo.clone()).stylize(photo, code))


def test_what_is_done_costs_nothing(gatys: Gatys) -> None:
    whole, half, again = (
        method.cost(48, 48).megapixels * 1e6 / 48**2
        for method in (gatys, *(gatys.continued(torch.rand(1, 3, s, s)) for s in (28, 48)))
    )
    assert (half, again) == (6, 3)
    assert whole == pytest.approx(6 + 8 * (28 / 48) ** 2 + 12 / 9)


# --- pieces ---


def test_pyramid_by_hand() -> None:
    config = Config(smallest=128, growth=2.0, steps=(200, 150, 100), single=None)
    assert pyramid(512, config) == [(128, 200), (256, 150), (512, 100)]
    assert pyramid(1024, config) == [(128, 200), (256, 150), (512, 100), (1024, 100)]
    assert pyramid(128, config) == [(128, 200)]
    assert pyramid(7, config) == [(7, 200)]


def test_a_picture_of_one_scale_has_steps_of_its_own() -> None:
    config = Config(smallest=128, growth=2.0, steps=(20, 30), single=80)
    assert pyramid(100, config) == [(100, 80)]
    assert pyramid(256, config) == [(128, 20), (256, 30)]
    assert pyramid(100, replace(config, iterations=7)) == [(100, 7)]


@given(
    long_side=st.integers(1, 20_000),
    smallest=st.sampled_from([16, 128, 192, 256]),
    growth=st.floats(1.3, 3),
)
@settings(max_examples=100, deadline=None)
def test_pyramid_climbs_in_small_steps_to_the_size(
    long_side: int, smallest: int, growth: float
) -> None:
    config = Config(smallest=smallest, growth=growth, steps=(9, 7, 5), iterations=None)
    sizes = [size for size, _ in pyramid(long_side, config)]
    assert sizes[-1] == long_side
    assert sizes[0] in (min(long_side, smallest), long_side)
    assert sizes[0] <= smallest * growth**0.25 + 1
    for below, above in pairwise(sizes):
        assert below < above
        assert above <= below * growth**1.25 + 2  # both are rounded to pixels


@given(long_side=st.integers(1, 4000), iterations=st.integers(1, 2000))
@settings(max_examples=100, deadline=None)
def test_iterations_are_shared_out_to_the_sum(long_side: int, iterations: int) -> None:
    """``--iterations 100`` means a hundred steps, not about a hundred."""
    config = Config(smallest=128, steps=(200, 150, 100), iterations=iterations)
    steps = [n for _, n in pyramid(long_side, config)]
    assert min(steps) >= 1
    assert sum(steps) == max(iterations, len(steps))


@given(strengths=st.lists(st.floats(0, 1), min_size=2, max_size=10))
@settings(max_examples=50, deadline=None)
def test_odds_never_fall(strengths: list[float]) -> None:
    values = [odds(s) for s in sorted(strengths)]
    assert values == sorted(values)
    assert all(0 <= v < 1e5 for v in values)


def test_odds_by_hand() -> None:
    assert odds(0) == 0
    assert odds(0.5) == 1
    assert odds(0.25) == pytest.approx(1 / 9)
    assert odds(0.1) < odds(0.3) < odds(0.7) < odds(0.95)
    assert 500 < odds(1) < 2000


def simple(values: dict[int, float]) -> Code:
    return {f"{size}/relu1_1": torch.full((1, 2, 2), v) for size, v in values.items()}


@pytest.mark.parametrize(
    ("size", "expected"), [(128, 1), (256, 2), (512, 6), (16, 1), (3000, 6), (181, 1.5), (362, 4)]
)
def test_grams_between_sizes(size: int, expected: float) -> None:
    """Exact at a size of the code, even in the logarithm between, clamped beyond."""
    g = at(simple({512: 6, 128: 1, 256: 2}), size)["relu1_1"]
    assert g.flatten().tolist() == pytest.approx([expected] * 4, rel=2e-3)


def test_grams_are_those_of_the_style(gatys: Gatys, encoder: Encoder) -> None:
    """Target and measurement read the same moments in two ways: they must agree."""
    style = Style.of(torch.rand(1, 3, 40, 280), encoder)
    for size in (50, 128, 170, 256, 900):
        grams, looks = at(gatys.encode(style), size), style.at(size)
        for tap in TAPS:
            torch.testing.assert_close(grams[tap], looks[tap].second, rtol=1e-4, atol=1e-5)


def test_scale_makes_strokes_larger(gatys: Gatys, encoder: Encoder) -> None:
    """Twice the stroke: a canvas of 128 is painted as the painting looks at 256."""
    style = Style.of(torch.rand(1, 3, 40, 280), encoder)
    for scale, canvas in ((2.0, 128), (0.5, 512), (1.0, 256)):
        grams = at(gatys.encode(style, scale), canvas)
        for tap in TAPS:
            assert torch.equal(grams[tap], style.moments[256][tap].second)


def full_style() -> Style:
    """A style that is different at every size, known by one number."""
    one = {s: Moments(torch.zeros(1, 2), torch.full((1, 2, 2), float(s))) for s in SIZES}
    return Style("tiny", {size: dict.fromkeys(TAPS, m) for size, m in one.items()})


@pytest.mark.parametrize("canvas", [64, 128, 256, 512, 1024, 2048, 4096])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_target_and_measurement_agree(gatys: Gatys, scale: float, canvas: int) -> None:
    """style_error is measured against ``style.at``: the optimisation must aim at the same."""
    style = full_style()
    aimed = at(gatys.encode(style, scale), canvas)["relu3_1"]
    assert torch.equal(aimed, style.at(canvas * scale)["relu3_1"].second)


def test_codes_of_small_and_large_paintings_blend(gatys: Gatys) -> None:
    """A small painting counts at every size, with the largest look that it has."""
    large = full_style()
    small = Style("tiny", {128: large.moments[128]})
    mixed = blend([gatys.encode(small), gatys.encode(large)], [1, 1])
    for canvas in SIZES:
        expected = (128 + canvas) / 2
        assert at(mixed, canvas)["relu1_1"].flatten().tolist() == [expected] * 4


def test_cost_by_hand(encoder: Encoder, machine: Runtime) -> None:
    """Ten steps at 100 x 50, and ten more at half the side (a quarter of the area)."""
    config = Config(smallest=50, growth=2, steps=(10,))
    cost = Gatys(encoder, machine, config).cost(100, 50)
    assert cost.megapixels == pytest.approx(10 * 0.005 * 1.25)
    assert cost.peak_bytes == pytest.approx(5000 * encoder.bytes_per_pixel(half=False))


def test_a_rehearsal_is_one_step(gatys: Gatys, photo: Tensor) -> None:
    """What is timed is a pass with its gradient, each time another one."""
    passes: list[bool] = []
    gatys.encoder.register_forward_hook(
        lambda _, __, features: passes.append(features["relu1_1"].requires_grad)
    )
    one_pass = gatys.rehearse(photo)
    assert passes == [False]  # its targets
    one_pass()
    one_pass()
    assert passes[1:] == [True, True]


def test_a_recipe_sets_the_method(encoder: Encoder, machine: Runtime) -> None:
    recipe = Recipe(quality="best", init="noise", optimizer="lbfgs", iterations=77)
    config = Gatys.create(encoder, machine, recipe).config
    assert (config.init, config.optimizer, config.iterations) == ("noise", "lbfgs", 77)
    assert config.steps == LONGER["best"]


@pytest.mark.parametrize("quality", ["draft", "normal", "best"])
def test_what_knows_the_colours_already_takes_fewer_steps(
    encoder: Encoder, machine: Runtime, decoders: None, quality: str
) -> None:
    steps = {}
    for init in ("auto", "content"):
        recipe = Recipe.model_validate({"quality": quality, "init": init, "encoder": "tiny"})
        steps[init] = Gatys.create(encoder, machine, recipe).config.steps
    assert steps == {"auto": QUALITIES[quality].steps, "content": LONGER[quality]}
    assert sum(steps["auto"]) < sum(steps["content"])


def test_quality_is_a_matter_of_steps() -> None:
    for size in (100, 512, 1024, 3000):
        work = [sum(n for _, n in pyramid(size, QUALITIES[q])) for q in ("draft", "normal", "best")]
        assert work[0] < work[1] < work[2]


def test_the_encoder_is_frozen(encoder: Encoder, machine: Runtime) -> None:
    """Gradients of its weights would double the memory."""
    method = Gatys(encoder.requires_grad_(True).train(), machine)
    assert not any(p.requires_grad for p in method.parameters())
    assert not method.encoder.training
