"""The page as a browser shows it: light and dark, wide and narrow, by mouse and by keyboard."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.lens.kernels import kernels
from impasto.lens.page import write
from impasto.networks.encoders import Encoder

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

api: Any = pytest.importorskip("playwright.sync_api")

WIDE, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def file(tmp_path: Path, photo: Tensor, encoder: Encoder) -> Path:
    return write(kernels(photo, encoder), tmp_path, "kernels")


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, file: Path) -> Iterator[Any]:
    """The page of kernels; that it asks for nothing and has no errors is true of every test."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    asked: list[str] = []
    errors: list[object] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(error))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert errors == []


def shown(page: Any) -> str:
    """What the open dialog says of its picture, nothing when it is closed."""
    dialog = page.locator("dialog[open]")
    return str(dialog.locator("p").inner_text()).strip() if dialog.count() else ""


def test_nothing_sticks_out(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    clipped = page.evaluate(
        "[...document.querySelectorAll('td')].filter(c => c.scrollWidth > c.clientWidth).length"
    )
    assert clipped == 0


def test_all_pictures_are_there(page: Any) -> None:
    widths = page.evaluate(
        "[...document.querySelectorAll('main .look img')].map(i => i.naturalWidth)"
    )
    assert len(widths) == 3 + 8 + 4 and all(widths)


def test_pictures_stand_in_columns(page: Any) -> None:
    """Every row of a grid begins at the same left edges."""
    lefts = page.evaluate(
        "[...document.querySelectorAll('.pictures')].map(g => "
        "new Set([...g.children].map(f => Math.round(f.getBoundingClientRect().left))).size)"
    )
    assert lefts == ([2, 2, 2] if page.viewport_size["width"] == PHONE[0] else [3, 4, 4])


def test_click_enlarges_and_click_closes(page: Any) -> None:
    look = page.locator(".look").nth(4)
    small = look.bounding_box()
    look.click()
    assert shown(page).startswith("Box blur")
    large = page.locator("dialog > img").bounding_box()
    assert large["width"] > small["width"]
    page.locator("dialog > img").click()
    assert shown(page) == ""


def test_keyboard_alone(page: Any) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert shown(page).startswith("A closer look")
    page.keyboard.press("ArrowRight")
    assert shown(page).startswith("The result there")
    page.keyboard.press("ArrowRight")
    assert shown(page).startswith("Identity")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert shown(page) == ""
    page.wait_for_function(  # where one left off, as soon as the dialog has closed
        "(document.activeElement.ariaLabel || '').endsWith('The result there: one pixel')",
        timeout=3000,
    )


def test_arrows_go_round(page: Any) -> None:
    page.locator(".look").first.click()
    page.keyboard.press("ArrowLeft")
    assert shown(page).startswith("channel")
    page.keyboard.press("ArrowRight")
    assert shown(page).startswith("Where we look")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Any, file: Path, scheme: str) -> None:
    """Contrast of at least 4.5, as WCAG 2 asks, for all text in both schemes."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    colors = page.evaluate(
        "['h1', '.lead', '.eyebrow', 'section > p', 'figcaption', 'td'].map(s => "
        "getComputedStyle(document.querySelector(s)).color)"
    )
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    cell = page.evaluate("getComputedStyle(document.querySelector('td')).backgroundColor")
    grounds = [paper] * 5 + [cell]
    page.close()
    for color, ground in zip(colors, grounds, strict=True):
        assert contrast(color, ground) >= 4.5, (color, ground)


def contrast(first: str, second: str) -> float:
    """Of two colors as ``rgb(r, g, b)``, by WCAG 2."""
    from impasto.media.color import to_linear

    def luminance(color: str) -> float:
        levels = torch.tensor([float(v) for v in color[4:-1].split(",")]) / 255
        return float(to_linear(levels) @ torch.tensor([0.2126, 0.7152, 0.0722]))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)
