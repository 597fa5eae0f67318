"""Large pictures stay in integers, and become what they would become in floats."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import large
from impasto.commands import Event, stylize_file
from impasto.errors import OutOfMemory
from impasto.large import fitted, matched, mixed, sized, upsampled
from impasto.media import color
from impasto.media import image as media
from impasto.media.guided import guided_upsample
from impasto.media.levels import floats
from impasto.recipe import Recipe

STEP = 1 / 255


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand pixels are many."""
    monkeypatch.setattr(large, "LARGE", 1000)
    monkeypatch.setattr("impasto.pipeline.MEASURED", 1000)


@pytest.fixture
def stored(photo: Tensor) -> Tensor:
    """The photo as bytes."""
    return (photo * 255).round().to(torch.uint8)


def close(levels: Tensor, wanted: Tensor, steps: float = 1.0) -> bool:
    error = (floats(levels) - wanted).abs().max()
    return levels.shape == wanted.shape and float(error) <= steps * STEP


def test_small_photos_become_floats_exactly(stored: Tensor) -> None:
    assert torch.equal(sized(stored, (48, 40)), stored.float() / 255)
    assert torch.equal(sized(stored, (30, 25)), media.resize(stored.float() / 255, (30, 25)))


@pytest.mark.usefixtures("little")
def test_large_photos_stay_as_they_are(stored: Tensor) -> None:
    assert sized(stored, (48, 40)) is stored
    larger, smaller = sized(stored, (96, 80)), sized(stored, (24, 20))
    assert larger.dtype == torch.uint16 and smaller.dtype == torch.float32
    assert close(larger, media.resize(stored / 255, (96, 80)))
    torch.testing.assert_close(smaller, media.resize(stored / 255, (24, 20)), rtol=0, atol=1e-5)


def test_paintings_take_the_size_and_kind_of_the_photo(photo: Tensor, stored: Tensor) -> None:
    small = media.resize(photo, (24, 20))
    assert torch.equal(fitted(small, photo), media.resize(small, (48, 40)))
    assert fitted(small, stored).dtype == torch.uint16
    assert close(fitted(small, stored), media.resize(small, (48, 40)), 0.1)


def test_pixels_are_mixed_alike(photo: Tensor, stored: Tensor, painting: Tensor) -> None:
    painted = media.resize(painting, (48, 40))
    deep = (painted * 65_535).round().to(torch.int32).to(torch.uint16)
    assert close(mixed(lambda a, b: (a + b) / 2, deep, stored), (painted + stored / 255) / 2, 0.1)
    wanted = mixed(color.luma, painted, stored / 255)
    assert torch.equal(wanted, color.luma(painted, stored / 255))
    error = (floats(mixed(color.luma, deep, stored)) - wanted).abs()
    assert error.mean() < 0.1 * STEP and error.max() < 4 * STEP  # steep in the dark


@pytest.mark.parametrize("share", ["all", "half"])
def test_colours_are_matched_alike(
    stored: Tensor, painting: Tensor, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.media.levels.STRIP", 100)
    mask = 1.0 if share == "all" else torch.linspace(-1, 1, 40).clamp(0, 1).expand(1, 1, 48, 40)
    painted = media.resize(painting, (48, 40))
    deep = (painted * 65_535).round().to(torch.int32).to(torch.uint16)
    wanted = matched(painted, stored / 255, mask)
    assert close(matched(deep, stored, mask), wanted, 0.5)
    if share == "half":
        assert torch.equal(wanted[..., :20], painted[..., :20])


@pytest.mark.parametrize("size", [(12, 10), (20, 17), (48, 40)])
def test_strokes_are_enlarged_alike(
    stored: Tensor, painting: Tensor, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "SIDE", 8)
    monkeypatch.setattr(large, "STRIP", 500)
    photo, painted = stored / 255, media.resize(painting, size)
    canvas = media.resize(photo, size)
    found = upsampled(painted, canvas, stored)
    assert (found is painted) == (size == (48, 40))
    assert close(found, guided_upsample(painted, photo), 2)
    assert torch.equal(upsampled(painted, canvas, photo), guided_upsample(painted, photo))


# --- from file to file ---


@pytest.fixture
def photo_file(tmp_path: Path, photo: Tensor) -> Path:
    media.write(media.resize(photo, (96, 80)), tmp_path / "photo.png")
    return tmp_path / "photo.png"


def painted(photo: Path, **settings: object) -> Tensor:
    events: list[Event] = []
    target = photo.with_name("out.png")
    values = {"styles": ("starry-night",), "method": "adain", "photo": str(photo), **settings}
    stylize_file(Recipe.model_validate(values), target, events.append)
    assert events[-1]["event"] == "done" and float(str(events[-1]["style_error"])) > 0
    return media.read(target).pixels


@pytest.mark.parametrize(
    "settings",
    [{}, {"color": "luma"}, {"color": "match"}, {"stroke_size": 8}, {"size": 120}, {"size": 24}],
    ids=str,
)
def test_a_large_picture_is_the_same_picture(
    photo_file: Path, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"precision": "fp32", **settings}
    wanted = painted(photo_file, **settings)
    monkeypatch.setattr(large, "LARGE", 1000)
    monkeypatch.setattr("impasto.pipeline.MEASURED", 1000)
    monkeypatch.setattr("impasto.estimate.WHOLE", 1e5)
    found = painted(photo_file, **settings)
    error = (found - wanted).abs()
    assert found.shape == wanted.shape
    assert float(error.mean()) < 0.5 * STEP
    if "stroke_size" not in settings:  # what is steepened is so by a little more or less
        assert float(error.max()) <= 3.01 * STEP


@pytest.mark.usefixtures("little")
def test_transparency_of_a_large_picture(photo: Tensor, tmp_path: Path) -> None:
    alpha = torch.linspace(0, 1, 40).expand(1, 1, 48, 40)
    media.write(photo, tmp_path / "photo.png", alpha=alpha)
    painted(tmp_path / "photo.png")
    found = media.read(tmp_path / "out.png").alpha
    assert found is not None
    assert close(found, alpha, 0.51)


def test_several_at_once_in_tiles_when_memory_does_not_suffice(photo: Tensor) -> None:
    class Painter:
        """Has room for tiles only."""

        def stylize(self, *_: object) -> Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        def stylize_tiles(self, source: object, target: object, *_: object) -> None:
            large.mapped(lambda image: 1 - image, target, source)  # type: ignore[arg-type]

    both = torch.cat([photo, photo.flip(3)])
    found = large.stylized(Painter(), both, [], 1.0, None)  # type: ignore[arg-type]
    torch.testing.assert_close(found, 1 - both, rtol=0, atol=1e-4)


def test_no_room_at_all_is_said_in_words(photo: Tensor) -> None:
    def full(*_: object) -> Tensor:
        raise MemoryError

    class Painter:
        stylize: Callable[..., Tensor] = staticmethod(full)
        stylize_tiles: Callable[..., Tensor] = staticmethod(full)

    with pytest.raises(OutOfMemory, match="48 px needs more memory"):
        large.stylized(Painter(), photo, [], 1.0, None)  # type: ignore[arg-type]
