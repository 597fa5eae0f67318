"""Which frames of a film are painted: every second one, and all where something is too fast."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from impasto.evaluate.stability import filmed
from impasto.flow import Map, Motion, motions
from impasto.keyframes import Keyframe, keyframes, worst
from impasto.media.image import scaled
from impasto.media.samples import sample_photo
from impasto.media.video.frames import Frame

pytest.importorskip("cv2")

SIZE = (96, 128)


def pan(count: int, name: str = "chelsea") -> list[Map]:
    photo = scaled(sample_photo(name), 226)[0].permute(1, 2, 0).numpy()
    return filmed(np.ascontiguousarray(photo), "pan", count, SIZE)[0]


def film(pictures: Sequence[Map]) -> list[Frame]:
    return [
        Frame(np.rint(picture * 255).astype(np.uint8), number, 1)
        for number, picture in enumerate(pictures)
    ]


def painted(found: Sequence[Keyframe]) -> list[int]:
    return [key.frame.pts for key in found]


def all_of(found: Sequence[Keyframe]) -> list[int]:
    """Every frame in the order in which it is written."""
    return [
        frame.pts
        for key in found
        for frame in (*([key.between.frame] if key.between else []), key.frame)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6])
def test_every_second_frame_is_painted_and_none_is_lost(count: int) -> None:
    found = list(keyframes(film(pan(6)[:count]), 0.3))
    assert all_of(found) == list(range(count))
    assert painted(found) == sorted({*range(0, count, 2), *([count - 1] if count else [])})
    assert sum(key.count for key in found) == count


def test_all_are_painted_where_that_is_asked_for() -> None:
    frames = film(pan(4))
    assert painted(list(keyframes(frames, 0.3, every=1))) == [0, 1, 2, 3]
    still = list(keyframes(frames, 0))
    assert painted(still) == [0, 1, 2, 3]
    assert all(key.motion is None for key in still)


def test_motion_comes_from_the_last_painted_frame() -> None:
    one, two = (list(keyframes(film(pan(5)), 0.3, every=every))[-1].motion for every in (1, 2))
    assert one is not None and two is not None
    moved = [np.median(found.flow[8:-8, 8:-8], (0, 1)) for found in (one, two)]
    assert np.linalg.norm(moved[1]) == pytest.approx(2 * np.linalg.norm(moved[0]), rel=0.15)


def test_both_sides_of_a_cut_are_painted() -> None:
    frames = film([*pan(4), *pan(4, "coffee")])
    found = list(keyframes(frames, 0.3))
    assert all_of(found) == list(range(8))
    assert painted(found) == [0, 2, 3, 4, 6, 7]
    assert [key.motion is None for key in found] == [True, False, False, True, False, False]


def test_something_fast_is_painted_wherever_it_is() -> None:
    """It is in no place twice, so no neighbour shows it where it is."""
    pictures = pan(5)
    for number, picture in enumerate(pictures):
        picture[40:56, 10 + 24 * number : 22 + 24 * number] = (0.9, 0.1, 0.2)
    assert painted(list(keyframes(film(pictures), 0.3))) == [0, 1, 2, 3, 4]


def test_a_film_goes_on_as_it_would_have() -> None:
    """After a painted frame; those before are only looked at."""
    frames = film(pan(7))
    whole = list(keyframes(frames, 0.3))
    rest = list(keyframes(frames[2:], 0.3, after=2))
    assert all_of(rest) == [3, 4, 5, 6]
    assert painted(rest) == painted(whole[2:])
    first, same = rest[0].motion, whole[2].motion
    assert first is not None and same is not None
    assert first.flow == pytest.approx(same.flow)


def test_one_place_counts_not_the_whole() -> None:
    gap = np.zeros((100, 200), np.float32)
    assert worst(gap) == 0
    gap[20:25, 30:40] = 0.8  # half of a place of 10 x 10
    assert worst(gap) == pytest.approx(0.4)


def test_what_would_be_in_shreds_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far off is not too far where flow holds: then a thing is where it was a moment ago."""
    pictures = pan(3)
    pictures[1][40:56, 60:72] += 0.08
    frames = film(pictures)
    assert painted(list(keyframes(frames, 0.3))) == [0, 2]

    def doubted(moved: Map, *_: Any) -> Motion:
        return Motion(moved, np.zeros(moved.shape[:2], np.float32))

    def both(*looks: Any) -> Any:
        found = motions(*looks)
        assert found is not None
        return doubted(found[0].flow), found[1]

    monkeypatch.setattr("impasto.keyframes.motions", both)
    monkeypatch.setattr("impasto.keyframes.trusted", doubted)
    assert painted(list(keyframes(frames, 0.3))) == [0, 1, 2]
