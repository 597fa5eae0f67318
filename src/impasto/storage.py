"""Storage: bytes under keys, in a folder or in a bucket; and objects by their addresses.

Where a bucket is, and who may use it, the environment says: ``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL`` and the like.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from impasto.errors import BadInput, BadOutput, BadPicture, ImpastoError, unknown
from impasto.files import replacing, writing

KINDS = ("s3", "gs", "az", "file", "memory")
"""How an address may begin; ``file`` is a folder that is treated as a bucket."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
"""Variables of the environment that say where a bucket is, if not where it usually is."""

Patience = tuple[int, float]
"""How often what does not answer is asked again, and for how many seconds."""

PROMPT: Patience = (3, 10.0)
"""Where somebody waits for the answer."""

PATIENT: Patience = (5, 30.0)
"""Where work goes on for hours."""

PAGE = 1000
"""Objects that a service lists at a time."""

HALF = ".*.part"
"""Names of files that are being written, see ``files.replacing``."""


class Missing(BadPicture):
    """There is nothing under that key."""


class StorageDown(ImpastoError):
    """A storage does not answer, or refuses us; the text says where it is, and why."""

    retry_after = 5.0
    """Seconds."""


class Unreadable(StorageDown, BadPicture):
    """It cannot be read."""


class Unwritable(StorageDown, BadOutput):
    """It cannot be written to."""


class Stored(NamedTuple):
    """One entry of a listing."""

    key: str
    modified: datetime
    size: int
    tag: str | None
    """Of a bucket: changes with what is in it."""

    @property
    def stamp(self) -> str:
        """Changes with what is in it."""
        return f"{self.size} {self.tag or self.modified.isoformat()}"


Listing = list[Stored]


class Storage:
    """Bytes under keys such as ``jobs/ID/result.png``; what is put is there wholly or not at all.

    In a folder it is also on the disk when ``put`` returns. Thread-safe.
    """

    def __init__(self, url: str, patience: Patience = PROMPT) -> None:
        """url: a folder's path, which is made, or ``s3://BUCKET/PREFIX`` (see ``KINDS``); an
        endpoint in the environment may be http://

        Raises BadInput, UnknownName; BadOutput for a folder that cannot be made. All that reads
        raises Unreadable, and all that writes Unwritable, where a bucket is away or refuses us.
        """
        root, self._prefix = _split(url) if is_url(url) else ("", "")
        self.url = f"{root}/{self._prefix}"[:-1] if root else url
        local = {"": Path(url), "file://": Path("/")}.get(root)
        self.folder = None if local is None else local.resolve()
        self._store = _opened(root, self.folder, patience)

    def __str__(self) -> str:
        return self.url

    def address(self, key: str) -> str:
        """Of what lies under a key, for ``located``."""
        return f"{self.url}/{key}"

    def put(self, key: str, content: bytes | Path) -> None:
        """Write bytes, or what a file holds; what was there is replaced.  Raises BadOutput."""
        name = self._name(key)
        if self.folder is None:
            with _speaking(self.address(key), Unwritable):
                _obstore().put(self._store, name, content)
            return
        path = self.folder / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file)
            else:
                file.write(content)
        _settle(path.parent)

    def get(self, key: str) -> bytes:
        """Read.  Raises Missing."""
        with _speaking(self.address(key), Unreadable):
            return bytes(_obstore().get(self._store, self._name(key)).bytes())

    def part(self, key: str, start: int, stop: int) -> bytes:
        """Read the bytes from ``start`` to before ``stop``, and no others.  Raises Missing."""
        with _speaking(self.address(key), Unreadable):
            name = self._name(key)
            return bytes(_obstore().get_range(self._store, name, start=start, end=stop))

    def size(self, key: str) -> int:
        """Bytes.  Raises Missing."""
        with _speaking(self.address(key), Unreadable):
            return int(_obstore().head(self._store, self._name(key))["size"])

    def path(self, key: str) -> Path | None:
        """The file itself, to be read only; None: it is not on this machine.  Raises Missing."""
        name = self._name(key)
        if self.folder is None:
            return None
        path = self.folder / name
        if not path.is_file():
            raise Missing(f"There is no {self.address(key)!r}.")
        return path

    def fetch(self, key: str, path: Path) -> None:
        """Copy to a file, piece by piece.  Raises Missing; BadOutput for the file."""
        with _speaking(self.address(key), Unreadable):
            pieces = _obstore().get(self._store, self._name(key)).stream()
            with replacing(path) as file:
                for piece in pieces:
                    file.write(piece)

    def exists(self, key: str) -> bool:
        """Whether there is something under that key."""
        with suppress(Missing):
            self.size(key)
            return True
        return False

    def walk(self, prefix: str = "") -> Iterator[Stored]:
        """Everything below a prefix, which ends with a slash, in no order."""
        name = self._name(prefix) if prefix else self._prefix
        with _speaking(self.address(prefix), Unreadable):
            for page in _obstore().list(self._store, name or None, chunk_size=PAGE):
                for found in page:
                    path = found["path"]
                    if not (self.folder and Path(path).match(HALF)):
                        key = path.removeprefix(self._prefix)
                        facts = (found["last_modified"], found["size"], found["e_tag"])
                        yield Stored(key, *facts)

    def list(self, prefix: str = "") -> Listing:
        """The same, sorted by key."""
        return sorted(self.walk(prefix))

    def delete(self, key: str) -> None:
        """Delete what is under that key, if anything is."""
        with suppress(Missing), _speaking(self.address(key), Unreadable):
            _obstore().delete(self._store, self._name(key))

    def delete_prefix(self, prefix: str) -> None:
        """Delete everything below a prefix, which ends with a slash."""
        name = self._name(prefix)
        if self.folder is not None:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        elif names := [self._name(stored.key) for stored in self.walk(prefix)]:
            with suppress(Missing), _speaking(self.address(prefix), Unreadable):
                _obstore().delete(self._store, names)

    def sweep(self, before: float) -> None:
        """Delete what a process that was killed had begun to write before that time."""
        for path in (self.folder / self._prefix).rglob(HALF) if self.folder else ():
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _name(self, key: str) -> str:
        """In the store.  Raises BadInput for a way out of the folder."""
        parts = key.removesuffix("/").split("/")
        if any(part in ("", ".", "..") for part in parts) or "\\" in key or "\0" in key:
            raise BadInput(f"{key!r} is no key: parts with '/' between, none empty, '.' or '..'.")
        return self._prefix + key


