"""Raw frames in, raw frames out: between two programs that know films."""

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import chain
from typing import BinaryIO

import numpy as np

from impasto.errors import BadInput
from impasto.film_job import blended, check_recipe, prepared
from impasto.frame_painter import FramePainter, as_tensor, integers
from impasto.keyframes import keyframes
from impasto.media.video.colours import Colours
from impasto.media.video.frames import Frame, OnNotice, required
from impasto.media.video.parts import Coding
from impasto.overlap import ahead
from impasto.recipe import Recipe
from impasto.steady import Stabiliser


def paint_stream(
    recipe: Recipe,
    size: tuple[int, int],
    source: BinaryIO,
    sink: BinaryIO,
    stable: float,
    on_notice: OnNotice,
) -> int:
    """Paint frames of 3 x 8 bits as they come, and say how many there were.

    size: (height, width) of a frame; stable: see ``film.paint_film``

    Frames are handed on at once, one by one. Raises BadInput where there is not one whole frame.
    """
    check_recipe(recipe, stable)
    required("cv2")
    frames = raw_frames(source, size, on_notice)
    first = next(frames, None)
    if first is None:
        raise BadInput(f"Standard input held no frame of {size[1]} x {size[0]} x 3 bytes.")
    job = prepared(recipe, as_tensor(first.pixels))
    for text in job.notices:
        on_notice(text)
    painter, stabiliser = FramePainter(job), Stabiliser(blended(job, stable))
    coding = Coding(".mp4", *size[::-1], Fraction(1), Colours())
    count = 0
    with closing(ahead(keyframes(chain([first], frames), stable, every=1), 1)) as ready:
        for key in ready:
            (painted,) = painter([key.frame.pixels], key.motion)
            pixels = integers(stabiliser(painted, key.motion), key.frame, coding)
            sink.write(np.ascontiguousarray(pixels).tobytes())
            sink.flush()
            count += 1
    return count


def raw_frames(source: BinaryIO, size: tuple[int, int], on_notice: OnNotice) -> Iterator[Frame]:
    """Frames as they lie in a stream; half a frame at the end is left out, and told of."""
    length, count = size[0] * size[1] * 3, 0
    while data := source.read(length):
        if len(data) < length:
            on_notice(f"Half a frame after {count} whole ones is left out: is the size right?")
            return
        yield Frame(np.frombuffer(data, np.uint8).reshape(*size, 3), count, 1)
        count += 1
