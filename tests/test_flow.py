"""Motion between frames, and paintings held along it, on films whose motion is known exactly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import flow
from impasto.evaluate.stability import KINDS, camera, filmed, warping_error
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_of_a_photo_has_the_flow_it_says(kind: str) -> None:
    frames, flows = filmed(photo(), kind, 4, (96, 128))
    assert len(flows) == 3
    assert warping_error(frames, flows) < 1e-4
    still = [np.zeros_like(moved) for moved in flows]
    assert warping_error(frames, still) > 5 * warping_error(frames, flows)


def test_a_pan_has_the_flow_of_a_pan() -> None:
    _, flows = filmed(photo(), "pan", 2, (48, 64))
    assert flows[0] == pytest.approx(np.broadcast_to([1.3, 0.4], (48, 64, 2)), abs=1e-5)
    assert camera("zoom", 0, (48, 64)) == pytest.approx(np.eye(3))


@pytest.mark.parametrize("kind", KINDS)
def test_motion_is_found(kind: str) -> None:
    frames, flows = filmed(photo(), kind, 3, (96, 128))
    found = flow.motion(flow.grey(frames[2]), flow.grey(frames[1]))
    assert found is not None
    inner = np.abs(found.flow - flows[1])[8:-8, 8:-8]
    assert np.median(inner) < 0.15
    assert found.trust.mean() > 0.8


def test_a_cut_is_no_motion() -> None:
    a, b = photo()[:96, :128], photo("coffee")[:96, :128]
    assert flow.motion(flow.grey(b), flow.grey(a)) is None
    assert flow.motion(flow.grey(a), flow.grey(photo()[:90, :128])) is None
    tiny = a[:8, :8]
    assert flow.motion(flow.grey(tiny), flow.grey(tiny)) is None


def test_what_comes_into_sight_is_not_trusted() -> None:
    frame = photo()[:96, :128].copy()
    covered = frame.copy()
    covered[30:60, 40:70] = [0.9, 0.1, 0.1]
    found = flow.motion(flow.grey(frame), flow.grey(covered))
    assert found is not None
    assert found.trust[35:55, 45:65].mean() < 0.2
    assert found.trust[70:, 80:].mean() > 0.9


def test_pixels_from_outside_are_not_trusted() -> None:
    back = np.zeros((20, 30, 2), np.float32)
    back[..., 0] = 5  # what is seen at the right was outside
    held = flow.consistent(back, -back)
    assert (held[:, 25:] == 0).all() and (held[:, :20] == 1).all()


def test_warping_is_exact_for_whole_pixels() -> None:
    picture = photo()[:20, :30]
    moved = np.zeros((20, 30, 2), np.float32)
    moved[..., 0], moved[..., 1] = 2, 3
    assert flow.warp(picture, moved)[:17, :28] == pytest.approx(picture[3:, 2:], abs=1e-6)


@given(st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_a_steady_painting_stays(stable: float) -> None:
    picture = photo()[:40, :60]
    still = flow.Motion(np.zeros((40, 60, 2), np.float32), np.ones((40, 60), np.float32))
    assert flow.held(picture, picture, still, stable) == pytest.approx(picture, abs=1e-4)


def test_contrast_that_averaging_took_comes_back() -> None:
    plain = np.full((64, 64, 3), 0.5, np.float32)
    a, b = grain(plain, 1), grain(plain, 2)
    mean = (a + b) / 2
    again = flow.contrasted(mean, a)
    before, blended, after = ((x @ (0.299, 0.587, 0.114)).std() for x in (a, mean, again))
    assert blended < 0.75 * before
    assert after == pytest.approx(before, rel=0.1)
    assert (again >= 0).all() and (again <= 1).all()


def test_stable_takes_two_fifths_of_the_warping_error() -> None:
    frames, flows = filmed(photo(), "pan", 8, (96, 128))
    painted = [grain(frame, seed) for seed, frame in enumerate(frames)]
    looks = [flow.grey(frame) for frame in frames]
    motions = [None, *(flow.motion(b, a) for a, b in pairwise(looks))]

    def error(stable: float) -> float:
        steady = flow.Stabiliser(stable)
        films = [steady(p, m) for p, m in zip(painted, motions, strict=True)]
        return warping_error(films, flows)

    assert error(0) == pytest.approx(warping_error(painted, flows))
    assert error(0.3) < 0.65 * error(0)
    assert error(0.7) < error(0.5) < error(0.3)


def test_a_grey_film_cheats_the_metric() -> None:
    frames, flows = filmed(photo(), "turn", 3, (48, 64))
    assert warping_error([np.full_like(f, 0.5) for f in frames], flows) == pytest.approx(0)


def test_a_cut_begins_anew() -> None:
    a, b = photo()[:32, :32], photo("coffee")[:32, :32]
    steady = flow.Stabiliser(0.9)
    steady(a, None)
    assert (steady(b, None) == b).all()


def test_deep_frames_look_like_shallow_ones() -> None:
    levels = np.rint(photo()[:32, :32] * 255).astype(np.uint8)
    deep = levels.astype(np.uint16) * 257
    difference = flow.grey(levels).astype(int) - flow.grey(deep)
    assert np.abs(difference).max() <= 1


def test_flow_is_looked_for_on_a_smaller_frame() -> None:
    frame = np.zeros((40, 1000, 3), np.uint8)
    assert flow.grey(frame).shape == (15, 384)
    found = flow.Motion(np.ones((15, 384, 2), np.float32), np.ones((15, 384), np.float32))
    large = flow.at_size(found, 40, 1000)
    assert large.trust.shape == (40, 1000)
    assert large.flow[..., 0] == pytest.approx(1000 / 384, rel=1e-3)
