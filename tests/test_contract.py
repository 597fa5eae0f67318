"""The contract: what every method promises, whatever it does inside.

A new file in ``methods`` is held to all of this without a line being added here.
"""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import methods
from impasto.codes import blend
from impasto.errors import BadInput, UnknownName
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import Step, Stylizer

pytestmark = pytest.mark.usefixtures("decoders")

every_method = pytest.mark.parametrize("name", methods.names())


def make(name: str, encoder: Encoder, machine: Runtime) -> Stylizer:
    """The method, told to be quick where it works in steps."""
    recipe = Recipe(method=name, encoder="tiny", iterations=8, quality="draft")
    return methods.get(name).create(encoder, machine, recipe)


@pytest.fixture
def style(encoder: Encoder, painting: Tensor) -> Style:
    return Style.of(painting, encoder)


def paint(stylizer: Stylizer, photo: Tensor, style: Style, strength: float | None = None) -> Tensor:
    torch.manual_seed(5)
    return stylizer.stylize(photo, stylizer.encode(style), strength)


@every_method
@pytest.mark.parametrize("size", [(48, 40), (33, 47), (1, 1), (1, 30), (30, 1)])
def test_size_range_and_type_are_kept(
    name: str, encoder: Encoder, machine: Runtime, style: Style, size: tuple[int, int]
) -> None:
    """Odd sides and single pixels included; what comes out can be written as it is."""
    photo = torch.rand(1, 3, *size)
    painted = paint(make(name, encoder, machine), photo, style)
    assert painted.shape == photo.shape
    assert painted.dtype == torch.float32
    assert painted.device == photo.device
    assert not painted.requires_grad
    assert painted.isfinite().all()
    assert painted.min() >= 0
    assert painted.max() <= 1


@every_method
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_stay_in_range(
    name: str, encoder: Encoder, machine: Runtime, style: Style, value: float
) -> None:
    """Rounding at the very end of the range must not lead out of it."""
    painted = paint(make(name, encoder, machine), torch.full((1, 3, 16, 16), value), style)
    assert painted.min() >= 0
    assert painted.max() <= 1


