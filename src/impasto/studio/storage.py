"""Storage of pictures: bytes under keys, in a folder or in a bucket."""

import os
import re
import shutil
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from impasto.errors import BadInput, ImpastoError
from impasto.files import replacing, writing

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
"""One part of a key, between slashes: no hidden file, no way out of the folder."""


class Missing(ImpastoError):
    """There is nothing under that key."""


class Stored(NamedTuple):
    """One entry of a listing."""

    key: str
    modified: datetime
    size: int


Listing = list[Stored]


class Storage:
    """Bytes under keys such as ``jobs/ID/result.png``; what is put is there wholly or not at all.

    In a folder it is also on the disk when ``put`` returns. Thread-safe.
    """

    def __init__(self, url: str) -> None:
        """url: a folder's path, or ``s3://BUCKET/PREFIX`` (also gs:// and az://)

        Raises BadInput.
        """
        self.url = url
        self.folder = None if "://" in url else Path(url).resolve()
        self._store = self._open()

    def _open(self) -> "ObjectStore":
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url

        if self.folder is not None:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            return LocalStore(self.folder)
        try:
            return from_url(self.url)
        except (BaseError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"{self.url!r} is no storage: {reason} Give a folder.") from error

    def put(self, key: str, data: bytes) -> None:
        """Write; what was there is replaced.  Raises BadOutput where a disk is full."""
        import obstore

        _check(key)
        if self.folder is None:
            obstore.put(self._store, key, data)
            return
        path = self.folder / key
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(data)
        _settle(path.parent)

    def get(self, key: str) -> bytes:
        """Read.  Raises Missing."""
        import obstore

        _check(key)
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            raise Missing(f"There is no {key!r}: it may have expired.") from error

    def fetch(self, key: str, path: Path) -> None:
        """Copy to a file, piece by piece.  Raises Missing."""
        import obstore

        _check(key)
        try:
            stream = obstore.get(self._store, key).stream()
            with path.open("wb") as file:
                for piece in stream:
                    file.write(piece)
        except FileNotFoundError as error:
            raise Missing(f"There is no {key!r}: it may have expired.") from error

    def exists(self, key: str) -> bool:
        """Whether there is something under that key."""
        import obstore

        _check(key)
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> Listing:
        """Everything below a prefix, which ends with a slash; sorted by key."""
        import obstore

        _check(prefix.rstrip("/"))
        found = [entry for chunk in obstore.list(self._store, prefix) for entry in chunk]
        return sorted(
            Stored(entry["path"], entry["last_modified"], entry["size"])
            for entry in found
            if not entry["path"].rpartition("/")[2].startswith(".")  # being written
        )

    def delete(self, key: str) -> None:
        """Delete what is under that key, if anything is."""
        import obstore

        _check(key)
        with suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def delete_prefix(self, prefix: str) -> None:
        """Delete everything below a prefix, which ends with a slash."""
        import obstore

        _check(prefix.rstrip("/"))
        if self.folder is not None:
            shutil.rmtree(self.folder / prefix, ignore_errors=True)
        elif keys := [stored.key for stored in self.list(prefix)]:
            obstore.delete(self._store, keys)


def _check(key: str) -> None:
    if not all(PART.fullmatch(part) for part in key.split("/")):
        raise BadInput(f"{key!r} is no key: parts of letters, digits, '-', '_' and '.', with '/'.")


def _settle(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk; Windows does not need it."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
