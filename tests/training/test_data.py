"""Training pictures: the same crops for the same seed, and no broken file stops a training."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import BadInput
from impasto.training.data import (
    HELD_OUT,
    Crops,
    Member,
    held_out,
    list_pictures,
    shown,
    training_files,
)


def store(path: Path, pixels: np.ndarray, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path)
    return path


def noise(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Four pictures."""
    return [store(tmp_path / f"{i}.png", noise(40 + i, 50 - i, seed=i)) for i in range(4)]


# --- folders ---


def test_pictures_are_found_below_and_sorted(tmp_path: Path) -> None:
    """The order of the file system is not the same on two machines."""
    for name in ("b/z.JPG", "a.png", "b/c/d.webp", "e.tiff"):
        store(tmp_path / name, noise())
    (tmp_path / "notes.txt").touch()
    names = [str(p.relative_to(tmp_path)) for p in list_pictures(tmp_path)]
    assert names == ["a.png", "b/c/d.webp", "b/z.JPG", "e.tiff"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"No folder '.*none'"):
        list_pictures(tmp_path / "none")
    with pytest.raises(BadInput, match="No folder"):
        list_pictures(store(tmp_path / "a.png", noise()))


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BadInput, match=r"No pictures in .*\.jpg"):
        list_pictures(tmp_path)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 45 files with the names of pictures; only their names are looked at."""
    for number in range(45):
        (tmp_path / f"{number:03}.png").touch()
    return tmp_path


def test_no_picture_is_both_trained_and_measured_on(many: Path) -> None:
    """What was learned by heart says nothing of what was learned."""
    trained, measured = training_files(many), held_out(many)
    assert not set(trained) & set(measured)
    assert sorted(trained + measured) == list_pictures(many)


def test_every_twentieth_is_held_out(many: Path) -> None:
    """Of the sorted list, so that it is the same pictures on every machine."""
    assert HELD_OUT == 20
    assert [path.name for path in held_out(many)] == ["000.png", "020.png", "040.png"]


def test_a_small_folder_has_both_kinds(tmp_path: Path) -> None:
    for name in "ab":
        store(tmp_path / f"{name}.png", noise())
    assert [path.name for path in held_out(tmp_path)] == ["a.png"]
    assert [path.name for path in training_files(tmp_path)] == ["b.png"]


@pytest.mark.parametrize("listed", [training_files, held_out])
def test_no_pictures_of_either_kind(tmp_path: Path, listed: Callable[[Path], list[Path]]) -> None:
    with pytest.raises(BadInput, match="No pictures in"):
        listed(tmp_path)


def test_one_picture_is_too_few_to_train_on(tmp_path: Path) -> None:
    """It is the one that is held out."""
    path = store(tmp_path / "a.png", noise())
    with pytest.raises(BadInput, match=r"^One picture in '.*', which is held out: training needs"):
        training_files(tmp_path)
    assert held_out(tmp_path) == [path]


def test_listing_opens_no_picture(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of thousands are listed in seconds."""
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr(Path, "stat", None)
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    assert len(list_pictures(many)) == 45


# --- shards ---


def shard(path: Path, *files: Path) -> Path:
    """A tar in the layout of webdataset: a picture and its text beside one another."""
    with tarfile.open(path, "w") as tar:
        for number, file in enumerate(files):
            text = path.with_suffix(".txt")
            text.write_text("a caption")
            tar.add(text, f"./{number:05}.txt")
            tar.add(file, f"./{number:05}{file.suffix.upper()}")
    return path


def test_pictures_in_shards_are_those_in_files(tmp_path: Path, paths: list[Path]) -> None:
    """The same crops, bit for bit; captions are left out, other files come in their order."""
    folder = tmp_path / "shards"
    folder.mkdir()
    shard(folder / "b.tar", *paths[1:3])
    shard(folder / "c.tar", paths[3])
    store(folder / "a.png", noise(40, 50, seed=0))
    pictures = list_pictures(folder)
    names = [str(picture)[len(str(folder)) + 1 :] for picture in pictures]
    assert names == ["a.png", "b.tar/./00000.PNG", "b.tar/./00001.PNG", "c.tar/./00000.PNG"]
    packed, loose = Crops(pictures, 16, seed=2), Crops(paths, 16, seed=2)
    assert all(torch.equal(packed[i], loose[i]) for i in range(12))
    assert not packed.unreadable


