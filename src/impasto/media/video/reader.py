"""Films in: what FFmpeg reads, frame by frame, the right way up, with the times they have."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import BadPicture
from impasto.media.video.colours import of_frame, reformatter, to_rgb
from impasto.media.video.frames import Film, Frame, OnNotice, Span, av_open, required

MICRO = 1_000_000
"""Ticks of a container's clock in a second."""

SEEK = 5.0
"""Seconds from which it pays to jump to a place rather than to decode up to it."""

MISSING = 1.0
"""Seconds that may lack at the end before a film counts as cut short."""


def facts(path: Path) -> Film:
    """What is known of a film.

    Raises BadPicture for what is missing, no film, or has no frame that can be decoded.
    """
    with opened(path) as (container, stream):
        frame = next(decoded(container, stream), None)
        if frame is None:
            raise BadPicture(f"{path} has no frame that can be decoded.")
        turn = matrix(frame)
        turned = turn[0] == turn[3] == 0
        width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        seconds = _seconds(container, stream)
        rate = stream.average_rate or stream.guessed_rate
        count = stream.frames or (round(seconds * rate) if seconds and rate else None)
        return Film(
            *(path, width, height, stream.time_base, of_frame(frame)),
            deep=any(part.bits > 8 for part in frame.format.components),
            frames=count,
            seconds=seconds,
            origin=max(0.0, (container.start_time or 0) / MICRO),
            aspect=1 / aspect if turned else aspect,
        )


def frames(film: Film, span: Span, after: int | None, on_notice: OnNotice) -> Iterator[Frame]:
    """Every frame of a span, those after the tick ``after`` only.

    What cannot be decoded is left out, and told of at the end, as is a film that is cut short.
    """
    start, stop = span.inside(film)
    start = start if after is None else max(start, after + 1)
    with opened(film.path) as (container, stream):
        shape, last = reformatter(), -(2**62)
        broken: list[str] = []
        for frame, pts, end in _timed(_from(film, container, stream, start, broken), stream):
            if pts >= stop:
                break
            last = pts
            if pts >= start:
                turn, size = matrix(frame), (film.width, film.height)
                stored = size[::-1] if turn[0] == turn[3] == 0 else size  # all alike
                levels = to_rgb(frame, of_frame(frame), film.deep, stored, shape)
                yield Frame(np.ascontiguousarray(upright(levels, turn)), pts, end - pts)
        else:
            _tell_end(film, last, on_notice)
        if broken:
            on_notice(f"{film.path}: {len(broken)} places are damaged and left out ({broken[0]}).")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container of a film and its stream of pictures.

    Raises BadPicture for what is missing, empty or no film, or has no pictures.
    """
    av = required("av")
    try:
        container = av_open(path, metadata_errors="replace")
    except av.FFmpegError as error:
        raise _unreadable(path, error) from error
    with container:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise BadPicture(f"{path} has no pictures in it, only {_kinds(container)}.")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def decoded(container: Any, stream: Any, broken: list[str] | None = None) -> Iterator[Any]:
    """The frames of a stream; what cannot be decoded is noted in ``broken`` and left out."""
    av = required("av")
    notes = [] if broken is None else broken
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:  # the file ends in the middle of something
            notes.append(str(error.strerror))
            packet = None
        try:
            yield from stream.decode(packet) if packet is None else packet.decode()
        except av.EOFError:
            return
        except av.FFmpegError as error:
            notes.append(str(error.strerror))
        if packet is None:
            return


def upright(pixels: NDArray[Any], turn: tuple[int, int, int, int]) -> NDArray[Any]:
    """Turn what is stored as the display matrix (a, b, c, d) of a film says.  (H, W, C)"""
    a, b, c, d = turn
    if a == d == 0:
        pixels, right, down = pixels.transpose(1, 0, 2), c, b
    else:
        right, down = a, d
    pixels = pixels[:, ::-1] if right < 0 else pixels
    return pixels[::-1] if down < 0 else pixels


def matrix(frame: Any) -> tuple[int, int, int, int]:
    """The display matrix of a frame: stored (x, y) is shown at (a x + c y, b x + d y)."""
    try:
        found = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 stumbles over kinds that it has no name for: EXIF of pictures
        found = None
    if found is None:
        return 1, 0, 0, 1
    values = np.frombuffer(bytes(found)[:36], np.int32)
    a, b, c, d = (int(np.sign(values[i])) if abs(values[i]) > 32768 else 0 for i in (0, 1, 3, 4))
    return (a, b, c, d) if abs(a * d - b * c) == 1 else (1, 0, 0, 1)  # others are askew


def _from(film: Film, container: Any, stream: Any, start: int, broken: list[str]) -> Iterator[Any]:
    """Frames from a little before ``start``; from the beginning where a jump goes too far."""
    if (start * film.time_base) - Fraction(film.origin) < SEEK:
        yield from decoded(container, stream, broken)
        return
    av = required("av")
    try:
        container.seek(start, stream=stream)
        ahead = decoded(container, stream, broken)
        first = next(ahead, None)
    except av.FFmpegError:
        first = None
    if first is not None and first.pts is not None and first.pts <= start:
        yield first
        yield from ahead
        return
    broken.clear()
    with opened(film.path) as (again, same):
        yield from decoded(again, same, broken)


def _timed(frames: Iterator[Any], stream: Any) -> Iterator[tuple[Any, int, int]]:
    """Each frame with the tick when it is shown and the one when the next is, or all ends.

    What a decoder says of how long may be of another frame, where they are stored in another order.
    """
    held, since = None, -(2**62)
    for frame in frames:
        now = _time(frame, since)
        if held is not None:
            yield held, since, now
        held, since = frame, now
    if held is not None:
        end = (stream.start_time or 0) + (stream.duration or 0)
        known = [ticks for ticks in (held.duration, end - since) if ticks and ticks > 0]
        yield held, since, since + min(known, default=0)


def _time(frame: Any, last: int) -> int:
    """When a frame is shown, later than the ``last`` in any case."""
    step = frame.duration or 1
    if frame.pts is None:
        return 0 if last < -(2**61) else last + step
    return max(int(frame.pts), last + 1)


def _seconds(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None:
        return None
    # Matroska says when it ends, others how long they are
    start = container.start_time or 0 if container.format.name.startswith("matroska") else 0
    return float(container.duration - start) / MICRO


def _tell_end(film: Film, last: int, on_notice: OnNotice) -> None:
    if film.seconds is None:
        return
    end = float(last * film.time_base) - film.origin
    if film.seconds - end > max(MISSING, film.seconds / 20):
        on_notice(f"{film.path} is cut short: it ends at {end:.1f} s of {film.seconds:.1f} s.")


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def _kinds(container: Any) -> str:
    return " and ".join(sorted({str(s.type) for s in container.streams})) or "nothing"


def _unreadable(path: Path, error: Any) -> BadPicture:
    if not path.exists():
        return BadPicture(f"There is no film {path}.")
    if path.is_dir():
        return BadPicture(f"{path} is no film but a folder: name a file.")
    if path.stat().st_size == 0:
        return BadPicture(f"{path} is empty.")
    return BadPicture(f"{path} is no film that can be read ({error.strerror}).")
