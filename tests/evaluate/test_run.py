"""Running cells: what is finished stays, what failed is tried again, and nothing is mixed up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from impasto.errors import BadInput, BadOutput
from impasto.evaluate import run as runs
from impasto.evaluate.cells import CONTROLS, Row, planned, read_rows
from impasto.evaluate.judge import Judge
from impasto.evaluate.metrics import Figures
from impasto.evaluate.run import ROWS, run
from impasto.evaluate.worker import Painted, Worker
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import Style

PAIR = ("a.png", "s.png")


class Level:
    """A judge of nothing but how bright photo, style and painting are, and how large."""

    lpips = None

    def measure(self, photo: Tensor, style: Style | Tensor, painted: Tensor) -> Figures:
        assert isinstance(style, Tensor)
        looks = {"photo": photo, "style": style, "painted": painted}
        return {name: round(float(look.mean()), 2) for name, look in looks.items()} | {
            "width": painted.shape[-1]
        }


class Studio:
    """What paints in the place of a process: the photo half as bright, unless told otherwise."""

    def __init__(self) -> None:
        self.painted: list[str] = []
        self.stops = 0
        self.does: dict[str, Callable[[], Painted | None]] = {}

    def paint(self, worker: Worker, recipe: Recipe, target: Path) -> Painted:
        self.painted.append(target.name)
        told = self.does.get(recipe.method, lambda: None)()
        if told is not None:
            return told
        pixels = media.scaled(media.read(recipe.photo).pixels, recipe.size or 0) / 2
        media.write(pixels, target)
        return Painted(width=pixels.shape[-1], height=pixels.shape[-2], seconds=0.5)

    def stop(self, worker: Worker, kill: bool = False) -> None:
        self.stops += 1

    def take(self) -> list[str]:
        """What was painted since the last time."""
        painted, self.painted = self.painted, []
        return painted


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    studio = Studio()
    monkeypatch.setattr(Worker, "paint", lambda *given: studio.paint(*given))
    monkeypatch.setattr(Worker, "stop", lambda *given, **more: studio.stop(*given, **more))
    return studio


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: two photos of one name, of levels 0.8 and 0.4, and two styles."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for name, level in (("a", 0.8), ("x/a", 0.4), ("s", 0.2), ("t", 0.6)):
        media.write(torch.full((1, 3, 6, 8), level), tmp_path / f"{name}.png")
    return tmp_path


def work(
    names: Sequence[str] = ("adain",),
    photos: Sequence[str] = PAIR[:1],
    styles: Sequence[str] = PAIR[1:],
    size: int = 8,
    on_row: Callable[[Row, bool], None] = lambda row, old: None,
) -> list[Row]:
    cells = planned(names, photos, styles, Recipe(size=size))
    return run(cells, Path("out"), cast(Judge, Level()), on_row)


def levels(rows: Sequence[Row]) -> list[float | None]:
    return [row.metrics["painted"] for row in rows]


# --- one run ---


@pytest.mark.usefixtures("here", "studio")
def test_rows_in_the_order_of_cells() -> None:
    rows = work(["adain", "wct"], ["a.png", "x/a.png"], ["s.png", "t.png"])
    assert [(r.method, r.photo, r.style) for r in rows] == [
        (m, p, s) for m in ("adain", "wct") for p in ("a", "a-2") for s in ("s", "t")
    ]
    assert rows == read_rows(Path("out", ROWS))


@pytest.mark.usefixtures("here", "studio")
def test_every_picture_is_measured_with_its_own_photo_and_style() -> None:
    rows = work([*CONTROLS, "adain"], ["a.png", "x/a.png"], ["s.png", "t.png"])
    for row in rows:
        photo, style = {"a": 0.8, "a-2": 0.4}[row.photo], {"s": 0.2, "t": 0.6}[row.style]
        painted = {"photo": photo, "style": style, "adain": photo / 2}[row.method]
        expected = {"photo": photo, "style": style, "painted": painted, "width": 8}
        assert row.metrics == pytest.approx(expected, abs=0.011)
        assert media.read(Path("out", row.picture)).pixels.mean() == pytest.approx(
            painted, abs=0.01
        )


@pytest.mark.usefixtures("here", "studio")
def test_a_row_is_in_the_file_before_it_is_told() -> None:
    seen: list[tuple[list[Row], bool]] = []
    rows = work(
        ["adain", "wct"], on_row=lambda row, old: seen.append((read_rows(Path("out", ROWS)), old))
    )
    assert seen == [(rows[:1], False), (rows, False)]


@pytest.mark.usefixtures("here")
def test_every_method_has_a_process_of_its_own(studio: Studio) -> None:
    """Otherwise the memory of one would be counted to the next."""
    work(["adain", "wct"], styles=["s.png", "t.png"])
    assert studio.stops == 3  # before each, and at the end
    studio.stops = 0
    work(["adain", "wct"], styles=["s.png", "t.png"])
    assert studio.stops == 1


# --- another run ---


@pytest.mark.usefixtures("here")
def test_what_is_finished_is_not_done_again(studio: Studio) -> None:
    first = work(["photo", "adain"])
    studio.take()
    told: list[bool] = []
    assert work(["photo", "adain"], on_row=lambda row, old: told.append(old)) == first
    assert told == [True, True] and studio.take() == []
    assert read_rows(Path("out", ROWS)) == first


@pytest.mark.usefixtures("here")
def test_only_what_is_new_is_painted(studio: Studio) -> None:
    work()
    studio.take()
    rows = work(["adain", "wct"], styles=["s.png", "t.png"])
    assert studio.take() == ["a.t.adain.png", "a.s.wct.png", "a.t.wct.png"]
    assert len(rows) == len(read_rows(Path("out", ROWS))) == 4


@pytest.mark.usefixtures("here")
def test_a_deleted_picture_is_painted_again(studio: Studio) -> None:
    for row in work(["photo", "adain"]):
        Path("out", row.picture).unlink()
    studio.take()
    assert all(Path("out", row.picture).is_file() for row in work(["photo", "adain"]))
    assert studio.take() == ["a.s.adain.png"]


@pytest.mark.usefixtures("here")
def test_a_deleted_file_of_rows_is_made_again(studio: Studio) -> None:
    first = work()
    Path("out", ROWS).unlink()
    assert work() == first


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("tear", [b'{"key": "', b"\xff\0\n", b"null"])
def test_a_torn_line_loses_nothing_else(studio: Studio, tear: bytes) -> None:
    first = work()
    with Path("out", ROWS).open("ab") as file:
        file.write(tear)
    studio.take()
    both = work(["adain", "wct"])
    assert both[:1] == first and studio.take() == ["a.s.wct.png"]
    assert len(Path("out", ROWS).read_text().splitlines()) == 2


@pytest.mark.usefixtures("here")
def test_what_failed_is_tried_again(studio: Studio) -> None:
    studio.does["adain"] = lambda: Painted("failed", "no luck")
    (failed,) = work()
    assert (failed.outcome, failed.reason, failed.picture, failed.metrics) == (
        "failed",
        "no luck",
        "",
        {},
    )
    studio.does.clear()
    (done,) = work()
    assert done.outcome == "done" and read_rows(Path("out", ROWS)) == [done]


@pytest.mark.usefixtures("here")
def test_what_was_never_learned_is_not_tried_again(studio: Studio) -> None:
    studio.does["johnson"] = lambda: Painted("unlearned", "not that one")
    assert work(["johnson"]) == work(["johnson"])
    assert len(studio.take()) == 1


@pytest.mark.usefixtures("here")
def test_a_changed_photo_is_painted_again(studio: Studio) -> None:
    work(["photo", "adain"])
    media.write(torch.full((1, 3, 6, 8), 0.5), "a.png")
    assert levels(work(["photo", "adain"])) == [0.5, 0.25]


@pytest.mark.usefixtures("here")
def test_back_to_the_first_size(studio: Studio) -> None:
    """The second run painted over the pictures of the first: its rows are not true any more."""
    for size in (8, 4, 8):
        rows = work(["photo", "adain"], size=size)
        for row in rows:
            found = media.read(Path("out", row.picture)).pixels.shape[-1]
            assert found == row.width == row.metrics["width"] == size
    assert read_rows(Path("out", ROWS))[-2:] == rows


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("photos", [["x/a.png"], ["x/a.png", "a.png"]])
def test_a_photo_of_the_same_name(studio: Studio, photos: list[str]) -> None:
    """Who is called a and who a-2 depends on who else is there."""
    work(["photo", "adain"], ["a.png", "x/a.png"])
    work(["photo", "adain"], photos)
    for row in work(["photo", "adain"], ["a.png", "x/a.png"]):
        picture = media.read(Path("out", row.picture)).pixels
        level = {"a": 0.8, "a-2": 0.4}[row.photo] / (1 if row.method == "photo" else 2)
        assert picture.mean() == pytest.approx(level, abs=0.01)
        assert row.metrics["painted"] == pytest.approx(level, abs=0.01)


# --- what goes wrong ---


@pytest.mark.usefixtures("here")
def test_an_interruption_keeps_what_is_finished(studio: Studio) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    studio.does["wct"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        work(["adain", "wct", "ghiasi"])
    assert [row.method for row in read_rows(Path("out", ROWS))] == ["adain"]
    studio.does.clear()
    studio.take()
    assert [row.outcome for row in work(["adain", "wct", "ghiasi"])] == ["done"] * 3
    assert studio.take() == ["a.s.wct.png", "a.s.ghiasi.png"]


@pytest.mark.usefixtures("here")
def test_one_failure_does_not_stop_the_others(studio: Studio) -> None:
    studio.does["adain"] = lambda: Painted("failed", "no luck")
    assert [row.outcome for row in work(["adain", "wct"])] == ["failed", "done"]


@pytest.mark.usefixtures("here", "studio")
def test_a_photo_that_cannot_be_read(here: Path) -> None:
    Path("b.png").write_text("no picture")
    rows = work(CONTROLS, ["b.png", "a.png"])
    assert [row.outcome for row in rows] == ["failed", "done", "failed", "done"]
    assert "b.png is not a picture" in rows[0].reason


@pytest.mark.usefixtures("here", "studio")
def test_a_picture_that_cannot_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a style was made with another encoder than the judge's."""

    def refuse(*given: object) -> Figures:
        raise BadInput("made with another encoder")

    monkeypatch.setattr(Level, "measure", refuse)
    rows = work(["photo", "adain"])
    assert [(row.outcome, row.reason, row.picture, row.metrics) for row in rows] == [
        ("failed", "made with another encoder", "", {})
    ] * 2


