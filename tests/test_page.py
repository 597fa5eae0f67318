"""Pages: how figures are written, and the two that set methods side by side, as a browser shows.

Light and dark, wide and narrow, by mouse and by keyboard; nothing is asked of anybody.
"""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from impasto import page
from impasto.errors import BadOutput
from impasto.evaluate.cells import CONTROLS, planned
from impasto.evaluate.compare import LARGE, MANY, compare
from impasto.evaluate.study import study
from impasto.evaluate.worker import Painted, Worker
from impasto.media import image as media
from impasto.media.color import to_linear
from impasto.media.samples import sample_photo
from impasto.networks.encoders import Encoder, Shape
from impasto.recipe import Recipe

CHROMIUM = shutil.which("chromium")

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

WIDE, PHONE = (1280, 900), (390, 844)

EVIL = 'cat "q" <script>alert(1)<-script> & 100%#1? ü'
"""A name that means something in HTML and in addresses."""

LONG = "averyveryverylongname" * 5

# --- how figures are written ---


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 3, "–"),
        (0, 3, "0"),
        (0.12345, 3, "0.123"),
        (0.00012345, 3, "0.000123"),
        (0.00001, 3, "< 0.0001"),
        (99.96, 3, "100"),
        (999.6, 3, "1,000"),
        (99.7, 2, "100"),
        (9.96, 2, "10"),
        (1234.5, 3, "1,234"),
        (12345678, 3, "12,345,678"),
        (-0.5, 3, "-0.5"),
        (-1234.5, 3, "-1,234"),
    ],
)
def test_numbers(value: float | None, digits: int, text: str) -> None:
    assert page.number(value, digits) == text


