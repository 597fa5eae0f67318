"""Files that are written completely or not at all; what is there, and what is in the way."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from impasto.errors import BadOutput


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of ``path`` when all went well.

    It lies beside ``path``, is flushed to the disk before it is renamed, and is removed on any
    failure. Raises BadOutput where the disk is full or the folder not writable.
    """
    real = Path(os.path.realpath(path))  # through a link, not in its place
    temporary = real.with_name(f".{secrets.token_hex(8)}.part")
    with writing(path):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(real)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while ``path`` is written into BadOutput."""
    try:
        yield
    except OSError as error:
        raise BadOutput(f"Cannot write {str(path)!r}: {error.strerror or error}.") from error


def is_file(source: str) -> bool:
    """Whether there is a file of that name; a name too long for one is none."""
    try:
        return Path(source).is_file()
    except OSError:
        return False


def is_folder(source: str) -> bool:
    """Whether there is a folder of that name."""
    try:
        return Path(source).is_dir()
    except OSError:
        return False


def obstacle(target: Path, read: Iterable[str] = ()) -> str:
    """Why no file can be written there, and what to do; empty where one can.

    read: what the work begins with, of which some may be files
    """
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        return f"there is no folder {target.parent}. Create it first"
    if target.is_dir():
        return "it is a folder. Name a file"
    if target.exists() and not target.is_file():
        return "it is not a regular file"
    if target.exists() and any(is_file(name) and target.samefile(name) for name in read):
        return "it is a file that is read. Name another"
    return "" if os.access(folder, os.W_OK) else "permission denied"
