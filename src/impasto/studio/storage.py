"""Storage of pictures: bytes under keys, in a folder or in a bucket."""

import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from impasto.errors import BadInput, ImpastoError
from impasto.files import replacing, writing

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
"""One part of a key, between slashes: no hidden file, no way out of the folder."""


ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
"""Variables of the environment that say where a bucket is, if not where it usually is."""

TRIES, SECONDS = 3, 10
"""How often a bucket that does not answer is asked again, and for how long."""

AGAIN = 5.0
"""Seconds after which to ask a storage again that did not answer."""

log = logging.getLogger(__name__)


class Missing(ImpastoError):
    """There is nothing under that key."""

    def __init__(self, text: str = "This file is not there: it may have expired.") -> None:
        super().__init__(text)


class StorageDown(ImpastoError):
    """The storage does not answer, or refuses us; why is in the log."""

    retry_after = AGAIN
    """Seconds."""

    def __init__(self) -> None:
        super().__init__("The studio's storage does not answer: try again in a moment.")


class Stored(NamedTuple):
    """One entry of a listing."""

    key: str
    modified: datetime
    size: int


Listing = list[Stored]

HALF = ".*.part"
"""Names of files that are being written, see ``files.replacing``."""


class Storage:
    """Bytes under keys such as ``jobs/ID/result.png``; what is put is there wholly or not at all.

    In a folder it is also on the disk when ``put`` returns. Thread-safe.
    """

    def __init__(self, url: str) -> None:
        """url: a folder's path, or ``s3://BUCKET/PREFIX`` (also gs:// and az://); a bucket's keys
        and endpoint are taken from the environment, and the endpoint may be http://

        Raises BadInput. All that reads or writes raises StorageDown where a bucket is away.
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
            return from_url(self.url, **_manners(self.url))
        except (BaseError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"{self.url!r} is no storage: {reason} Give a folder.") from error

    def put(self, key: str, data: bytes) -> None:
        """Write; what was there is replaced.  Raises BadOutput where a disk is full."""
        import obstore

        _check(key)
        if self.folder is None:
            with _reaching():
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
        with _reaching():
            return bytes(obstore.get(self._store, key).bytes())

    def path(self, key: str) -> Path | None:
        """The file itself, to be read only; None: it is not on this machine.  Raises Missing."""
        _check(key)
        if self.folder is None:
            return None
        path = self.folder / key
        if not path.is_file():
            raise Missing
        return path

    def fetch(self, key: str, path: Path) -> None:
        """Copy to a file, piece by piece.  Raises Missing."""
        import obstore

        _check(key)
        with _reaching():
            stream = obstore.get(self._store, key).stream()
            with path.open("wb") as file:
                for piece in stream:
                    file.write(piece)

    def exists(self, key: str) -> bool:
        """Whether there is something under that key."""
        import obstore

        _check(key)
        try:
            with _reaching():
                obstore.head(self._store, key)
        except Missing:
            return False
        return True

    def list(self, prefix: str) -> Listing:
        """Everything below a prefix, which ends with a slash; sorted by key."""
        import obstore

        _check(prefix.rstrip("/"))
        with _reaching():
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
        with suppress(Missing), _reaching():
            obstore.delete(self._store, key)

    def delete_prefix(self, prefix: str) -> None:
        """Delete everything below a prefix, which ends with a slash."""
        import obstore

        _check(prefix.rstrip("/"))
        if self.folder is not None:
            shutil.rmtree(self.folder / prefix, ignore_errors=True)
        elif keys := [stored.key for stored in self.list(prefix)]:
            with suppress(Missing), _reaching():
                obstore.delete(self._store, keys)

    def sweep(self, before: float) -> None:
        """Delete what a process that was killed had begun to write before that time."""
        for path in self.folder.rglob(HALF) if self.folder else ():
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()


def _manners(url: str) -> dict[str, Any]:
    """How a bucket is spoken to: not without end, and without TLS only where it is said so."""
    places = [url, *(os.environ.get(name, "") for name in ENDPOINTS)]
    plain = any(place.startswith("http://") for place in places)
    patience = {"max_retries": TRIES, "retry_timeout": timedelta(seconds=SECONDS)}
    return {"retry_config": patience} | ({"client_options": {"allow_http": True}} if plain else {})


@contextmanager
def _reaching() -> Iterator[None]:
    """obstore's errors become ours, which tell nobody keys and addresses."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        raise Missing from error
    except BaseError as error:
        log.warning("the storage: %s", str(error).splitlines()[0])
        raise StorageDown from error


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
