"""What is painted and where it goes: outputs are named like inputs, and no two alike."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from zlib import crc32

from impasto.batch.films import FILMS, suffix_of
from impasto.batch.tasks import Remote
from impasto.errors import BadInput, BadPicture
from impasto.files import is_folder
from impasto.media.encode import FORMATS
from impasto.media.image import SUFFIXES
from impasto.storage import Storage

KEEP = "keep"
"""In the place of a format: that of each photo."""

STAGE = ".impasto"
"""Folder inside a folder of outputs, by which one is known; pictures lie there until they count."""

ACCOUNT = re.compile(r"manifest(-\d+-of-\d+)?\..*jsonl")
"""Name of what a batch writes into a bucket of pictures, by which one is known."""

OnError = Callable[[OSError], None]

Place = Path | Storage
"""A folder, or what lies below an address; of photos also one file."""

Source = Path | Remote
"""A photo or film; a path is absolute."""


@dataclass(frozen=True)
class Item:
    """One photo and its picture, or a film."""

    name: str
    """Of the photo: its path below the input folder, with slashes."""
    source: Source
    target: str
    """Path below the output folder, with slashes."""
    film: bool = False


def found(
    inputs: Sequence[Place], output: Place, recursive: bool, on_error: OnError
) -> Mapping[str, Source]:
    """The photos and films of a folder, or some of them, by name; none is opened.

    Hidden files are left out, and what batches have painted: the folder ``output`` and others like
    it. Links to folders are not followed. on_error: told of folders that cannot be read

    Raises BadInput for several folders, and where pictures would land among the photos; BadPicture
    for a photo that is not there.
    """
    paths = [place for place in inputs if isinstance(place, Path)]
    if len(paths) == len(inputs):
        return _local(paths, output if isinstance(output, Path) else None, recursive, on_error)
    if len(inputs) > 1 or not isinstance(inputs[0], Storage):
        raise BadInput("Give one folder of a bucket, or photos of this machine.")
    return _remote(inputs[0], output, recursive)


def _remote(photos: Storage, output: Place, recursive: bool) -> dict[str, Remote]:
    if f"{photos}/".startswith(f"{output}/"):
        raise _among(photos, output)
    stamps = {found.key: found.stamp for found in photos.walk()}
    painted = {name.rpartition("/")[0] for name in stamps if ACCOUNT.fullmatch(_base(name))}
    below = str(output).removeprefix(f"{photos}/")

    def wanted(name: str) -> bool:
        folders = [str(folder) for folder in PurePosixPath(name).parents][:-1]
        hidden = any(part.startswith(".") for part in name.split("/"))
        deep = bool(folders) and not recursive
        return _paintable(name) and not (hidden or deep or painted & {*folders} or below in folders)

    return {
        name: Remote(photos.address(name), stamps[name]) for name in sorted(stamps) if wanted(name)
    }


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _paintable(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES | FILMS


def _local(
    inputs: Sequence[Path], output: Path | None, recursive: bool, on_error: OnError
) -> dict[str, Path]:
    here = None if output is None else output.resolve()
    if len(inputs) == 1 and inputs[0].is_dir():
        folder = inputs[0].resolve()
        if output is not None and here in (folder, *folder.parents):
            raise _among(inputs[0], output)
        paths = _walked(folder, here, recursive, on_error)
        return {path.relative_to(folder).as_posix(): path for path in paths}
    for path in inputs:
        if path.is_dir():
            raise BadInput(f"Give one folder, or photos alone: {str(path)!r} is one of several.")
        if not path.exists():
            raise BadPicture(f"There is no file or folder {str(path)!r}.")
        if output is not None and path.resolve().parent == here:
            raise _among(path, output)
    return _loose(inputs)


def _among(given: Place, output: Place) -> BadInput:
    return BadInput(
        f"The pictures would land among the photos: {str(output)!r} holds {str(given)!r}. "
        "Name another folder for them, such as painted."
    )


def _walked(
    folder: Path, output: Path | None, recursive: bool, on_error: OnError
) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=on_error):
        below = sorted(folders) if recursive else []
        folders[:] = [name for name in below if not _left_out(Path(parent, name), output)]
        for name in sorted(names):
            path = Path(parent, name)
            painted = path.is_symlink() and output in Path(os.path.realpath(path)).parents
            if _paintable(name) and not name.startswith(".") and not painted:
                yield path


def _left_out(folder: Path, output: Path | None) -> bool:
    if folder.name.startswith(".") or folder.is_symlink():
        return True
    # What may not be looked into is no such folder; that it cannot be read is told of later.
    return folder.resolve() == output or is_folder(str(folder / STAGE))


def _loose(paths: Sequence[Path]) -> dict[str, Path]:
    """Photos from anywhere by their names, with a number where two are called the same."""
    named: dict[str, Path] = {}
    for path in dict.fromkeys(path.absolute() for path in paths):
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in count(2))
        free = (name for name in chain([path.name], numbered) if name not in named)
        named[next(free)] = path
    return named


def targets(
    names: Sequence[str],
    kind: str,
    owners: Mapping[str, str],
    lost: Callable[[str], bool],
    films: Collection[str] = (),
) -> dict[str, str]:
    """A file for the picture of every photo: no two alike, whatever the file system thinks alike.

    ``a.jpg`` becomes ``a.png``; beside another photo ``a.webp`` it becomes ``a.jpg.png``. A photo
    keeps the target that it has.

    kind: a suffix without its dot, or ``keep``
    owners: whose the targets are that there are; lost: whether such an owner is there no more
    films: the names of those that become films
    """
    ends = {name: suffix_of(name) if name in films else _suffix(name, kind) for name in names}
    own = {name: target for target, name in owners.items() if ends.get(name) == _end(target)}
    owned = {_folded(target): name for target, name in owners.items()}
    short = {name: str(PurePosixPath(name).with_suffix(ends[name])) for name in names}
    sharing = Counter(map(_folded, short.values()))
    used = {_folded(str(folder)) for name in names for folder in PurePosixPath(name).parents}
    chosen = {name: own[name] for name in names if name in own}
    used.update(map(_folded, chosen.values()))

    def free(target: str) -> bool:
        owner = owned.get(_folded(target))
        return _folded(target) not in used and (owner is None or lost(owner))

    for name in sorted(set(names) - chosen.keys()):
        suffix = ends[name]
        numbered = (f"{name}-{number}{suffix}" for number in count(2))
        first = [short[name]] if sharing[_folded(short[name])] == 1 else []
        chosen[name] = next(filter(free, chain(first, [name + suffix], numbered)))
        used.add(_folded(chosen[name]))
    return chosen


def _suffix(name: str, kind: str) -> str:
    """What the picture of a photo ends in; a GIF that does not move is read and not written."""
    if kind != KEEP:
        return f".{kind}"
    own = PurePosixPath(name).suffix
    return own if own.lower() in FORMATS else ".png"


def _end(target: str) -> str:
    return PurePosixPath(target).suffix


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def mine(name: str, shard: tuple[int, int]) -> bool:
    """Whether a photo is of the shard (i, n), 1 <= i <= n; others that come or go do not matter."""
    return crc32(name.encode("utf-8", "surrogateescape")) % shard[1] == shard[0] - 1
