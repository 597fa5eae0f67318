"""Settings models to and from flags and TOML; what is wrong becomes one line for people."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from impasto.errors import BadInput, unknown

Model = TypeVar("Model", bound=BaseModel)
Command = TypeVar("Command", bound=Callable[..., Any])

BOUNDS = {
    "ge": "it has to be at least",
    "gt": "it has to be more than",
    "le": "it can be at most",
    "lt": "it has to be less than",
}
"""Bounds of numbers by pydantic's names for them."""


def validate(model: type[Model], values: Mapping[str, object]) -> Model:
    """The model with those values.

    Raises UnknownName for a key or choice that does not exist, BadInput for a value outside what
    is allowed.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(model, error) from error


def _explain(model: type[BaseModel], error: ValidationError) -> BadInput:
    """The most telling complaint of pydantic in our words: a misspelt key before a missing one."""
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return unknown("setting", where, _fields(model, first["loc"]))
    if first["type"] == "literal_error":
        field = _fields(model, first["loc"]).get(str(first["loc"][-1]))
        return unknown(where, str(first["input"]), _choices(field.annotation) if field else ())
    if first["type"] == "missing":
        return BadInput(f"Setting {where!r} is required.")
    return BadInput(f"Setting {where!r} is {first['input']!r}: {_complaint(first)}.")


def _complaint(error: ErrorDetails) -> str:
    """What is wrong with a value: of numbers out of range, what they may be."""
    for bound, words in BOUNDS.items():
        if bound in error.get("ctx", {}):
            return f"{words} {error['ctx'][bound]:g}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"


def _fields(model: type[BaseModel], location: tuple[int | str, ...]) -> Mapping[str, FieldInfo]:
    """The fields of the (nested) model in which the complaint arose."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = _flatten(field.annotation) if field else []
        models = [t for t in inner if isinstance(t, type) and issubclass(t, BaseModel)]
        model = models[0] if models else model
    return model.model_fields


def _flatten(annotation: Any) -> list[Any]:
    """A type and all types inside it: ``tuple[Stage, ...]`` gives ``Stage`` too."""
    return [annotation, *(t for inner in get_args(annotation) for t in _flatten(inner))]


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises BadInput when it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"Cannot read {str(path)!r}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!r} is not valid TOML: {error}.") from error


def parse_shard(text: str) -> tuple[int, int]:
    """Which part of how many: ``2/4``.

    Raises BadInput.
    """
    first, _, second = text.partition("/")
    if first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise BadInput(f"A shard is I/N, such as 2/4, with I from 1 to N; not {text!r}.")


def flags(model: type[BaseModel], *names: str) -> Callable[[Command], Command]:
    """One command-line option per named field; only those given reach the command."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _flag(name, model.model_fields[name])(command)
        return command

    return decorate


def _flag(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    help_text = field.description or ""
    if field.default not in (None, ()):
        shown = {"True": "yes", "False": "no"}.get(str(field.default), field.default)
        help_text += f" [default: {shown}]"
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, help=help_text, default=None)
    return click.option(
        flag,
        name,
        type=_click_type(field.annotation),
        metavar=_metavar(field.annotation),
        help=help_text,
        default=None,
    )


def _click_type(annotation: Any) -> click.ParamType[Any]:
    """Numbers are parsed by click; everything else, ranges and choices, is left to pydantic."""
    types = _flatten(annotation)
    if any(get_origin(t) is tuple for t in types):
        return click.STRING
    if int in types:
        return click.INT
    if float in types:
        return click.FLOAT
    return click.STRING


def _metavar(annotation: Any) -> str | None:
    choices = _choices(annotation)
    return "|".join(choices) if choices else None


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) is Union:
        return tuple(choice for inner in get_args(annotation) for choice in _choices(inner))
    return ()
