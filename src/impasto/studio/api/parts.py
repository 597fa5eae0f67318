"""Parts of a file that lies in a bucket: no more of it is read than is asked for, and sent."""

import re
from collections.abc import Iterator, Mapping

from starlette.datastructures import Headers
from starlette.responses import StreamingResponse

from impasto.storage import Storage
from impasto.studio.problems import Refused

PIECE = 1 << 20
"""Bytes that are read at a time."""

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def sent(
    storage: Storage, key: str, asked: Headers, headers: Mapping[str, str], kind: str
) -> StreamingResponse:
    """A file, or the one part of it that is asked for; of several parts the whole.

    asked: of the request; headers: of the answer, with an ETag; kind: media type

    Raises Missing; Refused for a part that there is not.
    """
    size = storage.size(key)
    same = asked.get("if-range", headers["ETag"]) == headers["ETag"]
    part = span(asked["range"], size) if same and "range" in asked else None
    start, stop = part or (0, size)
    facts = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if part is not None:
        facts["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    pieces = _pieces(storage, key, start, stop)
    return StreamingResponse(pieces, 200 if part is None else 206, facts, kind)


def span(text: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last that a header Range means; None: it means several.

    Raises Refused.
    """
    if text.startswith("bytes=") and "," in text:
        return None
    found = RANGE.fullmatch(text.replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        raise malformed()
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:
        start, stop = max(0, size - (last or 0)), size
    else:
        start, stop = first, size if last is None else min(last + 1, size)
        if last is not None and last < first:
            raise malformed()
    if start >= size:
        raise outside(str(size))
    return start, stop


def malformed() -> Refused:
    """What a Range that nobody understands is answered with."""
    return Refused(400, "The header Range is malformed. Write: Range: bytes=0-999")


def outside(size: str) -> Refused:
    """What a Range behind the end is answered with."""
    text = f"The range lies outside the file, which has {size} bytes."
    return Refused(416, text, {"Content-Range": f"bytes */{size}"})


def _pieces(storage: Storage, key: str, start: int, stop: int) -> Iterator[bytes]:
    for place in range(start, stop, PIECE):
        yield storage.part(key, place, min(place + PIECE, stop))
