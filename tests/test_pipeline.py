"""The way from a Recipe to a written picture, with the packaged encoder and few steps."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from impasto.errors import BadInput, BadOutput, BadPicture, MissingWeights, UnknownName
from impasto.media import image as media
from impasto.pipeline import Event, paint, prepare, read_style, stylize_file
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


def test_result_has_the_size_asked_for_and_figures(photo: torch.Tensor) -> None:
    result = paint(prepare(recipe(size=50), photo))
    assert max(result.pixels.shape[-2:]) == 50
    assert float(result.pixels.min()) >= 0 and float(result.pixels.max()) <= 1
    figures = result.figures()
    assert figures["size"] == [result.pixels.shape[-1], result.pixels.shape[-2]]
    assert float(str(figures["style_error"])) > 0 and float(str(figures["peak_mb"])) > 50


def test_own_size_is_the_default(photo: torch.Tensor) -> None:
    job = prepare(recipe(size=None), photo)
    assert job.photo.shape == photo.shape and job.recipe.size == max(photo.shape[-2:])


def test_size_is_capped_only_where_it_was_not_asked_for(
    photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.estimate.PATIENCE", 1e-9)
    monkeypatch.setattr("impasto.estimate.REHEARSAL", 32)
    own = max(photo.shape[-2:])
    assert prepare(recipe(size=None), photo).estimate.size < own
    assert prepare(recipe(size=own), photo).estimate.size == own


def test_strength_zero_is_the_photo(photo: torch.Tensor) -> None:
    result = paint(prepare(recipe(size=None, strength=0), photo))
    assert torch.equal(result.pixels, photo)


def test_same_seed_same_pixels_and_another_seed_differs_from_noise(photo: torch.Tensor) -> None:
    first, again, other = (
        paint(prepare(recipe(init="noise", seed=seed), photo)).pixels for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_luma_keeps_the_colours_of_the_photo(photo: torch.Tensor) -> None:
    grey = photo.mean(1, keepdim=True).expand_as(photo)
    painted = paint(prepare(recipe(color="luma"), grey)).pixels
    assert float((painted - painted.mean(1, keepdim=True)).abs().max()) < 0.02


@pytest.mark.parametrize("style", ["gallery", "picture"])
def test_match_takes_the_palette_of_the_photo(photo: torch.Tensor, style: str) -> None:
    """A gallery style has no pixels to recolour, so the result is recoloured instead."""
    red = photo * torch.tensor([1.0, 0.1, 0.1])[None, :, None, None]
    blue = {"blue": photo.flip(3) * torch.tensor([0.1, 0.1, 1.0])[None, :, None, None]}
    settings = {"styles": ("blue",)} if style == "picture" else {}
    job = prepare(recipe(color="match", iterations=20, **settings), red, blue)
    mean = paint(job).pixels.mean((0, 2, 3))
    assert float(mean[0]) > 2 * float(mean[2])


def test_mix_of_styles_lies_between(photo: torch.Tensor) -> None:
    def pixels(*styles: str) -> torch.Tensor:
        return paint(prepare(recipe(styles=styles, iterations=10), photo)).pixels

    a, b, mix = pixels("starry-night"), pixels("the-scream"), pixels("starry-night", "the-scream")
    assert float((mix - a).abs().mean()) < float((b - a).abs().mean())


def test_missing_things_are_named(photo: torch.Tensor) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'starry-night'"):
        prepare(recipe(styles=("stary-night",)), photo)
    with pytest.raises(UnknownName, match=r"Unknown method 'gaty'.*gatys"):
        prepare(recipe(method="gaty"), photo)
    with pytest.raises(UnknownName, match="compact, vgg16, vgg19"):
        prepare(recipe(encoder="resnet"), photo)
    with pytest.raises(BadInput, match="No style given"):
        prepare(recipe(styles=()), photo)
    with pytest.raises(BadPicture, match=r"none\.jpg"):
        read_style("none.jpg")


def test_missing_weights_say_how_to_get_them(
    photo: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        prepare(recipe(encoder="vgg19"), photo)


def test_style_of_another_encoder_is_refused(photo: torch.Tensor) -> None:
    other = Style("vgg19", {}, "mine")
    with pytest.raises(BadInput, match="styles make PICTURE --encoder compact"):
        prepare(recipe(styles=("mine",)), photo, {"mine": other})


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


def test_output_is_checked_before_the_work(photo_file: Path, tmp_path: Path) -> None:
    def fail(event: Event) -> None:
        raise AssertionError("work has begun")

    for target in (tmp_path / "x.pgn", tmp_path / "none" / "x.png", tmp_path):
        with pytest.raises(BadOutput):
            stylize_file(recipe(photo=str(photo_file)), target, fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


def test_transparency_comes_back(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (40, 30), (200, 100, 50, 0))
    picture.paste((10, 200, 50, 255), (0, 0, 20, 30))
    picture.save(tmp_path / "in.png")
    stylize_file(recipe(photo=str(tmp_path / "in.png"), size=40), tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        alpha = out.getchannel("A")
    assert alpha.getpixel((2, 15)) == 255 and alpha.getpixel((38, 15)) == 0
