"""Stability: what a film paints stays on the things it was painted on, by optical flow.

Ruder, Dosovitskiy & Brox 2016, arXiv:1604.08610: the last painting, moved along with the film,
goes into the next one wherever the flow holds there and back (eq. (3) and (4)). Flow by dense
inverse search: Kroeger et al. 2016, arXiv:1603.03590, as OpenCV has it.

Differs: nothing is optimised; painting and moved painting are blended, and the blend gets back the
contrast that an average of two textures loses.

Pictures here are arrays (H, W, 3), float32, sRGB in [0, 1]; a flow is (H, W, 2), pixels (x, y):
where each pixel of the new picture was in the old one.
"""

from collections.abc import Sequence
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

LOST = 0.6
"""So is a frame of which the flow explains less than this share."""

FAINT = 0.02
"""Lightness by which a moved frame may differ from the new one before its painting is doubted."""


SMALLEST = 16
"""Frames with a shorter side are too small to find flow in, pixels."""

OCTAVES = 3
"""Octaves of detail that are given back their contrast."""

FLAT = 1e-5
"""Energy of detail below which a place is flat, and nothing is strengthened."""

MOST = 1.5
"""Most by which detail is strengthened."""


@dataclass(frozen=True)
class Motion:
    """How a frame came out of the last one."""

    flow: Map
    """(H, W, 2), pixels, at the size at which it was looked for"""
    trust: Map
    """(H, W), [0, 1]: 0 where something new has come into sight"""


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


def motion(new: Grey, old: Grey) -> Motion | None:
    """How ``new`` came out of ``old``; None where it did not: there was a cut.

    new, old: see ``grey``
    """
    if new.shape != old.shape or min(new.shape) < SMALLEST or likeness(new, old) < CUT:
        return None
    back, forth = flow(new, old), flow(old, new)
    trust = consistent(back, forth) * alike(new, old, back)
    return Motion(back, trust) if float(trust.mean()) > 1 - LOST else None


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
    share: Map = np.exp(-np.square(np.maximum(gap - FAINT, 0) / 0.06)).astype(np.float32)
    return share


def likeness(new: Grey, old: Grey) -> float:
    """What the histograms of two frames have in common, [0, 1]."""
    bins = [np.bincount(x.ravel() >> 4, minlength=16) / x.size for x in (new, old)]
    return float(np.minimum(*(np.convolve(b, (0.25, 0.5, 0.25), "same") for b in bins)).sum())


def at_size(found: Motion, height: int, width: int) -> Motion:
    """The same motion for a larger picture."""
    import cv2

    h, w = found.trust.shape
    if (h, w) == (height, width):
        return found
    scale = np.array([width / w, height / h], np.float32)
    large, trust = (
        _map(cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR))
        for x in (found.flow * scale, found.trust)
    )
    return Motion(large, trust)


class Stabiliser:
    """Blends every painting with the last one, moved along; remembers one picture."""

    def __init__(self, stable: float, last: Map | None = None) -> None:
        """``stable``: 0 paints frame by frame, 1 keeps what was painted as long as it is seen."""
        self.stable, self.last = stable, last

    def __call__(self, painted: Map, found: Motion | None) -> Map:
        """The painting of the next frame.  found: None after a cut, which begins anew"""
        if self.stable > 0 and found is not None and self.last is not None:
            painted = held(painted, self.last, found, self.stable)
        self.last = painted
        return painted


def held(painted: Map, last: Map, found: Motion, stable: float) -> Map:
    """The painting blended with the last one, moved along.  (H, W, 3)  ->  (H, W, 3), [0, 1]"""
    import cv2

    found = at_size(found, *painted.shape[:2])
    share = np.float32(stable) * found.trust  # (H, W)
    blend = _map(cv2.blendLinear(warp(last, found.flow), painted, share, 1 - share))
    return contrasted(blend, painted)


def contrasted(blend: Map, painted: Map) -> Map:
    """The blend with the local contrast of the painting, of which averaging took some.

    Octave by octave, on a pyramid (Burt & Adelson 1983); how much is seen in lightness.

    (H, W, 3), (H, W, 3)  ->  (H, W, 3), [0, 1]
    """
    import cv2

    light, wanted = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (blend, painted))
    gains = _gains(_map(light), _map(wanted), OCTAVES)
    result = _strengthened(blend, gains)
    return np.clip(result, 0, 1, out=result)


def _gains(blend: Map, painted: Map, octaves: int) -> list[Map]:
    """How much each octave of the blend lacks, fine ones first.

    (H, W), (H, W)  ->  (H/2, W/2), (H/4, W/4) ...: energy is smooth, so half the size does
    """
    import cv2

    height, width = blend.shape
    if octaves == 0 or min(height, width) < SMALLEST:
        return []
    small, wanted = _map(cv2.pyrDown(blend)), _map(cv2.pyrDown(painted))
    there = _energy(blend - _map(cv2.pyrUp(small, dstsize=(width, height))))
    own = _energy(painted - _map(cv2.pyrUp(wanted, dstsize=(width, height))))
    gain: Map = np.sqrt((own + FLAT) / (there + FLAT)).clip(1, MOST)
    return [gain, *_gains(small, wanted, octaves - 1)]


def _strengthened(picture: Map, gains: Sequence[Map]) -> Map:
    """The picture with each octave times its gain.  (H, W, 3)  ->  the same"""
    import cv2

    if not gains:
        return picture
    small, size = _map(cv2.pyrDown(picture)), (picture.shape[1], picture.shape[0])
    gain = _map(cv2.resize(gains[0], size, interpolation=cv2.INTER_LINEAR))
    # Away from the blurred picture, or towards it: fine detail is what lies between
    result = _map(cv2.blendLinear(picture, cv2.pyrUp(small, dstsize=size), gain, 1 - gain))
    result += _map(cv2.pyrUp(_strengthened(small, gains[1:]) - small, dstsize=size))
    return result


def _map(array: Any) -> Map:
    """What OpenCV gives, whose types say less than we know."""
    return np.asarray(array, np.float32)


def _energy(fine: Map) -> Map:
    """How much detail there is around each place.  (H, W)  ->  (H/2, W/2)"""
    import cv2

    size = (fine.shape[1] + 1) // 2, (fine.shape[0] + 1) // 2
    fine = np.square(fine, out=fine)
    return _map(cv2.blur(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), (5, 5)))
