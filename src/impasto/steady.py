"""Stability: what a film paints stays on the things it was painted on.

Ruder, Dosovitskiy & Brox 2016, arXiv:1604.08610: the last painting, moved along with the film,
goes into the next one wherever the flow holds there and back (eq. (3) and (4)).

Differs: nothing is optimised; painting and moved painting are blended, and the blend gets back the
contrast that an average of two textures loses. Frames between two paintings are not painted at all:
what was painted before and after them is moved to where they show it.

Pictures here are arrays (H, W, 3), float32, sRGB in [0, 1].
"""

from collections.abc import Sequence

import numpy as np

from impasto.flow import SMALLEST, Map, Motion, as_map, at_size, faded, warp

OCTAVES = 4
"""Octaves of detail that are given back their contrast."""

FLAT = 1e-5
"""Energy of detail below which a place is flat, and nothing is strengthened."""

MOST = 2.0
"""Most by which detail is strengthened."""

MORE = 1.1
"""How much of the lack is given back: with 1, the finest detail comes out 2 % short (measured)."""


class Stabiliser:
    """Blends every painting with the last one, moved along; remembers one picture."""

    def __init__(self, stable: float, last: Map | None = None) -> None:
        """``stable``: 0 paints frame by frame, 1 keeps what was painted as long as it is seen."""
        self.stable, self.last = stable, last

    def __call__(self, painted: Map, found: Motion | None, frames: int = 1) -> Map:
        """The painting of a frame.

        found: how it came out of the last painted one; None after a cut, which begins anew
        frames: how many later it is; what was painted counts for less from frame to frame
        """
        share = self.stable**frames
        if share > 0 and found is not None and self.last is not None:
            painted = held(painted, self.last, found, share)
        self.last = painted
        return painted


def held(painted: Map, last: Map, found: Motion, stable: float) -> Map:
    """The painting blended with the last one, moved along.  (H, W, 3)  ->  (H, W, 3), [0, 1]"""
    import cv2

    found = at_size(found, *painted.shape[:2])
    share = np.float32(stable) * found.trust  # (H, W)
    blend = as_map(cv2.blendLinear(warp(last, found.flow), painted, share, 1 - share))
    return contrasted(blend, painted)


def between(before: Map, after: Map, back: Motion, forth: Motion) -> Map:
    """What a frame shows of the paintings before and after it.  (H, W, 3)  ->  (H, W, 3), [0, 1]

    back: how the frame came out of the one before; forth: where it is in the one after
    """
    back, forth = (at_size(found, *before.shape[:2]) for found in (back, forth))
    old, new = warp(before, back.flow), warp(after, forth.flow)
    return contrasted(faded(old, new, back, forth), new)


def contrasted(blend: Map, painted: Map) -> Map:
    """The blend with the local contrast of the painting, of which averaging took some.

    Octave by octave, on a pyramid (Burt & Adelson 1983); how much is seen in lightness.

    (H, W, 3), (H, W, 3)  ->  (H, W, 3), [0, 1]
    """
    import cv2

    light, wanted = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (blend, painted))
    gains = _gains(as_map(light), as_map(wanted), OCTAVES)
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
    small, wanted = as_map(cv2.pyrDown(blend)), as_map(cv2.pyrDown(painted))
    there = _energy(blend - as_map(cv2.pyrUp(small, dstsize=(width, height))))
    own = _energy(painted - as_map(cv2.pyrUp(wanted, dstsize=(width, height))))
    lack = np.sqrt((own + FLAT) / (there + FLAT)) - 1
    gain: Map = (1 + MORE * lack).clip(1, MOST)
    return [gain, *_gains(small, wanted, octaves - 1)]


def _strengthened(picture: Map, gains: Sequence[Map]) -> Map:
    """The picture with each octave times its gain.  (H, W, 3)  ->  the same"""
    import cv2

    if not gains:
        return picture
    small, size = as_map(cv2.pyrDown(picture)), (picture.shape[1], picture.shape[0])
    gain = as_map(cv2.resize(gains[0], size, interpolation=cv2.INTER_LINEAR))
    # Away from the blurred picture, or towards it: fine detail is what lies between
    result = as_map(cv2.blendLinear(picture, cv2.pyrUp(small, dstsize=size), gain, 1 - gain))
    result += as_map(cv2.pyrUp(_strengthened(small, gains[1:]) - small, dstsize=size))
    return result


def _energy(fine: Map) -> Map:
    """How much detail there is around each place.  (H, W)  ->  (H/2, W/2)"""
    import cv2

    size = (fine.shape[1] + 1) // 2, (fine.shape[0] + 1) // 2
    fine = np.square(fine, out=fine)
    return as_map(cv2.blur(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), (5, 5)))
