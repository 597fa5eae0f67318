"""Photos of a batch: as much of them is read as is needed, and what cannot be is said at once."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from torch import Tensor

from impasto.batch import worker
from impasto.cli import main
from impasto.errors import BadInput
from impasto.media import image as media
from impasto.recipe import Recipe


@pytest.mark.parametrize("name", ["photo.png", "none.png"])
def test_a_picture_to_go_on_from_is_refused_at_once(
    photo: Tensor, tmp_path: Path, name: str
) -> None:
    """It is of one photo; nothing is loaded, made or painted."""
    media.write(photo, tmp_path / "photo.png")
    words = ["batch", str(tmp_path / "photo.png"), str(tmp_path / "out"), "-s", "starry-night"]
    found = CliRunner().invoke(main, [*words, "--method", "gatys", "--init", str(tmp_path / name)])
    assert found.exit_code == BadInput.exit_code
    assert "is of a single photo" in found.stderr and len(found.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "side"),
    [({"size": 32}, 32), ({}, 400), ({"size": 32, "color": "match"}, 400), ({"size": 300}, 400)],
)
def test_large_photos_are_read_small(
    photo: Tensor, tmp_path: Path, settings: dict[str, object], side: int
) -> None:
    """Unless all of it counts."""
    media.write(media.resize(photo, (400, 300)), tmp_path / "a.jpg")
    found = worker._photo(str(tmp_path / "a.jpg"), Recipe.model_validate(settings))
    assert max(found.levels.shape) == side
