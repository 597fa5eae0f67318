"""What a training says: shares, warnings, the log, TensorBoard, sheets of samples."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.console import training_bar
from impasto.errors import BadOutput
from impasto.media.image import read
from impasto.training import report
from impasto.training.report import REPORTS, SHEETS, Journal, Progress, shares, sheet, skipped


def progress(step: int, steps: int = 100, **losses: float) -> Progress:
    return Progress(step=step, steps=steps, seconds=1.0, losses=losses)


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# --- shares ---


def test_shares_by_hand() -> None:
    assert shares({"style": 3.0, "content": 1.0}) == {"style": 75.0, "content": 25.0}


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e6), max_size=6))
@settings(max_examples=40, deadline=None)
def test_shares_are_parts_of_a_hundred(losses: dict[str, float]) -> None:
    parts = shares(losses)
    assert all(0 <= part <= 100 for part in parts.values())
    if sum(losses.values()) > 0:
        assert parts.keys() == losses.keys()
        assert sum(parts.values()) == pytest.approx(100, abs=0.05 * len(losses) + 1e-6)
    else:
        assert parts == {}


def test_nothing_has_no_shares() -> None:
    assert shares({}) == shares({"a": 0.0}) == shares({"a": float("nan"), "b": 1.0}) == {}


# --- reports ---


def test_a_report_is_written_with_its_shares(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new")
    full = journal.report(progress(10, style=3.0, content=1.0))
    assert full.shares == {"style": 75.0, "content": 25.0}
    assert rows(tmp_path / "new") == [
        {
            "step": 10,
            "steps": 100,
            "seconds": 1.0,
            "losses": {"style": 3.0, "content": 1.0},
            "shares": {"style": 75.0, "content": 25.0},
        }
    ]


def test_one_loss_that_is_everything_is_warned_of_once(tmp_path: Path) -> None:
    """Not at the start, when losses are far from where they will be; and in the log, too."""
    journal = Journal(tmp_path)
    told = [journal.report(progress(i, style=9.0, content=1.0)).notices for i in range(20)]
    assert [i for i, notices in enumerate(told) if notices] == [REPORTS - 1]
    assert told[REPORTS - 1][0].startswith("style makes up 90 % of the loss")
    assert [row["step"] for row in rows(tmp_path) if "notices" in row] == [REPORTS - 1]


def test_each_loss_is_warned_of(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    told = [journal.report(progress(i, a=9.0, b=1.0)).notices for i in range(10)]
    told += [journal.report(progress(i, a=1.0, b=99.0)).notices for i in range(10)]
    assert [notices[0][0] for notices in told if notices] == ["a", "b"]


@pytest.mark.parametrize("losses", [{"a": 1.0}, {"a": 7.0, "b": 3.0}, {"a": 0.0, "b": 0.0}])
def test_no_warning_without_reason(tmp_path: Path, losses: dict[str, float]) -> None:
    """Nor where there is only one loss."""
    journal = Journal(tmp_path)
    assert not any(journal.report(progress(i, **losses)).notices for i in range(10))


def test_one_bad_report_is_no_reason(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    values = [1.0, 1.0, 1.0, 100.0, 1.0, 1.0, 1.0, 1.0]
    assert not any(journal.report(progress(i, a=a, b=1.0)).notices for i, a in enumerate(values))


def test_skipped_files_are_told_at_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    early = journal.report(progress(50, a=1.0), {"x.jpg"})
    last = journal.report(progress(100, a=1.0), {"x.jpg", "b.jpg"})
    assert (early.unreadable, early.notices) == (1, ())
    assert last.notices == ("Skipped 2 training pictures that cannot be read: b.jpg, x.jpg.",)
    assert [row["unreadable"] for row in rows(tmp_path)] == [1, 2]


def test_only_some_of_many_files_are_named() -> None:
    names = [f"{number:02}.jpg" for number in range(30)]
    assert skipped(names).endswith("00.jpg, 01.jpg, 02.jpg, 03.jpg, 04.jpg, 25 more.")
    assert skipped(names[:1]) == "Skipped 1 training picture that cannot be read: 00.jpg."
    assert skipped([]) == ""


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    Journal(tmp_path).report(progress(1, a=1.0))
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(BadOutput, match=r"log\.jsonl"):
        Journal(tmp_path).report(progress(1, a=1.0))
    (tmp_path / "file").touch()
    with pytest.raises(BadOutput, match="file"):
        Journal(tmp_path / "file")


def test_the_console_shows_shares_and_notices(capsys: pytest.CaptureFixture[str]) -> None:
    full = progress(50, style=3.0, content=1.0).model_copy(
        update={"shares": {"style": 75.0, "content": 25.0}, "notices": ("Beware [of] it.",)}
    )
    with training_bar() as show:
        show(full)
    out = capsys.readouterr().out
    assert "step 50 of 100, 1 s, about 1 s to go: style 3.000 (75 %)  content 1.000 (25 %)\n" in out
    assert "Beware [of] it.\n" in out


# --- TensorBoard ---


class Writer:
    """Stands in for TensorBoard's."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars = folder, dict[tuple[str, int], float]()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name, step] = value

    def flush(self) -> None:
        """Nothing waits."""


def test_tensorboard_gets_losses_and_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    journal = Journal(tmp_path)
    journal.report(progress(10, style=3.0, content=1.0))
    assert journal.board.folder == str(tmp_path)
    assert journal.board.scalars == {
        ("loss/style", 10): 3.0,
        ("loss/content", 10): 1.0,
        ("share/style", 10): 75.0,
        ("share/content", 10): 25.0,
    }


def test_without_tensorboard_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # cannot be imported
    journal = Journal(tmp_path)
    journal.report(progress(10, a=1.0))
    assert journal.board is None
    assert capsys.readouterr() == ("", "")


# --- sheets ---


def test_a_sheet_is_read_like_a_page() -> None:
    """Five pictures: three above, two below, and white where there is none."""
    images = torch.arange(1.0, 6)[:, None, None, None].expand(5, 3, 2, 4) / 10
    page = sheet(images)
    assert page.shape == (1, 3, 4, 12)
    expected = torch.tensor([[1, 2, 3], [4, 5, 10]]) / 10
    torch.testing.assert_close(page[0, 1, ::2, ::4], expected)
    torch.testing.assert_close(page[0, 1, 1::2, 3::4], expected)


def test_samples_are_written_and_the_oldest_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SHEETS == 20
    monkeypatch.setattr(report, "SHEETS", 2)
    journal = Journal(tmp_path)
    for step in (90, 100, 1000):
        journal.paint(torch.full((4, 3, 8, 8), 2.0), step)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["step-000100.png", "step-001000.png"]
    assert torch.equal(read(tmp_path / "samples" / names[0]).pixels, torch.ones(1, 3, 16, 16))
