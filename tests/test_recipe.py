"""The Recipe: what people write is read as they mean it, and nothing is lost on the way."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from impasto.config import validate
from impasto.errors import BadInput, UnknownName
from impasto.recipe import STARTS, MaskShare, Recipe, StyleShare


@pytest.mark.parametrize(
    ("text", "source", "weight"),
    [
        ("starry-night", "starry-night", 1.0),
        ("starry-night:0.3", "starry-night", 0.3),
        ("a:-1", "a", -1.0),
        ("a:2e-1", "a", 0.2),
        ("a:b", "a:b", 1.0),
        ("a:", "a:", 1.0),
        (":0.5", ":0.5", 1.0),
        ("0.5", "0.5", 1.0),
        ("a:nan", "a:nan", 1.0),
        ("a:inf", "a:inf", 1.0),
        ("C:\\x.png", "C:\\x.png", 1.0),
        ("C:\\x.png:0.3", "C:\\x.png", 0.3),
        ("https://host:80/x.png", "https://host:80/x.png", 1.0),
        ("my.style.safetensors:3", "my.style.safetensors", 3.0),
    ],
)
def test_style_with_weight(text: str, source: str, weight: float) -> None:
    """The weight is what stands behind the last colon, if it is a number; else it is a name."""
    assert StyleShare.parse(text) == StyleShare(source=source, weight=weight)


@pytest.mark.parametrize(
    ("text", "mask", "style", "weight"),
    [
        ("sky.png=udnie", "sky.png", "udnie", 1.0),
        ("alpha=udnie:0.5", "alpha", "udnie", 0.5),
        ("a=b.png=udnie", "a=b.png", "udnie", 1.0),
        ("a=udnie=", "a", "udnie=", 1.0),
        ("=a=udnie", "=a", "udnie", 1.0),
        ("C:\\sky.png=D:\\x.png:2", "C:\\sky.png", "D:\\x.png", 2.0),
    ],
)
def test_mask_with_style(text: str, mask: str, style: str, weight: float) -> None:
    """Names of masks may hold an equals sign, those of styles a colon."""
    assert MaskShare.parse(text) == MaskShare(mask=mask, style=style, weight=weight)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ("sky.png", "'sky.png' names no mask and style: write REGION.png=STYLE"),
        ("=udnie", "write REGION.png=STYLE"),
        ("sky.png=", "write REGION.png=STYLE"),
        ("", "write REGION.png=STYLE"),
        ("sky.png=udnie:0", "the weight in 'sky.png=udnie:0' must be above 0"),
        ("sky.png=udnie:-1", "must be above 0"),
        ({"mask": "sky.png", "style": "udnie", "weight": 0}, "more than 0"),
        ({"mask": "sky.png"}, "'masks.0.style' is required"),
    ],
)
def test_masks_that_say_too_little(mask: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        validate(Recipe, {"masks": [mask]})


def test_masks_may_be_one_several_or_tables() -> None:
    sky, sea = MaskShare(mask="sky.png", style="a"), MaskShare(mask="b", style="c", weight=2)
    assert Recipe.model_validate({"masks": "sky.png=a"}).masks == (sky,)
    assert Recipe.model_validate({"masks": ["sky.png=a", "b=c:2"]}).masks == (sky, sea)
    assert Recipe.model_validate({"masks": [sky.model_dump(), sea]}).masks == (sky, sea)


def test_what_a_picture_carries_names_files_without_folders() -> None:
    """Whoever gets the picture does not get to know the folders of who painted it."""
    given = {
        "photo": "/home/me/cat.jpg",
        "styles": ["/home/me/own.png:0.3", "udnie"],
        "masks": ["/home/me/sky.png=/home/me/x.png:2", "alpha=udnie"],
        "feather": 3,
    }
    recipe = validate(Recipe, given)
    text = recipe.embedded()
    assert "/home" not in text
    expected = {"photo": "cat.jpg", "styles": ["own.png:0.3", "udnie"], "feather": 3}
    again = validate(Recipe, json.loads(text))
    assert again == validate(Recipe, {**expected, "masks": ["sky.png=x.png:2", "alpha=udnie"]})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_styles_may_be_one_several_or_tables() -> None:
    """``styles="a"`` is one style called a, not one style per letter."""
    a, b = StyleShare(source="abc"), StyleShare(source="b", weight=0.3)
    assert Recipe.model_validate({"styles": "abc"}).styles == (a,)
    assert Recipe.model_validate({"styles": ["abc", "b:0.3"]}).styles == (a, b)
    tables = {"styles": [{"source": "abc"}, {"source": "b", "weight": 0.3}]}
    assert Recipe.model_validate(tables).styles == (a, b)
    assert Recipe(styles=(a, b)).styles == (a, b)


@given(
    source=st.text(min_size=1, max_size=20),
    weight=st.floats(0.01, 100),
    strength=st.floats(0, 1),
    scale=st.floats(0.5, 2),
    seed=st.integers(0, 2**63 - 1),
    size=st.none() | st.integers(1, 100_000),
)
@settings(max_examples=50, deadline=None)
def test_json_round_trip(
    source: str, weight: float, strength: float, scale: float, seed: int, size: int | None
) -> None:
    """A picture carries its Recipe as JSON; read back it must be the same work, to the last bit."""
    recipe = Recipe(
        photo="größer.jpg",
        styles=(StyleShare(source=source, weight=weight),),
        strength=strength,
        style_scale=scale,
        seed=seed,
        size=size,
        color="luma",
    )
    text = recipe.model_dump_json()
    assert Recipe.model_validate_json(text) == recipe
    assert validate(Recipe, json.loads(text)) == recipe


def test_a_name_with_a_colon_survives_json() -> None:
    """In a table the source is the source: it must not be parsed a second time."""
    recipe = Recipe(styles=(StyleShare(source="a:0.3"),))
    assert Recipe.model_validate_json(recipe.model_dump_json()).styles[0].source == "a:0.3"


def test_recipes_are_frozen_and_hashable() -> None:
    """A job that changes its Recipe under way would write a false one into the picture."""
    recipe = Recipe(styles=(StyleShare(source="a"),))
    with pytest.raises(ValidationError):
        recipe.strength = 0.7  # type: ignore[misc]
    with pytest.raises(ValidationError):
        recipe.styles[0].weight = 0.7  # type: ignore[misc]
    assert len({recipe, recipe.model_copy()}) == 1


@pytest.mark.parametrize("given", ["1,0.5,0", [1, 0.5, 0], (1.0, 0.5, 0.0), "1, .5,0e3"])
def test_strengths_of_levels(given: object) -> None:
    """As a flag, as TOML has them, and as a keyword."""
    recipe = validate(Recipe, {"level_strengths": given})
    assert recipe.level_strengths == (1.0, 0.5, 0.0)
    assert Recipe.model_validate_json(recipe.embedded()) == recipe


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("1,1.5", r"'level_strengths\.1' is '1\.5': .*at most 1"),
        ("-0.5", r"'level_strengths\.0' is '-0\.5': .*at least 0"),
        ("1,,1", r"'level_strengths\.1' is '': .*number"),
        ("", r"'level_strengths\.0' is '': .*number"),
        ([0.5, float("nan")], r"'level_strengths\.1' is nan"),
        (0.5, "'level_strengths' is 0.5: .*tuple"),
    ],
)
def test_strengths_of_levels_that_are_none(given: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        validate(Recipe, {"level_strengths": given})


@pytest.mark.parametrize(
    "values",
    [
        {"strength": 1.01},
        {"strength": -0.01},
        {"strength": float("nan")},
        {"style_scale": 0.4},
        {"style_scale": 2.1},
        {"size": 0},
        {"size": 100_001},
        {"feather": -1},
        {"feather": 21},
        {"seed": -1},
        {"seed": 2**63},
        {"iterations": 0},
        {"styles": [{"source": "a", "weight": float("nan")}]},
        {"styles": 3},
    ],
)
def test_values_outside_what_is_allowed(values: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=f"^Setting '{next(iter(values))}"):
        validate(Recipe, values)


@pytest.mark.parametrize("field", ["init", "color", "device", "precision", "quality", "optimizer"])
def test_unknown_choices(field: str) -> None:
    with pytest.raises(UnknownName, match=f"Unknown {field} 'banana'.*Choose from: "):
        validate(Recipe, {field: "banana"})


def test_unknown_setting() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'strength'"):
        validate(Recipe, {"strenght": 0.5})


@pytest.mark.parametrize("styles", [["a:0"], ["a:1", "b:-1"]])
def test_weights_that_cancel(styles: list[str]) -> None:
    """The mean would divide by zero, after everything was loaded."""
    with pytest.raises(BadInput, match="sum to zero: raise one of them"):
        validate(Recipe, {"styles": styles})


# --- what it starts from ---


@pytest.mark.parametrize("name", STARTS)
def test_starts_by_name(name: str) -> None:
    assert validate(Recipe, {"init": name}).begun is None


@pytest.mark.parametrize("name", ["a.png", "b/c.jpg", "auto.png", "C:\\x.webp"])
def test_all_else_is_a_picture(name: str) -> None:
    assert validate(Recipe, {"init": name}).begun == name


@pytest.mark.parametrize("name", ["nois", "", "a/b"])
def test_a_start_that_is_neither(name: str) -> None:
    with pytest.raises(UnknownName, match=r"init .*Choose from: auto, content, noise"):
        validate(Recipe, {"init": name})


def test_a_picture_to_go_on_from_is_embedded_without_folders() -> None:
    assert json.loads(Recipe(init="/secret/a.png").embedded())["init"] == "a.png"
    assert json.loads(Recipe(init="noise").embedded())["init"] == "noise"


def test_a_picture_to_go_on_from_may_be_a_path() -> None:
    assert Recipe.model_validate({"init": Path("painted.png")}).begun == "painted.png"
