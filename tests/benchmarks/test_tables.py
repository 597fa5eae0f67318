"""Tables: known answers of what rows come to."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rows import Row, read
from summary import figure, means, pick, read_off, when
from tables import TABLES, markdown, number, ratio, rich_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0444, "0.0444"),
        (0.1, "0.1"),
        (12.34, "12.3"),
        (181.9, "182"),
        (2762, "2760"),
        (None, "–"),
    ],
)
def test_numbers_as_people_read_them(value: float | None, text: str) -> None:
    assert number(value) == text


def test_ratios() -> None:
    assert ratio(0.3, 0.1) == "3.0 x"
    assert ratio(None, 0.1) == "–"


def test_means_are_shares_of_the_photos(row: Callable[..., Row]) -> None:
    """Of 2 and 8 are left 1 and 1: a fifth of all, three tenths in the middle of 1/2 and 1/8."""
    where = [{"photo": "a", "style": "s"}, {"photo": "b", "style": "s"}]
    rows = [
        row("quality", "photo", {"style_error": e, "content_error": 0}, **w)
        for e, w in zip((2, 8), where, strict=True)
    ]
    own = [row("quality", "wct", {"style_error": 1, "content_error": 0.5}, **w) for w in where]
    result = means([*rows, *own], own)
    assert result is not None
    assert (result.pairs, result.share, result.median_share) == (2, 0.2, 0.3125)
    assert (result.style_error, result.content_error) == (1, 0.5)
    assert means(own, own) is None


def test_a_figure_is_of_one_row_only(row: Callable[..., Row]) -> None:
    rows = [row("speed", "wct", {"seconds": s}, size=size) for s, size in ((1, 64), (2, 128))]
    assert figure(rows, "seconds", size=128) == 2
    assert figure(rows, "seconds") is None
    assert figure(rows, "peak_mb", size=128) is None


def test_a_curve_is_straight_between_its_points() -> None:
    curve = [(1.0, 10.0), (0.0, 20.0)]
    assert [read_off(curve, x) for x in (-1, 0, 0.25, 1, 2)] == [20, 20, 17.5, 10, 10]


def test_when_a_course_has_come_that_near() -> None:
    series = {"seconds": (1.0, 2.0, 3.0), "style_error": (0.5, 0.3, 0.1)}
    assert when(series, 0.3) == 2
    assert when(series, 0.05) is None


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_its_rows_and_columns(results: Path, name: str) -> None:
    tables = TABLES[name](read(results / "made-up" / f"{name}.jsonl"))
    assert tables
    for table in tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert len(markdown(table).splitlines()) == len(table.rows) + 2
        assert rich_table(table).row_count == len(table.rows)


def test_ours_stands_beside_the_plain_way(results: Path) -> None:
    (table,) = TABLES["speed"](read(results / "made-up" / "speed.jsonl"))
    assert table.title == "One picture of 512 px"
    assert table.rows == (
        ("johnson", "0.0444", "0.2", "4.5 x", "–", "–"),
        ("wct, strength 1", "0.1", "–", "–", "3", "30.0 x"),
    )


def test_quality_is_told_by_judge_and_strength(results: Path) -> None:
    rows = read(results / "made-up" / "quality.jsonl")
    own, over = TABLES["quality"](rows)
    assert own.rows[1][:5] == ("adain", "1", "12.5 %", "12.5 %", "0.25")
    assert over.rows == (("adain", "0.500 / 0.250"),)
    assert not pick(rows, judge="compact")


def test_a_film_over_the_same_film_frame_by_frame(results: Path) -> None:
    """Half of the warping error and a fifth more style_error."""
    table, clip = TABLES["steadiness"](read(results / "made-up" / "steadiness.jsonl"))
    assert table.title == "Films of known motion, by compact"
    assert clip.title == "The clip dog, by compact"
    assert clip.rows == (("wct, a", "0.0200, 0.7000"), ("mean", ""))
    assert table.header[1:3] == ("stable 0", "stable 0.3, over it")
    assert table.rows[0] == ("wct, a", "0.0100, 0.5000", "0.50, 1.20", "0.00, 10.00")
    assert table.rows[1] == ("mean", "", "0.50, 1.20", "0.00, 10.00")
