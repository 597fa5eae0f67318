"""Motion between frames, on films whose motion is known exactly."""

import numpy as np
import pytest

from impasto import flow
from impasto.evaluate.stability import KINDS, camera, filmed, warping_error
from impasto.media.image import scaled
from impasto.media.samples import sample_photo

pytest.importorskip("cv2")


def photo(name: str = "chelsea") -> flow.Map:
    pixels = scaled(sample_photo(name), 226)[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_of_a_photo_has_the_flow_it_says(kind: str) -> None:
    frames, flows = filmed(photo(), kind, 4, (96, 128))
    assert len(flows) == 3
    assert warping_error(frames, flows) < 1e-4
    still = [np.zeros_like(moved) for moved in flows]
    assert warping_error(frames, still) > 5 * warping_error(frames, flows)


def test_where_flow_does_not_hold_nothing_counts() -> None:
    frames, flows = filmed(photo(), "pan", 2, (96, 128))
    held = np.ones((96, 128), np.float32)
    whole = warping_error(frames, flows)
    assert warping_error(frames, flows, [held]) == whole
    frames[1][:, 64:] = 0  # something has come into sight
    assert warping_error(frames, flows) > 100 * whole
    held[:, 60:] = 0
    assert warping_error(frames, flows, [held]) < 1e-6


def test_a_pan_has_the_flow_of_a_pan() -> None:
    _, flows = filmed(photo(), "pan", 2, (48, 64))
    assert flows[0] == pytest.approx(np.broadcast_to([1.3, 0.4], (48, 64, 2)), abs=1e-5)
    assert camera("zoom", 0, (48, 64)) == pytest.approx(np.eye(3))


@pytest.mark.parametrize("kind", KINDS)
def test_motion_is_found(kind: str) -> None:
    frames, flows = filmed(photo(), kind, 3, (96, 128))
    both = flow.motions(flow.grey(frames[2]), flow.grey(frames[1]))
    assert both is not None
    found = both[0]
    inner = np.abs(found.flow - flows[1])[8:-8, 8:-8]
    assert np.median(inner) < 0.15
    assert found.trust.mean() > 0.8


def test_a_cut_is_no_motion() -> None:
    a, b = photo()[:96, :128], photo("coffee")[:96, :128]
    assert flow.motions(flow.grey(b), flow.grey(a)) is None
    assert flow.motions(flow.grey(a), flow.grey(photo()[:90, :128])) is None
    tiny = a[:8, :8]
    assert flow.motions(flow.grey(tiny), flow.grey(tiny)) is None


@pytest.mark.parametrize("level", [0, 100, 255])
def test_equal_frames_have_all_in_common(level: int) -> None:
    """Black ones too; a step in tone takes as much from dark frames as from others."""
    one = np.full((20, 20), level, np.uint8)
    assert flow.likeness(one, one) == pytest.approx(1)
    other = one.copy()
    other[:7] = abs(level - 40)
    assert flow.likeness(one, other) == pytest.approx(0.7, abs=0.07)


def test_what_comes_into_sight_is_not_trusted() -> None:
    frame = photo()[:96, :128].copy()
    covered = frame.copy()
    covered[30:60, 40:70] = [0.9, 0.1, 0.1]
    both = flow.motions(flow.grey(frame), flow.grey(covered))
    assert both is not None
    found = both[0]
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


@pytest.mark.parametrize("kind", KINDS)
def test_motion_over_two_frames_is_that_of_both(kind: str) -> None:
    frames, flows = filmed(photo(), kind, 3, (96, 128))
    first, second = (
        flow.Motion(moved, np.full((96, 128), trust, np.float32))
        for moved, trust in zip(flows, (0.5, 0.8), strict=True)
    )
    both = flow.composed(second, first)
    inner = flow.warp(frames[0], both.flow)[8:-8, 8:-8] - frames[2][8:-8, 8:-8]
    assert np.abs(inner).mean() < 0.02
    assert both.trust[48, 64] == pytest.approx(0.4)


def test_motion_is_found_both_ways() -> None:
    frames, flows = filmed(photo(), "pan", 2, (96, 128))
    looks = [flow.grey(frame) for frame in frames]
    both = flow.motions(looks[1], looks[0])
    assert both is not None
    back, forth = (np.median(found[8:-8, 8:-8], (0, 1)) for found in (both[0].flow, both[1]))
    assert back == pytest.approx(flows[0][48, 64], abs=0.15)
    assert forth == pytest.approx(-flows[0][48, 64], abs=0.15)
    assert flow.motions(looks[0], flow.grey(photo("coffee")[:96, :128])) is None


def test_what_neither_picture_shows_is_what_both_make_of_it() -> None:
    still = flow.Motion(np.zeros((4, 5, 2), np.float32), np.zeros((4, 5), np.float32))
    old, new = np.zeros((4, 5), np.float32), np.ones((4, 5), np.float32)
    assert flow.faded(old, new, still, still) == pytest.approx(1 - flow.BEFORE, abs=1e-4)
