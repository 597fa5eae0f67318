"""Pictures in, paintings out: upload, mix, regions, stopping, history, comparison, coming back."""

import io
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data


def small(visitor: Any) -> None:
    """Quick to paint."""
    visitor.page.select_option("#in-size", "other")
    visitor.page.fill("#in-size-other", "160")
    visitor.page.locator("#in-size-other").blur()


def slow(visitor: Any) -> None:
    """Something that takes its time: many steps of an optimisation."""
    visitor.page.locator("#methods [data-method=gatys]").click()
    small(visitor)
    visitor.page.evaluate("document.querySelector('#advanced').open = true")
    visitor.page.fill("#in-iterations", "2000")
    visitor.page.locator("#in-iterations").blur()


def test_a_chosen_photo_is_painted(visit: Any, photo: Path) -> None:
    visitor = visit()
    visitor.page.set_input_files("#photo-file", photo)
    visitor.wait("document.querySelector('#label').innerText.includes('300')")
    assert "my cup.jpg" in visitor.page.locator("#label").inner_text()
    assert "Choose a style" in visitor.page.locator("#forecast").inner_text()
    visitor.style("udnie")
    visitor.paint()
    job = visitor.jobs()[0]
    assert (job["width"], job["height"]) == (300, 200)
    assert job["recipe"]["photo"].startswith("u")


def test_a_dropped_photo_and_a_dropped_style(visit: Any, photo: Path) -> None:
    visitor = visit()
    visitor.hand("drop", "#easel", photo)
    visitor.wait("document.querySelector('#label').innerText.includes('300')")
    visitor.hand("drop", ".wall", photo)
    visitor.page.wait_for_selector("#swatches [data-style^=u][aria-pressed=true]")
    small(visitor)
    visitor.paint()
    assert visitor.jobs()[0]["recipe"]["styles"][0]["source"].startswith("u")
    visitor.page.reload()
    visitor.page.wait_for_selector("#swatches [data-style^=u][aria-pressed=true]")


def test_a_pasted_photo(visit: Any, photo: Path) -> None:
    visitor = visit()
    visitor.hand("paste", "body", photo)
    visitor.page.wait_for_selector("text=Use it as a style instead")
    assert "300 × 200" in visitor.page.locator("#label").inner_text()


def test_what_is_no_picture_is_refused_in_words(visit: Any, tmp_path: Path) -> None:
    visitor = visit()
    file = tmp_path / "notes.jpg"
    file.write_bytes(b"these are only words")
    visitor.page.set_input_files("#photo-file", file)
    text = visitor.page.locator(".toast.error").inner_text()
    assert "no picture" in text and "JPEG" in text
    assert visitor.page.locator("#welcome").is_visible()
    assert visitor.refused == [415]


