"""What anybody sees and does first; on a phone, without a mouse, with all senses or fewer."""

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

PHONE = (360, 740)


def test_one_click_and_a_picture_is_painted(visit: Any) -> None:
    visitor = visit()
    visitor.sample(2)
    visitor.until("done")
    visitor.wait("document.querySelector('#after').naturalWidth > 0")
    assert "/v1/jobs/" in visitor.picture("after")[1]
    assert visitor.picture("before")[0] > 0
    assert visitor.refused == []


def test_the_edge_between_before_and_after_moves(visit: Any) -> None:
    visitor = visit(reduced_motion="reduce")
    visitor.sample(0)
    visitor.until("done")
    frame = visitor.page.locator("#frame")
    assert frame.get_attribute("role") == "slider"
    frame.focus()
    for _ in range(4):
        visitor.page.keyboard.press("ArrowRight")
    assert frame.get_attribute("aria-valuenow") == "20"
    box = frame.bounding_box()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 50)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 50, steps=4)
    visitor.page.mouse.up()
    assert abs(int(frame.get_attribute("aria-valuenow")) - 75) <= 1
    assert "inset" in visitor.page.evaluate("document.querySelector('#after').style.clipPath")
    visitor.page.keyboard.down("b")
    assert visitor.page.evaluate("document.querySelector('#after').style.visibility") == "hidden"
    visitor.page.keyboard.up("b")
    assert visitor.page.evaluate("document.querySelector('#after').style.visibility") == "visible"


def test_zoom_and_lens(visit: Any) -> None:
    visitor = visit(reduced_motion="reduce")
    visitor.sample(0)
    visitor.until("done")
    visitor.page.keyboard.press("+")
    visitor.page.keyboard.press("+")
    assert visitor.page.locator("#tools .scale").inner_text() == "225 %"
    visitor.wait("document.querySelector('#after').src.includes('/result')")
    visitor.page.keyboard.press("0")
    assert visitor.page.locator("#tools .scale").inner_text() == "100 %"
    visitor.page.keyboard.press("2")
    visitor.page.locator("#frame").hover(position={"x": 100, "y": 100})
    assert visitor.page.locator("#lens").is_visible()


def test_all_by_keyboard(visit: Any) -> None:
    """From the address to a painting in a style of one's choice; a sheet tells the keys."""
    visitor = visit()
    page = visitor.page
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("/")
    visitor.wait("document.activeElement.id === 'search'")
    page.keyboard.type("monet")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.style") == "grainstacks"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.matches('.sample')"):
            break
    page.keyboard.press("Enter")
    visitor.until("done")
    assert visitor.jobs()[0]["recipe"]["styles"][0]["source"] == "grainstacks"
    first = visitor.current()
    page.keyboard.press("p")
    visitor.changed(first)
    visitor.until("done")
    assert len(visitor.jobs()) == 2
    page.keyboard.press("]")
    visitor.wait("id => document.querySelector(`[data-job='${id}']`).ariaPressed === 'true'", first)


def test_arrow_keys_walk_along_the_wall(visit: Any) -> None:
    page = visit().page
    page.locator("#swatches [data-style]").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    names = page.evaluate(
        "[...document.querySelectorAll('#swatches .swatch')].map(s => s.dataset.style ?? '')"
    )
    assert page.evaluate("document.activeElement.dataset.style") == names[4]
    assert page.evaluate("document.querySelectorAll('#swatches [tabindex=\"0\"]').length") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(visit: Any, scheme: str) -> None:
    """Nothing sticks out, and what one touches is large enough."""
    visitor = visit(PHONE, scheme, has_touch=True, is_mobile=True, reduced_motion="reduce")
    visitor.page.locator(".sample").nth(0).tap()
    visitor.until("done")
    for view in ("#easel", "#compare", "#history"):
        visitor.page.goto(visitor.server.url + view)
        visitor.page.wait_for_selector(f"#view-{view[1:]}:not([hidden])")
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360, view
        small = visitor.page.evaluate(
            "[...document.querySelectorAll('button, a, select, summary')]"
            ".filter(b => b.offsetParent && b.getBoundingClientRect().height < 24)"
            ".map(b => b.outerHTML)"
        )
        assert small == [], view
    visitor.page.goto(visitor.server.url + "#easel")
    assert visitor.page.locator("#paint").is_visible()
    box = visitor.page.locator("#paint").bounding_box()
    assert box["y"] + box["height"] <= 740


def test_no_motion_for_those_who_do_not_want_it(visit: Any) -> None:
    visitor = visit(reduced_motion="reduce")
    visitor.sample(0)
    visitor.until("done")
    assert visitor.page.locator("#frame").get_attribute("aria-valuenow") == "0"
    moving = "document.getAnimations().filter(a => a.playState === 'running').length"
    assert visitor.page.evaluate(moving) == 0


def test_light_and_dark_are_chosen_and_kept(visit: Any) -> None:
    visitor = visit(scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = visitor.page.evaluate(ground)
    visitor.page.click("#theme")
    dark = visitor.page.evaluate(ground)
    assert light != dark
    visitor.page.reload()
    assert visitor.page.evaluate(ground) == dark


def test_chinese_is_spoken(visit: Any) -> None:
    """By the browser's wish, and by choice; and a choice is kept."""
    visitor = visit(locale="zh-CN")
    assert "开始画" in visitor.page.locator("#paint").inner_text()
    assert "星夜" in visitor.page.locator("#swatches").inner_text()
    visitor.page.select_option("#language", "en")
    visitor.wait("document.documentElement.lang === 'en'")
    visitor.page.reload()
    visitor.wait("document.querySelector('#paint').innerText.includes('Paint')")


def axe() -> Path | None:
    """Where axe-core is, if it is: IMPASTO_AXE, or the front end's usual place."""
    places = [os.environ.get("IMPASTO_AXE", ""), str(ROOT / "node_modules/axe-core/axe.min.js")]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


@pytest.mark.skipif(axe() is None, reason="no axe-core: set IMPASTO_AXE to axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing(visit: Any, size: tuple[int, int], scheme: str) -> None:
    """In any state: welcome, easel, drawing a region, comparison, history, help."""
    visitor = visit(size, scheme, reduced_motion="reduce")
    source = axe()
    assert source
    visitor.page.evaluate(source.read_text(encoding="utf-8"))

    def found() -> list[str]:
        violations = visitor.page.evaluate("axe.run().then(r => r.violations)")
        return [f"{v['id']}: {[n['html'][:160] for n in v['nodes'][:3]]}" for v in violations]

    assert found() == []
    visitor.sample(0)
    visitor.until("done")
    visitor.page.locator("#advanced summary").click()
    assert found() == []
    visitor.page.keyboard.press("m")
    assert found() == []
    visitor.page.keyboard.press("Escape")
    for key in ("c", "h", "?"):
        visitor.page.keyboard.press(key)
        assert found() == [], key
