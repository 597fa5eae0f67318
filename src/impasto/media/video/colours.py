"""Colour of films: what their tags say, and the way between YUV and the RGB that is painted.

The numbers are those of ITU-T H.273. Where a film does not say, it is taken for what players take
it for: BT.709 when it is large, BT.601 when it is small. HDR (PQ, HLG, BT.2020) becomes BT.709:
the colours of a painting know no light brighter than white.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BT709, UNSPECIFIED, BT601, BT2020, RGB = 1, 2, 6, 9, 0
LIMITED, FULL = 1, 2
HDR = (14, 15, 16, 18)
"""Transfers of BT.2020 (10 and 12 bits), PQ and HLG."""

MATRICES = (1, 4, 5, 6, 7)
"""Matrices of SDR that are kept."""

LARGE = (1280, 577)
"""Width or height from which a film that does not say is BT.709."""


@dataclass(frozen=True)
class Colours:
    """The tags of a film: matrix, range, primaries and transfer as numbers of H.273."""

    matrix: int = BT709
    range: int = LIMITED
    primaries: int = BT709
    transfer: int = BT709

    @property
    def wide(self) -> bool:
        """Whether it is HDR or BT.2020, which is converted."""
        return self.transfer in HDR or self.primaries == BT2020

    @property
    def painted(self) -> "Colours":
        """The tags of what is written: those of the film, or BT.709 where it is converted."""
        if self.wide or self.matrix not in MATRICES:
            return Colours(range=LIMITED if self.matrix == RGB else self.range)
        return self


def of_frame(frame: Any) -> Colours:
    """The tags of a decoded frame, with what players assume where it does not say."""
    large = frame.width >= LARGE[0] or frame.height >= LARGE[1]
    matrix, full = frame.colorspace, frame.color_range == FULL or "j" in frame.format.name
    if frame.format.is_rgb:
        matrix = RGB
    elif matrix in (RGB, UNSPECIFIED):
        matrix = BT709 if large else BT601
    same = BT709 if matrix == BT709 else matrix if matrix in (5, 6) else UNSPECIFIED
    primaries, transfer = frame.color_primaries, frame.color_trc
    return Colours(
        matrix,
        FULL if full else LIMITED,
        same if primaries in (0, UNSPECIFIED) else primaries,
        (BT601 if same == 5 else same) if transfer in (0, UNSPECIFIED) else transfer,
    )


def reformatter() -> Any:
    """What converts frames: to be kept for a film, since it prepares for the first for a second."""
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def to_rgb(
    frame: Any,
    colours: Colours,
    deep: bool,
    size: tuple[int, int] | None = None,
    shape: Any = None,
) -> NDArray[Any]:
    """A decoded frame as RGB.  ->  (H, W, 3), uint8, or uint16 where ``deep``

    size: width and height, where they are not to be those of the frame
    shape: a ``reformatter`` of frames that are alike, which are converted sooner with it
    """
    if colours.matrix != RGB:
        frame.colorspace, frame.color_range = colours.matrix, colours.range
    wide = {"dst_color_trc": BT709, "dst_color_primaries": BT709} if colours.wide else {}
    kind = "rgb48le" if deep else "rgb24"
    done = (shape or reformatter()).reformat(
        *(frame, *(size or ())),
        format=kind,
        dst_color_range=FULL,
        interpolation=_exact(deep),
        **wide,
    )
    pixels: NDArray[Any] = done.to_ndarray()
    return pixels


def from_rgb(pixels: NDArray[Any], colours: Colours, layout: str, shape: Any = None) -> Any:
    """An RGB or RGBA array as a frame ready to be encoded in ``layout``, such as yuv420p.

    shape: a ``reformatter`` of frames that are alike
    """
    import av

    kind = "rgba" if pixels.shape[2] == 4 else "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), kind)
    shape = shape or reformatter()
    if layout == "bgra":
        return shape.reformat(frame, format=layout)
    matrix = 5 if colours.matrix == BT601 else colours.matrix  # as swscale calls it
    done = shape.reformat(
        frame,
        format=layout,
        dst_colorspace=matrix,
        dst_color_range=colours.range,
        interpolation=_exact(pixels.dtype == np.uint16),
    )
    tag(done, colours)
    return done


def tag(thing: Any, colours: Colours) -> None:
    """Write the tags on a frame or an encoder."""
    thing.colorspace, thing.color_range = colours.matrix, colours.range
    thing.color_primaries, thing.color_trc = colours.primaries, colours.transfer


def _exact(deep: bool = False) -> int:
    """Exact rounding; chroma between its samples linear, which is 0.1 levels of 255 from cubic.

    deep: cubic; FFmpeg 8 makes wrong colours of 4:2:0 in 16 bits if linear, a fifth off on average
    """
    from av.video.reformatter import Interpolation

    between = Interpolation.BICUBIC if deep else Interpolation.BILINEAR
    exact: int = between | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return exact