def test_an_upload_that_fails_late_leaves_the_next_one_alone(
    visit: Any, photo: Path, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    held: list[Any] = []
    page.route("**/v1/uploads", lambda route: route.continue_() if held else held.append(route))
    file = tmp_path / "notes.jpg"
    file.write_bytes(b"these are only words")
    page.set_input_files("#photo-file", file)
    visitor.wait("document.querySelector('#forecast').innerText.includes('on its way')")
    page.set_input_files("#photo-file", photo)
    visitor.wait("document.querySelector('#label').innerText.includes('300')")
    held[0].continue_()
    page.wait_for_selector(".toast.error")
    assert "my cup.jpg" in page.locator("#label").inner_text()
    assert visitor.refused == [415]


def test_a_style_that_the_method_cannot_paint(visit: Any) -> None:
    """It is chosen all the same, by a method that can."""
    page = visit().page
    page.locator("#methods [data-method=johnson]").click()
    page.locator("#swatches .unknown").first.click()
    assert "cannot paint this style" in page.locator(".toast").inner_text()
    assert page.locator("#methods [value=auto]").is_checked()
    assert page.locator("#swatches .unknown").count() == 0


def test_a_mix_has_weights(visit: Any) -> None:
    visitor = visit()
    visitor.style("great-wave")
    visitor.style("the-scream", modifiers=["Shift"])
    visitor.page.click("#mixing")
    for name in ("udnie", "grainstacks"):
        visitor.style(name)
    visitor.style("starry-night")
    assert "4 styles are the most" in visitor.page.locator(".toast").inner_text()
    visitor.style("grainstacks")
    sliders = visitor.page.locator("#mix input[type=range]")
    assert sliders.count() == 3
    sliders.nth(2).fill("50")
    assert visitor.page.locator("#mix output").all_inner_texts() == ["40 %", "40 %", "20 %"]
    visitor.sample(1)
    visitor.until("done")
    shares = {s["source"]: s["weight"] for s in visitor.jobs()[0]["recipe"]["styles"]}
    assert shares == {"great-wave": 1, "the-scream": 1, "udnie": 0.5}


def test_a_region_is_drawn_and_painted(visit: Any) -> None:
    visitor = visit()
    page = visitor.page
    visitor.style("great-wave")
    visitor.sample(1)
    visitor.until("done")
    page.keyboard.press("m")
    assert page.locator("#brushes").is_visible()
    box = page.locator("#frame").bounding_box()
    left, middle = box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2
    page.mouse.move(left, middle - 100)
    page.mouse.down()
    page.mouse.move(left, middle + 100, steps=4)
    page.mouse.up()
    page.locator("#frame").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    visitor.style("the-scream")
    assert "The Scream" in page.locator("#regions").inner_text()
    page.click("#mask-done")
    visitor.paint()
    job = visitor.jobs()[0]
    assert [mask["style"] for mask in job["recipe"]["masks"]] == ["the-scream"]
    assert [style["source"] for style in job["recipe"]["styles"]] == ["great-wave"]
    mask = job["recipe"]["masks"][0]["mask"]
    bytes_of = page.evaluate(
        "id => fetch(`/v1/uploads/${id}/preview`).then(a => a.arrayBuffer())"
        ".then(b => [...new Uint8Array(b)])",
        mask,
    )
    drawn = Image.open(io.BytesIO(bytes(bytes_of))).convert("L")
    width, height = drawn.size
    assert drawn.getpixel((width // 4, height // 2)) > 250
    assert drawn.getpixel((width * 3 // 4, height // 2)) < 5


def test_stopping_keeps_the_last_picture(visit: Any) -> None:
    visitor = visit()
    visitor.style("udnie")
    visitor.page.set_input_files("#photo-file", _picture())
    visitor.wait("document.querySelector('#label').innerText.includes('200')")
    slow(visitor)
    visitor.page.click("#paint")
    visitor.until("running")
    visitor.wait("document.querySelector('#after').naturalWidth > 0")
    visitor.wait("/\\d+ %/.test(document.title)")
    visitor.page.click("#cancel")
    visitor.page.wait_for_selector(".easel[data-state=cancelled]", timeout=4000)
    visitor.page.wait_for_selector("#keep #save, #keep .menu", timeout=10000)
    assert "Stopped" in visitor.page.locator("#label").inner_text()


def _picture() -> Any:
    file = io.BytesIO()
    Image.effect_mandelbrot((200, 150), (-2, -1.2, 1, 1.2), 60).save(file, "PNG")
    return {"name": "m.png", "mimeType": "image/png", "buffer": file.getvalue()}


def test_a_reload_in_the_middle_changes_nothing(visit: Any) -> None:
    visitor = visit()
    visitor.style("udnie")
    visitor.page.set_input_files("#photo-file", _picture())
    visitor.wait("document.querySelector('#label').innerText.includes('200')")
    slow(visitor)
    visitor.page.click("#paint")
    visitor.until("running")
    job = visitor.current()
    visitor.page.reload()
    visitor.until("running")
    assert visitor.current() == job
    assert visitor.page.locator("#methods [data-method=gatys] input").is_checked()
    assert visitor.page.locator("#in-size-other").input_value() == "160"
    visitor.page.click("#cancel")
    visitor.until("cancelled")


def test_a_dropped_result_brings_everything_back(visit: Any, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.style("great-wave")
    visitor.style("udnie", modifiers=["Shift"])
    page.locator("#methods [data-method=wct]").click()
    page.locator("#in-strength").fill("70")
    page.locator("#in-style_scale").fill("0.5")
    page.locator("#dial-color input[value=luma]").check(force=True)
    page.evaluate("document.querySelector('#advanced').open = true")
    page.fill("#in-seed", "7")
    page.locator("#in-seed").blur()
    small(visitor)
    visitor.sample(3)
    visitor.until("done")
    page.locator("#keep summary").click()
    with page.expect_download() as download:
        page.locator("#keep .menu-list a", has_text="PNG").click()
    file = tmp_path / "result.png"
    download.value.save_as(file)
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_selector("#swatches [data-style]")
    assert page.locator("#welcome").is_visible()
    visitor.hand("drop", "#easel", file)
    page.wait_for_selector("text=All settings of this painting are back")
    page.wait_for_selector("#swatches [data-style=udnie][aria-pressed=true]")
    assert page.locator("#mix .share-row").count() == 2
    assert page.locator("#methods [data-method=wct] input").is_checked()
    assert page.locator("#in-strength").input_value() == "70"
    assert page.locator("#in-style_scale").input_value() == "0.5"
    assert page.locator("#dial-color input[value=luma]").is_checked()
    assert page.locator("#in-seed").input_value() == "7"
    assert page.locator("#in-size-other").input_value() == "160"
    visitor.wait("document.querySelector('#before').src.includes('samples/')")


def test_saved_in_three_formats_and_copied(visit: Any) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    visitor.sample(0)
    visitor.until("done")
    for name, kind in (("PNG", "PNG"), ("JPEG", "JPEG"), ("WebP", "WEBP")):
        visitor.page.locator("#keep summary").click()
        with visitor.page.expect_download() as download:
            visitor.page.locator("#keep .menu-list a", has_text=name).click()
        with Image.open(download.value.path()) as picture:
            assert picture.format == kind
    visitor.page.get_by_role("button", name="Copy").click()
    visitor.page.wait_for_selector("text=Copied.")
    kinds = "navigator.clipboard.read().then(items => items[0].types)"
    assert visitor.page.evaluate(kinds) == ["image/png"]


def test_history_stars_packs_and_deletes(visit: Any) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sample(0)
    visitor.until("done")
    visitor.style("udnie")
    visitor.paint()
    page.keyboard.press("h")
    visitor.wait("document.querySelectorAll('.card').length === 2")
    assert "deleted in" in page.locator(".card").first.inner_text()
    page.locator(".card").nth(1).get_by_role("button", name="Star", exact=True).click()
    page.click("#history-starred")
    visitor.wait("document.querySelectorAll('.card').length === 1")
    page.click("#history-starred")
    page.fill("#history-search", "udnie")
    visitor.wait("document.querySelectorAll('.card').length === 1")
    page.fill("#history-search", "")
    with page.expect_download() as download:
        page.click("#history-zip")
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"
    page.locator(".tick input").first.check(force=True)
    page.click("#history-delete")
    page.click("#ask-yes")
    visitor.wait("document.querySelectorAll('.card').length === 1")
    assert [job["starred"] for job in visitor.jobs()] == [True]


def test_methods_and_styles_side_by_side(visit: Any) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sample(0)
    visitor.until("done")
    small(visitor)
    page.keyboard.press("c")
    for name in ("great-wave", "starry-night"):
        page.locator(f".pick input[value={name}]").check(force=True)
    for box in page.locator(".setup-methods input").all():
        box.set_checked(box.get_attribute("value") in ("auto", "adain"))
    assert "4 paintings" in page.locator("#compare-count").inner_text()
    page.click("#compare-go")
    visitor.wait("document.querySelectorAll('.cell.done').length === 4")
    heads = page.locator(".cells thead th").all_inner_texts()
    assert heads == ["Automatic", "Gentle"]
    cells = page.locator(".cells tbody tr").nth(0).locator(".cell")
    own = cells.nth(1).get_attribute("data-cell")
    assert {job["id"]: job for job in visitor.jobs()}[own]["recipe"]["method"] == "adain"
    page.reload()
    visitor.wait("document.querySelectorAll('.cell.done').length === 4")
    page.locator(".cell").first.click()
    visitor.until("done")
    assert page.locator("#view-easel").is_visible()


def _restored(visitor: Any, at: int) -> None:
    """Put the job at that place of the strip on the easel, and wait for its controls."""
    job = visitor.page.locator(".thumb").nth(at).get_attribute("data-job")
    visitor.page.locator(".thumb").nth(at).click()
    visitor.wait("id => document.querySelector(`[data-job='${id}']`).ariaPressed === 'true'", job)


def test_what_was_left_open_stays_open(visit: Any) -> None:
    """A job is settled on a method, size and strength; the controls are as they were."""
    visitor = visit()
    page = visitor.page
    visitor.sample(0)
    visitor.until("done")
    assert visitor.jobs()[0]["recipe"]["method"] != "auto"
    page.reload()
    visitor.until("done")
    assert page.locator("#methods [value=auto]").is_checked()
    assert page.input_value("#in-size") == ""
    assert page.locator("#dial-strength .reset").is_hidden()


def test_a_restored_size_goes_with_its_photo(visit: Any, photo: Path) -> None:
    visitor = visit()
    small(visitor)
    visitor.sample(0)
    visitor.until("done")
    visitor.page.reload()
    visitor.until("done")
    assert visitor.page.input_value("#in-size-other") == "160"
    visitor.page.set_input_files("#photo-file", photo)
    visitor.wait("document.querySelector('#label').innerText.includes('300')")
    visitor.wait("document.querySelector('#in-size').value === ''")
    assert visitor.refused == []


def test_a_restored_mix_has_its_weights(visit: Any) -> None:
    visitor = visit()
    small(visitor)
    visitor.style("great-wave")
    visitor.style("udnie", modifiers=["Shift"])
    sliders = visitor.page.locator("#mix input[type=range]")
    sliders.nth(1).fill("25")
    visitor.sample(0)
    visitor.until("done")
    sliders.nth(1).fill("75")
    visitor.paint()
    _restored(visitor, 1)
    visitor.wait("document.querySelectorAll('#mix input')[1].value === '25'")
    assert visitor.page.locator("#mix output").all_inner_texts() == ["80 %", "20 %"]
    _restored(visitor, 0)
    visitor.wait("document.querySelectorAll('#mix input')[1].value === '75'")


def test_no_holes_side_by_side(visit: Any) -> None:
    """What a method cannot paint is not counted, and its cell says so."""
    visitor = visit()
    page = visitor.page
    small(visitor)
    visitor.sample(0)
    visitor.until("done")
    page.keyboard.press("c")
    visitor.wait("document.querySelectorAll('.pick input').length > 20")
    for box in page.locator(".pick input").all():
        box.set_checked(True, force=True)
    visitor.wait("document.querySelector('#compare-count').innerText.includes('at most 20')")
    assert page.locator("#compare-go").is_disabled()
    for box in page.locator(".pick input").all():
        box.set_checked(box.get_attribute("value") in ("udnie", "american-gothic"), force=True)
    for box in page.locator(".setup-methods input").all():
        box.set_checked(box.get_attribute("value") in ("auto", "johnson", "adain"))
    visitor.wait("document.querySelector('#compare-count').innerText.includes('5 paintings')")
    page.click("#compare-go")
    visitor.wait("document.querySelectorAll('.cell.done').length === 5")
    rows = page.locator(".cells tbody tr")
    texts = [rows.nth(at).locator("td").all_inner_texts() for at in range(2)]
    refused = [(y, x) for y in range(2) for x in range(3) if texts[y][x] == "not for this style"]
    assert len(refused) == 1
    assert all(text for row in texts for text in row)


def test_what_it_takes_is_told_before(visit: Any) -> None:
    """Once the worker has measured this machine, every method says how long."""
    visitor = visit()
    visitor.page.set_input_files("#photo-file", _picture())
    visitor.style("udnie")
    for name in ("auto", "johnson", "adain", "gatys"):
        card = visitor.page.locator(f"#methods [data-method={name}] .method-time")
        visitor.wait("node => node.innerText", card.element_handle())


def test_weaker_is_seen_at_once(visit: Any) -> None:
    visitor = visit()
    visitor.sample(0)
    visitor.until("done")
    visitor.page.locator("#in-strength").fill("40")
    visitor.wait("document.querySelector('#after').style.opacity === '0.4'")


def test_a_film_is_painted_and_played(visit: Any, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="films need the extra video")
    pytest.importorskip("cv2", reason="films need the extra video")
    file = tmp_path / "film.mp4"
    with av.open(str(file), "w") as film:
        stream = film.add_stream("h264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for shift in range(12):
            pixels = np.roll(data.coffee()[100:196, 100:260], 2 * shift, axis=1)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels.copy(), format="rgb24")))
        film.mux(stream.encode())
    visitor = visit()
    visitor.page.set_input_files("#photo-file", file)
    visitor.wait("document.querySelector('#label').innerText.includes('160 × 96')")
    assert visitor.page.locator("#dial-stable").is_visible()
    assert not visitor.page.locator("#regions-box").is_visible()
    visitor.style("udnie")
    visitor.paint()
    visitor.wait("document.querySelector('#film').readyState > 0")
    assert visitor.page.evaluate("document.querySelector('#film').videoWidth") == 160
    assert "/preview" in visitor.page.evaluate("document.querySelector('#film').poster")


def test_other_visitors_see_nothing(visit: Any) -> None:
    one, other = visit(), visit()
    one.sample(0)
    one.until("done")
    assert other.jobs() == []
    address = f"{one.server.url}v1/jobs/{one.current()}"
    request = urllib.request.Request(address)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 404
    assert json.loads(refused.value.read())["detail"]
