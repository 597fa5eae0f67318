"""Grids: what is painted where, that a cell is what `stylize` paints, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.cli import main
from impasto.codes import Code
from impasto.commands import Event
from impasto.errors import BadInput, BadOutput
from impasto.media import image as media
from impasto.methods.adain import Adain
from impasto.mix import Cell, Sheet, cells, mix_file
from impasto.networks.encoders import Encoder
from impasto.pipeline import paint, prepare
from impasto.recipe import Recipe
from impasto.style import Style

HALF_A_LEVEL = 0.5 / 255 + 1e-6
"""What 8 bits per channel take from a picture."""


@pytest.fixture
def folder(
    tmp_path: Path,
    photo: Tensor,
    painting: Tensor,
    encoder: Encoder,
    decoders: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """cat.png, (48, 40), and four paintings a.png .. d.png; the tiny encoder looks at them."""
    monkeypatch.setattr("impasto.job.load_encoder", lambda name: encoder)
    monkeypatch.chdir(tmp_path)
    pictures = {"cat": photo, "a": painting, "b": painting.flip(1), "c": 1 - painting}
    for name, pixels in {**pictures, "d": (painting * 2).clamp(0, 1)}.items():
        media.write(pixels, tmp_path / f"{name}.png")
    return tmp_path


def recipe(*styles: str, **settings: object) -> Recipe:
    values = {"photo": "cat.png", "encoder": "tiny", "method": "adain", "size": 48, **settings}
    return Recipe.model_validate({"styles": styles, **values})


def stylized(*styles: str, **settings: object) -> Tensor:
    return paint(prepare(recipe(*styles, **settings), media.read("cat.png").pixels)).pixels


def mixed(grid: int, *styles: str, **settings: object) -> Callable[[int, int], Tensor]:
    """The written grid, as a function that cuts out the cell at (row, column)."""
    mix_file(recipe(*styles, **settings), Path("x.png"), grid)
    pixels = media.read("x.png").pixels
    return lambda row, column: pixels[..., row * 49 :, column * 41 :][..., :48, :40]


def same(written: Tensor, expected: Tensor) -> bool:
    return float((written - expected).abs().max()) <= HALF_A_LEVEL


# What is painted where


def test_one_style_is_a_row_from_the_photo() -> None:
    assert cells(1, 3) == [Cell((1.0,), 0.0), Cell((1.0,), 0.5), Cell((1.0,), 1.0)]


def test_two_styles_are_columns_and_strength_is_rows() -> None:
    ends = [Cell((1.0, 0.0), 0.5), Cell((0.0, 1.0), 0.5), Cell((1.0, 0.0), 1), Cell((0.0, 1.0), 1)]
    assert cells(2, 2) == ends
    assert cells(2, 4)[0].strength == 0.25


def test_three_styles_leave_a_corner_to_the_photo() -> None:
    plan = cells(3, 3)
    assert [plan[i].weights for i in (0, 2, 6)] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [plan[i].strength for i in (0, 2, 4, 6, 8)] == [1, 1, 0.75, 1, 0]
    assert plan[4].weights == (0.25, 0.25, 0.25)


def test_four_styles_have_a_corner_each() -> None:
    plan = cells(4, 3)
    corners = [plan[i].weights for i in (0, 2, 6, 8)]
    assert torch.equal(torch.tensor(corners), torch.eye(4))
    assert plan[1].weights == (0.5, 0.5, 0.0, 0.0)
    assert plan[4].weights == (0.25, 0.25, 0.25, 0.25)


@given(styles=st.integers(1, 4), grid=st.integers(2, 9))
@settings(max_examples=20, deadline=None)
def test_shares_add_up(styles: int, grid: int) -> None:
    """Whatever the styles do not get of a cell is the photo's."""
    plan = cells(styles, grid)
    assert len(plan) == (grid if styles == 1 else grid**2)
    for cell in plan:
        assert len(cell.weights) == styles and min(cell.weights) >= 0
        assert 0 <= cell.strength <= 1
        if styles > 2:
            assert sum(cell.weights) == pytest.approx(cell.strength)
        else:
            assert sum(cell.weights) == pytest.approx(1)


