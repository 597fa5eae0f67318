"""What pictures take: passes, counted by hand."""

import pytest

from impasto import methods
from impasto.costs import Passes
from impasto.networks.encoders import load_encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime


def test_a_pass_costs_its_pixels() -> None:
    cost = Passes().whole(1000, 2000)
    assert cost.megapixels == 2
    assert cost.peak_bytes == 4 * Passes().whole(500, 1000).peak_bytes


def test_passes_come_one_after_the_other() -> None:
    one, three = Passes().whole(100, 200), Passes(3).whole(100, 200)
    assert three.megapixels == 3 * one.megapixels and three.peak_bytes == one.peak_bytes


def test_half_the_strokes_are_four_times_the_pixels() -> None:
    one, fine = Passes().whole(100, 200), Passes(scale=0.5).whole(100, 200)
    assert fine.megapixels == 4 * one.megapixels and fine.peak_bytes > 4 * one.peak_bytes


STYLES = {"styles": ("starry-night", "udnie")}
MASK = {"mask": "sky.png", "style": "udnie"}


@pytest.mark.parametrize(
    ("method", "settings", "megapixels"),
    [
        ("johnson", {}, 2.0),  # a network for each style
        ("johnson", {"style_scale": 0.5}, 8.0),
        ("johnson", {"strength": 0.5}, 2.0),  # the photo is mixed in
        ("dumoulin", {}, 1.0),  # one row between those of the styles
        ("dumoulin", {"style_scale": 2}, 0.25),
        ("dumoulin", {"strength": 0.5}, 2.0),
        ("dumoulin", {"strength": 0.5, "masks": [MASK]}, 4.0),
        ("ghiasi", {"style_scale": 0.5, "masks": [MASK]}, 2.0),  # another embedding does it
    ],
)
def test_what_a_recipe_takes(
    method: str, settings: dict[str, object], megapixels: float, machine: Runtime
) -> None:
    """In one piece and in tiles, which take half as long again."""
    recipe = Recipe.model_validate({"method": method, **STYLES, **settings})
    painter = methods.get(method).create(load_encoder("compact"), machine, recipe)
    assert painter.cost(1000, 1000).megapixels == pytest.approx(megapixels)
    assert painter.tiled(1000, 1000, 1e9).megapixels == pytest.approx(1.5 * megapixels)
