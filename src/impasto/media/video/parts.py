"""A film in the making: finished parts in a hidden folder beside it, which outlive a kill.

Each part is a file of encoded frames (NUT, which holds any codec and survives being cut off) and
then, once that is complete, a list of the times of its frames. What has no list does not count.
"""

import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from impasto.errors import BadOutput
from impasto.files import replacing, writing
from impasto.media.video.colours import Colours, from_rgb, reformatter, tag
from impasto.media.video.frames import av_open, required

H264 = ("libx264", {"crf": "18", "preset": "veryfast", "partitions": "i8x8"})
"""Without the smaller blocks of motion: films of paint look better by 0.2 dB, in files as large."""

CODECS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), H264),
    ".webm": (
        "libvpx-vp9",
        {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    ),
}
"""Encoder and its settings by suffix of a film; all else that can be written is an animation."""

NOTE = "work.json"

SHOWN, START = ".npy", ".start.npy"
"""Suffixes of the last painting of a part, and of what the painter goes on from."""

LOSSLESS = ("ffv1", {"slicecrc": "0"})
"""What the frames of an animation are kept in until all are there."""


@dataclass(frozen=True)
class Coding:
    """How frames are encoded."""

    suffix: str
    """Of the film they are for"""
    width: int
    height: int
    time_base: Fraction
    colours: Colours
    deep: bool = False
    aspect: Fraction = Fraction(1)

    @property
    def animated(self) -> bool:
        """Whether it is for an animation rather than for a film."""
        return self.suffix not in CODECS

    @property
    def layout(self) -> str:
        """The layout of pixels: 4:2:0, except that H.264 has that for even sizes only."""
        if self.animated:
            return "bgra"
        odd = (self.width % 2 or self.height % 2) and self.suffix != ".webm"
        return ("yuv444p" if odd else "yuv420p") + ("10le" if self.deep else "")


@dataclass(frozen=True)
class Part:
    """A finished part: its file, and when each of its frames is shown and how long, in ticks."""

    path: Path
    times: tuple[tuple[int, int], ...]

    def last(self) -> NDArray[np.float32] | None:
        """The last painting in it, where that was kept.  ->  (H, W, 3)"""
        return self._kept(SHOWN)

    def start(self) -> NDArray[np.float32] | None:
        """What the painter goes on from behind it: that painting, or something else of it."""
        start = self._kept(START)
        return self.last() if start is None else start

    def _kept(self, suffix: str) -> NDArray[np.float32] | None:
        path = self.path.with_suffix(suffix)
        return np.load(path) if path.is_file() else None


class Encoder:
    """Writes one part."""

    def __init__(self, path: Path, coding: Coding) -> None:
        self.path, self.coding = path, coding
        self.times: list[tuple[int, int]] = []
        self._shape = reformatter()
        codec, options = LOSSLESS if coding.animated else CODECS[coding.suffix]
        with encoding(path):
            self._file = av_open(path, "w", format="nut")
            self._stream = self._file.add_stream(codec, options=dict(options))
            self._set_up(self._stream.codec_context)

    def _set_up(self, context: Any) -> None:
        coding = self.coding
        context.width, context.height, context.pix_fmt = coding.width, coding.height, coding.layout
        context.time_base = self._stream.time_base = coding.time_base
        context.flags |= 1 << 22  # global header: parts are joined, containers want it at the front
        if not coding.animated:
            tag(context, coding.colours)
            context.sample_aspect_ratio = coding.aspect

    def write(self, pixels: NDArray[Any], pts: int, duration: int) -> None:
        """Encode a picture.  (H, W, 3 or 4), uint8 or uint16

        Raises BadOutput where the disk is full.
        """
        frame = from_rgb(pixels, self.coding.colours, self.coding.layout, self._shape)
        first = self.times[0][0] if self.times else pts
        frame.pts, frame.duration, frame.time_base = pts - first, duration, self.coding.time_base
        with encoding(self.path):
            self._file.mux(self._stream.encode(frame))
        self.times.append((pts, duration))

    def close(
        self, last: NDArray[np.float32] | None = None, start: NDArray[np.float32] | None = None
    ) -> None:
        """Finish the part and say so on the disk.

        last: the last painting, (H, W, 3), from which stability goes on after a stop
        start: what the painter goes on from, (h, w, 3), where that is something else
        """
        with encoding(self.path):
            self._file.mux(self._stream.encode(None))
            self._file.close()
            with self.path.open("rb") as file:  # before anything says that it is whole
                os.fsync(file.fileno())
        for suffix, picture in ((SHOWN, last), (START, start)):
            if picture is not None:
                self._keep(suffix, picture)
        with replacing(self.path.with_suffix(".json")) as file:
            file.write(json.dumps(self.times).encode())

    def _keep(self, suffix: str, picture: NDArray[np.float32]) -> None:
        kept = io.BytesIO()  # of a full disk numpy says nothing but a number
        np.save(kept, picture)
        with replacing(self.path.with_suffix(suffix)) as file:
            file.write(kept.getbuffer())


