"""The comparison: all methods on all pairs, as rows, pictures, a page and a sheet."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import methods, weights
from impasto.evaluate import compare as comparison
from impasto.evaluate.cells import Row, chosen, read_rows
from impasto.evaluate.compare import PAGE, SHEET, compare
from impasto.evaluate.worker import Painted, Worker, painted
from impasto.media import image as media
from impasto.networks import encoders
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import Style


@pytest.fixture
def here(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photo: Tensor,
    painting: Tensor,
    encoder: Encoder,
) -> Path:
    """The working folder: two photos of one name, and two styles; the tiny encoder judges."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    pictures = {"cat": photo, "x/cat": photo.flip(3), "own": painting, "other": 1 - painting}
    for name, picture in pictures.items():
        media.write(picture, tmp_path / f"{name}.png")
    monkeypatch.setattr(comparison, "load_encoder", lambda name: encoder)
    return tmp_path


def paint(worker: Worker, recipe: Recipe, target: Path) -> Painted:
    """As quick as can be: johnson has learned nothing, and wct has failed."""
    if recipe.method == "johnson":
        return Painted("unlearned", "johnson has not learned this style; learn & see.")
    if recipe.method == "wct":
        return Painted("failed", "RuntimeError: 3 < 2")
    if not Path(recipe.photo).is_file():
        return Painted("failed", "It is gone.")
    pixels = media.scaled(media.read(recipe.photo).pixels, recipe.size or 0).flip(2)
    media.write(pixels, target)
    height, width = pixels.shape[-2:]
    return Painted("done", "", width, height, 1.25, 75.0, 1234, 2_500_000, 4_200_000)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "paint", paint)


def run(
    names: Sequence[str] = ("adain",),
    photos: Sequence[str] = ("cat.png",),
    styles: Sequence[str] = ("own.png",),
    **settings: object,
) -> list[Row]:
    recipe = Recipe.model_validate({"size": 40, **settings})
    return compare(names, photos, styles, recipe, Path("out"), lambda row, old: None)


def text() -> str:
    """What the page says, without pictures and tags."""
    page = re.sub(r"(?s)<(script|style)>.*?</\1>|<[^>]*>", " ", Path("out", PAGE).read_text())
    return " ".join(html.unescape(page).split())


