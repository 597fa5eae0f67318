"""Training pictures: any folder, listed once, decoded when needed, in an order set by the seed."""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from impasto.errors import BadInput, BadPicture
from impasto.media.decode import decoded
from impasto.media.folder import listed

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"})

SHARD = ".tar"

HELD_OUT = 20
"""Every so many files of a folder are never trained on, but used to measure."""


class Member(NamedTuple):
    """A picture inside a shard, which is an uncompressed tar as those of webdataset."""

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"


Picture = Path | Member
"""A file, or a part of one, that can be decoded."""


def list_pictures(folder: Path) -> list[Picture]:
    """Every picture below ``folder``, in files and in shards, sorted; none is opened.

    Raises BadInput when there is no such folder or it holds no pictures.
    """
    if not folder.is_dir():
        raise BadInput(f"No folder {str(folder)!r}: training needs one with pictures in it.")
    wanted = (*SUFFIXES, SHARD)
    pictures: list[Picture] = []
    for path in listed(folder, wanted):
        pictures += members(path) if path.suffix.lower() == SHARD else [path]
    if not pictures:
        raise BadInput(f"No pictures in {str(folder)!r} (looked for {', '.join(sorted(wanted))}).")
    return pictures


def members(shard: Path) -> Iterator[Picture]:
    """The pictures in a shard, in its order; only its headers are read.

    One that is damaged or cut short comes last itself, as a picture that cannot be read.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                if info.isreg() and info.name.lower().endswith(tuple(SUFFIXES)):
                    yield Member(shard, info.name, info.offset_data, info.size)
    except (OSError, tarfile.TarError):
        yield shard


def training_files(folder: Path) -> list[Picture]:
    """The pictures of ``folder`` that are trained on.

    Raises BadInput when there are none.
    """
    paths = list_pictures(folder)
    if len(paths) < 2:
        raise BadInput(f"One picture in {str(folder)!r}, which is held out: training needs more.")
    return [path for number, path in enumerate(paths) if number % HELD_OUT]


def held_out(folder: Path) -> list[Picture]:
    """The pictures of ``folder`` that are only measured on."""
    return list_pictures(folder)[::HELD_OUT]


class Crops(Dataset[Tensor]):
    """Random square crops of pictures; crop number i depends on the seed and on i alone.

    A crop shows between a third and the whole of the short side, flipped half of the time: a
    stroke is seen at several sizes. A file that cannot be read is replaced by the next one, and
    its name kept in ``unreadable``.
    """

    def __init__(
        self, paths: Sequence[Picture], size: int, seed: int = 0, closest: float = 0.35
    ) -> None:
        self.paths, self.size, self.seed, self.closest = paths, size, seed, closest
        self.unreadable: set[str] = set()

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> Tensor:
        """-> (3, size, size), RGB in [0, 1]"""
        return floats(self.pixels(index))

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Crop number ``index`` as bytes.  ->  (size, size, 3)

        Raises BadInput when there is no picture that can be read.
        """
        rng = np.random.default_rng((self.seed, index))
        start = int(rng.integers(len(self.paths)))
        for offset in range(len(self.paths)):
            path = self.paths[(start + offset) % len(self.paths)]
            try:
                return self._crop(path, rng)
            except BadPicture:
                self.unreadable.add(str(path))
        raise BadInput("None of the training pictures can be read.")

    def _crop(self, path: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
        with decoded(_source(path)) as (picture, deep):
            if deep is not None or picture.mode.startswith("I;16"):  # which Pillow would clip
                deeper = np.asarray(picture) if deep is None else deep[..., :3]
                picture = Image.fromarray((deeper >> 8).astype(np.uint8))
            width, height = picture.size
            side = min(height, width) * rng.uniform(self.closest, 1.0)
            side = round(max(side, min(self.size, height, width)))
            top = int(rng.integers(height - side + 1))
            left = int(rng.integers(width - side + 1))
            box = (left, top, left + side, top + side)
            # Pillow cuts and resizes in one go, without the whole picture as floats.
            small = picture.convert("RGB").resize(
                (self.size, self.size), Image.Resampling.BICUBIC, box=box
            )
        crop = np.array(small)  # (size, size, 3)
        return np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop


def shown(folder: Path, size: int, count: int) -> Tensor:
    """Large crops of held-out pictures, always the same.  ->  (count, 3, size, size)"""
    source = Crops(held_out(folder), size, seed=1, closest=0.8)
    return torch.stack([source[index] for index in range(count)])


def floats(pixels: NDArray[np.uint8]) -> Tensor:
    """(..., H, W, 3), 0 to 255  ->  (..., 3, H, W), [0, 1]"""
    return torch.from_numpy(pixels).movedim(-1, -3).float() / 255


def _source(picture: Picture) -> Path | bytes:
    if isinstance(picture, Path):
        return picture
    try:
        with picture.shard.open("rb") as file:
            file.seek(picture.offset)
            return file.read(picture.size)
    except OSError as error:
        raise BadPicture(f"{picture} cannot be read: {error.strerror}.") from error
