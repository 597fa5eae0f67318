"""Frames as numbers: what is painted, and what is encoded."""

from fractions import Fraction

import numpy as np
import pytest

from impasto.frame_painter import integers
from impasto.media.video.colours import Colours
from impasto.media.video.frames import Frame
from impasto.media.video.parts import Coding

pytest.importorskip("cv2")


@pytest.mark.parametrize("deep", [False, True])
def test_levels_are_rounded_and_kept_within(deep: bool) -> None:
    white = 65535 if deep else 255
    painted = np.array([[[0.0, 1.0, 0.4 / white], [0.6 / white, -0.3, 1.2]]], np.float32)
    coding = Coding(".mp4", 2, 1, Fraction(1, 25), Colours(), deep)
    levels = integers(painted, Frame(np.zeros((1, 2, 3), np.uint8), 0, 1), coding)
    assert levels.dtype == (np.uint16 if deep else np.uint8)
    assert levels.tolist() == [[[0, white, 0], [1, 0, white]]]


def test_what_is_transparent_is_white_in_a_film() -> None:
    alpha = np.array([[0, 255]], np.uint8)
    frame = Frame(np.zeros((1, 2, 3), np.uint8), 0, 1, alpha)
    coding = Coding(".mp4", 2, 1, Fraction(1, 25), Colours())
    levels = integers(np.zeros((1, 2, 3), np.float32), frame, coding)
    assert levels[0, 0].tolist() == [255] * 3 and levels[0, 1].tolist() == [0] * 3