class Parts:
    """The folder of finished parts of one piece of work, which one process uses at a time."""

    def __init__(
        self, folder: Path, work: Mapping[str, object], settled: Mapping[str, object] | None = None
    ) -> None:
        """``work`` describes it completely: parts of other work are thrown away.

        settled: what this run has made of the work, which is kept for those that go on with it

        Raises BadOutput where the folder cannot be written, or another process is at it.
        """
        self.folder = folder
        self.lost = 0
        """Frames that were thrown away"""
        with writing(folder):
            folder.mkdir(exist_ok=True)
        self._lock = FileLock(folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise BadOutput(
                f"Another process is painting this film ({folder} is locked)."
            ) from error
        if begun(folder, work) is None:
            self.lost = sum(len(part.times) for part in self.finished())
            for path in folder.glob("[0-9]*.*"):
                path.unlink()
            with replacing(folder / NOTE) as file:
                file.write(json.dumps({"work": work, "settled": settled or {}}).encode())

    def finished(self) -> list[Part]:
        """All finished parts in order."""
        found: list[Part] = []
        while (part := _finished(self._path(len(found)))) is not None:
            found.append(part)
        return found

    def next(self, coding: Coding) -> Encoder:
        """The part after those that are finished."""
        return Encoder(self._path(len(self.finished())), coding)

    def release(self) -> None:
        """Let others use the folder; it stays for the next time."""
        self._lock.release()

    def remove(self) -> None:
        """Throw the folder away: the film is written."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:05}.nut"


def _finished(path: Path) -> Part | None:
    """The part in that file; None where it is not whole, as after a power cut."""
    try:
        times = json.loads(path.with_suffix(".json").read_text())
        return Part(path, tuple((a, b) for a, b in times)) if path.stat().st_size else None
    except (OSError, ValueError):
        return None


def begun(folder: Path, work: Mapping[str, object]) -> Mapping[str, object] | None:
    """What the run settled that has begun this work; None where none has."""
    try:
        known = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):  # not there, or torn
        known = {}
    same = known.get("work") == json.loads(json.dumps(work))
    return dict(known["settled"]) if same else None


def takes_deep(suffix: str) -> bool:
    """Whether a film of that suffix can have 10 bits here; VP9 is built without, mostly."""
    if suffix not in CODECS:
        return False
    codec = required("av").Codec(CODECS[suffix][0], "w")
    return any(layout.name == "yuv420p10le" for layout in codec.video_formats)


@contextmanager
def encoding(path: Path) -> Iterator[None]:
    """Turn what FFmpeg and the operating system say while ``path`` is written into BadOutput."""
    av = required("av")
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise BadOutput(f"Cannot write {str(path)!r}: {error.strerror or error}.") from error


def packets(part: Part) -> list[Any]:
    """The encoded frames of a part in the order in which they are decoded."""
    with av_open(part.path) as file:
        return [packet for packet in file.demux(file.streams.video[0]) if packet.size]


def shown(part: Part, found: list[Any]) -> list[tuple[int, int]]:
    """When each packet is shown and how long: by rank, whatever the container made of the times."""
    order = sorted(range(len(found)), key=lambda index: found[index].pts)
    times: list[tuple[int, int]] = [(0, 0)] * len(found)
    for rank, index in enumerate(order):
        times[index] = part.times[rank]
    return times


def pictures(parts: Sequence[Part]) -> Iterator[NDArray[np.uint8]]:
    """The frames of lossless parts, one after the other.  ->  (H, W, 4)"""
    for part in parts:
        with av_open(part.path) as file:
            for frame in file.decode(video=0):
                yield frame.to_ndarray(format="rgba")
