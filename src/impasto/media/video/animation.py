"""Animations in and out: GIF, WebP and APNG, with their times, transparency and loops."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from impasto.errors import BadPicture
from impasto.files import replacing
from impasto.media.decode import OPENERS, check_size, decoding
from impasto.media.video.colours import RGB, Colours
from impasto.media.video.frames import Film, Frame, OnNotice, Span

KINDS = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG", ".png": "PNG"}
"""What can be written, by suffix."""

SHORTEST = 20
"""Milliseconds: what a GIF asks to be shown for less is shown for 100, by every browser."""

LONGEST = 655_350
"""Milliseconds that a GIF can show a frame at most."""

DEFAULT = 100
"""Milliseconds that a frame without a duration is shown."""

TICK = Fraction(1, 1000)


def facts(path: Path) -> Film | None:
    """What is known of an animation; None when the file is none of the three kinds.

    Raises BadPicture for a picture that does not move, and for a damaged one.
    """
    kind = _kind(path)
    if kind is None:
        return None
    with path.open("rb") as file, decoding(str(path)):
        picture = OPENERS[kind](file, str(path))
        check_size(picture.size, str(path))
        count = _count(picture)
        if count < 2:
            raise BadPicture(f"{path} is one picture, not a film: impasto stylize paints it.")
        loops = int(picture.info.get("loop", 1 if kind == "GIF" else 0))
        return Film(path, *picture.size, TICK, Colours(RGB), frames=count, loops=loops)


def _count(picture: Image.Image) -> int:
    """How many pictures there are; of a file that is cut short, those that can be read."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # whatever Pillow's readers come upon
        count = 1
        with suppress(Exception):
            while True:
                picture.seek(count)
                count += 1
        return count


def frames(film: Film, span: Span, after: int | None, on_notice: OnNotice) -> Iterator[Frame]:
    """Every frame of a span, those after the tick ``after`` only; a damaged rest is left out."""
    start, stop = span.inside(film)
    kind = _kind(film.path)
    assert kind is not None
    clock = 0
    with film.path.open("rb") as file:
        with decoding(str(film.path)):
            turns = iter(ImageSequence.Iterator(OPENERS[kind](file, str(film.path))))
        while (found := _next(turns, on_notice)) is not None and clock < stop:
            pixels, duration = found
            if clock >= start and (after is None or clock > after):
                alpha = pixels[..., 3]
                clear = np.ascontiguousarray(alpha) if (alpha < 255).any() else None
                yield Frame(np.ascontiguousarray(pixels[..., :3]), clock, duration, clear)
            clock += duration


def _next(turns: Iterator[Any], on_notice: OnNotice) -> tuple[NDArray[np.uint8], int] | None:
    """The next picture, (H, W, 4), and its milliseconds."""
    try:
        with decoding("the animation"):
            picture = next(turns, None)
            if picture is None:
                return None
            pixels = np.array(picture.convert("RGBA"))
            return pixels, max(1, round(float(picture.info.get("duration", 0)) or DEFAULT))
    except BadPicture as error:
        on_notice(f"The animation is painted as far as it goes: {error}")
        return None


class Pictures:
    """Pictures one by one, as often as they are asked for: Pillow goes through APNG twice."""

    def __init__(self, decode: Callable[[], Iterator[NDArray[np.uint8]]]) -> None:
        """``decode`` gives them from the first, (H, W, 4)."""
        self.decode = decode
        self.opaque = not any((pixels[..., 3] < 255).any() for pixels in decode())

    def __iter__(self) -> Iterator[Image.Image]:
        for pixels in self.decode():
            yield Image.fromarray(pixels[..., :3] if self.opaque else pixels)


class _Rest:
    """All but the first."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __iter__(self) -> Iterator[Image.Image]:
        return islice(iter(self.pictures), 1, None)


class _Turning:
    """All but the first as one picture that turns into the next.

    Pillow makes a list of the pictures of a WebP, which of a film would be gigabytes, but goes
    through one of several frames as ``ImageSequence`` does.
    """

    def __init__(self, pictures: Pictures, count: int) -> None:
        self.n_frames, self._left = count, iter(_Rest(pictures))
        self._now: Image.Image | None = None

    def seek(self, _: int) -> None:
        self._now = next(self._left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)


def write(pictures: Pictures, durations: list[int], loops: int, path: Path) -> None:
    """Write an animation, all of it or nothing.

    durations: milliseconds; loops: how often it is shown, 0 for ever

    Raises BadOutput.
    """
    kind = KINDS[path.suffix.lower()]
    first = next(iter(pictures))
    settings: dict[str, Any] = {"duration": durations if len(durations) > 1 else durations[0]}
    if kind == "GIF":
        settings |= {"duration": hundredths(durations), "disposal": 2, "optimize": False}
    if kind == "WEBP":
        settings |= {"quality": 90, "method": 2}
    if kind != "GIF" or loops != 1:  # a GIF without the word is shown once
        settings["loop"] = loops
    more: Any = _Rest(pictures)
    if kind == "WEBP":
        more = [_Turning(pictures, len(durations) - 1)] if len(durations) > 1 else []
    with replacing(path) as file:
        first.save(file, kind, save_all=True, append_images=more, **settings)


def hundredths(durations: list[int]) -> list[int]:
    """Durations in whole hundredths of a second, as GIF has them, without drifting away."""
    ends = np.rint(np.cumsum(durations) / 10).astype(int) * 10
    steps = np.diff(ends, prepend=0)
    return [min(LONGEST, max(SHORTEST, int(step))) for step in steps]


def _kind(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if head[:4] == b"GIF8":
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return "PNG" if head[:8] == b"\x89PNG\r\n\x1a\n" else None
