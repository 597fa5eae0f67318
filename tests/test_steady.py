"""Paintings held along the motion of a film, and frames made of those before and after them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import flow, steady
from impasto.evaluate.stability import filmed, warping_error
from impasto.media.image import scaled
from impasto.media.samples import sample_photo

pytest.importorskip("cv2")


def photo(name: str = "chelsea") -> flow.Map:
    pixels = scaled(sample_photo(name), 226)[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels)


def grain(like: flow.Map, seed: int) -> flow.Map:
    """A painting with strokes of its own in every frame."""
    noise = np.random.default_rng(seed).normal(0, 0.1, like.shape)
    return np.asarray((like + noise).clip(0, 1), np.float32)


def motion(size: tuple[int, int], shift: tuple[float, float], trust: float = 1) -> flow.Motion:
    """All of it moves alike."""
    return flow.Motion(np.full((*size, 2), shift, np.float32), np.full(size, trust, np.float32))


@given(st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_a_steady_painting_stays(stable: float) -> None:
    picture = photo()[:40, :60]
    still = flow.Motion(np.zeros((40, 60, 2), np.float32), np.ones((40, 60), np.float32))
    assert steady.held(picture, picture, still, stable) == pytest.approx(picture, abs=1e-4)


def test_contrast_that_averaging_took_comes_back() -> None:
    plain = np.full((64, 64, 3), 0.5, np.float32)
    a, b = grain(plain, 1), grain(plain, 2)
    mean = (a + b) / 2
    again = steady.contrasted(mean, a)
    before, blended, after = ((x @ (0.299, 0.587, 0.114)).std() for x in (a, mean, again))
    assert blended < 0.75 * before
    assert after == pytest.approx(before, rel=0.1)
    assert (again >= 0).all() and (again <= 1).all()


def test_stable_takes_two_fifths_of_the_warping_error() -> None:
    frames, flows = filmed(photo(), "pan", 8, (96, 128))
    painted = [grain(frame, seed) for seed, frame in enumerate(frames)]
    looks = [flow.grey(frame) for frame in frames]
    both = [flow.motions(b, a) for a, b in pairwise(looks)]
    motions = [None, *(found[0] if found else None for found in both)]

    def error(stable: float) -> float:
        stabiliser = steady.Stabiliser(stable)
        films = [stabiliser(p, m) for p, m in zip(painted, motions, strict=True)]
        return warping_error(films, flows)

    assert error(0) == pytest.approx(warping_error(painted, flows))
    assert error(0.3) < 0.65 * error(0)
    assert error(0.7) < error(0.5) < error(0.3)


def test_a_grey_film_cheats_the_metric() -> None:
    frames, flows = filmed(photo(), "turn", 3, (48, 64))
    assert warping_error([np.full_like(f, 0.5) for f in frames], flows) == pytest.approx(0)


def test_a_cut_begins_anew() -> None:
    a, b = photo()[:32, :32], photo("coffee")[:32, :32]
    stabiliser = steady.Stabiliser(0.9)
    stabiliser(a, None)
    assert (stabiliser(b, None) == b).all()


def test_what_was_painted_counts_for_less_from_frame_to_frame() -> None:
    """Two frames later as much is left as after two frames."""
    old, new = np.full((2, 40, 60, 3), [[[[0.2]]], [[[0.6]]]], np.float32)
    still = motion((40, 60), (0, 0))
    left = []
    for frames in (1, 2):
        stabiliser = steady.Stabiliser(0.5, old)
        left.append(stabiliser(new, still, frames)[20, 30, 0])
        assert stabiliser.last is not None and stabiliser.last[20, 30, 0] == left[-1]
    assert left == pytest.approx([0.4, 0.5], abs=1e-3)


def test_a_frame_between_shows_both_where_they_are_seen() -> None:
    """The one before counts most; what only one shows comes from that one."""
    size = (48, 64)
    before, after = np.full((2, *size, 3), [[[[0.2]]], [[[0.8]]]], np.float32)
    back, forth = motion(size, (0, 0)), motion(size, (0, 0))
    back.trust[:, :20] = 0
    forth.trust[:, 44:] = 0
    done = steady.between(before, after, back, forth)
    assert done[24, 4] == pytest.approx(0.8, abs=0.01)
    assert done[24, 32] == pytest.approx(flow.BEFORE * 0.2 + (1 - flow.BEFORE) * 0.8, abs=0.01)
    assert done[24, 60] == pytest.approx(0.2, abs=0.01)


def test_a_frame_between_is_where_the_film_is() -> None:
    """Paintings of the first and the third frame, moved, are a painting of the second."""
    frames, _ = filmed(photo(), "pan", 3, (96, 128))
    looks = [flow.grey(frame) for frame in frames]
    first, second = flow.motions(looks[1], looks[0]), flow.motions(looks[2], looks[1])
    assert first is not None and second is not None
    forth = flow.trusted(second[1], second[0].flow, looks[1], looks[2])
    done = steady.between(frames[0], frames[2], first[0], forth)
    gap = np.abs(done - frames[1])[4:-4, 4:-4].mean()
    assert gap < 0.25 * np.abs(frames[0] - frames[1])[4:-4, 4:-4].mean()
    assert gap < 0.02
