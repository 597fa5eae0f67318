"""Files are there whole or not at all."""

from pathlib import Path

import pytest

from impasto.errors import BadOutput
from impasto.files import is_file, is_folder, replacing


def test_it_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="No space left"), replacing(tmp_path / "x.bin"):
        raise OSError(28, "No space left on device")
    with pytest.raises(BadOutput, match="none"), replacing(tmp_path / "none" / "x.bin"):
        pass


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_whether_there_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert is_file(str(tmp_path / "a"))
    assert not any(map(is_file, (str(tmp_path), str(tmp_path / "b"), "x" * 300)))


def test_whether_there_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert is_folder(str(tmp_path))
    assert not any(map(is_folder, (str(tmp_path / "a"), str(tmp_path / "b"), "x" * 300)))
