"""Which frames of a film are painted, and how they came out of one another.

Where a film moves so that a frame can be made of the paintings before and after it, that is what
happens with every second one: it takes half the time, and flickers less than a painting of its own
(docs/films.md has the measurements). At a cut, and where anything moves faster than flow can
follow, all frames are painted: it would come and go from frame to frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from impasto.flow import Grey, Map, Motion, as_map, composed, faded, grey, motions, trusted, warp
from impasto.media.video.frames import Frame

EVERY = 2
"""How many frames there are to a painted one, at most."""

PLACE = 20
"""A place is a square; so many of its sides make the long side of the frame."""

WRONG = 0.1
"""Lightness, mean over a place, by which what is moved may differ from the frame."""

TORN = 0.045
"""The same where no flow is trusted: what is wrong there is in shreds, not only elsewhere."""

TRUSTED = 0.3
"""Trust from which on a flow is."""


@dataclass(frozen=True)
class Between:
    """A frame that is not painted."""

    frame: Frame
    back: Motion
    """How it came out of the painted frame before it"""
    forth: Motion
    """Where it is in the painted frame after it"""


@dataclass(frozen=True)
class Keyframe:
    """A frame to be painted, how it came out of the last painted one, and what lies between."""

    frame: Frame
    motion: Motion | None
    """None at a cut"""
    between: Between | None = None

    @property
    def count(self) -> int:
        """How many frames it stands for."""
        return 1 if self.between is None else 2


@dataclass(frozen=True)
class _Seen:
    """A frame, how it came out of the last one, and where that is in it; None at a cut."""

    frame: Frame
    look: Grey
    last: Grey | None
    motions: tuple[Motion, Map] | None

    def painted(self) -> Keyframe:
        return Keyframe(self.frame, None if self.motions is None else self.motions[0])


def keyframes(
    frames: Iterable[Frame], stable: float, after: int | None = None, every: int = EVERY
) -> Iterator[Keyframe]:
    """The frames to be painted, with their motion.

    stable: 0 paints every frame, and looks for no motion
    after: frames up to that tick are only looked at, for the motion from the last of them
    every: 1 paints every frame, 2 every second one where the motion is such that one can
    """
    if stable == 0:
        yield from (Keyframe(frame, None) for frame in frames if after is None or frame.pts > after)
        return
    last: Grey | None = None
    waiting: _Seen | None = None  # whether it is painted depends on the next one
    for frame in frames:
        look = grey(frame.pixels)
        if after is not None and frame.pts <= after:
            last = look
            continue
        seen = _Seen(frame, look, last, None if last is None else motions(look, last))
        last = look
        if waiting is not None:
            joined = _joined(waiting, seen)
            yield joined or waiting.painted()
            waiting = None
            if joined is not None:
                continue
        if every > 1 and seen.motions is not None:
            waiting = seen
        else:
            yield seen.painted()
    if waiting is not None:
        yield waiting.painted()


def _joined(between: _Seen, seen: _Seen) -> Keyframe | None:
    """The later of two frames with the earlier between; None where that has to be painted."""
    if between.last is None or between.motions is None or seen.motions is None:
        return None
    back, (later, forward) = between.motions[0], seen.motions
    forth = trusted(forward, later.flow, between.look, seen.look)
    old, new = warp(light(between.last), back.flow), warp(light(seen.look), forth.flow)
    gap = np.abs(faded(old, new, back, forth) - light(between.look))
    lost = np.maximum(back.trust, forth.trust) < TRUSTED
    if worst(gap) > WRONG or worst(np.where(lost, gap, np.float32(0))) > TORN:
        return None
    return Keyframe(seen.frame, composed(later, back), Between(between.frame, back, forth))


def worst(gap: Map) -> float:
    """How far a moved frame is from the one it stands for, in the worst place.  (H, W)  ->  [0, 1]

    Something small and fast is gone from it, and would come and go from frame to frame.
    """
    import cv2

    side = max(1, max(gap.shape) // PLACE)
    return float(as_map(cv2.blur(gap, (side, side), borderType=cv2.BORDER_REPLICATE)).max())


def light(look: Grey) -> Map:
    """[0, 1]"""
    return look.astype(np.float32) / np.float32(255)
