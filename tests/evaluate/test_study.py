"""The study: folders in, figures out; in several parts, of which the page is one."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.config import parse_shard
from impasto.errors import BadInput, MissingWeights
from impasto.evaluate import study as studies
from impasto.evaluate.cells import CONTROLS, Cell, Row, append_row, planned, read_rows
from impasto.evaluate.study import PAGE, part, sources, study
from impasto.evaluate.worker import Painted, Worker
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import gallery

PHOTOS, STYLES = ("a", "b", "c"), ("own", "other")


@pytest.fixture
def here(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photo: Tensor,
    painting: Tensor,
    encoder: Encoder,
) -> Path:
    """The working folder: three photos and two styles; the tiny encoder judges."""
    monkeypatch.chdir(tmp_path)
    for folder, names, picture in (("photos", PHOTOS, photo), ("styles", STYLES, painting)):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            media.write(picture.roll(number, 1), tmp_path / folder / f"{name}.png")
    monkeypatch.setattr(studies, "load_encoder", lambda name: encoder)
    monkeypatch.setattr(Worker, "paint", paint)
    return tmp_path


def paint(worker: Worker, recipe: Recipe, target: Path) -> Painted:
    """As quick as can be, the more the stronger; johnson has learned nothing."""
    if recipe.method == "johnson":
        return Painted("unlearned", "johnson has not learned this style.")
    if recipe.method == "wct" and recipe.photo.endswith("b.png"):
        return Painted("failed", "3 < 2")
    own = media.scaled(media.read(recipe.photo).pixels, recipe.size or 0)
    pixels = own.lerp(own.flip(1, 2), 0.5 if recipe.strength is None else recipe.strength)
    media.write(pixels, target)
    return Painted("done", "", 33, 40, 1.0, 0.5, 200, 10, 20)


def cells(
    names: Sequence[str] = ("adain",), strengths: Sequence[float | None] = (None,)
) -> list[Cell]:
    photos, styles = sources(Path("photos"), "styles", Path("out"))
    return planned([*CONTROLS, *names], photos, styles, Recipe(size=40), strengths)


def run(every: Sequence[Cell], number: int = 1, count: int = 1) -> list[Row]:
    return study(every, (number, count), Path("out"), lambda row, old: None)


def text() -> str:
    """What the page says, without tags."""
    page = re.sub(r"(?s)<(script|style)>.*?</\1>|<[^>]*>", " ", Path("out", PAGE).read_text())
    return " ".join(html.unescape(page).split())


# --- what is studied ---


def test_photos_and_styles_of_folders(here: Path) -> None:
    (here / "photos" / "deep").mkdir()
    (here / "photos" / "deep" / "d.JPG").touch()
    (here / "photos" / "x.style.safetensors").touch()
    (here / "styles" / "x.style.safetensors").touch()
    photos, styles = sources(Path("photos"), "styles", Path("out"))
    assert photos == ["photos/a.png", "photos/b.png", "photos/c.png", "photos/deep/d.JPG"]
    assert styles == ["styles/other.png", "styles/own.png", "styles/x.style.safetensors"]


@pytest.mark.usefixtures("here")
def test_the_gallery_for_a_folder() -> None:
    assert sources(Path("photos"), "gallery", Path("out"))[1] == list(gallery())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("output", [".", "photos", "photos/out"])
def test_what_was_painted_is_no_photo(output: str) -> None:
    """Results may lie among the photos: a second run must not paint the paintings of the first."""
    painted = Path(output, "pictures", "a.own.adain.png")
    painted.parent.mkdir(parents=True)
    painted.touch()
    photos, styles = sources(Path(), ".", Path(output))
    assert len(photos) == len(styles) == 5


@pytest.mark.usefixtures("here")
def test_a_link_to_the_output(here: Path) -> None:
    (here / "out" / "pictures").mkdir(parents=True)
    media.write(media.read("photos/a.png").pixels, here / "out" / "pictures" / "p.png")
    (here / "link").symlink_to(here / "out")
    assert len(sources(Path(), "styles", Path("link"))[0]) == 5


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("content", "styles", "words"),
    [
        ("none", "styles", "No folder 'none': give one with photos in it."),
        ("photos/a.png", "styles", "No folder"),
        ("photos", "none", "No folder 'none': give one with styles in it."),
        ("empty", "styles", "No photos in 'empty' (looked for .avif, .bmp"),
        ("photos", "empty", ".style.safetensors"),
    ],
)
def test_nothing_to_study(content: str, styles: str, words: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(BadInput) as error:
        sources(Path(content), styles, Path("out"))
    assert words in str(error.value)


# --- parts ---


@pytest.mark.parametrize(("given", "expected"), [("1/1", (1, 1)), ("2/4", (2, 4)), ("4/4", (4, 4))])
def test_shards(given: str, expected: tuple[int, int]) -> None:
    assert parse_shard(given) == expected


@pytest.mark.parametrize(
    "given", ["", "1", "/", "0/2", "3/2", "-1/2", "1/0", "a/b", "1/2/3", "1.0/2", "²/3", "1 / 2"]
)
def test_what_is_no_shard(given: str) -> None:
    with pytest.raises(BadInput, match=r"such as 2/4, with I from 1 to N"):
        parse_shard(given)


@settings(max_examples=50, deadline=None)
@given(photos=st.integers(1, 5), styles=st.integers(1, 4), count=st.integers(1, 25))
def test_shards_are_the_whole_once(photos: int, styles: int, count: int) -> None:
    """And of nearly one size: a machine with a shard has as much to do as another."""
    names = [f"{number}.png" for number in range(6)]
    every = planned(
        [*CONTROLS, "adain"], names[:photos], names[:styles], Recipe(size=8), (0.5, 1.0)
    )
    parts = [part(every, number, count) for number in range(1, count + 1)]
    shared = [cell for one in parts for cell in one]
    assert len(shared) == len(every) and set(map(id, shared)) == set(map(id, every))
    assert max(map(len, parts)) - min(map(len, parts)) <= 4
    assert parts[0][: len(every)] == [cell for cell in every if cell in parts[0]]


@pytest.mark.usefixtures("here")
def test_a_page_over_all_shards() -> None:
    every = cells()
    run(every, 1, 2)
    files = {path.name for path in Path("out").glob("*.jsonl")}
    assert files == {"rows-1-of-2.jsonl"}
    assert "9 pictures are not finished yet" in text()
    assert "adain 3 " in text()
    run(every, 2, 2)
    assert "not finished" not in text() and "adain 6 " in text()
    rows = [r for path in Path("out").glob("*.jsonl") for r in read_rows(path)]
    assert sorted(row.key for row in rows) == sorted(cell.key() for cell in every)


@pytest.mark.usefixtures("here")
def test_more_shards_than_pairs() -> None:
    assert run(cells(), 9, 9) == []
    assert "18 pictures are not finished yet" in text() and "Style against content" not in text()


@pytest.mark.usefixtures("here")
def test_what_failed_once_and_was_done_elsewhere_is_done() -> None:
    every = cells()
    done = run(every)
    for name in ("rows-1-of-2.jsonl", "rows.jsonl", "rows-z.jsonl"):
        failed = done[-1].model_copy(update={"outcome": "failed", "metrics": {}})
        if name != "rows.jsonl":
            append_row(Path("out", name), failed)
    run(every)
    assert "What failed" not in text() and "adain 6 " in text()


# --- figures ---


@pytest.mark.usefixtures("here")
def test_methods_beside_two_controls() -> None:
    rows = run(cells(["adain", "ghiasi"]))
    assert len(rows) == 6 * 4 and all(row.outcome == "done" for row in rows)
    page = text()
    for label in ("the photo itself 6", "the style itself 6", "adain 6", "ghiasi 6"):
        assert label in page
    assert "3 photos and 2 styles at 40 px, seen by the network compact" in page
    own = [row.metrics["content_error"] for row in rows if row.method == "photo"]
    assert max(error for error in own if error is not None) < 0.05
    assert run(cells(["adain", "ghiasi"])) == rows


@pytest.mark.usefixtures("here")
def test_each_strength_is_a_row_and_a_mark() -> None:
    rows = run(cells(strengths=(0.25, 1.0)))
    assert [row.strength for row in rows].count(0.25) == 6
    page = Path("out", PAGE).read_text()
    assert "adain 0.25 6" in text() and "adain 1 6" in text()
    assert "Each method is a curve over its strength." in page
    assert page.count("<polyline") == 3 and page.count("<circle") == 4


@pytest.mark.usefixtures("here")
def test_figures_of_all_metrics_are_explained() -> None:
    run(cells())
    page = text()
    for name in ("style_error", "ssim", "cfsd", "blobs", "checkerboard", "patch_distance"):
        assert page.count(name) >= 2
    assert "lpips" not in page and "By layer" in page and "style_error/relu3_1" in page


@pytest.mark.usefixtures("here")
def test_failures_and_what_was_not_learned() -> None:
    rows = run(cells(["johnson", "wct"]))
    assert [row.outcome for row in rows].count("failed") == 2
    page = text()
    assert "johnson has not learned 2 of the styles" in page
    assert "What failed wct, b in other: 3 < 2 wct, b in own: 3 < 2" in page
    assert "wct 4 " in page


@pytest.mark.usefixtures("here")
def test_one_broken_photo_does_not_stop_the_others(here: Path) -> None:
    (here / "photos" / "a.png").write_text("no picture")
    rows = run([cell for cell in cells() if cell.method in CONTROLS])
    assert [row.outcome for row in rows].count("failed") == 4
    assert "a.png is not a picture" in text() and "the photo itself 4" in text()


@pytest.mark.usefixtures("here")
def test_networks_that_are_not_there_are_asked_for_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingWeights):
        study(cells(), (1, 1), Path("out"), lambda row, old: None, artfid=True)
    assert not Path("out").exists()
