"""Receiving: the body of a request goes into a file, as long as it may be a picture or a film."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request

from impasto.studio.limits import Limits
from impasto.studio.orders import Kind
from impasto.studio.problems import Refused
from impasto.studio.shares import Shares

SILENCE = 20.0
"""Seconds that a sender may pause."""

START, RATE = 30.0, 50_000
"""Seconds that a sender has, and bytes a second that it must have sent afterwards, on average."""

AT_ONCE = 16
"""Files that are received at the same time, of all visitors."""

TOGETHER = 1_000_000_000
"""Bytes of all files that are received or opened at the same time."""

LINGER = 1.0
"""Seconds in which the rest of a refused file is still taken in: whoever sends does not listen."""

HEAD = 64
"""Bytes that tell what a file is."""

PICTURES = "JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF"
FILMS = "MP4, MOV, WebM or MKV"

MULTIPART = (
    "Send the file itself as the body, not a form: "
    "curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' URL"
)


class Intake:
    """What is received at the same time, of all visitors; of one event loop."""

    def __init__(self, most: int = AT_ONCE, together: int = TOGETHER) -> None:
        self.most, self.together = most, together
        self.senders = self.bytes = 0
        self.sending, self.holdings = Shares(), Shares()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The right to send.  Raises Refused where too many do."""
        if self.senders >= self.most:
            text = f"{self.senders} files are being received already. Try again in 2 s."
            raise Refused(503, text, {"Retry-After": "2"})
        if not self.sending.room(self.most):
            text = "Too many files come from your address at once. Try again in 2 s."
            raise Refused(429, text, {"Retry-After": "2"}, code="address-full")
        self.senders += 1
        try:
            with self.sending.held():
                yield
        finally:
            self.senders -= 1

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """What is told of bytes before they are written; they are free again afterwards.

        It raises Refused where there is no room for them.
        """
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if not self.holdings.room(self.together, size):
                text = "The files that come from your address are too large together. "
                retry = {"Retry-After": "10"}
                raise Refused(429, f"{text}Try again in 10 s.", retry, code="address-full")
            if self.bytes + size > self.together:
                text = "There is no room for another file at this moment. Try again in 10 s."
                raise Refused(503, text, {"Retry-After": "10"})
            held += size
            self.bytes += size
            self.holdings.take(size)

        try:
            yield hold
        finally:
            self.bytes -= held
            self.holdings.take(-held)


async def receive(
    request: Request, path: Path, limits: Limits, intake: Intake, count: Callable[[int], object]
) -> Kind:
    """Write the body of a request to a file, and say what it seems to be.

    count: told of every piece's bytes before they are written; it may raise Refused

    Raises Refused as soon as it is clear that the file is not wanted, or that it comes too slowly.
    """
    try:
        with intake.turn(), path.open("xb") as file:
            return await _receive(request, file, limits, count)
    except Refused:
        await _drain(request)
        raise


async def _receive(
    request: Request, file: BinaryIO, limits: Limits, count: Callable[[int], object]
) -> Kind:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Refused(415, MULTIPART, code="form")
    announced = request.headers.get("content-length", "")
    kind: Kind | None = None
    size, head = 0, b""
    async for piece in _pieces(request):
        size += len(piece)
        count(len(piece))
        if kind is None:
            head += piece
            if len(head) < HEAD:
                continue
            kind = kind_of(head[:HEAD])
            _check_size(int(announced) if announced.isdecimal() else 0, kind, limits)
            piece, head = head, b""
        _check_size(size, kind, limits)
        file.write(piece)
    if not size:
        raise Refused(415, f"The body is empty: send a file, {PICTURES}.", code="empty")
    if kind is None:
        kind = kind_of(head)
        file.write(head)
    return kind


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes; a sender who falls silent, or only drips, is not waited for."""
    stream = request.stream().__aiter__()
    end = time.monotonic() + START
    while True:
        try:
            left = min(SILENCE, end - time.monotonic())
            piece = await asyncio.wait_for(anext(stream), max(0.0, left))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            text = "The upload stopped arriving, or came too slowly: try again."
            raise Refused(408, text) from error
        except ClientDisconnect as error:
            raise Refused(408, "The sender went away.") from error
        end += len(piece) / RATE
        yield piece


async def _drain(request: Request) -> None:
    """Take in what is still sent, for a moment: it is to hear why it is refused."""

    async def rest() -> None:
        async for _ in request.stream():
            pass

    try:
        await asyncio.wait_for(rest(), LINGER)
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return


def _check_size(size: int, kind: Kind, limits: Limits) -> None:
    most = limits.upload_bytes if kind == "picture" else limits.film_bytes
    if size > most:
        text = f"The {kind} has more than the {most / 1e6:g} MB that are allowed. Make it smaller."
        raise Refused(413, text, code="file-too-large", facts={"mb": f"{most / 1e6:g}"})


def kind_of(head: bytes) -> Kind:
    """What a file is by its first bytes, never by its name.

    Raises Refused for whatever is neither a picture nor a film that is read here.
    """
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevx"):
        raise Refused(
            415,
            "HEIC pictures are not read: save it as JPEG. An iPhone takes JPEG with Settings > "
            "Camera > Formats > Most Compatible.",
            code="heic",
        )
    if brand in (b"avif", b"avis", b"mif1", b"msf1") or (
        head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    ):
        return "picture"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", *TIFF)):
        return "picture"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") or head.startswith(b"\x1a\x45\xdf\xa3"):
        return "film"
    raise Refused(415, f"This is no picture or film. Send {PICTURES}; films as {FILMS}.")


TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
