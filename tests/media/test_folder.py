"""What a folder of pictures is: every file below it whose name says so."""

from pathlib import Path

import pytest

from impasto.media.folder import listed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a/z.JPG", "a/b/c.jpeg", "a.png", "notes.txt", "png", "a/ü .png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_files_below_in_order(folder: Path) -> None:
    """The order is that of the names, folder by folder, whatever the file system says."""
    found = [path.relative_to(folder).as_posix() for path in listed(folder, (".png", ".jpg"))]
    assert found == ["a/z.JPG", "a/ü .png", "a.png", "b.png"]


def test_suffixes_of_two_parts(folder: Path) -> None:
    (folder / "x.STYLE.safetensors").touch()
    assert [path.name for path in listed(folder, [".style.safetensors"])] == ["x.STYLE.safetensors"]


def test_nothing_there(folder: Path) -> None:
    assert listed(folder, (".webp",)) == []
    assert listed(folder / "none", (".png",)) == []
    assert listed(folder / "a.png", (".png",)) == []
