"""Means by method and strength: known answers, and what is missing is left out."""

import pytest

from impasto.evaluate.cells import Row
from impasto.evaluate.summary import groups


def row(method: str = "adain", photo: str = "a", **given: object) -> Row:
    values = {"key": "k", "method": method, "photo": photo, "style": "s", **given}
    return Row.model_validate(values)


def test_means_and_intervals() -> None:
    rows = [row(photo=p, metrics={"blobs": v}, seconds=2 * v) for p, v in zip("abc", (1, 2, 6))]  # noqa: B905
    (group,) = groups(rows)
    assert (group.method, group.strength, group.count) == ("adain", None, 3)
    assert group.means["blobs"].mean == 3
    assert group.means["seconds"].mean == 6
    assert 1 <= group.means["blobs"].low < 3 < group.means["blobs"].high <= 6


def test_one_group_for_each_strength_in_order() -> None:
    rows = [
        row("wct", strength=1.0),
        row("photo"),
        row("wct", strength=0.5),
        row("wct", strength=1),
    ]
    found = [(group.label, group.count, group.control) for group in groups(rows)]
    assert found == [("wct 1", 2, False), ("the photo itself", 1, True), ("wct 0.5", 1, False)]


def test_only_what_is_done_counts() -> None:
    rows = [
        row(outcome="failed"),
        row(outcome="unlearned"),
        row("johnson", outcome="unlearned"),
        row(metrics={"blobs": 1}),
    ]
    assert [(group.method, group.count) for group in groups(rows)] == [("adain", 1)]
    assert groups(rows[:3]) == groups([]) == []


def test_a_figure_is_of_those_that_have_it() -> None:
    """A style without a picture has no distance of patches; no method of a control has a time."""
    rows = [
        row("photo", "a", metrics={"patches": None, "blobs": 4, "lpips": None}),
        row("photo", "b", metrics={"patches": 0.5, "blobs": 2, "lpips": None}),
    ]
    (group,) = groups(rows)
    assert group.means.keys() == {"patches", "blobs"}
    assert group.means["patches"] == (0.5, 0.5, 0.5)
    assert group.means["blobs"].mean == 3


@pytest.mark.parametrize("strength", [0.0, 0.25])
def test_label_of_a_strength(strength: float) -> None:
    (group,) = groups([row(strength=strength)])
    assert group.label == f"adain {strength:g}"
