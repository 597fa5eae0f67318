"""Downloads: resumed, checked, one at a time."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import BadInput, DamagedWeights, MissingWeights
from impasto.files import writing

if TYPE_CHECKING:
    from http.client import HTTPResponse

Progress = Callable[[int, int], None]
"""Told ``(bytes so far, bytes in all)``; the latter is 0 where the server does not say."""

TRIES = 3
PAUSE = 1.0  # seconds before the second try, twice that before the third
TIMEOUT = 30.0  # seconds of silence after which a connection counts as dropped
CHUNK = 1 << 20


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Hold ``target`` against other processes and threads; may be entered again by its holder."""
    from filelock import FileLock

    held = FileLock(f"{target}.lock", is_singleton=True)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


class _NetworkError(Exception):
    """The network failed in a way that another try may mend."""


def download(url: str, sha256_prefix: str, target: Path, progress: Progress | None = None) -> Path:
    """Bring ``url`` to ``target``, going on from what an earlier try left in ``target``.part.

    Raises MissingWeights where the network fails three times or the server refuses, DamagedWeights
    where the SHA-256 does not begin with ``sha256_prefix`` (the file is then removed), BadOutput
    where ``target`` cannot be written, BadInput for another scheme than http.
    """
    if not url.startswith(("https://", "http://")):
        raise BadInput(f"Cannot download {url!r}: only https:// and http:// addresses are allowed.")
    part = target.with_name(target.name + ".part")
    with lock(target):
        if target.exists() and file_sha256(target).startswith(sha256_prefix):
            return target
        _fetch_patiently(url, part, progress)
        found = file_sha256(part)
        if not found.startswith(sha256_prefix):
            part.unlink()
            raise DamagedWeights(
                f"What came from {url} is not the published file: its sha256 begins with "
                f"{found[:8]}, not {sha256_prefix}. It was removed; try again or give another url."
            )
        with writing(target):
            part.replace(target)
    return target


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_patiently(url: str, part: Path, progress: Progress | None) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            _fetch(url, part, progress)
            return
        except _NetworkError as error:
            if attempt == TRIES:
                raise MissingWeights(
                    f"Cannot download {url}: {error}. What has come is kept; run it again to go on."
                ) from error
            time.sleep(PAUSE * attempt)


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    response, done = _connect(url, part.stat().st_size if part.exists() else 0)
    with response, writing(part), part.open("ab" if done else "wb") as file:
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else 0
        while chunk := _receive(response):
            file.write(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    if done < total:
        raise _NetworkError(f"the connection closed after {done} of {total} bytes")


def _connect(url: str, start: int) -> tuple["HTTPResponse", int]:
    """An answer, and the position it begins at: 0 where the server cannot go on from ``start``."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"User-Agent": "impasto"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the .part is as long as the file, or longer
            return _connect(url, 0)
        answer = f"the server answers {error.code} {error.reason}"
        if error.code >= 500:
            raise _NetworkError(answer) from error
        raise MissingWeights(f"Cannot download {url}: {answer}.") from error
    except (OSError, HTTPException) as error:
        raise _NetworkError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    return response, start if response.status == 206 else 0


def _receive(response: "HTTPResponse") -> bytes:
    from http.client import HTTPException

    try:
        return response.read(CHUNK)
    except (OSError, HTTPException) as error:
        raise _NetworkError(str(error) or type(error).__name__) from error
