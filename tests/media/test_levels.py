"""Integers and floats: the same picture, in one piece or strip by strip."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.media import image as media
from impasto.media import levels
from impasto.media.levels import floats, interleaved, planes, strips

BYTE, DEEP, REAL = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few rows."""
    monkeypatch.setattr(levels, "STRIP", 100)


def test_planes_and_back() -> None:
    for kind in (BYTE, DEEP):
        values = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (7, 5, 4))
        array = values.astype(kind)
        found = planes(array)
        assert found.shape == (1, 4, 7, 5)
        assert (interleaved(found[0, :3], found[0, 3:], kind) == array).all()
    swapped = planes(array.astype(">u2"))
    assert torch.equal(swapped, found)


def test_white_is_one() -> None:
    for dtype, white in ((torch.uint8, 255), (torch.uint16, 65_535)):
        assert floats(torch.tensor([0, white]).to(dtype)).tolist() == [0, 1]
    real = torch.rand(3)
    assert floats(real) is real


@pytest.mark.usefixtures("narrow")
def test_strips_cover_every_row_once() -> None:
    rows = [row for part in strips(torch.empty(1, 3, 48, 40)) for row in range(48)[part]]
    assert rows == [*range(48)]


@pytest.mark.parametrize("alpha", [None, "ramp"])
@pytest.mark.parametrize("on_white", [False, True])
@pytest.mark.parametrize("kind", [BYTE, DEEP, REAL], ids=str)
def test_strips_are_the_whole(
    photo: Tensor,
    alpha: str | None,
    on_white: bool,
    kind: np.dtype[np.generic],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = None if alpha is None else torch.linspace(0, 1, 40).expand(1, 48, 40)
    whole = interleaved(photo[0], shown, kind, on_white)
    monkeypatch.setattr(levels, "STRIP", 100)
    assert np.array_equal(interleaved(photo[0], shown, kind, on_white), whole)
    assert whole.dtype == kind
    assert whole.shape == (48, 40, 4 if alpha and not on_white else 3)


def test_files_stay_in_their_integers(photo: Tensor, tmp_path: Path) -> None:
    """And what is read is written again without a change."""
    media.write(photo, tmp_path / "a.png")
    found = media.read(tmp_path / "a.png")
    assert found.levels.dtype == torch.uint8
    assert torch.equal(found.pixels, found.levels.float() / 255)
    media.write(found.levels, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif", ".bmp"])
def test_a_file_has_the_bytes_that_are_encoded(suffix: str, photo: Tensor, tmp_path: Path) -> None:
    target = tmp_path / f"x{suffix}"
    media.write(photo, target, recipe="{}")
    assert target.read_bytes() == media.encode(photo, suffix, recipe="{}")