def test_only_the_wanted_part_of_a_shard_is_read(tmp_path: Path, paths: list[Path]) -> None:
    path = shard(tmp_path / "a.tar", *paths)
    members = [picture for picture in list_pictures(tmp_path) if isinstance(picture, Member)]
    content = path.read_bytes()
    for member, file in zip(members, paths, strict=True):
        assert content[member.offset : member.offset + member.size] == file.read_bytes()


def test_shards_are_divided_picture_by_picture(tmp_path: Path, paths: list[Path]) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    shard(folder / "a.tar", *paths * 6)
    assert (len(training_files(folder)), len(held_out(folder))) == (22, 2)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6])
def test_a_shard_cut_short(tmp_path: Path, paths: list[Path], keep: float) -> None:
    """What is whole is used; the shard itself is counted among what cannot be read."""
    folder = tmp_path / "shards"
    folder.mkdir()
    path = shard(folder / "a.tar", *paths)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    store(folder / "whole.png", noise())
    crops = Crops(list_pictures(folder), 16)
    assert all(crops[i].shape == (3, 16, 16) for i in range(30))
    assert str(path) in crops.unreadable
    assert str(folder / "whole.png") not in crops.unreadable


def test_a_shard_that_has_gone(tmp_path: Path, paths: list[Path]) -> None:
    path = shard(tmp_path / "a.tar", *paths)
    pictures = [p for p in list_pictures(tmp_path) if isinstance(p, Member)]
    path.unlink()
    crops = Crops([pictures[0], paths[0]], 16)
    assert all(crops[i].shape == (3, 16, 16) for i in range(6))
    assert crops.unreadable == {str(pictures[0])}


def test_a_shard_without_pictures(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.touch()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(text, "a.txt")
    with pytest.raises(BadInput, match="No pictures in"):
        list_pictures(tmp_path)


# --- crops ---


def test_a_crop_depends_on_seed_and_number_alone(paths: list[Path]) -> None:
    """Whatever was asked for before, and in which process: a resumed run sees the same pictures."""
    crops = Crops(paths, 16, seed=3)
    expected = [crops[i] for i in range(8)]
    again = Crops(paths, 16, seed=3)
    for i in (7, 2, 5):
        assert torch.equal(again[i], expected[i])
    assert not torch.equal(Crops(paths, 16, seed=4)[2], expected[2])
    assert len({crop.numpy().tobytes() for crop in expected}) == 8


def test_crops_leave_the_global_generators_alone(paths: list[Path]) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    Crops(paths, 16)[0]
    assert (torch.rand(1), np.random.rand()) == before


def test_shape_and_range(paths: list[Path]) -> None:
    for i in range(20):
        crop = Crops(paths, 24)[i]
        assert crop.shape == (3, 24, 24)
        assert crop.dtype == torch.float32
        assert 0 <= crop.min() < crop.max() <= 1


def test_the_whole_picture_or_its_mirror(tmp_path: Path) -> None:
    """Known answer: nothing is left to chance but the flip. Axes or channels swapped show."""
    pixels = noise(32, 32)
    crops = Crops([store(tmp_path / "a.png", pixels)], 32, closest=1.0)
    whole = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    seen = [crops[i] for i in range(40)]
    mirrored = [torch.equal(crop, whole.flip(2)) for crop in seen]
    assert all(m or torch.equal(crop, whole) for m, crop in zip(mirrored, seen, strict=True))
    assert 8 < sum(mirrored) < 32


def test_crops_are_between_a_third_and_the_whole(tmp_path: Path) -> None:
    """On a ramp the range of values is the width of the crop."""
    ramp = np.broadcast_to(np.arange(256)[None, :, None], (256, 256, 3))
    crops = Crops([store(tmp_path / "a.png", ramp)], 64)
    widths = [float(crop.max() - crop.min()) for crop in (crops[i] for i in range(60))]
    assert 0.3 < min(widths) < 0.5
    assert 0.8 < max(widths) <= 1


def test_every_part_and_every_picture_is_seen(tmp_path: Path, paths: list[Path]) -> None:
    ramp = np.broadcast_to(np.arange(256)[None, :, None], (100, 256, 3))
    crops = Crops([store(tmp_path / "ramp.png", ramp)], 16)
    middles = [float(crops[i].mean()) for i in range(60)]
    assert min(middles) < 0.25
    assert max(middles) > 0.75
    flat = [store(tmp_path / f"flat{i}.png", np.full((20, 20, 3), 50 * i)) for i in range(4)]
    assert {round(float(Crops(flat, 8)[i].mean()) * 5) for i in range(40)} == {0, 1, 2, 3}


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (7, 300), (12, 12)])
def test_pictures_smaller_than_the_crop(tmp_path: Path, size: tuple[int, int]) -> None:
    crops = Crops([store(tmp_path / "a.png", noise(*size))], 32)
    for i in range(5):
        assert crops[i].shape == (3, 32, 32)
        assert crops[i].isfinite().all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "1"])
