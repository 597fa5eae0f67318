"""How steady a painted film is: its warping error under motion that is known exactly.

A photo is panned, zoomed and turned; where each pixel was in the frame before is then a matter of
arithmetic. Lai et al. 2018, arXiv:1808.00449, section 4.2, with exact flow for an estimated one.
A grey film has no error at all, so the figure says nothing without style_error beside it.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from impasto.flow import Map, origins, warp

Matrix = NDArray[np.float64]

KINDS = ("pan", "zoom", "turn", "shake")
"""The motions of ``camera``."""


def camera(kind: str, frame: int, size: tuple[int, int]) -> Matrix:
    """Where a frame looks in the photo: its pixels to those of the photo.  ->  (3, 3)

    kind: see KINDS; size: (height, width) of a frame, which looks at the middle of the photo
    """
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    zoom = 1.01**frame if kind == "zoom" else 1.0
    angle = np.deg2rad(0.6 * frame) if kind == "turn" else 0.0
    shift = np.zeros(2)
    if kind == "pan":
        shift = np.array([1.3, 0.4]) * frame
    if kind == "shake":
        shift = 1.5 * np.array([np.sin(2.1 * frame), np.cos(1.7 * frame)])
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    matrix = np.eye(3)
    matrix[:2, :2] = turned
    matrix[:2, 2] = centre - turned @ centre + shift
    return matrix


def filmed(
    photo: Map, kind: str, count: int, size: tuple[int, int], noise: float = 0.0
) -> tuple[list[Map], list[Map]]:
    """Frames of a film of a photo, and for each but the first the exact flow to the one before.

    photo: (H, W, 3), larger than a frame; noise: deviation of the grain, new in every frame
    ->  frames (h, w, 3), flows (h, w, 2)
    """
    import cv2

    grain = np.random.default_rng(0)
    height, width = size
    margin = np.eye(3)
    margin[:2, 2] = (photo.shape[1] - width) / 2, (photo.shape[0] - height) / 2
    matrices = [camera(kind, index, size) for index in range(count)]
    frames = []
    for matrix in matrices:
        look = (margin @ matrix)[:2]
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        frame = cv2.warpAffine(photo, look, (width, height), None, flags, cv2.BORDER_REFLECT)
        frame = np.asarray(frame + grain.normal(0, noise, frame.shape), np.float32)
        frames.append(frame.clip(0, 1).astype(np.float32))
    return frames, [_flow(a, b, size) for a, b in pairwise(matrices)]


def _flow(old: Matrix, new: Matrix, size: tuple[int, int]) -> Map:
    down, across = np.mgrid[: size[0], : size[1]].astype(np.float64)
    points = np.stack([across, down, np.ones_like(across)])  # (3, h, w)
    there = np.tensordot(np.linalg.inv(old) @ new, points, 1)
    moved: Map = (there[:2] - points[:2]).transpose(1, 2, 0).astype(np.float32)
    return moved


def warping_error(
    frames: Sequence[Map], flows: Sequence[Map], held: Sequence[Map] | None = None
) -> float:
    """Mean squared difference of each frame from the moved one before, where both see the thing.

    frames: (h, w, 3), [0, 1]; flows: (h, w, 2), of each but the first to the one before
    held: where these hold, (h, w) each, 0 or 1; everywhere where they are known
    """
    errors = []
    for index, moved in enumerate(flows):
        height, width = moved.shape[:2]
        x, y = origins(moved)
        seen = (x >= 2) & (x <= width - 3) & (y >= 2) & (y <= height - 3)
        if held is not None:
            seen &= held[index] > 0
        gap = np.square(frames[index + 1] - warp(frames[index], moved))
        errors.append(float(gap[seen].mean()))
    return float(np.mean(errors))
