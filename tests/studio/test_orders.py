"""What a stranger may order."""

from typing import Any

import pytest

from impasto.errors import BadInput, UnknownName
from impasto.recipe import Recipe
from impasto.studio.limits import Limits
from impasto.studio.orders import check_recipe, is_upload, uploads

ONE, TWO, THREE = (f"u{digit * 32}" for digit in "12f")
GOOD = {"photo": "sample:coffee", "styles": ("starry-night",)}


def check(**settings: Any) -> None:
    recipe = Recipe.model_validate({**GOOD, **settings})
    check_recipe(recipe, Limits(size=1000), ("starry-night", "udnie"), ("coffee",))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"photo": ONE},
        {"styles": ({"source": TWO}, "udnie:0.5")},
        {"styles": (), "masks": ({"mask": ONE, "style": TWO}, {"mask": "alpha", "style": "udnie"})},
        {"method": "gatys", "iterations": 2000, "size": 1000},
    ],
)
def test_what_a_studio_has_may_be_ordered(settings: dict[str, Any]) -> None:
    check(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"photo": ""}, "neither an upload nor a sample"),
        ({"photo": "/etc/passwd"}, "neither an upload nor a sample"),
        ({"photo": ONE.upper()}, "neither an upload"),
        ({"photo": ONE + "\n"}, "neither an upload"),
        ({"photo": "sample:nobody"}, "Unknown sample"),
        ({"photo": "sample:../coffee"}, "Unknown sample"),
        ({"styles": ()}, "No style given"),
        ({"styles": ("udny",)}, "Did you mean 'udnie'"),
        ({"styles": ("../starry-night",)}, "Unknown style"),
        ({"styles": ({"source": "a.style.safetensors"},)}, "Unknown style"),
        ({"masks": ({"mask": "sky.png", "style": "udnie"},)}, "neither an upload nor 'alpha'"),
        ({"masks": ({"mask": ONE, "style": "sky.png"},)}, "Unknown style"),
        ({"device": "cuda"}, "chooses it itself"),
        ({"encoder": "vgg19"}, "'compact' only"),
        ({"engine": "compile"}, "chooses it itself"),
        ({"init": "/etc/passwd.png"}, "init is a picture"),
        ({"size": 1001}, "at most 1000 px"),
        ({"iterations": 2001}, "at most 2000"),
        ({"styles": ("udnie",) * 17}, "17 styles; at most 16"),
    ],
)
def test_anything_else_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check(**settings)


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(UnknownName) as caught:
        check(styles=("x" * 10_000,))
    assert len(str(caught.value)) < 300


def test_uploads_of_a_recipe() -> None:
    recipe = Recipe.model_validate(
        {
            "photo": ONE,
            "styles": ({"source": "udnie"}, {"source": TWO}),
            "masks": ({"mask": THREE, "style": TWO}, {"mask": "alpha", "style": "udnie"}),
        }
    )
    assert uploads(recipe) == {ONE, TWO, THREE}
    assert all(map(is_upload, (ONE, TWO, THREE)))
    assert not any(map(is_upload, ("", "udnie", ONE[:-1], f"{ONE}0", f"x{ONE}")))
