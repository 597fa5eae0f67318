"""From paintings to the parts of a film: held steady, those between added, encoded."""

import time
from collections.abc import Iterator

from impasto.flow import Map
from impasto.frame_painter import integers
from impasto.keyframes import Keyframe
from impasto.media.video.frames import Frame
from impasto.media.video.parts import Coding, Encoder, Parts
from impasto.overlap import Behind
from impasto.steady import Stabiliser, between

DEPTH = 4
"""Paintings that may wait between two stages."""

PART_SECONDS, PART_WORK = 10.0, 60.0
"""A part is finished after so many seconds of film, or of work: no more is lost by a kill."""


def steadied(stabiliser: Stabiliser, key: Keyframe, painted: Map) -> Iterator[tuple[Frame, Map]]:
    """The frame with its painting, held steady; before it the one that lies between."""
    last, steady = stabiliser.last, stabiliser(painted, key.motion, key.count)
    if key.between is not None:
        assert last is not None  # what the frame between came out of
        moved = between(last, steady, key.between.back, key.between.forth)
        yield key.between.frame, moved
    yield key.frame, steady


class Writer:
    """Steadies paintings, adds what lies between and encodes it all, in a thread of its own."""

    def __init__(self, parts: Parts, coding: Coding, stable: float, last: Map | None) -> None:
        self.parts, self.coding = parts, coding
        self.stabiliser = Stabiliser(stable, last)
        self.count = 0
        self._start: Map | None = None
        self._encoder: Encoder | None = None
        self._begun = 0.0
        self._thread = Behind[tuple[Keyframe, Map, Map | None]](self._write, DEPTH)

    def put(self, key: Keyframe, painted: Map, start: Map | None = None) -> None:
        """Hand over a painting; waits while too many are waiting.

        start: what the painter goes on from behind it, where that is something else
        """
        self._thread.put((key, painted, start))

    def finish(self) -> None:
        """Wait until all are written, and finish the part.

        Raises what writing raised: then the part is not finished, for the next run goes on from a
        painted frame.
        """
        self.stop()
        self._thread.check()
        self._close()

    def stop(self) -> None:
        """Wait until all are written, and leave the part as it is."""
        self._thread.close()

    def _write(self, item: tuple[Keyframe, Map, Map | None]) -> None:
        key, painted, self._start = item
        for frame, steady in steadied(self.stabiliser, key, painted):
            self._encode(steady, frame)
        assert self._encoder is not None
        length = (key.frame.pts - self._encoder.times[0][0]) * self.coding.time_base
        # Behind a painted frame: the next run goes on from it.
        if length >= PART_SECONDS or time.perf_counter() - self._begun >= PART_WORK:
            self._close()

    def _encode(self, painted: Map, frame: Frame) -> None:
        if self._encoder is None:
            self._encoder, self._begun = self.parts.next(self.coding), time.perf_counter()
        pixels = integers(painted, frame, self.coding)
        self._encoder.write(pixels, frame.pts, frame.duration)
        self.count += 1

    def _close(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.close(self.stabiliser.last, self._start)