@pytest.mark.usefixtures("decoders", "here")
def test_all_methods_in_earnest(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiny networks; those that learn each style know ``style``, and no other."""
    monkeypatch.setattr(Worker, "paint", lambda worker, *given: painted(*given))
    monkeypatch.setitem(encoders.SHAPES, "tiny", encoder.shape)  # type: ignore[index]
    weights.write(
        Path("store/encoder-tiny.safetensors"),
        encoder.state_dict(),
        weights.Header("encoder", "tiny"),
    )
    monkeypatch.setattr(weights, "folders", lambda: [Path("store"), weights.user_folder()])
    Style.of(media.read("own.png").pixels, encoder).save(Path("style.style.safetensors"))
    names = [name for name in chosen("all") if name != "gatys"]  # which takes its time
    rows = run(names, styles=["own.png", "style.style.safetensors"], encoder="tiny")
    outcomes = {(row.method, row.style): row.outcome for row in rows}
    for name in names:
        learned = "done" if methods.get(name).can.any_style else "unlearned"
        assert outcomes[name, "own"] == learned
        assert outcomes[name, "style"] == "done"
    done = [row for row in rows if row.outcome == "done"]
    assert all(row.metrics["style_error"] and row.parameters and row.peak_mb for row in done)
    page = text()
    for name in names:
        assert methods.get(name).good in page and methods.get(name).bad in page
    assert page.count("johnson has not learned this style") == 1
    assert "as a texture made of its statistics" in page


@pytest.mark.usefixtures("here", "quick")
def test_what_lies_in_the_folder() -> None:
    rows = run(["adain", "ghiasi"], ["cat.png", "x/cat.png"], ["own.png", "other.png"])
    assert sorted(path.name for path in Path("out").iterdir()) == [
        PAGE,
        "pictures",
        "rows.jsonl",
        SHEET,
    ]
    assert [(r.photo, r.style, r.method) for r in rows] == [
        (p, s, m) for m in ("adain", "ghiasi") for p in ("cat", "cat-2") for s in ("own", "other")
    ]
    every = read_rows(Path("out/rows.jsonl"))
    assert [row for row in every if row.method != "photo"] == rows
    assert len(every) == 4 + 8
    for row in every:
        assert media.header(Path("out", row.picture)) == (row.width, row.height) == (33, 40)


@pytest.mark.usefixtures("here", "quick")
def test_what_the_page_says() -> None:
    row = run()[0]
    page = text()
    for words in (
        "1 method of style transfer on 1 photo and 1 style, 40 px.",
        "cat in own",
        "painting 1 min 15 s loading 1.25 s memory 1,234 MB",
        "adain 1 min 15 s 1.25 s 1,234 MB 2.5 M 4.2 MB",
        methods.get("adain").paper,
        "any style · masks by statistics · --finish",
    ):
        assert words in page
    assert row.metrics["style_error"] is not None
    assert f"style_error {row.metrics['style_error']:.3g}" in page
    assert len(re.findall(r'src="data:image/webp', Path("out", PAGE).read_text())) == 3


@pytest.mark.usefixtures("here", "quick")
def test_a_method_without_a_picture_has_its_reason() -> None:
    rows = run(["johnson", "wct", "adain"])
    assert [row.outcome for row in rows] == ["unlearned", "failed", "done"]
    page = Path("out", PAGE).read_text()
    assert '<p class="none">johnson has not learned this style; learn &amp; see.</p>' in page
    assert '<p class="none bad">RuntimeError: 3 &lt; 2</p>' in page
    assert "johnson – – – – – – –" in text()


@pytest.mark.usefixtures("here", "quick")
def test_the_share_of_the_photos_distance() -> None:
    """A photo that is the style is at no distance from it: nothing has a share of that."""
    (row,) = run()
    own = next(r for r in read_rows(Path("out/rows.jsonl")) if r.method == "photo")
    share = comparison._share(row, own)
    assert share == pytest.approx(
        (row.metrics["style_error"] or 0) / (own.metrics["style_error"] or 1)
    )
    assert "% of the photo's" in text()
    run(styles=["cat.png"])
    assert Path("out", PAGE).exists()


@pytest.mark.usefixtures("quick")
def test_a_photo_that_went_away(here: Path) -> None:
    """Between two runs, or while one goes on: the page says so."""
    run(photos=["cat.png", "x/cat.png"])
    (here / "x/cat.png").unlink()
    rows = run(photos=["cat.png", "x/cat.png"])
    assert [row.outcome for row in rows] == ["done", "failed"]
    assert "cat-2 in own No such file: x/cat.png. The photo style_error – " in text()
    assert "It is gone." in text()


@pytest.mark.usefixtures("here", "quick")
def test_every_style_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = comparison.look
    monkeypatch.setattr(comparison, "look", lambda s, e: (seen.append(s), real(s, e))[1])
    run(["adain", "ghiasi"], ["cat.png", "x/cat.png"], ["own.png", "other.png"])
    assert seen == ["own.png", "other.png"]


def widths() -> list[str]:
    return re.findall(r'alt="[^"]+" width="(\d+)"', Path("out", PAGE).read_text())


@pytest.mark.usefixtures("quick")
def test_pictures_inside_the_page_are_small(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller still where there are many; small ones are never enlarged."""
    monkeypatch.setattr(comparison, "LARGE", 30)
    monkeypatch.setattr(comparison, "SMALL", 20)
    media.write(torch.rand(1, 3, 10, 12), here / "tiny.png")
    media.write(torch.rand(1, 3, 60, 60), here / "cat.png")
    run(photos=["tiny.png"], size=12)
    assert widths() == ["12", "30", "12"]
    run(photos=["cat.png"], size=60)
    assert widths() == ["30", "30", "30"]
    monkeypatch.setattr(comparison, "MANY", 3)
    run(["adain", "ghiasi"], photos=["cat.png", "x/cat.png"], size=60)
    assert set(widths()) == {"20", "17"}
    assert media.header("out/pictures/cat.own.adain.png") == (60, 60)


@pytest.mark.usefixtures("here", "quick")
def test_a_sheet_never_outgrows_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []

    def sheet(*given: object) -> Tensor:
        sides.append(int(str(given[-1])))
        return torch.zeros(1, 3, 8, 8)

    monkeypatch.setattr(comparison, "contact_sheet", sheet)
    pair = comparison.Pair("cat", "own", {"photo": Row(key="", method="", photo="", style="")})
    for count in (1, 206, 300, 1500):
        comparison._sheet([pair] * count, [], {}, Path())
        rows = count * (sides[-1] + comparison.LINE + comparison.GAP) + comparison.LINE
        assert sides[-1] <= comparison.SMALL and rows <= 65_500
    assert sides[0] == comparison.SMALL and sides[2] > 100


@pytest.mark.usefixtures("here", "quick")
def test_the_sheet_shows_all() -> None:
    run(["johnson", "adain"], styles=["own.png", "other.png"])
    width, height = media.header(Path("out", SHEET))
    assert width == 8 + 4 * (256 + 8) and height == 26 + 2 * (26 + 256 + 8)
    sheet = media.read(Path("out", SHEET)).pixels
    columns = [sheet[0, :, 52:308, 8 + i * 264 : 264 + i * 264].std() for i in range(4)]
    assert [bool(column > 0.1) for column in columns] == [True, True, False, True]
