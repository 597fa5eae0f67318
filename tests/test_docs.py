"""What the documentation says can be typed is typed here: every command, every piece of Python."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from impasto.cli import main
from impasto.media.image import resize, scaled, write
from impasto.media.samples import sample_photo

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

PARSED = ("train", "export", "weights pull", "serve", "lens features", "lens reconstruct")
"""Commands that take long, need the network, or do not end: only their words are looked at."""

UNLEARNED = re.compile(r"-s my( |$)")
"""What works once a style has been learned."""

SIZE = re.compile(r"--size \d+")
"""All are painted at 64 px: the words count."""


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for tongue, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if tongue == language:
                yield page.name, text


def commands(language: str = "") -> list[str]:
    lines = [line for _, text in blocks(language) for line in text.splitlines()]
    words = [line.removeprefix(".venv/bin/").partition(" #")[0].rstrip(" |&") for line in lines]
    return list(dict.fromkeys(word for word in words if word.startswith("impasto ")))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the documentation speaks of, small."""
    folder = tmp_path_factory.mktemp("desk")
    photo, painting = scaled(sample_photo("astronaut"), 64), scaled(sample_photo("coffee"), 96)
    for name in ("photo.jpg", "photos/a.jpg", "PHOTOS/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        write(photo, folder / name)
    for name in ("my-painting.jpg", "my.jpg", "a.jpg", "b.jpg", "paintings/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        write(painting, folder / name)
    mask = (photo.mean(1, keepdim=True) > 0.5).float()
    for name in ("person.png", "sky.png"):
        write(mask.expand(-1, 3, -1, -1), folder / name)
    write(photo, folder / "cutout.png", alpha=resize(mask, (64, 64)))
    return folder


def test_there_are_commands() -> None:
    assert len(commands()) > 20


@pytest.mark.parametrize("command", commands())
def test_commands(command: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    words = shlex.split(command)[1:]
    parsed(words)
    if " ".join(words).startswith(PARSED) or UNLEARNED.search(command):
        return
    with pytest.raises(SystemExit) as end:
        main(shlex.split(SIZE.sub("--size 64", command))[1:])
    assert not end.value.code


@pytest.mark.parametrize("command", commands("sh"))
def test_commands_for_films_and_servers(command: str) -> None:
    """What takes more than a photo is run by tests of its own; here its words are looked at."""
    parsed(shlex.split(command)[1:])


def parsed(words: list[str]) -> None:
    """Raise what click raises for words that it does not know."""
    group: click.Command = main
    context = main.make_context("impasto", list(words))
    while isinstance(group, click.Group):
        name, group, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert group is not None
        context = group.make_context(name, rest, parent=context)


@pytest.mark.parametrize(("page", "code"), list(blocks("python")))
def test_python(page: str, code: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    exec(compile(code, page, "exec"), {})


def test_the_notebook(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code, cell by cell, on a smaller picture."""
    monkeypatch.chdir(desk)
    notebook = json.loads((ROOT / "docs" / "comparison.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    code = "\n".join(cells).replace("(256, 256)", "(64, 64)")
    names: dict[str, object] = {}
    exec(compile(code, "comparison.ipynb", "exec"), names)
    assert {"gatys", "wct"} <= names["pictures"].keys()  # type: ignore[attr-defined]