def is_url(place: str) -> bool:
    """Whether that is an address, and not a path."""
    return "://" in place


def located(url: str) -> tuple[Storage, str]:
    """Where an object lies, and its key there.  Raises BadInput, UnknownName."""
    root, name = _split(url)
    return _bucket(root, PATIENT), name.removesuffix("/")


@lru_cache(maxsize=64)
def _bucket(root: str, patience: Patience) -> Storage:
    return Storage(root, patience)


def _split(url: str) -> tuple[str, str]:
    """``s3://bucket`` and ``a/b/`` of ``s3://bucket/a/b``."""
    kind, _, rest = url.partition("://")
    if kind not in KINDS:
        raise unknown("kind of storage", kind, KINDS)
    bucket, _, name = rest.partition("/") if kind != "file" else ("", "", rest)
    if not bucket and kind in ("s3", "gs", "az"):
        raise BadInput(f"{url!r} names no bucket: write {kind}://BUCKET/FOLDER.")
    name = name.strip("/")
    return f"{kind}://{bucket}", f"{name}/" if name else ""


def _opened(root: str, folder: Path | None, patience: Patience) -> Any:
    _obstore()
    store, errors = import_module("obstore.store"), import_module("obstore.exceptions")
    if folder is not None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return store.LocalStore(folder)
    # Not without TLS, unless it is said so; and not for ever.
    plain = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
    retry = {"max_retries": patience[0], "retry_timeout": timedelta(seconds=patience[1])}
    try:
        return store.from_url(f"{root}/", client_options={"allow_http": plain}, retry_config=retry)
    except (errors.BaseError, ValueError) as error:
        raise BadInput(f"{root!r} cannot be used: {_first_line(error)}") from error


@contextmanager
def _speaking(url: str, kind: type[StorageDown]) -> Iterator[None]:
    """Turn what a storage says while it is spoken to into an error in words."""
    errors, verb = import_module("obstore.exceptions"), "read" if kind is Unreadable else "write"
    try:
        yield
    except (errors.NotFoundError, FileNotFoundError) as error:
        if kind is Unreadable:
            raise Missing(f"There is no {url!r}.") from error
        raise kind(f"Cannot {verb} {url!r}: there is no such bucket.") from error
    except (errors.BaseError, OSError) as error:
        raise kind(f"Cannot {verb} {url!r}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].removeprefix("Generic S3 error: ")


def _obstore() -> Any:
    try:
        return import_module("obstore")
    except ImportError as error:
        text = "Buckets need a package that is not installed: pip install 'impasto[s3]'."
        raise BadInput(text) from error


def _settle(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk; Windows does not need it."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