@settings(max_examples=200, deadline=None)
@given(value=st.floats(-1e9, 1e9), digits=st.integers(1, 6))
def test_numbers_are_never_in_powers_of_ten(value: float, digits: int) -> None:
    text = page.number(value, digits)
    assert "e" not in text
    if not text.startswith("<"):
        assert float(text.replace(",", "")) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0.00 s"),
        (0.054, "0.05 s"),
        (12.3, "12 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (119.7, "2 min 00 s"),
        (200, "3 min 20 s"),
        (3661, "61 min 01 s"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert page.seconds(value) == text


# --- what every page does ---


def test_pictures_become_text() -> None:
    picture = torch.rand(1, 3, 8, 10)
    kind, _, data = page.embedded(picture, ".png").partition(",")
    assert kind == "data:image/png;base64" and re.fullmatch(r"[\w+/]+=*", data)
    assert page.embedded(picture).startswith("data:image/webp;base64,")


def a_page(**values: object) -> dict[str, object]:
    """What the template of a comparison needs, with nothing in it."""
    return {"photos": 1, "styles": 1, "size": 8, "pairs": [], "methods": [], **values}


def test_what_a_page_lacks_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        page.write(tmp_path / "x.html", "compare.html", pairs=[])
    assert list(tmp_path.iterdir()) == []


def test_a_page_takes_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("old")
    page.write(tmp_path / "x.html", "compare.html", **a_page())
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
    for target in (tmp_path, tmp_path / "none" / "x.html"):
        with pytest.raises(BadOutput):
            page.write(target, "compare.html", **a_page())


# --- two pages ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Reports ``compare`` and ``evaluate``, by a judge of random weights and no painter at all."""
    folder = tmp_path_factory.mktemp("reports")
    torch.manual_seed(1)
    encoder = Encoder(Shape((4, 6, 8, 8, 8), (2, 2, 1, 1, 1)), "tiny").requires_grad_(False).eval()
    photos = [folder / f"{name}.png" for name in (EVIL, LONG, "tall")]
    for photo, shape in zip(photos, ((60, 80), (80, 80), (90, 30)), strict=True):
        media.write(torch.rand(1, 3, *shape), photo)
    styles = [folder / f"{name}.png" for name in ("st<b>yle", "other")]
    for style in styles:
        media.write(torch.rand(1, 3, 64, 64), style)
    names = ["johnson", "ghiasi", "adain", "wct"]
    given = [list(map(str, photos)), list(map(str, styles)), Recipe()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "paint", paint)
        for module in ("compare", "study"):
            patch.setattr(f"impasto.evaluate.{module}.load_encoder", lambda name: encoder)
        compare(names, *given, folder / "compare", lambda row, old: None)  # type: ignore[arg-type]
        cells = planned([*CONTROLS, *names], *given, (0.5, 1.0))  # type: ignore[arg-type]
        study(cells, (1, 1), folder / "evaluate", lambda row, old: None)
    yield folder


def paint(worker: Worker, recipe: Recipe, target: Path) -> Painted:
    if recipe.method == "johnson" and "other" in recipe.styles[0].source:
        return Painted("unlearned", "not <i>learned</i>")
    if recipe.method == "wct":
        return Painted("failed", "3 < 2 & more")
    own = media.read(recipe.photo).pixels
    strength = 0.7 if recipe.strength is None else recipe.strength
    pixels = own.lerp(own.flip(2, 3), strength * {"adain": 0.4}.get(recipe.method, 0.9))
    media.write(pixels, target)
    return Painted("done", "", pixels.shape[-1], pixels.shape[-2], 0.5, len(target.name), 200, 9, 9)


PAGES = ("compare", "evaluate")

both = pytest.mark.parametrize("name", PAGES)


class Html(HTMLParser):
    """Collects what matters of a page, and finds tags that are not closed where they should be."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), self.getpos()
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(folder: Path, name: str) -> Html:
    return Html((folder / name / "index.html").read_text(encoding="utf-8"))


@both
def test_pages_are_well_formed(folder: Path, name: str) -> None:
    found = read(folder, name)
    assert found.open == [] or found.open == ["html"]
    identifiers = [a["id"] for _, a in found.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))


@both
def test_nothing_comes_from_elsewhere(folder: Path, name: str) -> None:
    text = (folder / name / "index.html").read_text(encoding="utf-8")
    bare = re.sub(r"data:image/webp;base64,[\w+/=]*", "data:", text)
    assert not re.search(r"https?:|src=\"//|@import|url\((?!\")|fetch\(|XMLHttp|import\(", bare)
    found = read(folder, name)
    for _, attributes in found.tags:
        for key in ("src", "href", "srcset", "poster", "action", "data"):
            target = attributes.get(key) or "#"
            assert re.match(r"data:|#|pictures/", target), target
    assert {a.get("rel") for a in found.of("link")} == {"icon"}


@both
def test_names_do_nothing(folder: Path, name: str) -> None:
    """Neither those of files nor what errors say become tags."""
    found = read(folder, name)
    assert len(found.of("script")) == 1
    assert not found.of("b") and not found.of("i")
    assert "3 < 2 & more" in found.text
    if name == "compare":
        assert EVIL in found.text and "st<b>yle" in found.text
        assert "not <i>learned</i>" in found.text


def test_every_picture_has_words(folder: Path) -> None:
    *pictures, after, before = read(folder, "compare").of("img")
    words = [str(picture["alt"]) for picture in pictures]
    assert len(words) == 6 * 2 + 3 * (2 * 2 + 1) and len(set(words)) == 3 + 2 + 15
    assert f"{EVIL} in st<b>yle by adain" in words and f"The photo {EVIL}" in words
    assert all(picture["width"] and picture["height"] for picture in pictures)
    assert "src" not in after and "src" not in before


def test_every_button_has_words(folder: Path) -> None:
    text = (folder / "compare" / "index.html").read_text(encoding="utf-8")
    for button, inside in re.findall(r"(<button[^>]*>)(.*?)</button>", text):
        assert "aria-label=" in button or re.sub("<[^>]*>", "", inside).strip()


def test_links_lead_to_the_pictures(folder: Path) -> None:
    links = [a["href"] for a in read(folder, "compare").of("a") if "download" in a]
    assert len(links) == 3 * (2 * 2 + 1)
    for link in links:
        assert (folder / "compare" / unquote(str(link))).is_file()


def test_pages_are_of_a_reasonable_size(folder: Path) -> None:
    """What is said of a picture beside its own bytes."""
    text = (folder / "compare" / "index.html").read_text(encoding="utf-8")
    bare = re.sub(r"data:image/webp;base64,[\w+/=]*", "", text)
    assert len(bare) < 60_000
    assert (folder / "evaluate" / "index.html").stat().st_size < 60_000


def test_a_hundred_and_twenty_pictures_are_no_film(tmp_path: Path) -> None:
    """At the size at which they are put in, of a photo and not of noise."""
    data = page.embedded(media.scaled(sample_photo("astronaut"), LARGE))
    assert MANY * len(data) < 15e6


# --- in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api: Any = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser: Any, path: Path, size: tuple[int, int], scheme: str) -> Iterator[Any]:
    """A page; that it asks for nothing and has no errors is true of every test."""
    width, height = size
    shown = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    asked: list[str] = []
    errors: list[object] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: errors.append(error))
    shown.on("console", lambda message: errors.append(message.text))
    shown.on("dialog", lambda dialog: errors.append(dialog.message))
    shown.goto(path.as_uri())
    yield shown
    shown.close()
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert errors == []


SIZES = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])


@pytest.fixture
def size() -> tuple[int, int]:
    return WIDE


@pytest.fixture
def scheme() -> str:
    return "light"


@pytest.fixture
def comparison(browser: Any, folder: Path, size: tuple[int, int], scheme: str) -> Iterator[Any]:
    yield from opened(browser, folder / "compare" / "index.html", size, scheme)


@pytest.fixture
def measured(browser: Any, folder: Path, size: tuple[int, int], scheme: str) -> Iterator[Any]:
    yield from opened(browser, folder / "evaluate" / "index.html", size, scheme)


@needs_browser
@SIZES
def test_nothing_sticks_out(comparison: Any, measured: Any) -> None:
    for shown in (comparison, measured):
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(comparison: Any, measured: Any, scheme: str) -> None:
    """Contrast of at least 4.5, as WCAG 2 asks, whatever it stands on."""
    for shown in (comparison, measured):
        pairs = shown.evaluate(CONTRASTS)
        assert len(pairs) > 30
        for text, color, ground in pairs:
            assert contrast(color, ground) >= 4.5, (text, color, ground)
    ground = comparison.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) < 0.1) == (scheme == "dark")


CONTRASTS = """() => {
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
  };
  return [...document.querySelectorAll("h1,h2,h3,p,dt,dd,td,th,a,figcaption,.soft,.range,button")]
    .filter((e) => e.textContent.trim() && e.offsetParent)
    .map((e) => [e.textContent.trim().slice(0, 30), getComputedStyle(e).color, ground(e)]);
}"""


def contrast(first: str, second: str) -> float:
    """Of two colors as ``rgb(r, g, b)``, by WCAG 2."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    levels = torch.tensor([float(level) for level in re.findall(r"[\d.]+", color)[:3]]) / 255
    return float(to_linear(levels) @ torch.tensor([0.2126, 0.7152, 0.0722]))


@needs_browser
def test_all_pictures_are_shown(comparison: Any) -> None:
    comparison.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    widths = comparison.evaluate(
        "Promise.all([...document.querySelectorAll('main figure img')].map(i => i.decode()"
        ".then(() => i.naturalWidth / i.naturalHeight - i.width / i.height)))"
    )
    assert len(widths) == 27 and max(map(abs, widths)) < 0.05


LENSES = "[...document.querySelectorAll('.pair')].map(p => p.querySelectorAll('.lens').length)"


@needs_browser
def test_lenses_in_all_pictures_of_the_row_and_no_other(comparison: Any) -> None:
    assert comparison.evaluate(LENSES) == [0] * 6
    picture = comparison.locator(".pair").nth(1).locator(".picture").nth(1)
    box = picture.bounding_box()
    picture.hover(position={"x": box["width"] / 4, "y": box["height"] / 2})
    assert comparison.evaluate(LENSES) == [0, 3, 0, 0, 0, 0]
    spots = comparison.evaluate(
        "[...document.querySelectorAll('.lens')].map(l => [parseFloat(l.style.left), "
        "parseFloat(l.style.top), l.parentElement.clientWidth, l.parentElement.clientHeight])"
    )
    for left, top, width, height in spots:
        assert left / width == pytest.approx(0.25, abs=0.01)
        assert top / height == pytest.approx(0.5, abs=0.01)
    comparison.mouse.move(2, 2)
    assert comparison.evaluate(LENSES) == [0] * 6


@needs_browser
def test_a_lens_shows_the_spot_it_is_over(comparison: Any) -> None:
    """What is in its middle is what the mouse points at, three times as large."""
    picture = comparison.locator(".picture").nth(1)
    box = picture.bounding_box()
    picture.hover(position={"x": box["width"] / 4, "y": box["height"] / 2})
    x, y, width, height = comparison.evaluate(
        "(l => { const s = getComputedStyle(l), n = (t) => t.split(' ').map(parseFloat);"
        " return [...n(s.backgroundPosition), ...n(s.backgroundSize)]; })"
        "(document.querySelectorAll('.lens')[1])"
    )
    assert (width, height) == pytest.approx((3 * box["width"], 3 * box["height"]), rel=0.02)
    assert (75 - x) / width == pytest.approx(0.25, abs=0.01)
    assert (75 - y) / height == pytest.approx(0.5, abs=0.01)


def title(shown: Any) -> str:
    """Of the open dialog, nothing when it is closed."""
    dialog = shown.locator("dialog[open]")
    return str(dialog.locator(".title").inner_text()) if dialog.count() else ""


def drawn(shown: Any) -> float:
    """How much of the photo is drawn, %: as the slider, the line and the clip say."""
    slider, line, clip = shown.evaluate(
        "[document.querySelector('dialog input').value, document.querySelector('.line').style.left,"
        " document.querySelector('.before').style.clipPath]"
    )
    hidden = float(re.findall(r"[\d.]+", clip)[1])
    assert float(slider) == pytest.approx(float(line[:-1]), abs=1)
    assert float(line[:-1]) == pytest.approx(100 - hidden, abs=1)
    return float(slider)


@needs_browser
@SIZES
def test_a_click_draws_the_photo_over_the_picture(comparison: Any, size: tuple[int, int]) -> None:
    for number in (1, 15):  # a wide one, and a tall one
        picture = comparison.locator(".picture").nth(number)
        small = picture.bounding_box()
        picture.click()
        assert title(comparison) == "johnson"
        assert comparison.evaluate(LENSES) == [0] * 6
        stage, after, before = (
            comparison.locator(f"dialog {name}").bounding_box()
            for name in (".stage", ".after", ".before")
        )
        assert after == pytest.approx(before) and after == pytest.approx(stage)
        assert stage["width"] / stage["height"] == pytest.approx(
            small["width"] / small["height"], rel=0.05
        )
        assert stage["x"] >= 0 and stage["x"] + stage["width"] <= size[0]
        dialog = comparison.locator("dialog").bounding_box()
        assert dialog["y"] >= 0 and dialog["y"] + dialog["height"] <= size[1]
        comparison.locator("dialog .close").click()
        assert title(comparison) == ""


@needs_browser
def test_the_mouse_moves_the_border(comparison: Any) -> None:
    comparison.locator(".picture").nth(1).click()
    box = comparison.locator(".stage").bounding_box()
    for share in (0.2, 0.8):
        comparison.mouse.move(box["x"] + share * box["width"], box["y"] + 20)
        assert drawn(comparison) == pytest.approx(100 * share, abs=1)
    sources = comparison.evaluate(
        "[document.querySelector('.before').src === document.querySelector('.original img').src,"
        " document.querySelector('.after').src ==="
        " document.querySelectorAll('.picture img')[1].src]"
    )
    assert sources == [True, True]
    comparison.mouse.click(3, 3)  # beside the dialog
    assert title(comparison) == ""


@needs_browser
def test_keyboard_alone(comparison: Any) -> None:
    """The methods, the photo, the first method; then the slider, and out again."""
    for _ in range(3):
        comparison.keyboard.press("Tab")
    comparison.keyboard.press("Enter")
    assert title(comparison) == "johnson"
    before = drawn(comparison)
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight"):
        comparison.keyboard.press(key)
    assert drawn(comparison) == before + 2
    comparison.keyboard.press("End")
    assert drawn(comparison) == 100
    comparison.keyboard.press("Home")
    assert drawn(comparison) == 0
    comparison.keyboard.press("Escape")
    assert title(comparison) == ""
    where = "document.activeElement.getAttribute('aria-label')"
    assert comparison.evaluate(where) == "johnson, beside the photo"


@needs_browser
def test_from_one_picture_of_a_row_to_the_next(comparison: Any) -> None:
    comparison.locator(".picture").nth(1).click()
    seen = []
    for _ in range(5):
        seen.append(title(comparison))
        comparison.locator("dialog [data-step='1']").click()
    assert seen == ["johnson", "ghiasi", "adain", "The photo", "johnson"]
    comparison.locator("dialog [data-step='-1']").click()
    assert title(comparison) == "johnson"


def column(shown: Any, number: int) -> list[str]:
    return [
        str(text)
        for text in shown.evaluate(
            "n => [...document.querySelector('.sortable').tBodies[0].rows].map(r => "
            "(r.cells[n].querySelector('.mean') || r.cells[n]).textContent.trim())",
            number,
        )
    ]


def headings(shown: Any) -> list[str]:
    texts = shown.locator(".sortable").first.locator("thead button").all_inner_texts()
    return [str(text).strip(" ↓↑") for text in texts]


@needs_browser
def test_a_click_on_a_heading_sorts(measured: Any) -> None:
    names = headings(measured)
    table = measured.locator(".sortable").first
    first = names.index("style_error")
    for name, direction in (("style_error", "ascending"), ("style_error", "descending")):
        table.locator("thead button").nth(names.index(name)).click()
        values = [0.0 if "<" in v else float(v.replace(",", "")) for v in column(measured, first)]
        assert values == sorted(values, reverse=direction == "descending")
        assert (
            measured.locator(f"th[aria-sort='{direction}']").all_inner_texts()[0].startswith(name)
        )
        assert measured.locator("th[aria-sort]").count() == 1
    table.locator("thead button").first.click()
    assert column(measured, 0) == sorted(column(measured, 0))
    assert measured.locator("th[aria-sort]").all_inner_texts() == ["method"]


@needs_browser
def test_empty_cells_stay_last(measured: Any) -> None:
    """Controls take no time."""
    number = headings(measured).index("seconds")
    button = measured.locator(".sortable").first.locator("thead button").nth(number)
    for _ in range(2):
        button.click()
        values = column(measured, number)
        assert [value == "–" for value in values] == [False] * 6 + [True] * 2
    button.focus()
    measured.keyboard.press("Enter")
    assert measured.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"


@needs_browser
def test_whole_rows_are_sorted(measured: Any) -> None:
    def rows() -> set[str]:
        texts = measured.locator(".sortable").first.locator("tbody tr").all_inner_texts()
        return {" ".join(str(text).split()) for text in texts}

    before = rows()
    measured.locator(".sortable").first.locator("thead button").nth(3).click()
    assert rows() == before


@needs_browser
def test_the_plot_shows_every_method_inside_its_frame(measured: Any) -> None:
    names, boxes = measured.evaluate(
        "(() => { const frame = document.querySelector('svg').getBoundingClientRect();"
        " const texts = [...document.querySelectorAll('svg .name')];"
        " return [texts.map(t => t.textContent), texts.map(t => {"
        " const b = t.getBoundingClientRect();"
        " return b.left >= frame.left && b.right <= frame.right && b.top >= frame.top; })]; })()"
    )
    assert names == ["the photo", "the style", "johnson", "ghiasi", "adain"]
    assert all(boxes)
