"""Johnson: a network for every style, mixed in linear light, read when it is needed."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import weights
from impasto.codes import blend
from impasto.engines import Engine
from impasto.errors import DamagedWeights, MissingWeights, UnknownName
from impasto.feedforward import once
from impasto.media.color import to_linear, to_srgb
from impasto.methods.johnson import Johnson
from impasto.networks.encoders import Encoder
from impasto.networks.transformer import Transformer
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style

STYLES = ["great-wave", "starry-night", "udnie"]


@pytest.fixture
def networks(home: Path) -> dict[str, Transformer]:
    """Networks of random weights for three styles, one of them wider than the others."""
    found = {}
    for name, width in zip(STYLES, (0.125, 0.25, 0.125), strict=True):
        found[name] = Transformer(width).requires_grad_(False).eval()
        header = weights.Header("johnson", name, {"width": width, "norm": "instance"})
        path = home / weights.file_name("johnson", name)
        weights.write(path, found[name].state_dict(), header)
    return found


@pytest.fixture
def method(encoder: Encoder, machine: Runtime, networks: dict[str, Transformer]) -> Johnson:
    return Johnson.create(encoder, machine, Recipe(method="johnson"))


def style(name: str) -> Style:
    """Johnson needs no more of a style than its name."""
    return Style("tiny", {}, name)


def test_the_code_is_a_share_for_every_network(method: Johnson) -> None:
    code = method.encode(style("starry-night"), 1.5)
    assert method.styles == tuple(STYLES)
    assert code["shares"].tolist() == [[0, 1, 0]] and code["scale"].tolist() == [1.5]


def test_its_own_network_paints_a_style(
    method: Johnson, networks: dict[str, Transformer], photo: Tensor
) -> None:
    for name, network in networks.items():
        painted = method.stylize(photo, method.encode(style(name)))
        torch.testing.assert_close(painted, network(photo), atol=1e-5, rtol=1e-5)


def test_two_styles_are_mixed_in_linear_light(
    method: Johnson, networks: dict[str, Transformer], photo: Tensor
) -> None:
    """As two lamps, not as the mean of their values in sRGB."""
    code = blend([method.encode(style(name)) for name in ("great-wave", "udnie")], [3, 1])
    a, b = networks["great-wave"](photo), networks["udnie"](photo)
    painted = method.stylize(photo, code)
    expected = to_srgb(0.75 * to_linear(a) + 0.25 * to_linear(b))
    torch.testing.assert_close(painted, expected, atol=1e-5, rtol=1e-5)
    assert (painted - (0.75 * a + 0.25 * b)).abs().max() > 1e-3


def test_strength_mixes_with_the_photo_in_linear_light(
    method: Johnson, networks: dict[str, Transformer], photo: Tensor
) -> None:
    painted = method.stylize(photo, method.encode(style("udnie")), 0.25)
    light = 0.25 * to_linear(networks["udnie"](photo)) + 0.75 * to_linear(photo)
    torch.testing.assert_close(painted, to_srgb(light), atol=1e-5, rtol=1e-5)


def test_more_than_all_of_a_style_stays_a_picture(method: Johnson, photo: Tensor) -> None:
    """Weights may be negative: away from the other."""
    codes = [method.encode(style(name)) for name in ("great-wave", "udnie")]
    painted = method.stylize(photo, blend(codes, [3, -2]))
    assert painted.isfinite().all() and painted.min() >= 0 and painted.max() <= 1


def test_networks_are_read_when_they_are_needed(method: Johnson, photo: Tensor) -> None:
    """And once: there may be hundreds of them on the machine."""
    assert method.engines == {}
    method.stylize(photo, method.encode(style("udnie")))
    (engine,) = method.engines.values()
    method.stylize(photo, method.encode(style("udnie")))
    assert method.engines == {"udnie": engine}


def test_twice_the_strokes_is_half_the_size(
    method: Johnson, networks: dict[str, Transformer], photo: Tensor, machine: Runtime
) -> None:
    painted = method.stylize(photo, method.encode(style("udnie"), 2.0))
    network = networks["udnie"]
    expected = once(Engine(network, machine, "udnie"), photo, None, 2.0)
    torch.testing.assert_close(painted, expected, atol=1e-5, rtol=1e-5)
    assert (painted - network(photo)).abs().mean() > 1e-3


def test_it_knows_what_there_is_a_network_for(method: Johnson) -> None:
    assert weights.names("johnson") == STYLES
    assert Johnson.knows(style("udnie")) and not Johnson.knows(style("the-scream"))


def test_a_style_that_has_no_network(method: Johnson) -> None:
    with pytest.raises(UnknownName) as caught:
        method.encode(style("stary-night"))
    text = str(caught.value)
    assert "style of johnson 'stary-night'. Did you mean 'starry-night'?" in text
    assert f"Choose from: {', '.join(STYLES)}." in text
    assert "impasto train johnson --style PICTURE" in text


def test_without_any_network(home: Path, encoder: Encoder, machine: Runtime) -> None:
    assert not Johnson.knows(style("udnie"))
    with pytest.raises(MissingWeights, match="impasto train johnson --style PICTURE --content"):
        Johnson.create(encoder, machine, Recipe(method="johnson"))


def test_a_file_that_is_no_network(method: Johnson, home: Path, photo: Tensor) -> None:
    """Said of the file, when its style is asked for; the others paint on."""
    header = weights.Header("johnson", "udnie", {"width": 0.5, "norm": "instance"})
    path = home / weights.file_name("johnson", "udnie")
    weights.write(path, Transformer(0.125).state_dict(), header)
    with pytest.raises(DamagedWeights, match="johnson-udnie"):
        method.stylize(photo, method.encode(style("udnie")))
    path.write_bytes(b"nothing")
    with pytest.raises(DamagedWeights, match="johnson-udnie"):
        method.stylize(photo, method.encode(style("udnie")))
    assert method.stylize(photo, method.encode(style("great-wave"))).isfinite().all()


def test_one_name_in_both_folders_is_one_style(
    networks: dict[str, Transformer], home: Path, tmp_path: Path
) -> None:
    """The packaged one goes first."""
    name = weights.file_name("johnson", "udnie")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / name).write_bytes((home / name).read_bytes())
    assert sorted(weights.names("johnson")) == STYLES
    assert weights.find("johnson", "udnie").parent == tmp_path / "none"