def test_every_mode_is_rgb(tmp_path: Path, mode: str) -> None:
    name = "a.tif" if mode == "CMYK" else "a.png"
    crop = Crops([store(tmp_path / name, np.full((20, 20, 3), 255), mode)], 8)[0]
    torch.testing.assert_close(crop, torch.ones(3, 8, 8), atol=0.01, rtol=0)


def test_sixteen_bits_are_not_clipped(tmp_path: Path) -> None:
    """Half grey must be half grey, not white."""
    Image.fromarray(np.full((20, 20), 32768, np.uint16)).save(tmp_path / "a.png")
    crop = Crops([tmp_path / "a.png"], 8)[0]
    torch.testing.assert_close(crop, torch.full((3, 8, 8), 0.5), atol=0.01, rtol=0)


def test_what_is_shown_is_held_out_and_always_the_same(tmp_path: Path) -> None:
    """The first picture is the only one that is held out; no crop of it is small."""
    ramp = np.broadcast_to(np.arange(256)[None, :, None], (256, 256, 3))
    store(tmp_path / "0.png", ramp)
    store(tmp_path / "1.png", np.zeros((40, 40, 3)))
    images = shown(tmp_path, 32, 4)
    assert images.shape == (4, 3, 32, 32)
    assert torch.equal(images, shown(tmp_path, 32, 4))
    assert ((images.amax((1, 2, 3)) - images.amin((1, 2, 3))) > 0.7).all()


# --- broken files ---


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def split_chunk(content: bytes) -> bytes:
    """A PNG whose second half is a chunk of no known kind."""
    middle = content.index(b"IDAT") + 200
    length = (196).to_bytes(4, "big")
    start = content.index(b"IDAT") - 4
    return content[:start] + length + content[start + 4 : middle] + b"\0" * 8 + content[middle:]


DAMAGE: list[Callable[[bytes], bytes]] = [
    cut,
    flip_a_bit,
    split_chunk,
    lambda _: b"",
    lambda _: b"no picture",
    lambda content: content[:30],
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_broken_files_are_skipped(
    tmp_path: Path, paths: list[Path], damage: Callable[[bytes], bytes]
) -> None:
    """One bad file among 100,000 must not end a night of training."""
    broken = store(tmp_path / "broken.png", noise(60, 60, seed=9))
    broken.write_bytes(damage(broken.read_bytes()))
    crops = Crops([broken, paths[0], broken], 16)
    assert all(crops[i].shape == (3, 16, 16) for i in range(6))
    assert crops.unreadable == {str(broken)}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage, and decodes
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif"])
def test_damage_of_any_kind_is_survived(tmp_path: Path, paths: list[Path], suffix: str) -> None:
    """Bytes overwritten anywhere, in any format: either it decodes, or the next picture is used."""
    whole = store(tmp_path / f"whole{suffix}", noise(24, 24)).read_bytes()
    rng = np.random.default_rng(1)
    broken = tmp_path / f"broken{suffix}"
    crops = Crops([broken, paths[0]], 8)
    for i in range(60):
        content = bytearray(whole)
        start = int(rng.integers(len(content)))
        content[start : start + 8] = rng.bytes(8)
        broken.write_bytes(content)
        assert crops[i].shape == (3, 8, 8)


def test_a_file_that_has_gone_is_skipped(tmp_path: Path, paths: list[Path]) -> None:
    crops = Crops([tmp_path / "gone.png", paths[0], tmp_path], 16)
    assert all(crops[i].shape == (3, 16, 16) for i in range(6))


def test_all_broken(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="None of the training pictures can be read"):
        Crops([tmp_path / "a.png"], 16)[0]
