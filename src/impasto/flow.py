"""Motion between the frames of a film, by optical flow.

Dense inverse search: Kroeger et al. 2016, arXiv:1603.03590, as OpenCV has it. What is occluded is
found as in Ruder, Dosovitskiy & Brox 2016, arXiv:1604.08610, eq. (3) and (4).

Pictures here are arrays (H, W, 3), float32, sRGB in [0, 1]; a flow is (H, W, 2), pixels (x, y):
where each pixel of the one picture is in the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Grey = NDArray[np.uint8]

FLOW_SIDE = 384
"""Long side at which flow is looked for, pixels: more costs time and finds no more."""

CUT = 0.5
"""Two frames whose histograms share less than this are different scenes."""

EXPLAINED = 0.4
"""So is a frame of which the flow explains less than this share."""

FAINT = 0.02
"""Lightness by which a moved frame may differ from the new one before its painting is doubted."""

DOUBTED = 0.06
"""Lightness beyond that by which trust falls to 1 / e."""

BEFORE = 0.8
"""Share of what was before, between two pictures: what holds is sharper than what fades."""

NOTHING = 1e-3
"""Trust that is none, so that something is seen where there is no other."""

SMALLEST = 16
"""Frames with a shorter side are too small to find flow in, pixels."""


@dataclass(frozen=True)
class Motion:
    """Where each pixel of a frame is in another: how it came out of that, or where it went."""

    flow: Map
    """(H, W, 2), pixels, at the size at which it was looked for"""
    trust: Map
    """(H, W), [0, 1]: 0 where the other does not show it"""


def grey(frame: NDArray[Any], long_side: int = FLOW_SIDE) -> Grey:
    """What flow is looked for in.  (H, W, 3), integers or floats in [0, 1]  ->  (h, w), uint8"""
    import cv2

    height, width = frame.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    light: Any = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    small = light if scale == 1 else cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    white = 1 if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max
    levels: Grey = np.rint(small.clip(0, white) * (255 / white)).astype(np.uint8)
    return levels


def motions(new: Grey, old: Grey) -> tuple[Motion, Map] | None:
    """How ``new`` came out of ``old``, and where ``old`` is in ``new``; None after a cut.

    new, old: see ``grey``
    """
    if new.shape != old.shape or min(new.shape) < SMALLEST or likeness(new, old) < CUT:
        return None
    back, forth = flow(new, old), flow(old, new)
    came = trusted(back, forth, new, old)
    return None if float(came.trust.mean()) < EXPLAINED else (came, forth)


def trusted(moved: Map, other: Map, here: Grey, there: Grey) -> Motion:
    """Where each pixel of ``here`` is in ``there``, trusted as far as that holds.

    other: the flow the other way
    """
    return Motion(moved, consistent(moved, other) * alike(here, there, moved))


def composed(later: Motion, earlier: Motion) -> Motion:
    """How a frame came out of the one before the last.

    later: out of the last one; earlier: that one out of the one before
    """
    there = warp(np.dstack([earlier.flow, earlier.trust]), later.flow)  # (H, W, 3)
    return Motion(later.flow + there[..., :2], later.trust * there[..., 2].clip(0, 1))


def flow(new: Grey, old: Grey) -> Map:
    """Where each pixel of ``new`` was in ``old``.  (H, W), (H, W)  ->  (H, W, 2)

    To a sixth of a pixel. To a tenth takes five times as long, and films are no steadier for it.
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found: Any = search.calc(new, old, np.zeros((*new.shape, 2), np.float32))
    moved: Map = np.asarray(found, np.float32)
    return moved


def warp(picture: Map, moved: Map) -> Map:
    """The old picture as it looks now, cubic.  (H, W, C), (H, W, 2)  ->  (H, W, C)"""
    import cv2

    x, y = origins(moved)
    result: Map = np.asarray(
        cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    return result


def origins(moved: Map) -> tuple[Map, Map]:
    """The places, x and y, at which each pixel was.  (H, W, 2)  ->  (H, W), (H, W)"""
    height, width = moved.shape[:2]
    across = np.arange(width, dtype=np.float32)
    down = np.arange(height, dtype=np.float32)[:, None]
    return moved[..., 0] + across, moved[..., 1] + down


def consistent(back: Map, forth: Map) -> Map:
    """1 where going back and forth ends where it began, and nothing comes into sight.

    Ruder et al. 2016, eq. (3): occlusion where |w + w'|^2 > 0.01 (|w|^2 + |w'|^2) + 0.5. Also 0
    where a pixel was outside the frame.  (H, W, 2), (H, W, 2)  ->  (H, W), 0 or 1
    """
    there = warp(forth, back)
    gap, size = _length(back + there), _length(back) + _length(there)
    height, width = back.shape[:2]
    x, y = origins(back)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    held: Map = ((gap <= 0.01 * size + 0.5) & inside).astype(np.float32)
    return held


def _length(moved: Map) -> Map:
    """Squared.  (H, W, 2)  ->  (H, W)"""
    length: Map = moved[..., 0] ** 2 + moved[..., 1] ** 2
    return length


def alike(new: Grey, old: Grey, back: Map) -> Map:
    """How well the moved old frame explains the new one.  ->  (H, W), [0, 1]"""
    import cv2

    moved = warp(old.astype(np.float32), back)
    gap = cv2.blur(np.abs(moved - new.astype(np.float32)), (5, 5)) / 255
    share: Map = np.exp(-np.square(np.maximum(gap - FAINT, 0) / DOUBTED)).astype(np.float32)
    return share


def likeness(new: Grey, old: Grey) -> float:
    """What the histograms of two frames have in common, [0, 1]."""
    bins = [np.bincount(x.ravel() >> 4, minlength=16) / x.size for x in (new, old)]
    bins = [np.convolve(np.pad(b, 1, "symmetric"), (0.25, 0.5, 0.25), "valid") for b in bins]
    return float(np.minimum(*bins).sum())


def faded(old: Map, new: Map, back: Motion, forth: Motion) -> Map:
    """What a frame between two pictures shows of both, which are moved to it already.

    back: how the frame came out of the old one; forth: where it is in the new one. Each counts as
    far as it can be trusted, the old one four times as much.  (H, W, ...)  ->  the same
    """
    import cv2

    before, after = BEFORE * (back.trust + NOTHING), (1 - BEFORE) * (forth.trust + NOTHING)
    share = before / (before + after)  # (H, W)
    return as_map(cv2.blendLinear(old, new, share, 1 - share))


def at_size(found: Motion, height: int, width: int) -> Motion:
    """The same motion for a larger picture."""
    import cv2

    h, w = found.trust.shape
    if (h, w) == (height, width):
        return found
    scale = np.array([width / w, height / h], np.float32)
    large, trust = (
        as_map(cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR))
        for x in (found.flow * scale, found.trust)
    )
    return Motion(large, trust)


def as_map(array: Any) -> Map:
    """What OpenCV gives, whose types say less than we know."""
    return np.asarray(array, np.float32)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """OpenCV without threads of its own, in the whole process: all processors have frames."""
    import cv2

    count = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(count)
