"""Figures that pages quote: they come from the results, and a drift is noticed."""

import sys
from pathlib import Path

import figures
import pytest
from figures import Measured, drifted, filled
from rows import RESULTS, ROOT, Row, read, write

PAGE = """Text 9.9 s stays.

<!-- figures: quality -->
| old |
<!-- /figures -->

`adain` leaves <!-- figures: adain -->10.4 % of 2 photos, 0.65<!-- /figures --> and 1.1 % there.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a README."""
    (tmp_path / "README.md").write_text("Nothing is quoted.\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "adain.md").write_text(PAGE)
    return tmp_path


@pytest.fixture
def of(results: Path) -> Measured:
    """Rows that the packaged encoder has judged too."""
    path = results / "made-up" / "quality.jsonl"
    rows = read(path)
    write(path, [*rows, *(row.model_copy(update={"judge": "compact"}) for row in rows)])
    return Measured(results / "made-up")


def test_numbers_between_marks_are_replaced_in_order(of: Measured) -> None:
    text = filled(PAGE, of, [])
    assert "-->12.5 % of 2 photos, 0.25<!--" in text
    assert text.startswith("Text 9.9 s stays.")
    assert text.endswith("and 1.1 % there.\n")


def test_what_was_not_measured_stays_and_is_told(of: Measured) -> None:
    missing: list[str] = []
    assert "| old |" in filled(PAGE, of, missing)
    assert missing == ["quality"]


def test_one_missing_figure_does_not_keep_the_others(of: Measured) -> None:
    numbers = " ".join(f"{i}.0 s" for i in range(8))
    missing: list[str] = []
    text = filled(f"<!-- figures: speed -->{numbers}<!-- /figures -->", of, missing)
    assert "-->0.0 s 1.0 s 0.044 s 0.2 s 4.0 s 5.0 s 3 s 7.0 s<!--" in text
    assert missing == ["speed"]


def test_filling_twice_changes_nothing(of: Measured) -> None:
    once = filled(PAGE, of, [])
    assert filled(once, of, []) == once


def test_a_whole_table(of: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(figures.WHOLE, "quality", figures.strengths)  # type: ignore[index]
    text = filled(PAGE, of, [])
    assert (
        "<!-- figures: quality -->\n|  | 0.5 |\n|---|---|\n| adain | 0.500 / 0.250 |\n<!--" in text
    )


def test_a_mark_that_is_unknown_or_does_not_fit(of: Measured) -> None:
    with pytest.raises(ValueError, match="nonesuch"):
        filled("<!-- figures: nonesuch --><!-- /figures -->", of, [])
    with pytest.raises(ValueError, match="1 numbers, but there are 2"):
        filled("<!-- figures: adain -->10.4 %<!-- /figures -->", of, [])


def test_a_drift_is_noticed(root: Path, of: Measured) -> None:
    page = root / "docs" / "adain.md"
    page.write_text(drifted(root, of, [])[page])
    assert drifted(root, of, []) == {}
    worse = [row.model_copy(update={"figures": _doubled(row)}) for row in of.quality]
    write(of.folder / "quality.jsonl", worse)
    assert list(drifted(root, Measured(of.folder), [])) == [page]


def _doubled(row: Row) -> dict[str, float]:
    factor = 1 if row.method == "photo" else 2
    return {name: factor * value for name, value in row.figures.items()}


def test_the_command_says_so(
    root: Path, of: Measured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "ROOT", root)
    monkeypatch.setattr(figures, "RESULTS", of.folder.parent)
    monkeypatch.setattr(figures, "QUOTED", of.folder.name)
    assert _run(monkeypatch, "--check") == 1
    assert "adain.md: is not what was measured" in capsys.readouterr().out
    assert _run(monkeypatch) == 0
    assert _run(monkeypatch, "--check") == 0


def _run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["figures.py", *args])
    with pytest.raises(SystemExit) as end:
        figures.main()
    return int(end.value.code or 0)


def test_what_is_quoted_is_what_was_measured() -> None:
    wrong = drifted(ROOT, Measured(RESULTS / figures.QUOTED), [])
    assert not wrong, "run: python benchmarks/figures.py"


def test_every_figure_that_is_known_is_quoted() -> None:
    marks = {m[2] for p in figures.pages(ROOT) for m in figures.MARK.finditer(p.read_text())}
    assert marks == {*figures.NUMBERS, *figures.WHOLE}