@pytest.mark.usefixtures("here", "studio")
@pytest.mark.parametrize("blocked", ["out", "out/pictures", f"out/{ROWS}"])
def test_where_nothing_can_be_written(blocked: str) -> None:
    Path(blocked).parent.mkdir(exist_ok=True)
    if blocked.endswith(ROWS):
        Path(blocked).mkdir()
    else:
        Path(blocked).touch()
    with pytest.raises(BadOutput, match="out"):
        work(["photo", "adain"])


@pytest.mark.usefixtures("here", "studio")
def test_a_full_disk_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise BadOutput("No space left on device")

    monkeypatch.setattr(runs.media, "write", full)
    with pytest.raises(BadOutput):
        work(["photo"])


# --- controls ---


@pytest.mark.usefixtures("here", "studio")
def test_controls_have_the_size_of_paintings() -> None:
    media.write(torch.rand(1, 3, 40, 20), "wide.png")
    for row in work([*CONTROLS, "adain"], styles=["wide.png"], size=16):
        assert (row.width, row.height) == (16, 12)
        assert media.header(Path("out", row.picture)) == (16, 12)
    assert row.seconds == 0.5


@pytest.mark.usefixtures("here", "studio")
def test_statistics_have_no_picture(encoder: Encoder, painting: Tensor) -> None:
    Style.of(painting, encoder).save(Path("own.style.safetensors"))
    (row,) = work(["style"], styles=["own.style.safetensors"])
    assert row.outcome == "unlearned" and "no picture" in row.reason
    assert not list(Path("out/pictures").iterdir())
