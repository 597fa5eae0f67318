"""Make the contact sheets that the documentation shows.

python scripts/pictures.py sheet      three photos in four styles      docs/pictures/sheet.jpg
python scripts/pictures.py styles     every style on three photos      docs/pictures/styles-N.jpg
python scripts/pictures.py strength   one style from 0 to 1            docs/pictures/strength.jpg
python scripts/pictures.py instant    adain and wct                    docs/pictures/{adain,wct}.jpg
python scripts/pictures.py masks      styles by mask, three methods    docs/pictures/masks.jpg
python scripts/pictures.py methods    three styles by all methods      docs/pictures/methods.jpg
python scripts/pictures.py trained    dumoulin and ghiasi    docs/pictures/{dumoulin,ghiasi}.jpg
python scripts/pictures.py mix        a grid between three styles      docs/pictures/mix.jpg
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from skimage import data
from torch import Tensor

import impasto
from impasto.media.image import resize, to_tensor, write
from impasto.mix import mix_file
from impasto.recipe import Recipe

FOLDER = Path("docs/pictures")
PHOTOS = ("astronaut", "chelsea", "coffee")
STYLES = ("starry-night", "great-wave", "composition-vii", "the-scream")
MORE_STYLES = (*STYLES, "udnie", "pont-neuf")
LEVELS = (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)
SMALL = (225, 270)
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


def painted(photo: Tensor, style: str | None, **settings: object) -> Tensor:
    result = impasto.stylize(photo, style, size=512, **settings)
    assert isinstance(result, Tensor)
    return result


def save(rows: Sequence[Sequence[Tensor]], name: str, tile: tuple[int, int] | None = None) -> None:
    tiles = [torch.cat([resize(picture, tile or TILE) for picture in row], 3) for row in rows]
    write(torch.cat(tiles, 2), FOLDER / name, quality=85)
    print(FOLDER / name, flush=True)


def sheet() -> None:
    photos = [sample(name) for name in PHOTOS]
    save([[p, *(painted(p, style) for style in STYLES)] for p in photos], "sheet.jpg")


def styles() -> None:
    photos = [sample(name) for name in PHOTOS]
    names = impasto.styles()
    for number in range(0, len(names), 6):
        page = names[number : number + 6]
        rows = [[painted(p, style, method="gatys") for p in photos] for style in page]
        save(rows, f"styles-{number // 6 + 1}.jpg")


def strength() -> None:
    rows = [
        [painted(sample(name), style, method="gatys", strength=level) for level in LEVELS]
        for name, style in (("astronaut", "the-scream"), ("coffee", "starry-night"))
    ]
    save(rows, "strength.jpg")


def instant() -> None:
    photos = [sample(name) for name in (*PHOTOS, "rocket")]
    for method in ("adain", "wct"):
        rows = [[p, *(painted(p, s, method=method) for s in MORE_STYLES)] for p in photos]
        save(rows, f"{method}.jpg", tile=SMALL)
    rows = [
        [painted(sample(name), style, method="wct", strength=level) for level in LEVELS]
        for name, style in (("astronaut", "starry-night"), ("coffee", "great-wave"))
    ]
    save(rows, "wct-strength.jpg", tile=SMALL)


def methods() -> None:
    """Two photos in three styles: the photo, then johnson, dumoulin, ghiasi, adain, wct, gatys."""
    names = ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")
    rows = [
        [photo, *(painted(photo, style, method=name) for name in names)]
        for style in STYLES[:3]
        for photo in map(sample, PHOTOS[:2])
    ]
    save(rows, "methods.jpg", SMALL)


def trained() -> None:
    """Photos above, what each becomes in seven styles below; and dumoulin between two styles."""
    photos = [sample(name) for name in (*PHOTOS, "rocket")]
    styles = (*MORE_STYLES, "portrait-of-picasso")
    for name in ("dumoulin", "ghiasi"):
        rows = [[p, *(painted(p, s, method=name) for s in styles)] for p in photos]
        save(rows, f"{name}.jpg", SMALL)
    astronaut, coffee = photos[0], photos[2]
    levels = [
        painted(astronaut, "starry-night", method="dumoulin", strength=level) for level in LEVELS
    ]
    two = ["starry-night", "the-scream"]
    between = [
        impasto.stylize(coffee, two, size=512, method="dumoulin", weights=[1 - i / 6, i / 6])
        for i in range(7)
    ]
    save([levels, between], "dumoulin-strength.jpg", SMALL)


def masks() -> None:
    """Two styles by mask above, one style in a mask below: gatys, adain, wct."""
    photo = sample("astronaut")
    person = torch.zeros_like(photo[:, :1])
    _, _, height, width = photo.shape
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    head = ((x - 0.44) / 0.14) ** 2 + ((y - 0.25) / 0.25) ** 2 < 1
    body = (y > 0.45) & ((x - 0.46).abs() < 0.18 + 0.35 * (y - 0.45))
    person[0, 0] = (head | body).float()
    methods = ("gatys", "adain", "wct")
    both = [
        painted(photo, "starry-night", masks=[(person, "the-scream")], method=m) for m in methods
    ]
    one = [painted(photo, None, masks=[(person, "great-wave")], method=m) for m in methods]
    save([both, one], "masks.jpg")


def mix() -> None:
    write(sample("coffee"), FOLDER / "coffee.png")
    recipe = Recipe(
        photo=str(FOLDER / "coffee.png"),
        styles=("starry-night", "great-wave", "composition-vii"),
        method="wct",
        size=256,
    )
    mix_file(recipe, FOLDER / "mix.jpg", grid=5)
    (FOLDER / "coffee.png").unlink()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    make = {
        "sheet": sheet,
        "styles": styles,
        "strength": strength,
        "instant": instant,
        "masks": masks,
        "methods": methods,
        "trained": trained,
        "mix": mix,
    }
    make[sys.argv[1]]()
