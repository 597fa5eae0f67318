"""The plot: better is left and below, nothing leaves the frame, bars reach over intervals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.evaluate.intervals import Interval
from impasto.evaluate.scatter import Plot, plot
from impasto.evaluate.summary import Group


def group(
    style: float,
    content: float,
    method: str = "adain",
    strength: float | None = None,
    off: float = 0,
) -> Group:
    means = {
        "style_error": Interval(style, max(0.0, style - off), style + off),
        "content_error": Interval(content, max(0.0, content - off), content + off),
    }
    return Group(method, strength, 4, means)


def drawn(*groups: Group) -> Plot:
    found = plot(groups)
    assert found is not None
    return found


def test_nothing_to_draw() -> None:
    assert plot([]) is None
    assert plot([Group("adain", None, 1, {"style_error": Interval(1, 1, 1)})]) is None


def test_axes_are_logarithmic_and_linear() -> None:
    found = drawn(group(0.01, 0.0), group(0.1, 0.25), group(0.9999, 0.5))
    (curve,) = found.curves
    low, middle, high = curve.marks
    assert (low.x, high.x) == pytest.approx((found.left, found.right), abs=0.1)
    assert middle.x == pytest.approx((found.left + found.right) / 2)
    assert low.y == pytest.approx(found.bottom)
    assert middle.y - high.y == pytest.approx(low.y - middle.y)
    assert found.ticks_x == tuple(
        (pytest.approx(m.x, abs=0.1), text)
        for m, text in zip(curve.marks, ("0.01", "0.1", "1"), strict=True)
    )
    assert [text for _, text in found.ticks_y] == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
    assert found.ticks_y[0][0] == found.bottom


def test_a_curve_for_every_method_in_order_of_strength() -> None:
    found = drawn(
        group(2, 0, "photo"),
        group(1, 0.1, strength=0.5),
        group(0.5, 0.4, strength=1.0),
        group(1, 1, "wct"),
    )
    assert [(c.method, c.control, len(c.marks)) for c in found.curves] == [
        ("photo", True, 1),
        ("adain", False, 2),
        ("wct", False, 1),
    ]
    labels = [mark.label for mark in found.curves[1].marks]
    assert labels == ["adain 0.5", "adain 1"]
    first, second = found.curves[1].path.split()
    assert first != second and all(point.count(",") == 1 for point in (first, second))


ERRORS = st.one_of(st.just(0.0), st.floats(1e-9, 1e3))
GROUPS = st.lists(st.builds(group, ERRORS, ERRORS, off=st.floats(0, 10)), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(groups=GROUPS)
def test_everything_is_inside_and_in_order(groups: list[Group]) -> None:
    found = drawn(*groups)
    marks = found.curves[0].marks
    for mark, own in zip(marks, groups, strict=True):
        for x in (mark.x, *mark.bar_x):
            assert found.left <= x <= found.right
        for y in (mark.y, *mark.bar_y):
            assert found.top <= y <= found.bottom
        assert mark.bar_x[0] <= mark.x <= mark.bar_x[1]
        assert mark.bar_y[0] >= mark.y >= mark.bar_y[1]  # y grows downwards
        for other, theirs in zip(marks, groups, strict=True):
            if own.means["style_error"].mean < theirs.means["style_error"].mean:
                assert mark.x <= other.x
            if own.means["content_error"].mean < theirs.means["content_error"].mean:
                assert mark.y >= other.y
    assert 1 <= len(found.ticks_y) <= 7
    assert all(found.left <= x <= found.right for x, _ in found.ticks_x)
    assert all(found.top <= y <= found.bottom for y, _ in found.ticks_y)
