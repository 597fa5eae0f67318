"""--method auto: who paints what, and with which controls."""

from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from impasto import methods
from impasto.auto import ORDER, choose, demanded
from impasto.errors import BadInput
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style

pytestmark = pytest.mark.usefixtures("decoders")


@pytest.fixture
def known(encoder: Encoder, painting: Tensor) -> Style:
    """The one style that the small johnson and dumoulin have learned."""
    return Style.of(painting, encoder, "style")


@pytest.fixture
def unknown(known: Style) -> Style:
    return replace(known, name="mine.jpg")


def chosen(encoder: Encoder, machine: Runtime, *styles: Style, **settings: object) -> str:
    return choose(Recipe(encoder="tiny", **settings), styles, encoder, machine).name  # type: ignore[arg-type]


def test_every_method_has_its_place() -> None:
    assert sorted(ORDER) == methods.names()


def test_a_network_of_its_own_comes_first(encoder: Encoder, machine: Runtime, known: Style) -> None:
    assert chosen(encoder, machine, known) == "johnson"
    assert chosen(encoder, machine, known, strength=1.0) == "johnson"


def test_between_things_it_is_the_network_of_many(
    encoder: Encoder, machine: Runtime, known: Style
) -> None:
    assert chosen(encoder, machine, known, known) == "dumoulin"
    assert chosen(encoder, machine, known, strength=0.5) == "dumoulin"


def test_what_nobody_has_learned_goes_to_those_that_take_any(
    encoder: Encoder, machine: Runtime, known: Style, unknown: Style
) -> None:
    first = next(name for name in ORDER if name not in ("johnson", "dumoulin"))
    assert chosen(encoder, machine, unknown) == first
    assert chosen(encoder, machine, known, unknown) == first


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"quality": "best"}, "gatys"),
        ({"iterations": 30}, "gatys"),
        ({"init": "noise"}, "gatys"),
        ({"levels": 3}, "wct"),
        ({"finish": False}, "adain"),
        ({"quality": "draft"}, "johnson"),
        ({"quality": "draft", "levels": 3}, "wct"),
    ],
)
def test_controls_choose(
    settings: dict[str, object], method: str, encoder: Encoder, machine: Runtime, known: Style
) -> None:
    assert chosen(encoder, machine, known, **settings) == method


def test_controls_of_two_methods(encoder: Encoder, machine: Runtime, known: Style) -> None:
    with pytest.raises(BadInput, match="all of --iterations, --levels"):
        chosen(encoder, machine, known, levels=3, iterations=5)


def test_without_any_trained_weights_it_is_gatys(
    encoder: Encoder,
    machine: Runtime,
    known: Style,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    assert chosen(encoder, machine, known) == "gatys"


def test_nothing_demanded() -> None:
    assert demanded(Recipe()) == demanded(Recipe(quality="draft")) == frozenset()
