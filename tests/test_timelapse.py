"""Films of an optimisation: ten seconds, all or nothing, and never at the cost of the picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from impasto.cli.paint import stylize
from impasto.commands import Event, stylize_file
from impasto.errors import BadInput, BadOutput
from impasto.media import image as media
from impasto.media.video.parts import Encoder
from impasto.recipe import Recipe
from impasto.timelapse import with_steps

av: Any = pytest.importorskip("av")


def recipe(**settings: object) -> Recipe:
    values = {"styles": ("starry-night",), "iterations": 12, "size": 46, "method": "gatys"}
    return Recipe.model_validate({**values, **settings})


@pytest.fixture
def photo_file(tmp_path: Path, photo: torch.Tensor) -> Path:
    path = tmp_path / "photo.png"
    media.write(photo, path)
    return path


def film(photo: Path, target: Path, **settings: object) -> list[Event]:
    events: list[Event] = []
    told = recipe(photo=str(photo), **settings)
    stylize_file(told, target.with_name("out.png"), events.append, timelapse=target)
    return events


@pytest.mark.parametrize(("name", "size"), [("t.mp4", (38, 46)), ("t.webm", (38, 46))])
def test_a_film_of_ten_seconds_that_ends_with_the_picture(
    photo_file: Path, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    events = film(photo_file, tmp_path / name)
    assert events[-1]["timelapse"] == str(tmp_path / name)
    with av.open(str(tmp_path / name)) as file:
        frames = list(file.decode(video=0))
        assert float(file.duration) / 1e6 == pytest.approx(10, abs=0.1)
        told = {key.lower(): text for key, text in file.metadata.items()}
        assert Recipe.model_validate_json(told["comment"]).size == 46
    times = [float(frame.pts * frame.time_base) for frame in frames]
    assert times == pytest.approx([*(0.75 * step for step in range(13)), 9.96], abs=2e-3)
    assert (frames[0].width, frames[0].height) == size
    last = torch.from_numpy(frames[-1].to_ndarray(format="rgb24")).permute(2, 0, 1) / 255
    picture = media.read(tmp_path / "out.png").pixels[0, :, :46, :38]
    assert (last - picture).abs().mean() < 0.05
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "out.png", name}


@pytest.mark.parametrize("name", ["t.gif", "t.webp"])
def test_an_animation(photo_file: Path, tmp_path: Path, name: str) -> None:
    """Frames that look the same become one when they are written."""
    film(photo_file, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        count = getattr(picture, "n_frames", 1)
        durations = []
        for index in range(count):
            picture.seek(index)
            picture.load()
            durations.append(picture.info["duration"])
    assert 5 <= count <= 14 and 1000 <= durations[-1] <= 3000
    assert sum(durations) == pytest.approx(10_000, abs=10)


def test_of_many_steps_not_all_are_shown(photo_file: Path, tmp_path: Path) -> None:
    film(photo_file, tmp_path / "t.gif", iterations=150, size=12)
    with Image.open(tmp_path / "t.gif") as picture:
        assert 50 <= getattr(picture, "n_frames", 1) <= 92  # equal ones become one


def test_colours_are_those_of_the_result(photo_file: Path, tmp_path: Path) -> None:
    """With ``luma`` no frame has other colours than the photo."""
    film(photo_file, tmp_path / "t.webp", color="luma", iterations=3)
    photo = np.asarray(Image.open(photo_file).convert("YCbCr").resize((38, 46)), np.float32)
    with Image.open(tmp_path / "t.webp") as picture:
        for index in range(getattr(picture, "n_frames", 1)):
            picture.seek(index)
            seen = np.asarray(picture.convert("YCbCr"), np.float32)
            assert np.abs(seen - photo)[..., 1:].mean() < 8


@pytest.mark.parametrize(
    ("name", "settings", "error", "words"),
    [
        ("t.mp4", {"method": "adain"}, BadInput, "adain paints at once.*gatys"),
        ("t.txt", {}, BadOutput, r"\.mp4.*\.gif"),
        ("none/t.mp4", {}, BadOutput, "no folder"),
        ("out.png", {}, BadOutput, "the picture itself"),
        ("photo.png", {}, BadOutput, "a file that is read"),
    ],
)
def test_what_cannot_be_filmed_is_said_before_the_work(
    photo_file: Path,
    tmp_path: Path,
    name: str,
    settings: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    told = recipe(photo=str(photo_file), **settings)
    events: list[Event] = []
    with pytest.raises(error, match=words):
        stylize_file(told, tmp_path / "out.png", events.append, timelapse=tmp_path / name)
    assert events == []
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png"}


def test_auto_is_a_method_with_steps() -> None:
    assert with_steps(recipe(method="auto")).method == "gatys"


def test_stopped_it_ends_with_the_picture_so_far(photo_file: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event["event"] == "step" and event["done"] == 5:
            raise KeyboardInterrupt

    told = recipe(photo=str(photo_file))
    result = stylize_file(told, tmp_path / "out.png", stop, timelapse=tmp_path / "t.mp4")
    assert result.interrupted
    with av.open(str(tmp_path / "t.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 6


def test_a_film_that_fails_costs_no_picture(
    photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Encoder, *frame: object) -> None:
        raise BadOutput("no space left")

    monkeypatch.setattr(Encoder, "write", full)
    with pytest.raises(BadOutput, match="no space left"):
        film(photo_file, tmp_path / "t.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "out.png"}


def test_the_flag(photo_file: Path, tmp_path: Path) -> None:
    target, settings = tmp_path / "t.mp4", ("-s", "starry-night", "--size", "24")
    more = ("--iterations", "3", "--timelapse", str(target), "-o", str(tmp_path / "o.png"))
    done = CliRunner().invoke(stylize, [str(photo_file), *settings, *more])
    assert done.exit_code == 0, done.output
    assert target.is_file()
