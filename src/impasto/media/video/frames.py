"""What a film is made of, whatever file it comes from: frames with their times, and its facts."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import BadInput
from impasto.media.video.colours import Colours

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W, 3), RGB, the right way up; all levels of the type are used."""

OnNotice = Callable[[str], None]
"""Told in one line what people ought to know."""


@dataclass(frozen=True)
class Frame:
    """A picture of a film."""

    pixels: Pixels
    pts: int
    """When it is shown, in ticks of the film's time base"""
    duration: int
    """How long, in ticks; 0 where the film does not say"""
    alpha: NDArray[np.uint8] | None = None
    """(H, W); None when nothing is transparent"""


@dataclass(frozen=True)
class Film:
    """What is known of a film before it is decoded."""

    path: Path
    width: int
    height: int
    """As it is looked at, the right way up"""
    time_base: Fraction
    """Seconds of a tick"""
    colours: Colours
    deep: bool = False
    """Whether it has more than 8 bits"""
    frames: int | None = None
    """About how many"""
    seconds: float | None = None
    origin: float = 0.0
    """Seconds at which the clock of the file begins"""
    aspect: Fraction = Fraction(1)
    """Width of a pixel over its height"""
    loops: int | None = None
    """How often an animation is shown, 0 for ever; None: this is none, but a film"""

    def ticks(self, seconds: float) -> int:
        """A time of the film's clock in ticks of the file's."""
        return round((seconds + self.origin) / self.time_base)


@dataclass(frozen=True)
class Span:
    """The part of a film from ``start`` until before ``stop``, in seconds."""

    start: float | None = None
    stop: float | None = None

    def inside(self, film: Film) -> tuple[int, int]:
        """The first tick that belongs to it, and the first after it."""
        start = -(2**62) if self.start is None else film.ticks(self.start)
        return start, 2**62 if self.stop is None else film.ticks(self.stop)


def av_open(path: Path | str, mode: str = "r", **options: Any) -> Any:
    """A file as FFmpeg opens it: absolute, for it takes a name with a colon for an address.

    Raises av.FFmpegError, and BadInput where the extra is missing.
    """
    return required("av").open(str(Path(path).absolute()), mode, **options)


def required(package: str) -> Any:
    """A package of the extra ``video``.

    Raises BadInput, with what to install, when it is not there.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise BadInput(
            "Films need packages that are not installed: pip install 'impasto[video]'."
        ) from error
