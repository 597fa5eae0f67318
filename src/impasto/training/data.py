"""Training pictures: any folder, listed once, decoded when needed, in an order set by the seed."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from impasto.errors import BadInput, BadPicture
from impasto.media.decode import decoded

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"})

HELD_OUT = 20
"""Every so many files of a folder are never trained on, but used to measure."""


def list_pictures(folder: Path) -> list[Path]:
    """Every picture file below ``folder``, sorted.

    Raises BadInput when there is no such folder or it holds no pictures.
    """
    if not folder.is_dir():
        raise BadInput(f"No folder {str(folder)!r}: training needs one with pictures in it.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise BadInput(
            f"No pictures in {str(folder)!r} (looked for {', '.join(sorted(SUFFIXES))})."
        )
    return paths


def training_files(folder: Path) -> list[Path]:
    """The pictures of ``folder`` that are trained on.

    Raises BadInput when there are none.
    """
    paths = list_pictures(folder)
    if len(paths) < 2:
        raise BadInput(f"One picture in {str(folder)!r}, which is held out: training needs more.")
    return [path for number, path in enumerate(paths) if number % HELD_OUT]


def held_out(folder: Path) -> list[Path]:
    """The pictures of ``folder`` that are only measured on."""
    return list_pictures(folder)[::HELD_OUT]


class Crops(Dataset[Tensor]):
    """Random square crops of pictures; crop number i depends on the seed and on i alone.

    A crop shows between a third and the whole of the short side, flipped half of the time: a
    stroke is seen at several sizes. A file that cannot be read is replaced by the next one.
    """

    def __init__(self, paths: list[Path], size: int, seed: int = 0, closest: float = 0.35) -> None:
        self.paths, self.size, self.seed, self.closest = paths, size, seed, closest

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> Tensor:
        """-> (3, size, size), RGB in [0, 1]"""
        rng = np.random.default_rng((self.seed, index))
        start = int(rng.integers(len(self.paths)))
        for offset in range(len(self.paths)):
            try:
                return self._crop(self.paths[(start + offset) % len(self.paths)], rng)
            except BadPicture:
                continue
        raise BadInput("None of the training pictures can be read.")

    def _crop(self, path: Path, rng: np.random.Generator) -> Tensor:
        with decoded(path) as (picture, deep):
            if deep is not None or picture.mode.startswith("I;16"):  # which Pillow would clip
                deeper = np.asarray(picture) if deep is None else deep[..., :3]
                picture = Image.fromarray((deeper >> 8).astype(np.uint8))
            width, height = picture.size
            side = min(height, width) * rng.uniform(self.closest, 1.0)
            side = round(max(side, min(self.size, height, width)))
            top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
            box = (left, top, left + side, top + side)
            # Pillow cuts and resizes in one go, without the whole picture as floats.
            small = picture.convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        crop = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255  # (3, size, size)
        return crop.flip(2) if rng.random() < 0.5 else crop
