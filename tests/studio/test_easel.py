"""Painting in the child process, here without the process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from impasto.errors import BadInput, OutOfMemory
from impasto.estimate import WHOLE
from impasto.media import image as media
from impasto.media.samples import sample_photo
from impasto.recipe import Recipe
from impasto.studio import easel
from impasto.studio.report import SMALL, write_preview
from impasto.studio.scales import read_scale, write_scale
from impasto.studio.speeds import in_one_piece
from impasto.stylizer import Step

PHOTO, STYLE, MASK = (f"u{digit * 32}" for digit in "123")
BASE = {"photo": "sample:astronaut", "styles": ("starry-night",), "method": "adain", "size": 64}

Event = dict[str, Any]


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., tuple[Event, list[Event]]]:
    """Paints, and returns what came of it and all events."""

    def act(
        do: str = "picture",
        files: dict[str, str] | None = None,
        after: bool = False,
        hear: Callable[[Event], object] = lambda event: None,
        memory_mb: float = 1e6,
        **settings: Any,
    ) -> tuple[Event, list[Event]]:
        recipe = Recipe.model_validate({**BASE, **settings})
        events: list[Event] = []

        def tell(event: Event) -> None:
            events.append(event)
            hear(event)

        task = {
            "do": do,
            "recipe": recipe.model_dump(mode="json"),
            "device": "cpu",
            "folder": str(tmp_path),
            "files": files or {},
            "size": 300,
            "memory_mb": memory_mb,
            "stable": None,
            "after": after,
        }
        return easel.serve()(task, tell), events

    return act


def saved(folder: Path, name: str, pixels: torch.Tensor, **more: Any) -> str:
    path = folder / name
    path.write_bytes(media.encode(pixels, ".png", **more))
    return str(path)


def kinds(events: list[Event]) -> list[str]:
    return [event["event"] for event in events]


def test_a_picture_with_its_recipe(paint: Any, tmp_path: Path) -> None:
    done, events = paint()
    with Image.open(tmp_path / "result.png") as picture:
        assert picture.size == (64, 64) == (done["width"], done["height"])
        inside = Recipe.model_validate_json(picture.info["impasto"])
    assert inside == Recipe.model_validate(done["recipe"])
    assert inside.device == "auto"
    assert (inside.photo, inside.styles[0].source) == ("sample:astronaut", "starry-night")
    assert inside.strength == 1.0
    assert not done["interrupted"]
    assert kinds(events) == ["prepared", "preview"]
    assert events[0]["size"] == 64


def test_uploads_by_their_ids(paint: Any, tmp_path: Path) -> None:
    photo = sample_photo("astronaut")[:, :, :200, :100]
    alpha = torch.ones(1, 1, 200, 100)
    alpha[..., :50] = 0
    files = {
        PHOTO: saved(tmp_path, PHOTO, photo, alpha=alpha),
        STYLE: saved(tmp_path, STYLE, sample_photo("coffee")),
        MASK: saved(tmp_path, MASK, torch.ones(1, 3, 20, 10)),
    }
    masks = ({"mask": MASK, "style": "udnie"}, {"mask": "alpha", "style": STYLE})
    done, _ = paint(files=files, photo=PHOTO, styles=({"source": STYLE},), masks=masks, size=None)
    result = media.read(tmp_path / "result.png")
    assert (done["width"], done["height"]) == (100, 200)
    assert result.alpha is not None
    assert float(result.alpha[..., :50].max()) == 0
    assert Recipe.model_validate_json(result.recipe or "").masks[0].mask == MASK


def test_nothing_is_larger_than_the_studio_paints(paint: Any) -> None:
    done, _ = paint(size=None)
    assert (done["width"], done["height"]) == (300, 300)


def test_previews_are_small_and_new(paint: Any, tmp_path: Path) -> None:
    sizes = []

    def hear(event: Event) -> None:
        if event["event"] == "preview":
            with Image.open(tmp_path / event["file"]) as preview:
                assert preview.format == "WEBP"
                sizes.append(preview.size)

    _, events = paint(hear=hear, method="gatys", iterations=4)
    assert sizes == [(64, 64)] * 2  # at once, and at the end
    assert kinds(events)[:3] == ["prepared", "step", "preview"]


def test_a_preview_of_a_large_picture(tmp_path: Path) -> None:
    pixels = torch.rand(1, 3, 300, 3 * SMALL)
    write_preview(pixels, tmp_path / "preview.webp", torch.ones(1, 1, 300, 3 * SMALL) / 2)
    with Image.open(tmp_path / "preview.webp") as preview:
        assert (preview.size, preview.mode) == ((SMALL, 100), "RGBA")


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"finish": False, "method": "gatys"}, BadInput, "no such control"),
        ({"memory_mb": 10}, OutOfMemory, "10 MB are allowed: choose a smaller size"),
    ],
)
def test_what_cannot_be_painted_is_said(
    paint: Any, settings: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        paint(**settings)


def test_progress_goes_by_work(paint: Any) -> None:
    _, events = paint(method="gatys", iterations=6, size=320)
    steps = [event for event in events if event["event"] == "step"]
    fractions = [step["fraction"] for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert steps[-1]["done"] == steps[-1]["total"] == 6
    assert steps[-1]["eta_seconds"] == 0


def test_after_a_scale_it_goes_on_as_if_nothing_had_been(paint: Any, tmp_path: Path) -> None:
    settings = {"method": "gatys", "iterations": 6, "size": 320}
    scales = []

    def die(event: Event) -> None:
        if event["event"] == "scale":
            scales.append(event["file"])
            raise SystemExit

    paint(**settings)
    whole = (tmp_path / "result.png").read_bytes()
    (tmp_path / "result.png").unlink()
    with pytest.raises(SystemExit):
        paint(**settings, hear=die)
    _, rest = paint(**settings, after=True)
    assert (tmp_path / "result.png").read_bytes() == whole
    steps = [event for event in rest if event["event"] == "step"]
    first = next(event["done"] for event in steps)
    assert first == read_scale(tmp_path / scales[0])[0].done + 1
    assert steps[0]["fraction"] > 0.3


def test_interrupted_it_gives_its_last_picture(paint: Any, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event["event"] == "preview" and not (tmp_path / "result.png").exists():
            raise KeyboardInterrupt

    done, _ = paint(method="gatys", iterations=500, hear=stop)
    assert done["interrupted"]
    assert media.read(tmp_path / "result.png").pixels.shape == (1, 3, 64, 64)


def test_interrupted_with_nothing_to_show(paint: Any) -> None:
    def stop(event: Event) -> None:
        if event["event"] == "prepared":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(hear=stop)


def test_what_is_nearly_done_is_finished(tmp_path: Path) -> None:
    tries = []

    def work() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise KeyboardInterrupt
        return "done"

    assert easel.in_full(work) == "done"


def test_a_scale_is_written_exactly(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 5, 7)
    write_scale(tmp_path / "scale", Step(3, 9, image, scale_done=True), 1.25)
    step, work = read_scale(tmp_path / "scale")
    assert torch.equal(step.image, image)
    assert (step.done, step.total, step.scale_done, work) == (3, 9, True, 1.25)


def test_little_memory_is_kept_to_in_tiles() -> None:
    """A photo that fits so is not refused for what it would take in one piece."""
    own = psutil.Process().memory_info().rss / 1e6
    assert in_one_piece(1e6) == WHOLE
    assert in_one_piece(own + 1000) == pytest.approx(0.8e9, rel=0.1)
    assert in_one_piece(10) == 1


def test_speeds(paint: Any) -> None:
    work = easel.serve()
    task = {"do": "speeds", "method": "gatys", "device": "cpu", "memory_mb": 4000}
    table = work(task, lambda event: None)["table"]
    assert set(table) == {"gatys/draft", "gatys/normal", "gatys/best"}
    for rows in table.values():
        seconds = [row[1] for row in rows]
        assert seconds == sorted(seconds)
        assert [row[0] for row in rows] == [256, 512, 1024, 2048]
    assert table["gatys/best"][1][1] > table["gatys/draft"][1][1]


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """A film of eight frames, under the id of an upload."""
    av: Any = pytest.importorskip("av")
    pytest.importorskip("cv2")
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(8):
            pixels = np.full((48, 64, 3), 20 * index, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode(None))
    return str(path.rename(tmp_path / PHOTO))


def test_a_film(paint: Any, clip: str, tmp_path: Path) -> None:
    style = saved(tmp_path, STYLE, sample_photo("coffee"))
    done, events = paint(
        "film", {PHOTO: clip, STYLE: style}, photo=PHOTO, styles=({"source": STYLE},), size=None
    )
    assert (done["result"], done["width"], done["height"]) == ("result.mp4", 64, 48)
    assert (tmp_path / "result.mp4").stat().st_size > 1000
    assert done["recipe"]["styles"][0]["source"] == STYLE
    assert kinds(events).index("preview") < kinds(events).index("step")
    assert media.read(tmp_path / "preview.webp").pixels.shape == (1, 3, 48, 64)
    assert events[-1]["done"] == events[-1]["total"] == 8


def test_a_film_goes_on_where_it_was(paint: Any, clip: str, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event["event"] == "step":
            raise KeyboardInterrupt

    done, events = paint("film", {PHOTO: clip}, photo=PHOTO, size=None, hear=stop)
    assert done["interrupted"]
    assert not any("again" in event.get("text", "") for event in events)
    (tmp_path / PHOTO).write_bytes((tmp_path / PHOTO).read_bytes())  # fetched once more
    done, events = paint("film", {PHOTO: clip}, photo=PHOTO, size=None)
    assert not done["interrupted"]
    assert any("Going on after" in event.get("text", "") for event in events)
