"""The page: whole, well-formed, nothing from elsewhere; and never half of anything on the disk."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.errors import BadOutput
from impasto.lens import page
from impasto.lens.view import Cell, Row, Shown, Table, View
from impasto.media import image as media

VOID = {"meta", "link", "img", "br", "input"}
MAY_STAY_OPEN = {"html", "body", "p", "td", "tr"}


class Page(HTMLParser):
    """Collects pictures, and finds tags that are not closed where they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.text += data


def a_view(*captions: str) -> View:
    shown = tuple(Shown(caption, torch.rand(1, 3, 4, 5)) for caption in captions)
    return View("Title", "One sentence. And another.", (Row("row", shown, "a line"),))


@pytest.fixture
def rich() -> View:
    """One of everything, with characters that mean something in HTML."""
    table = Table("a < b & c", ((Cell("−7", (0.0, 0.0, 0.0)), Cell("12", (1.0, 1.0, 1.0))),), "×")
    kernel = Shown("x < y", torch.rand(1, 3, 4, 5), inset=torch.rand(1, 3, 6, 6))
    matrix = Shown('"quoted"', torch.rand(1, 3, 4, 4), exact=True)
    return View("T & T", "First. Second.", (Row("<row>", (kernel, matrix), tables=(table,)),))


def test_page_is_well_formed(tmp_path: Path, rich: View) -> None:
    read = Page(page.write(rich, tmp_path, "kernels").read_text())
    assert read.open == []
    assert "<row>" in read.text and "a < b & c" in read.text and "T & T" in read.text
    assert "−7" in read.text and "×" in read.text


def test_every_picture_is_inside_and_has_words(tmp_path: Path, rich: View) -> None:
    *pictures, dialog = Page(page.write(rich, tmp_path, "kernels").read_text()).pictures
    assert [p["alt"] for p in pictures] == ["<row>, x < y", "The kernel", '<row>, "quoted"']
    assert all(str(p["src"]).startswith("data:image/") for p in pictures)
    assert pictures[0]["width"] == "5" and pictures[0]["height"] == "4"
    assert "src" not in dialog


def test_nothing_comes_from_elsewhere(tmp_path: Path, rich: View) -> None:
    text = page.write(rich, tmp_path, "kernels").read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"data:[^\"]*", "", text))


def test_exact_pictures_lose_nothing(tmp_path: Path, rich: View) -> None:
    pictures = Page(page.write(rich, tmp_path, "kernels").read_text()).pictures
    kinds = [str(p["src"]).partition(";")[0] for p in pictures[:3]]
    assert kinds == ["data:image/webp", "data:image/png", "data:image/png"]


def test_pictures_are_files_too(tmp_path: Path, rich: View) -> None:
    written = page.write(rich, tmp_path / "new" / "folder", "kernels")
    assert written == tmp_path / "new" / "folder" / "kernels.html"
    names = sorted(path.name for path in (tmp_path / "new" / "folder" / "kernels").iterdir())
    assert names == ["01-x-y-inset.png", "01-x-y.png", "02-quoted.png"]
    pixels = media.read(written.parent / "kernels" / "01-x-y.png").pixels
    assert (pixels - rich.rows[0].shown[0].pixels).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("caption", "name"),
    [("relu1_1, channel 7", "relu1-1-channel-7"), ("Café × 2", "cafe-2"), ("→", "picture")],
)
def test_names_of_files(tmp_path: Path, caption: str, name: str) -> None:
    page.write(a_view(caption), tmp_path, "v")
    assert [path.name for path in (tmp_path / "v").iterdir()] == [f"01-{name}.png"]


def test_a_later_run_replaces_an_earlier_one(tmp_path: Path) -> None:
    page.write(a_view("a", "b"), tmp_path, "v")
    page.write(a_view("c"), tmp_path, "v")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v", "v.html"]
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["01-c.png"]


def test_views_share_a_folder(tmp_path: Path) -> None:
    page.write(a_view("a"), tmp_path, "one")
    page.write(a_view("b"), tmp_path, "two")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "one.html", "two", "two.html"]


def test_what_is_not_ours_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    mine = tmp_path / "v" / "holiday.png"
    mine.write_text("mine")
    with pytest.raises(BadOutput, match=r"holiday\.png"):
        page.check_folder(tmp_path, "v")
    with pytest.raises(BadOutput):
        page.write(a_view("a"), tmp_path, "v")
    assert mine.read_text() == "mine" and list(tmp_path.iterdir()) == [tmp_path / "v"]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.write(a_view("a"), tmp_path, "v")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    def fail(pixels: Tensor, target: Path) -> None:
        raise BadOutput("The disk is full.")

    monkeypatch.setattr(media, "write", fail)
    with pytest.raises(BadOutput, match="full"):
        page.write(a_view("b"), tmp_path, "v")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = tmp_path / "file"
    for folder, name in ((file, "v"), (tmp_path, "file"), (file / "deeper" / "still", "v")):
        with pytest.raises(BadOutput, match="file cannot be a folder: it is a file"):
            page.check_folder(folder, name)


def test_a_folder_in_the_place_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "v.html").mkdir()
    with pytest.raises(BadOutput, match=r"v\.html cannot be written: it is a folder"):
        page.check_folder(tmp_path, "v")


def test_checking_writes_nothing(tmp_path: Path) -> None:
    page.check_folder(tmp_path / "a" / "b", "v")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("grey", "ink"), [(0.1, "#ffffff"), (0.9, "#16130f")])
def test_numbers_can_be_read_on_their_color(grey: float, ink: str) -> None:
    assert Cell("1", (grey,) * 3).style.endswith(f"color: {ink}")
