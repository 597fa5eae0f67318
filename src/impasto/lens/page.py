"""The page of a view, and its pictures as files."""

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from torch import Tensor

from impasto import page
from impasto.errors import BadOutput
from impasto.files import writing
from impasto.lens.view import View
from impasto.media import image as media

OURS = re.compile(r"\d\d+-[a-z0-9-]+\.png")
"""What the pictures of a view are called."""


def check_folder(folder: Path, name: str) -> None:
    """Find out before the work whether the view ``name`` can be written into a folder.

    The pictures of an earlier run are replaced; nothing else is touched.

    Raises BadOutput for a file in the folder's place, files that are not ours in the place of the
    pictures, missing permission.
    """
    place = folder / name
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    for path in (nearest, place):
        if path.exists() and not path.is_dir():
            raise BadOutput(f"{path} cannot be a folder: it is a file. Name another with -o.")
    if not os.access(nearest, os.W_OK):
        raise BadOutput(f"{folder} cannot be written: permission denied.")
    if (folder / f"{name}.html").is_dir():
        raise BadOutput(f"{folder / name}.html cannot be written: it is a folder.")
    if place.is_dir():
        others = sorted(p.name for p in place.iterdir() if not OURS.fullmatch(p.name))
        if others:
            raise BadOutput(
                f"{place} holds files that are not the lens's ({others[0]}): "
                "name another folder with -o."
            )


def write(view: View, folder: Path, name: str) -> Path:
    """Write ``folder/name.html`` and every picture of it as ``folder/name/01-caption.png``.

    ->  the path of the page

    Raises BadOutput; then what was there before is there still.
    """
    check_folder(folder, name)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        new = Path(mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        with writing(folder / name):
            (new / "pictures").mkdir()
        for file, pixels in _pictures(view):
            media.write(pixels, new / "pictures" / file)
        page.write(new / "page.html", "lens.html", view=view, name=name)
        with writing(folder / name):
            _exchange(new, folder, name)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder / f"{name}.html"


def _exchange(new: Path, folder: Path, name: str) -> None:
    """Put the new pictures and the new page in the place of the old ones."""
    place, old = folder / name, new / "old"
    if place.exists():
        place.rename(old)
    try:
        (new / "pictures").rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
    (new / "page.html").replace(folder / f"{name}.html")


def _pictures(view: View) -> Iterator[tuple[str, Tensor]]:
    """Every picture with the name of its file."""
    shown = [picture for row in view.rows for picture in row.shown]
    for number, picture in enumerate(shown, 1):
        stem = f"{number:02}-{_words(picture.caption)}"
        yield f"{stem}.png", picture.pixels
        if picture.inset is not None:
            yield f"{stem}-inset.png", picture.inset


def _words(caption: str) -> str:
    """``Sobel: upright edges`` is ``sobel-upright-edges``."""
    plain = unicodedata.normalize("NFKD", caption).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", plain))[:60].strip("-") or "picture"
