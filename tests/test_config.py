"""Settings: flags are derived from the model, and every mistake becomes one line for people."""

from pathlib import Path
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from impasto.cli import main
from impasto.cli.paint import NO_FLAGS
from impasto.config import flags, read_toml, validate
from impasto.errors import BadInput, UnknownName
from impasto.recipe import Recipe


class Stage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: int = Field(gt=0)


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    style_scale: Annotated[float, Field(ge=0.5, le=2, description="Size of the strokes.")] = 1.0
    steps: Annotated[int | None, Field(ge=1, description="Steps in all.")] = None
    color: Annotated[Literal["style", "luma"], Field(description="Whose colours.")] = "style"
    stages: tuple[Stage, ...] = ()
    finish: Annotated[bool, Field(description="Take the palette too.")] = True
    shares: Annotated[
        tuple[float, ...],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
        Field(description="One for each."),
    ] = ()


# --- values ---


def test_valid_values() -> None:
    settings = validate(Settings, {"style_scale": 1.5, "stages": [{"until": 3}]})
    assert settings == Settings(style_scale=1.5, stages=(Stage(until=3),))


def test_unknown_setting() -> None:
    """A misspelt key that is swallowed silently leaves the default in force."""
    with pytest.raises(
        UnknownName, match=r"setting 'style_scal'\. Did you mean 'style_scale'\?.*steps, color"
    ):
        validate(Settings, {"style_scal": 1.5})


def test_unknown_setting_inside_a_table() -> None:
    """The suggestion comes from the table that the key stood in, not from the outermost."""
    with pytest.raises(UnknownName, match=r"'stages\.0\.untill'.*Choose from: until\.$"):
        validate(Settings, {"stages": [{"until": 3, "untill": 4}]})


def test_a_misspelt_key_is_named_before_the_missing_one() -> None:
    """``untill`` leaves ``until`` missing: the cause is of more use than the consequence."""
    with pytest.raises(UnknownName, match="Did you mean 'until'"):
        validate(Settings, {"stages": [{"untill": 4}]})


def test_unknown_choice() -> None:
    with pytest.raises(
        UnknownName, match=r"color 'lumma'\. Did you mean 'luma'\? Choose from: style, luma\."
    ):
        validate(Settings, {"color": "lumma"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "nan"])
def test_not_a_number(value: object) -> None:
    """NaN passes every comparison's negation: it must not reach the optimisation."""
    with pytest.raises(BadInput, match=r"^Setting 'style_scale' is .*(finite|inf)"):
        validate(Settings, {"style_scale": value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"style_scale": 3}, r"'style_scale' is 3: it can be at most 2\."),
        ({"steps": 0}, r"'steps' is 0: it has to be at least 1\."),
        ({"steps": 1.5}, r"'steps' is 1\.5: .*integer"),
        ({"steps": "many"}, r"'steps' is 'many': .*integer"),
        ({"stages": [{"until": 0}]}, r"'stages\.0\.until' is 0: it has to be more than 0"),
        ({"stages": [{}]}, r"'stages\.0\.until' is (required|missing)"),
    ],
)
def test_values_outside_what_is_allowed(values: dict[str, object], message: str) -> None:
    """The line names the setting, the value, and the bound; and it is one line."""
    with pytest.raises(BadInput, match=message) as error:
        validate(Settings, values)
    assert "\n" not in str(error.value)


# --- TOML ---


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "größer"\n[[stages]]\nuntil = 3\n', encoding="utf-8")
    assert read_toml(path) == {"name": "größer", "stages": [{"until": 3}]}


@pytest.mark.parametrize("content", [b"steps = ", b"steps = 1\nsteps = 2", b"\xff\xfe", b"\x00"])
def test_not_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.toml' is not valid TOML: "):
        read_toml(tmp_path / "a.toml")


def test_no_toml_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Cannot read '.*a\.toml': No such file"):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(BadInput, match=r"Cannot read .*: Is a directory"):
        read_toml(tmp_path)


# --- flags ---


def command(*names: str) -> click.Command:
    @click.command()
    @flags(Settings, *names)
    def show(**values: object) -> None:
        click.echo(repr(values))

    return show


def run(*args: str, names: tuple[str, ...] = ("style_scale", "steps", "color")) -> str:
    result = CliRunner().invoke(command(*names), args)
    return result.output


def test_flags_come_from_the_fields() -> None:
    """Help, choices and defaults are read off the model: a second list would go stale."""
    text = " ".join(run("--help").split())
    assert "--style-scale FLOAT Size of the strokes. [default: 1.0]" in text
    assert "--steps INTEGER Steps in all." in text
    assert "Steps in all. [default" not in text
    assert "--color style|luma Whose colours. [default: style]" in text
    assert text.index("--style-scale") < text.index("--steps") < text.index("--color")


def test_flags_are_parsed_by_type() -> None:
    assert run("--style-scale", "1.5", "--steps", "7", "--color", "luma") == (
        "{'style_scale': 1.5, 'steps': 7, 'color': 'luma'}\n"
    )


def test_flags_not_given_are_none() -> None:
    """What was not said must not count as said: TOML or another recipe may say it."""
    assert run() == "{'style_scale': None, 'steps': None, 'color': None}\n"


def test_yes_and_no_are_two_flags() -> None:
    """Neither given is neither said, and not no."""
    text = " ".join(run("--help", names=("finish",)).split())
    assert "--finish / --no-finish Take the palette too. [default: yes]" in text
    given = {(): None, ("--finish",): True, ("--no-finish",): False}
    for args, value in given.items():
        assert run(*args, names=("finish",)) == f"{{'finish': {value}}}\n"


def test_several_numbers_are_one_flag() -> None:
    """A text until the model reads it; what is wrong with it is said there."""
    assert run("--shares", "1,0.5", names=("shares",)) == "{'shares': '1,0.5'}\n"
    assert validate(Settings, {"shares": "1,0.5"}).shares == (1.0, 0.5)
    with pytest.raises(BadInput, match=r"'shares\.1' is 'x': .*number"):
        validate(Settings, {"shares": "1,x"})


def test_only_named_fields_become_flags() -> None:
    assert "--color" not in run("--help", names=("steps",))


def test_flag_of_the_wrong_type() -> None:
    result = CliRunner().invoke(command("steps"), ["--steps", "many"])
    assert result.exit_code == 2
    assert "'many' is not a valid integer" in result.output


def test_every_field_of_the_recipe_is_a_flag_of_stylize() -> None:
    """A setting that the command line does not know is a setting that most people do not have."""
    options = {name for p in main.commands["stylize"].params for name in p.opts}
    fields = set(Recipe.model_fields) - set(NO_FLAGS)
    assert {f"--{name.replace('_', '-')}" for name in fields} <= options


def test_every_flag_of_the_recipe_is_explained() -> None:
    fields = set(Recipe.model_fields) - set(NO_FLAGS)
    assert all(Recipe.model_fields[name].description for name in fields)
