"""Files to files: events, previews, interruption, transparency, nothing half-written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from impasto.cli import main
from impasto.commands import TEXTURES, Event, going_on, stylize_file, swatch
from impasto.config import validate
from impasto.errors import BadInput, BadOutput, MissingWeights, UnknownName
from impasto.job import Job
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.pipeline import prepare
from impasto.recipe import Recipe
from impasto.style import Style


def recipe(**settings: object) -> Recipe:
    values = {"styles": ("starry-night",), "iterations": 3, "size": 48, **settings}
    return Recipe.model_validate(values)


@pytest.fixture
def photo_file(tmp_path: Path, photo: torch.Tensor) -> Path:
    path = tmp_path / "photo.png"
    media.write(photo, path)
    return path


def test_file_to_file(photo_file: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    target = tmp_path / "out.png"
    stylize_file(recipe(photo=str(photo_file)), target, events.append)
    kinds = [event["event"] for event in events]
    assert kinds == ["estimate", "step", "step", "step", "done"]
    assert events[-1]["output"] == str(target) and "style_error" in events[1]
    json.dumps(events)
    written = media.read(target)
    assert written.recipe is not None
    again = Recipe.model_validate_json(written.recipe)
    assert again.styles == recipe().styles and again.size == 48


def test_same_recipe_same_bytes(photo_file: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        stylize_file(recipe(photo=str(photo_file)), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_interruption_keeps_the_picture_so_far(photo_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"

    def interrupt(event: Event) -> None:
        if event["event"] == "step":
            raise KeyboardInterrupt

    result = stylize_file(recipe(photo=str(photo_file)), target, interrupt)
    assert result.interrupted
    assert max(media.header(target)) == 48


def test_preview_is_written_on_the_way(photo_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    seen: list[tuple[int, int]] = []

    def look(event: Event) -> None:
        if event["event"] == "preview":
            seen.append(media.header(target))

    stylize_file(recipe(photo=str(photo_file), iterations=4), target, look, preview_every=2)
    assert len(seen) == 2 and max(seen[0]) == 48


def in_tiles(job: Job) -> Job:
    return replace(job, estimate=replace(job.estimate, side=32))


def test_no_preview_where_nothing_is_painted_yet(
    photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tiles, a picture in progress is the photo."""
    monkeypatch.setattr(
        "impasto.commands.prepare",
        lambda *given, **settings: in_tiles(prepare(*given, **settings)),
    )
    target, events = tmp_path / "out.png", list[Event]()
    told = recipe(photo=str(photo_file), method="adain", iterations=None)
    stylize_file(told, target, events.append, preview_every=1)
    kinds = {event["event"] for event in events}
    assert "step" in kinds and "preview" not in kinds


def test_what_is_gone_on_from_is_not_overwritten(photo_file: Path) -> None:
    begun = photo_file.with_name("begun.png")
    shutil.copy(photo_file, begun)
    with pytest.raises(BadOutput, match="begun"):
        stylize_file(recipe(photo=str(photo_file), init=str(begun)), begun)


