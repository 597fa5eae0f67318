"""Object storage: photos and pictures by address, ``s3://BUCKET/a/b.jpg`` and the like.

Where a bucket is, and who may use it, the environment says: ``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from impasto.errors import BadInput, BadOutput, BadPicture, ImpastoError, unknown
from impasto.files import replacing

KINDS = ("s3", "gs", "file")
"""How an address may begin; ``file`` is a folder that is treated as a bucket."""

PATIENCE = 30
"""Seconds for which what does not answer is asked again."""

PAGE = 1000
"""Objects that a service lists at a time."""


@dataclass(frozen=True)
class Bucket:
    """What lies below an address."""

    url: str
    """Without a slash at its end."""

    @classmethod
    def of(cls, url: str) -> "Bucket":
        """Raises UnknownName for a kind of storage that is not known, BadInput for no bucket."""
        kind, _, rest = url.partition("://")
        if kind not in KINDS:
            raise unknown("kind of storage", kind, KINDS)
        if not rest.strip("/"):
            raise BadInput(f"{url!r} names no bucket: write {kind}://BUCKET/FOLDER.")
        return cls(f"{kind}://{rest.rstrip('/')}")

    def __str__(self) -> str:
        return self.url

    def address(self, name: str) -> str:
        """Of an object below."""
        return f"{self.url}/{name}"

    def objects(self) -> Iterator[tuple[str, str]]:
        """The name of every object below, and a stamp that changes with what is in it.

        Raises BadPicture where that cannot be found out.
        """
        with _speaking(self.url, BadPicture, "read"):
            store, folder = _at(self.url)
            prefix = f"{folder}/" if folder else ""
            for page in _obstore().list(store, prefix or None, chunk_size=PAGE):
                for found in page:
                    stamp = found["e_tag"] or found["last_modified"].isoformat()
                    yield found["path"].removeprefix(prefix), f"{found['size']} {stamp}"


@dataclass(frozen=True)
class Remote:
    """A photo in a bucket."""

    url: str
    stamp: str
    """Changes with what is in it."""

    def __str__(self) -> str:
        return self.url


def is_url(place: str) -> bool:
    """Whether that is the address of an object, and not a path."""
    return "://" in place


def read(url: str) -> bytes:
    """What an object holds.  Raises BadPicture."""
    with _speaking(url, BadPicture, "read"):
        store, name = _at(url)
        return bytes(_obstore().get(store, name).bytes())


def fetch(url: str, path: Path) -> None:
    """Write what an object holds to a file, piece by piece.  Raises BadPicture, BadOutput."""
    with _speaking(url, BadPicture, "read"), replacing(path) as file:
        store, name = _at(url)
        for piece in _obstore().get(store, name).stream():
            file.write(piece)


def write(url: str, content: bytes | Path) -> None:
    """Make an object of bytes, or of a file, wholly or not at all.  Raises BadOutput."""
    with _speaking(url, BadOutput, "write"):
        store, name = _at(url)
        _obstore().put(store, name, content)


def exists(url: str) -> bool:
    """Whether there is such an object."""
    try:
        with _speaking(url, BadPicture, "read"):
            store, name = _at(url)
            _obstore().head(store, name)
    except _Gone:
        return False
    return True


class _Gone(BadPicture):
    """There is no such object."""


@contextmanager
def _speaking(url: str, kind: type[ImpastoError], verb: str) -> Iterator[None]:
    """Turn what the service says while it is spoken to into an error in words."""
    _obstore()
    errors = import_module("obstore.exceptions")
    try:
        yield
    except FileNotFoundError as error:
        if kind is BadPicture:
            raise _Gone(f"There is no {url!r}.") from error
        raise kind(f"Cannot {verb} {url!r}: there is no such bucket.") from error
    except (errors.BaseError, OSError) as error:
        said = str(error).strip().partition("\n")[0].removeprefix("Generic S3 error: ")
        raise kind(f"Cannot {verb} {url!r}: {said}") from error


def _at(url: str) -> tuple[Any, str]:
    """The storage that an address belongs to, and the name in it."""
    kind, _, rest = url.partition("://")
    if kind == "file":
        return _store("file:///"), rest.lstrip("/")
    bucket, _, name = rest.partition("/")
    return _store(f"{kind}://{bucket}"), name


@lru_cache(maxsize=64)
def _store(root: str) -> Any:
    from_url = import_module("obstore.store").from_url
    retry = {"max_retries": 5, "retry_timeout": timedelta(seconds=PATIENCE)}
    if root.startswith("file"):
        return from_url(root)
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return from_url(root, client_options={"allow_http": plain}, retry_config=retry)


def _obstore() -> Any:
    try:
        return import_module("obstore")
    except ImportError as error:
        text = "Buckets need a package that is not installed: pip install 'impasto[s3]'."
        raise BadInput(text) from error
