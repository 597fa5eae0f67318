"""Films and animations in a batch: painted, gone on with, and failing alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from impasto.batch.films import is_film, painted, suffix_of
from impasto.batch.items import targets
from impasto.batch.manifest import Manifest
from impasto.batch.tasks import Manner, Remote, Task
from impasto.media import image as media
from impasto.media.video.frames import Span
from impasto.media.video.source import open_film, read_frames
from impasto.recipe import Recipe

# --- what is a film, and what it becomes ---


def animate(path: Path, frames: int, size: tuple[int, int] = (32, 24)) -> Path:
    pictures = [
        Image.new("RGB", size, (40 * n % 256, 90, 255 - 40 * n % 256)) for n in range(frames)
    ]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    return path


def test_what_moves_is_a_film(tmp_path: Path) -> None:
    for name in ("a.gif", "b.webp"):
        assert is_film(animate(tmp_path / name, 3))
        assert not is_film(animate(tmp_path / f"one {name}", 1))
    (tmp_path / "bad.gif").write_bytes(b"GIF8")
    assert not is_film(tmp_path / "bad.gif") and not is_film(tmp_path / "none.webp")
    assert is_film(animate(tmp_path / "moving.png", 3))
    assert not is_film(animate(tmp_path / "still.png", 1))
    assert is_film(tmp_path / "any.MP4") and not is_film(tmp_path / "a.png")
    assert is_film(Remote("s3://a/b.gif", "")) and not is_film(Remote("s3://a/b.webp", ""))


def test_an_animation_that_is_cut_short_still_moves(tmp_path: Path) -> None:
    data = animate(tmp_path / "a.gif", 8).read_bytes()
    (tmp_path / "cut.gif").write_bytes(data[: len(data) * 2 // 3])
    assert is_film(tmp_path / "cut.gif")
    film, notices = open_film(tmp_path / "cut.gif"), list[str]()
    frames = list(read_frames(film, Span(), notices.append))
    assert 2 <= len(frames) < 8 and any("as far as it goes" in text for text in notices)


def test_a_file_that_grows_into_an_animation(tmp_path: Path) -> None:
    (tmp_path / "a.gif").touch()
    assert not is_film(tmp_path / "a.gif")
    assert is_film(animate(tmp_path / "a.gif", 3))


def test_films_keep_their_kind() -> None:
    """Where it can be written; whatever is asked of pictures."""
    names = ["a.MOV", "b.gif", "c.avi", "c.mkv", "d.webp", "e.webp"]
    chosen = targets(names, "jpg", {}, lambda _: True, names[:-1])
    assert chosen == {
        "a.MOV": "a.MOV",
        "b.gif": "b.gif",
        "c.avi": "c.avi.mkv",
        "c.mkv": "c.mkv.mkv",
        "d.webp": "d.webp",
        "e.webp": "e.jpg",
    }
    assert suffix_of("x.wmv") == ".mkv"


def test_what_was_begun_of_other_films_goes(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        for key in ("old", "new"):
            Path(manifest.stage, f".{key}.mp4.parts").mkdir()
        manifest.settle()
        manifest.keep_films({"new"})
        assert [path.name for path in manifest.stage.iterdir()] == [".new.mp4.parts"]


# --- painted ---


def settings(**more: object) -> Recipe:
    given = {"styles": ("starry-night",), "method": "adain", "device": "cpu"}
    return Recipe.model_validate({**given, **more})


def test_without_the_extra_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    film = animate(tmp_path / "a.gif", 3)
    task = Task("k", "a.gif", str(film), "a.gif", str(tmp_path / "k.gif"), film=True)
    done = painted(task, Manner(settings()), settings())
    assert "impasto[video]" in done.reason and done.frames is None


@pytest.fixture
def _video() -> None:
    pytest.importorskip("av")
    pytest.importorskip("cv2")


@pytest.fixture
def folder(tmp_path: Path, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    media.write(photo, tmp_path / "in" / "a.png")
    return tmp_path


def begun(*more: str) -> "subprocess.Popen[str]":
    words = [*("-s", "starry-night", "--method", "adain", "--workers", "1"), *more, "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "impasto", "--threads", "1", "batch", "in", "out", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def events(*more: str) -> tuple[int, list[Mapping[str, object]]]:
    process = begun(*more)
    out, said = process.communicate(timeout=120)
    assert not said, said
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def film(path: Path, frames: int) -> None:
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        across = np.arange(96)[None, :, None]
        for n in range(frames):
            picture = np.broadcast_to(128 + 100 * np.sin((across + n) / 6), (64, 96, 3))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8))))
        out.mux(stream.encode(None))


@pytest.mark.usefixtures("_video")
def test_films_beside_photos(folder: Path) -> None:
    """A damaged one is one failed item; --stable paints anew, photos not."""
    animate(folder / "in" / "b.gif", 3)
    film(folder / "in" / "c.mp4", 6)
    (folder / "in" / "bad.mp4").write_bytes(b"no film")
    code, told = events("--size", "48")
    rows = {event["target"]: event for event in told if event["event"] == "item"}
    assert code == 1 and rows.keys() == {"a.png", "b.gif", "c.mp4", "bad.mp4"}
    assert rows["bad.mp4"]["outcome"] == "failed" and rows["c.mp4"]["frames"] == 6
    assert (rows["c.mp4"]["width"], rows["c.mp4"]["height"]) == (48, 32)
    made = Recipe.model_validate(rows["c.mp4"]["recipe"])
    assert made.method == "adain" and made.size == 48 and made.strength == 1
    (folder / "in" / "bad.mp4").unlink()
    code, told = events("--size", "48", "--stable", "0.9")
    last = told[-1]
    assert code == 0 and (last["done"], last["kept"]) == (2, 1)
    assert {path.name for path in (folder / "out").iterdir()} == {
        *("a.png", "b.gif", "c.mp4", "manifest.jsonl", ".impasto")
    }
    assert not list((folder / "out" / ".impasto" / "manifest").iterdir())


@pytest.mark.usefixtures("_video")
def test_a_film_goes_on_after_a_kill(folder: Path) -> None:
    """From the parts that were finished; only the rest is painted."""
    (folder / "in" / "a.png").unlink()
    film(folder / "in" / "a.mp4", 150)
    process = begun()
    parts = folder / "out" / ".impasto" / "manifest"
    end = time.monotonic() + 100
    while time.monotonic() < end and not list(parts.glob(".*.parts/00000.json")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (folder / "out" / "a.mp4").exists()
    code, told = events()
    row = next(event for event in told if event["event"] == "item")
    assert code == 0 and 0 < int(str(row["frames"])) < 150
    assert any("Going on after" in text for text in row["notices"])  # type: ignore[attr-defined]
    import av

    with av.open(str(folder / "out" / "a.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 150