def test_pictures_lie_row_by_row_between_white_lines() -> None:
    sheet = Sheet(rows=2, columns=3, height=50, width=100)
    pictures = [torch.full((1, 3, 50, 100), value / 10) for value in range(6)]
    whole = sheet.arrange(pictures)
    assert whole.shape == (1, 3, 102, 304)
    assert [float(whole[0, 0, 0, x]) for x in (0, 99)] == [0, 0]
    assert [float(whole[0, 0, y, x]) for y, x in ((0, 100), (0, 101), (50, 7), (51, 7))] == [1] * 4
    assert float(whole[0, 2, 52, 204]) == pytest.approx(0.5)
    assert float(whole[0, 2, 101, 303]) == pytest.approx(0.5)


@given(rows=st.integers(1, 9), columns=st.integers(2, 9), height=st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_nothing_but_pictures_and_lines(rows: int, columns: int, height: int) -> None:
    sheet = Sheet(rows, columns, height, 30)
    black = sheet.arrange([torch.zeros(1, 1, height, 30)] * (rows * columns), channels=1)
    assert black.shape[-2:] == sheet.size
    assert int((black == 0).sum()) == rows * columns * height * 30


# A cell is what `stylize` paints


@pytest.mark.parametrize("color", ["style", "luma", "match"])
def test_corners_are_the_styles_alone(folder: Path, color: str) -> None:
    cell = mixed(2, "a.png", "b.png", "c.png", "d.png", color=color)
    for place, style in zip(((0, 0), (0, 1), (1, 0), (1, 1)), "abcd", strict=True):
        assert same(cell(*place), stylized(f"{style}.png", color=color))
    assert not same(cell(0, 0), cell(0, 1))


def test_every_cell_starts_from_the_seed(folder: Path) -> None:
    options = {"method": "gatys", "iterations": 2, "init": "noise", "seed": 3}
    cell = mixed(2, "a.png", "b.png", **options)
    assert same(cell(1, 0), stylized("a.png", **options))
    assert same(cell(1, 1), stylized("b.png", **options))
    assert not same(cell(0, 1), cell(1, 1))


def test_the_fourth_corner_is_the_photo(folder: Path) -> None:
    cell = mixed(2, "a.png", "b.png", "c.png")
    assert same(cell(1, 1), media.read("cat.png").pixels)
    assert same(cell(0, 1), stylized("b.png"))


def test_inside_of_a_square(folder: Path) -> None:
    cell = mixed(3, "a.png", "b.png", "c.png", strength=0.8)
    assert same(cell(0, 1), stylized("a.png", "b.png", strength=0.8))
    assert same(cell(1, 1), stylized("a.png", "b.png", "c.png", strength=0.8 * 0.75))


def test_a_row_ends_in_the_style_alone(folder: Path) -> None:
    """At strength 1, though the method's own is less."""
    cell = mixed(3, "a.png", method="wct")
    assert same(cell(0, 0), media.read("cat.png").pixels)
    assert same(cell(0, 1), stylized("a.png", method="wct", strength=0.5))
    assert same(cell(0, 2), stylized("a.png", method="wct", strength=1))


def test_strength_is_the_end_of_the_row(folder: Path) -> None:
    assert same(mixed(2, "a.png", strength=0.4)(0, 1), stylized("a.png", strength=0.4))


def test_every_style_is_encoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    encode = Adain.encode

    def count(self: Adain, style: Style, scale: float = 1.0) -> Code:
        seen.append(style.name)
        return encode(self, style, scale)

    monkeypatch.setattr(Adain, "encode", count)
    mixed(3, "a.png", "b.png")
    assert seen == ["a.png", "b.png"]


# Files and events


def test_events_and_the_file(folder: Path) -> None:
    events: list[Event] = []
    target = folder / "x.png"
    done = mix_file(recipe("a.png", "b.png"), target, 3, events.append)
    assert [event["event"] for event in events] == ["estimate", *["step"] * 9]
    assert events[-1] == {"event": "step", "done": 9, "total": 9}
    assert done["event"] == "done" and done["output"] == str(target) and done["cells"] == 9
    assert done["size"] == events[0]["size"] == [3 * 40 + 2, 3 * 48 + 2]
    written = media.read(target)
    assert list(written.pixels.shape) == [1, 3, 146, 122]
    assert written.recipe is not None
    assert Recipe.model_validate_json(written.recipe).styles == recipe("a.png", "b.png").styles


def test_transparency_is_in_every_cell_and_not_between_them(folder: Path) -> None:
    alpha = torch.zeros(1, 1, 48, 40)
    alpha[..., :20] = 1
    media.write(media.read("cat.png").pixels, "cat.png", alpha=alpha)
    mix_file(recipe("a.png"), Path("x.png"), 2)
    written = media.read("x.png").alpha
    assert written is not None
    for left in (0, 41):
        assert torch.equal(written[..., left : left + 40], alpha)
    assert float(written[..., 40].min()) == 1


def test_interruption_writes_nothing(folder: Path) -> None:
    def interrupt(event: Event) -> None:
        if event["event"] == "step" and event["done"] == 2:
            raise KeyboardInterrupt

    before = sorted(folder.iterdir())
    with pytest.raises(KeyboardInterrupt):
        mix_file(recipe("a.png"), folder / "x.png", 3, interrupt)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("target", ["x.pgn", "none/x.png", "."])
def test_output_is_checked_before_the_work(folder: Path, target: str) -> None:
    with pytest.raises(BadOutput):
        mix_file(recipe("a.png", photo="missing.png"), Path(target))


@pytest.mark.parametrize("grid", [-1, 0, 1, 10])
def test_another_grid_is_refused(grid: int) -> None:
    with pytest.raises(BadInput, match=f"grid of {grid} is not possible: choose 2 to 9"):
        cells(2, grid)


@pytest.mark.parametrize("styles", [0, 5])
def test_another_number_of_styles_is_refused(styles: int) -> None:
    with pytest.raises(BadInput, match=f"not {styles}: choose one to four"):
        cells(styles, 5)


def test_weights_are_refused() -> None:
    with pytest.raises(BadInput, match=r"give 'udnie' instead of 'udnie:0\.7'"):
        mix_file(recipe("starry-night:1", "udnie:0.7"), Path("x.png"))


def test_masks_are_refused() -> None:
    with pytest.raises(BadInput, match="no masks"):
        mix_file(recipe("udnie", masks=("sky.png=udnie",)), Path("x.png"))


def test_a_grid_that_nothing_could_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = media.Limits(pixels=10_000)
    monkeypatch.setattr(media, "Limits", lambda: limits)
    with pytest.raises(BadInput, match="122 x 146 px, more than 10,000 in all: use a smaller"):
        mix_file(recipe("a.png", "b.png"), folder / "x.png", 3)
    assert not (folder / "x.png").exists()


# The command


def run(*args: str, stdin: bytes | None = None) -> Result:
    command = ["mix", *args, "--encoder", "tiny", "--size", "24", "--grid", "2"]
    return CliRunner().invoke(main, command, input=stdin)


def test_the_grid_lies_beside_the_photo(folder: Path) -> None:
    (folder / "in").mkdir()
    shutil.move("cat.png", "in/cat.png")
    result = run("in/cat.png", "-s", "a.png", "-s", "b.png")
    assert result.exit_code == 0, result.output
    assert media.header(folder / "in" / "cat.mix.png") == (41, 49)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("wct, 41 x 49 px: about ")
    assert lines[1].startswith("in/cat.mix.png: 4 pictures in ")


def test_json_is_one_event_a_line(folder: Path) -> None:
    result = run("cat.png", "-s", "a.png", "-o", "x.webp", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["estimate", "step", "step", "done"]
    assert events[-1]["output"] == "x.webp" and events[-1]["cells"] == 2


def test_pipes(folder: Path) -> None:
    result = run("-", "-s", "a.png", stdin=(folder / "cat.png").read_bytes())
    assert result.exit_code == 0, result.stderr
    assert media.read(result.stdout_bytes).pixels.shape == (1, 3, 24, 41)
    assert "-: 2 pictures" in result.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("-s", "a.png:0.7"), 2, "give 'a.png'"),
        (("-s", "a.png") * 5, 2, "choose one to four"),
        (("-s", "a.png", "--grid", "1"), 2, "choose 2 to 9"),
        (("-s", "a.png", "--method", "adian"), 2, "Did you mean 'adain'"),
        (("-s", "a.png", "--mask", "sky.png=b.png"), 2, "--mask"),
        (("-s", "a.png", "-o", "x.pgn"), 4, "Did you mean '.png'"),
        ((), 2, "--style"),
    ],
)
def test_mistakes(folder: Path, args: tuple[str, ...], code: int, words: str) -> None:
    before = sorted(folder.iterdir())
    command = ["mix", "cat.png", "--encoder", "tiny", *args]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code and words in result.stderr
    assert "Traceback" not in result.output
    assert sorted(folder.iterdir()) == before
