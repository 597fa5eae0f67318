"""Make the packaged styles from a folder of paintings: gallery.toml and NAME.jpg.

    python scripts/gallery.py FOLDER

Each style is a file of moments with title, artist and year in its header, and a thumbnail: the
texture that those moments alone give. The paintings themselves are not packaged.
"""

import sys
from pathlib import Path

from impasto.commands import swatch
from impasto.config import read_toml
from impasto.networks.encoders import load_encoder
from impasto.style import ASSETS, SUFFIX, Style

THUMBNAIL = 192


def main(folder: Path) -> None:
    target = ASSETS / "styles"
    target.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder("compact")
    for name, facts in read_toml(folder / "gallery.toml").items():
        about = {key: str(facts[key]) for key in ("title", "artist", "year") if key in facts}
        style = Style.of(folder / f"{name}.jpg", encoder, name)
        path = target / f"{name}{SUFFIX}"
        style.with_facts({**about, "license": "public domain"}).save(path)
        swatch(str(path), target / f"{name}.jpg", THUMBNAIL, 0, "compact", "gatys")
        print(path, f"{path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