@every_method
def test_strength_zero_is_the_photo(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    assert torch.equal(paint(make(name, encoder, machine), photo, style, strength=0), photo)


@every_method
def test_the_style_does_something(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    assert (paint(make(name, encoder, machine), photo, style) - photo).abs().mean() > 1e-3


@every_method
def test_same_seed_same_picture(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    """Bit for bit, also by a second stylizer: nothing is left over from the first picture."""
    stylizer = make(name, encoder, machine)
    first = paint(stylizer, photo, style)
    assert torch.equal(paint(stylizer, photo, style), first)
    assert torch.equal(paint(make(name, encoder, machine), photo, style), first)


@every_method
def test_inputs_are_left_alone(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    """Photo and code are used again, for the next style and for the measurement."""
    stylizer = make(name, encoder, machine)
    code, before = stylizer.encode(style), photo.clone()
    kept = {key: tensor.clone() for key, tensor in code.items()}
    painted = stylizer.stylize(photo, code)
    painted.zero_()
    assert torch.equal(photo, before)
    assert all(torch.equal(code[key], kept[key]) for key in kept)


@every_method
def test_blend_of_one_is_itself(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    stylizer = make(name, encoder, machine)
    torch.manual_seed(5)
    blended = stylizer.stylize(photo, blend([stylizer.encode(style)], [3.0]))
    assert torch.equal(blended, paint(stylizer, photo, style))


@every_method
def test_a_stored_style_is_the_style(
    name: str, encoder: Encoder, machine: Runtime, style: Style, tmp_path: Path
) -> None:
    """Files hold half precision: near enough, tensor by tensor."""
    stylizer = make(name, encoder, machine)
    style.save(tmp_path / "a.style.safetensors")
    stored = stylizer.encode(Style.load(tmp_path / "a.style.safetensors"))
    for key, tensor in stylizer.encode(style).items():
        assert (stored[key] - tensor).norm() <= 2e-3 * tensor.norm()


@every_method
def test_a_batch_is_its_pictures_one_by_one(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    """Nearly: convolutions round differently in a batch, and optimisation magnifies it."""
    stylizer = make(name, encoder, machine)
    pair = torch.cat([photo, photo.flip(3)])
    both = paint(stylizer, pair, style)
    for i in range(2):
        alone = paint(stylizer, pair[i : i + 1], style)
        assert (both[i] - alone[0]).abs().mean() < 2e-3


@every_method
def test_state_survives_a_round_trip(name: str, encoder: Encoder, machine: Runtime) -> None:
    state = make(name, encoder, machine).state_dict()
    make(name, encoder, machine).load_state_dict(state)


@every_method
def test_steps_are_reported_where_promised(
    name: str, encoder: Encoder, machine: Runtime, style: Style, photo: Tensor
) -> None:
    stylizer, steps = make(name, encoder, machine), list[Step]()
    stylizer.stylize(photo, stylizer.encode(style), None, steps.append)
    if stylizer.can.steps:
        assert [step.done for step in steps] == list(range(1, len(steps) + 1))
        assert {step.total for step in steps} == {len(steps)}


@every_method
def test_cost_grows_with_the_area(name: str, encoder: Encoder, machine: Runtime) -> None:
    """The estimate shrinks the picture until it fits: it must see that this helps."""
    stylizer = make(name, encoder, machine)
    costs = [stylizer.cost(side, side * 2) for side in (1, 50, 100, 200, 400, 800, 1600)]
    for smaller, larger in pairwise(costs):
        assert 0 < smaller.megapixels < larger.megapixels
        assert 0 < smaller.peak_bytes < larger.peak_bytes


@every_method
def test_rehearsal_runs(
    name: str, encoder: Encoder, machine: Runtime, photo: Tensor, style: Style
) -> None:
    """It times a pass without a style, and leaves nothing behind."""
    stylizer = make(name, encoder, machine)
    before = photo.clone()
    one_pass = stylizer.rehearse(photo)
    one_pass()
    one_pass()
    assert torch.equal(photo, before)
    fresh = make(name, encoder, machine)
    assert torch.equal(paint(stylizer, photo, style), paint(fresh, photo, style))


@every_method
def test_methods_introduce_themselves(name: str) -> None:
    """The list of methods is printed from these."""
    method = methods.get(name)
    assert method.name == name
    assert "arXiv:" in method.paper
    assert method.can.options <= Recipe.model_fields.keys()


def test_names_are_sorted_and_there() -> None:
    assert methods.names() == sorted(methods.names())
    assert "gatys" in methods.names()


def test_unknown_method() -> None:
    listed = ", ".join(methods.names())
    with pytest.raises(UnknownName, match=f"'gatis'.*Did you mean 'gatys'.*from: {listed}"):
        methods.get("gatis")


@pytest.mark.parametrize("name", ["", "__init__", "os", "../gatys", "gatys.Config"])
def test_a_name_is_not_an_import_path(name: str) -> None:
    """Names come from the network some day: they must only ever mean a file of this folder."""
    with pytest.raises(UnknownName):
        methods.get(name)


@every_method
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (1, 1, 8, 8)])
def test_another_shape_is_named(
    name: str, encoder: Encoder, machine: Runtime, shape: tuple[int, ...]
) -> None:
    with pytest.raises(BadInput, match=re.escape(str(shape))):
        make(name, encoder, machine).stylize(torch.rand(shape), {})


@every_method
@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_another_strength_is_named(
    name: str, encoder: Encoder, machine: Runtime, strength: float
) -> None:
    with pytest.raises(BadInput, match="Strength is"):
        make(name, encoder, machine).stylize(torch.rand(1, 3, 8, 8), {}, strength)
