"""Dumoulin: rows are found, blend, and lead from the photo to the style."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import weights
from impasto.codes import blend
from impasto.engines import Engine
from impasto.errors import MissingWeights, UnknownName
from impasto.feedforward import once
from impasto.methods.dumoulin import Dumoulin
from impasto.networks.encoders import Encoder
from impasto.networks.painters import GALLERY, ManyStyles
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style

STYLES = ["great-wave", "starry-night"]


@pytest.fixture
def painter(home: Path) -> ManyStyles:
    """A network of two styles, put into the store; every row is another, the identity's too."""
    network = ManyStyles(2, 0.125).requires_grad_(False).eval()
    network.rows += 0.3 * torch.randn_like(network.rows)
    config = {"width": 0.125, "norm": "instance", "styles": STYLES}
    path = home / weights.file_name("dumoulin", GALLERY)
    weights.write(path, network.state_dict(), weights.Header("dumoulin", GALLERY, config))
    return network


@pytest.fixture
def method(encoder: Encoder, machine: Runtime, painter: ManyStyles) -> Dumoulin:
    return Dumoulin.create(encoder, machine, Recipe(method="dumoulin"))


def style(name: str, **learned: Tensor) -> Style:
    """Dumoulin needs no more of a style than its name and its rows."""
    return Style("tiny", {}, name, learned=learned)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


# --- rows ---


def test_the_code_is_the_row_of_the_style(method: Dumoulin, painter: ManyStyles) -> None:
    for number, name in enumerate(STYLES):
        code = method.encode(style(name), 1.5)
        assert torch.equal(code["row"], painter.rows[number][None])
        assert code["scale"].tolist() == [1.5]


def test_its_row_paints_a_style(method: Dumoulin, painter: ManyStyles, photo: Tensor) -> None:
    painted = [method.stylize(photo, method.encode(style(name))) for name in STYLES]
    for number, picture in enumerate(painted):
        torch.testing.assert_close(picture, painter.paint(photo, painter.rows[number]))
    assert far(*painted) > 0.01


def test_a_blend_is_the_picture_of_the_mean_row(
    method: Dumoulin, painter: ManyStyles, photo: Tensor
) -> None:
    """Equation (6): one pass, not two pictures laid over one another."""
    code = blend([method.encode(style(name)) for name in STYLES], [3, 1])
    row = 0.75 * painter.rows[0] + 0.25 * painter.rows[1]
    torch.testing.assert_close(code["row"][0], row)
    torch.testing.assert_close(method.stylize(photo, code), painter.paint(photo, row))


def test_a_code_is_its_own(method: Dumoulin, painter: ManyStyles) -> None:
    """Who changes it does not change the network."""
    before = painter.rows.clone()
    method.encode(style("great-wave"))["row"].zero_()
    assert torch.equal(method.painter.rows, before)
    assert method.encode(style("great-wave"))["row"].abs().sum() > 0


# --- strength ---


def test_strength_leads_evenly_from_the_photo_to_the_style(method: Dumoulin, photo: Tensor) -> None:
    code = method.encode(style("starry-night"))
    pictures = [method.stylize(photo, code, s) for s in (0, 1e-3, 0.25, 0.5, 0.75, 1)]
    from_photo, to_style = (
        [far(picture, end) for picture in pictures] for end in (photo, pictures[-1])
    )
    assert from_photo == sorted(from_photo) and to_style == sorted(to_style, reverse=True)
    assert from_photo[0] == 0 and from_photo[1] < 1e-2 * from_photo[-1]
    whole = from_photo[-1]
    assert 0.2 * whole < from_photo[3] < 0.8 * whole


def test_half_way_is_the_row_half_way(method: Dumoulin, painter: ManyStyles, photo: Tensor) -> None:
    """And half of what the identity does not give back."""
    own, row = painter.rows[2], painter.rows[0]
    painted = method.stylize(photo, method.encode(style("great-wave")), 0.5)
    lost = photo - painter.paint(photo, own)
    expected = painter.paint(photo, (own + row) / 2) + 0.5 * lost
    torch.testing.assert_close(painted, expected.clamp(0, 1), atol=1e-5, rtol=1e-5)
    assert lost.abs().mean() > 0.01


def test_in_the_style_of_the_identity_strength_is_a_mere_mix(
    method: Dumoulin, painter: ManyStyles, photo: Tensor
) -> None:
    """Its row is where strength starts: nothing is left to move."""
    code = {"row": painter.rows[-1:], "scale": torch.ones(1)}
    back = painter.paint(photo, painter.rows[-1])
    torch.testing.assert_close(method.stylize(photo, code, 1.0), back)
    torch.testing.assert_close(method.stylize(photo, code, 0.25), 0.25 * back + 0.75 * photo)


def test_twice_the_strokes_is_half_the_size(
    method: Dumoulin, painter: ManyStyles, photo: Tensor, machine: Runtime
) -> None:
    painted = method.stylize(photo, method.encode(style("great-wave"), 2.0))
    expected = once(Engine(painter.network, machine, "many"), photo, painter.rows[:1], 2.0)
    torch.testing.assert_close(painted, expected, atol=1e-5, rtol=1e-5)
    assert far(painted, painter.paint(photo, painter.rows[0])) > 1e-3


# --- rows that were learned later ---


def test_a_row_that_was_learned_later(method: Dumoulin, painter: ManyStyles, photo: Tensor) -> None:
    """For any name, and before the row that the network has for that name."""
    row = painter.rows[1:2] + 0.1
    for name in ("mine", "great-wave"):
        learned = style(name, **{method.key: row})
        assert Dumoulin.knows(learned)
        assert torch.equal(method.encode(learned)["row"], row)
    painted = method.stylize(photo, method.encode(style("mine", **{method.key: row})))
    torch.testing.assert_close(painted, painter.paint(photo, row[0]))


@pytest.mark.parametrize("shape", ["flat", "row"])
def test_a_row_of_either_shape(method: Dumoulin, painter: ManyStyles, shape: str) -> None:
    row = painter.rows[1] if shape == "flat" else painter.rows[1:2]
    assert method.encode(style("mine", **{method.key: row}))["row"].shape == (1, row.numel())


def test_a_row_of_another_network_does_not_count(method: Dumoulin, painter: ManyStyles) -> None:
    other = style("mine", **{"dumoulin-gallery/000000000000": painter.rows[0]})
    assert not Dumoulin.knows(other)
    with pytest.raises(UnknownName):
        method.encode(other)
    named = replace(other, name="starry-night")
    assert Dumoulin.knows(named)
    assert torch.equal(method.encode(named)["row"], painter.rows[1:2])


# --- what is missing ---


def test_a_style_that_has_no_row(method: Dumoulin) -> None:
    assert not Dumoulin.knows(style("stary-night"))
    with pytest.raises(UnknownName) as caught:
        method.encode(style("stary-night"))
    text = str(caught.value)
    assert "style of dumoulin 'stary-night'. Did you mean 'starry-night'?" in text
    assert "impasto train dumoulin --add PICTURE" in text


def test_without_a_network(home: Path, encoder: Encoder, machine: Runtime) -> None:
    with pytest.raises(MissingWeights, match="dumoulin 'gallery'"):
        Dumoulin.create(encoder, machine, Recipe(method="dumoulin"))
    with pytest.raises(MissingWeights, match="dumoulin 'gallery'"):
        Dumoulin.knows(style("great-wave"))