def test_output_is_checked_before_the_work(photo_file: Path, tmp_path: Path) -> None:
    def fail(event: Event) -> None:
        raise AssertionError("work has begun")

    for target in (tmp_path / "x.pgn", tmp_path / "none" / "x.png", tmp_path):
        with pytest.raises(BadOutput):
            stylize_file(recipe(photo=str(photo_file)), target, fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


def test_notices_are_events(
    photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smaller picture, a stretched mask: said after the estimate, before the work."""
    monkeypatch.setattr("impasto.estimate.PATIENCE", 1e-9)
    monkeypatch.setattr("impasto.estimate.REHEARSAL", 40)
    mask = tmp_path / "mask.png"
    media.write(torch.ones(1, 3, 20, 80), mask)
    events: list[Event] = []
    asked = recipe(photo=str(photo_file), size=None, masks=f"{mask}=udnie")
    stylize_file(asked, tmp_path / "out.png", events.append)
    kinds = [event["event"] for event in events]
    assert kinds == ["estimate", "notice", "notice", "step", "step", "step", "done"]
    small, stretched = (str(event["text"]) for event in events[1:3])
    assert "instead of the photo's 48 px" in small and "stretched" in stretched


def test_transparency_is_a_mask(tmp_path: Path) -> None:
    """What is opaque is painted; what is not keeps its colours and stays hidden."""
    picture = Image.new("RGBA", (40, 30), (200, 100, 50, 0))
    picture.paste((10, 200, 50, 255), (0, 0, 20, 30))
    picture.save(tmp_path / "in.png")
    asked = recipe(
        photo=str(tmp_path / "in.png"), styles=(), masks="alpha=udnie", size=40, feather=0
    )
    stylize_file(asked, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.getpixel((38, 15)) == (200, 100, 50, 0)
        assert out.getpixel((2, 15)) != (10, 200, 50, 255)
    written = media.read(tmp_path / "out.png").recipe
    assert written is not None
    assert Recipe.model_validate_json(written).masks == asked.masks


def test_transparency_comes_back(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (40, 30), (200, 100, 50, 0))
    picture.paste((10, 200, 50, 255), (0, 0, 20, 30))
    picture.save(tmp_path / "in.png")
    stylize_file(recipe(photo=str(tmp_path / "in.png"), size=40), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        alpha = out.getchannel("A")
    assert alpha.getpixel((2, 15)) == 255 and alpha.getpixel((38, 15)) == 0


# Textures


@pytest.fixture
def own_style(
    tmp_path: Path, painting: torch.Tensor, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A style file of the tiny encoder, which is there; textures take few steps."""
    monkeypatch.setattr("impasto.commands.load_encoder", lambda name: encoder)
    monkeypatch.setattr("impasto.methods.gatys.TEXTURE_STEPS", (3,))
    path = tmp_path / "own.style.safetensors"
    Style.of(painting, encoder).save(path)
    return str(path)


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize("method", TEXTURES)
def test_a_texture_of_every_method_that_makes_them(
    tmp_path: Path, own_style: str, method: str
) -> None:
    """A square; the same seed makes the same one."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        swatch(own_style, tmp_path / f"{name}.png", 32, seed, "tiny", method)
    a, b, c = (media.read(tmp_path / f"{name}.png").pixels for name in "abc")
    assert a.shape == (1, 3, 32, 32)
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.usefixtures("decoders")
def test_methods_make_textures_of_their_own(tmp_path: Path, own_style: str) -> None:
    for method in TEXTURES:
        swatch(own_style, tmp_path / f"{method}.png", 32, 0, "tiny", method)
    gatys, wct = (media.read(tmp_path / f"{method}.png").pixels for method in ("gatys", "wct"))
    assert (gatys - wct).abs().mean() > 0.05


def test_what_makes_no_texture(tmp_path: Path, own_style: str, home: Path) -> None:
    """Nothing is written, and whoever asked knows why."""
    target = tmp_path / "x.png"
    with pytest.raises(UnknownName, match=r"'gaty'.*Did you mean 'gatys'.*gatys, wct"):
        swatch(own_style, target, 32, 0, "tiny", "gaty")
    with pytest.raises(UnknownName, match=r"'adain'.*Choose from: gatys, wct"):
        swatch(own_style, target, 32, 0, "tiny", "adain")
    with pytest.raises(MissingWeights, match="There are no decoders of wct"):
        swatch(own_style, target, 32, 0, "tiny", "wct")
    with pytest.raises(BadInput, match="made with the encoder 'tiny'"):
        swatch(own_style, target, 32, 0, "compact", "gatys")
    with pytest.raises(BadOutput):
        swatch(own_style, tmp_path / "x.pgn", 32, 0, "tiny", "gatys")
    assert not target.exists()


# --- going on from a picture ---


def result_of(photo_file: Path, **settings: object) -> Path:
    target = photo_file.with_name("result.png")
    stylize_file(recipe(photo=str(photo_file), **settings), target)
    return target


def test_a_picture_is_gone_on_from_as_it_was_painted(photo_file: Path) -> None:
    """All that makes up its look is taken over; the run's own settings are not."""
    look = {"style_scale": 1.5, "strength": 0.3, "color": "luma", "seed": 7, "optimizer": "lbfgs"}
    result = result_of(photo_file, quality="draft", **look)
    settings = going_on({"init": str(result), "size": 64, "seed": None, "styles": (), "masks": ()})
    found = validate(Recipe, settings)
    assert found.styles == recipe().styles and found.quality == "draft"
    assert found.model_dump(include=set(look)) == look
    assert (found.method, found.size, found.iterations) == ("gatys", 64, None)
    assert (found.init, found.photo) == (str(result), "")


def test_given_settings_count(photo_file: Path) -> None:
    result = result_of(photo_file, color="luma", strength=0.3)
    settings = going_on({"init": str(result), "styles": ("udnie",), "strength": 0.9})
    assert (settings["styles"], settings["strength"], settings["color"]) == (
        ("udnie",),
        0.9,
        "luma",
    )
    assert "masks" not in settings


def test_of_another_method_only_the_style_is_taken_over(photo_file: Path) -> None:
    result = photo_file.with_name("other.png")
    other = Recipe(method="adain", styles=recipe().styles, strength=0.9, finish=False)
    media.write(media.read(photo_file).pixels, result, recipe=other.embedded())
    found = validate(Recipe, going_on({"init": str(result)}))
    assert found == Recipe(method="gatys", styles=recipe().styles, init=str(result))


@pytest.mark.parametrize("text", [None, "", "{}", "no recipe", '{"later": 1}'])
def test_a_picture_of_nobody_knows_what_is_only_a_picture(
    photo_file: Path, text: str | None
) -> None:
    result = photo_file.with_name("other.png")
    media.write(media.read(photo_file).pixels, result, recipe=text)
    given = {"init": str(result), "styles": ("udnie",)}
    assert validate(Recipe, going_on(given)).styles == validate(Recipe, given).styles


@pytest.mark.parametrize("init", [None, "auto", "noise", "nonsense"])
def test_without_a_picture_nothing_is_taken_over(init: str | None) -> None:
    given = {"init": init, "size": 64}
    assert going_on(given) == {name: value for name, value in given.items() if value}


def test_the_command_needs_no_more_than_the_picture(photo_file: Path, tmp_path: Path) -> None:
    result, target = result_of(photo_file, color="luma"), tmp_path / "larger.png"
    words = ["stylize", str(photo_file), "--init", str(result), "--size", "64", "-o", str(target)]
    done = CliRunner().invoke(main, [*words, "--iterations", "2"])
    assert done.exit_code == 0, done.output
    painted = Recipe.model_validate_json(str(media.read(target).recipe))
    assert (painted.styles, painted.color, painted.size) == (recipe().styles, "luma", 64)
    assert CliRunner().invoke(main, [*words[:3], "none.png"]).exit_code == 3


def test_the_name_of_the_picture_is_kept_without_its_folder(photo_file: Path) -> None:
    result, target = result_of(photo_file), photo_file.with_name("larger.png")
    stylize_file(recipe(photo=str(photo_file), init=str(result), size=64), target)
    text = media.read(target).recipe
    assert text is not None and Recipe.model_validate_json(text).init == "result.png"
    assert media.header(target)[1] == 64
