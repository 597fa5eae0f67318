"""Make the contact sheets that the documentation shows.

python scripts/pictures.py sheet      three photos in four styles      docs/pictures/sheet.jpg
python scripts/pictures.py styles     every style on three photos      docs/pictures/styles-N.jpg
python scripts/pictures.py strength   one style from 0 to 1            docs/pictures/strength.jpg
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from skimage import data
from torch import Tensor

import impasto
from impasto.media.image import resize, to_tensor, write

FOLDER = Path("docs/pictures")
PHOTOS = ("astronaut", "chelsea", "coffee")
STYLES = ("starry-night", "great-wave", "composition-vii", "the-scream")
TILE = (300, 360)
"""Height and width of a picture on a sheet, pixels."""


def sample(name: str) -> Tensor:
    """A sample photo, cut to the shape of a tile.  -> (1, 3, H, W)"""
    photo = to_tensor(getattr(data, name)())
    height, width = photo.shape[-2:]
    cut_height = min(height, round(width * TILE[0] / TILE[1]))
    cut_width = min(width, round(height * TILE[1] / TILE[0]))
    left = (width - cut_width) // 2
    return photo[:, :, :cut_height, left : left + cut_width]


def painted(photo: Tensor, style: str, **settings: object) -> Tensor:
    result = impasto.stylize(photo, style, size=512, **settings)
    assert isinstance(result, Tensor)
    return result


def save(rows: Sequence[Sequence[Tensor]], name: str) -> None:
    tiles = [torch.cat([resize(picture, TILE) for picture in row], 3) for row in rows]
    write(torch.cat(tiles, 2), FOLDER / name, quality=85)
    print(FOLDER / name, flush=True)


def sheet() -> None:
    photos = [sample(name) for name in PHOTOS]
    save([[p, *(painted(p, style) for style in STYLES)] for p in photos], "sheet.jpg")


def styles() -> None:
    photos = [sample(name) for name in PHOTOS]
    names = impasto.styles()
    for number in range(0, len(names), 6):
        rows = [[painted(p, style) for p in photos] for style in names[number : number + 6]]
        save(rows, f"styles-{number // 6 + 1}.jpg")


def strength() -> None:
    levels = (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)
    rows = [
        [painted(sample(name), style, strength=level) for level in levels]
        for name, style in (("astronaut", "the-scream"), ("coffee", "starry-night"))
    ]
    save(rows, "strength.jpg")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    {"sheet": sheet, "styles": styles, "strength": strength}[sys.argv[1]]()
