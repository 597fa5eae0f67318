"""Contact sheets: every picture in its cell, whole and in its own aspect."""

import pytest
import torch
from torch import Tensor

from impasto.evaluate.sheet import GAP, LINE, PAPER, contact_sheet

SIDE = 40
PAPER_LEVELS = torch.tensor(PAPER).view(3, 1, 1) / 255


def plain(level: float, height: int = 20, width: int = 20) -> Tensor:
    return torch.full((1, 3, height, width), level)


def cell(sheet: Tensor, row: int, column: int) -> Tensor:
    """(3, SIDE, SIDE)"""
    top = LINE + row * (LINE + SIDE + GAP) + LINE
    left = GAP + column * (SIDE + GAP)
    return sheet[0, :, top : top + SIDE, left : left + SIDE]


def test_every_picture_is_in_its_cell() -> None:
    rows = [[plain(0.1), plain(0.2), plain(0.3)], [plain(0.4), plain(0.5), plain(0.6)]]
    sheet = contact_sheet(rows, ["a", "b", "c"], ["one", "two"], SIDE)
    assert sheet.shape == (1, 3, LINE + 2 * (LINE + SIDE + GAP), GAP + 3 * (SIDE + GAP))
    assert sheet.min() >= 0 and sheet.max() <= 1
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            found = cell(sheet, row, column)
            torch.testing.assert_close(
                found, picture[0, :, :1, :1].expand_as(found), atol=3e-3, rtol=0
            )


@pytest.mark.parametrize(("height", "width"), [(10, 40), (40, 10), (400, 100), (1, 300)])
def test_aspects_are_kept_and_pictures_stand_in_the_middle(height: int, width: int) -> None:
    found = cell(contact_sheet([[plain(0.0, height, width)]], ["a"], ["one"], SIDE), 0, 0)
    black = (found == 0).all(0)
    rows, columns = black.any(1).nonzero()[:, 0], black.any(0).nonzero()[:, 0]
    size = (len(rows), len(columns))
    assert max(size) == SIDE
    assert size[0] / size[1] == pytest.approx(max(height / width, 1 / SIDE), rel=0.1)
    for inside in (rows, columns):
        assert abs(int(inside[0]) - (SIDE - 1 - int(inside[-1]))) <= 1


def test_what_is_missing_leaves_paper() -> None:
    sheet = contact_sheet([[None, plain(0.0)]], ["a", "b"], ["one"], SIDE)
    assert torch.equal(cell(sheet, 0, 0), PAPER_LEVELS.expand(3, SIDE, SIDE))
    assert (cell(sheet, 0, 1) == 0).all()


def test_names_are_written() -> None:
    blank = contact_sheet([[None]], [""], [""], SIDE)
    assert (blank == PAPER_LEVELS).all()
    for names, lines in (
        ((["wct"], [""]), slice(0, LINE)),
        (([""], ["cat"]), slice(LINE, 2 * LINE)),
    ):
        written = (contact_sheet([[None]], *names, SIDE) != blank).any(1)[0].any(1)
        assert written[lines].any()
        assert written.sum() == written[lines].sum()


def test_names_of_any_kind() -> None:
    contact_sheet([[None]], ["ü 猫 \U0001f431"], ['"long" ' * 99 + "\n"], SIDE)
