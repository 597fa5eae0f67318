"""The Job of a film: in one piece, side by side, in integers, and what it will cost."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from impasto import estimate
from impasto.film_job import (
    beside,
    film_mb,
    hastened,
    prepared,
    seconds_each,
    settled,
    shared,
)
from impasto.frame_painter import FramePainter
from impasto.keyframes import Keyframe
from impasto.media.video.frames import Frame
from impasto.methods import johnson
from impasto.pipeline import prepare
from impasto.recipe import Recipe

SIZE = (48, 64)
PHOTO = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def recipe(**settings: object) -> Recipe:
    usual = {"styles": ("starry-night",), "method": "adain", "device": "cpu"}
    return Recipe.model_validate({**usual, **settings})


def test_what_is_painted_one_by_one(two_threads: None) -> None:
    """What goes on from the last painting, fills the threads as it is, or takes all memory."""
    job = prepare(recipe(method="gatys", iterations=1), PHOTO)
    assert shared(job) is job
    job = prepare(recipe(), PHOTO)
    for other in (
        replace(job, estimate=replace(job.estimate, side=32)),
        replace(job, canvas=torch.zeros(1, 1, 1, 1).expand(1, 3, 2048, 2048)),
        replace(job, runtime=replace(job.runtime, engine="compile")),
    ):
        assert shared(other) is other


@pytest.mark.parametrize(("frames", "engine"), [(1, "torch"), (1_000_000, "auto"), (None, "auto")])
def test_short_films_compile_nothing(frames: int | None, engine: str, two_threads: None) -> None:
    job = prepare(recipe(engine="auto"), PHOTO)
    job = replace(job, runtime=replace(job.runtime, engine="auto"))
    assert shared(job, frames).runtime.engine == engine


def test_frames_are_painted_in_one_piece_as_far_as_memory_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a photo would be painted in tiles, which takes several times as long."""
    monkeypatch.setattr(estimate, "WHOLE", 1.0)
    photo = torch.zeros(1, 3, 1500, 1500)
    assert prepare(recipe(), photo).estimate.side is not None
    monkeypatch.setattr("impasto.film_job.free", lambda: 1e10)
    assert prepared(recipe(), photo).estimate.side is None
    monkeypatch.setattr("impasto.film_job.free", lambda: 1e5)
    assert prepared(recipe(), photo).estimate.side is not None


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_film_goes_on_as_it_was_begun(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no integers any more, as the Recipe says."""
    monkeypatch.setattr("impasto.film_job.has_int8", lambda device, engine: False)
    job = prepared(recipe(), PHOTO, known={"size": 32, "precision": precision, "tiles": False})
    assert max(job.canvas.shape) == 32
    assert job.recipe.precision == ("auto" if precision == "int8" else "bf16")


@pytest.mark.parametrize("tiles", [True, False])
def test_a_film_goes_on_in_tiles_or_without(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever memory is free by now."""
    photo = torch.zeros(1, 3, 1500, 1500)
    began = prepared(recipe(), photo, room=1.0 if tiles else 1e10)
    known = settled(began)
    assert known["tiles"] == tiles
    assert settled(prepared(recipe(), photo, known=known, room=1e10 if tiles else 1.0)) == known


def test_tiles_go_on_without_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch paints them, and the film would say something else of itself."""
    monkeypatch.setattr("impasto.film_job.has_int8", lambda device, engine: True)
    known = {"size": 64, "precision": "int8", "tiles": True}
    assert prepared(recipe(method="johnson"), PHOTO, known=known).recipe.precision == "auto"


@pytest.mark.parametrize(
    ("count", "pixels", "callers"),
    [(6, 1280 * 720, 3), (7, 1280 * 720, 3), (8, 1280 * 720, 4), (3, 1920 * 1080, 1), (2, 4e6, 1)],
)
def test_few_threads_are_left_idle(
    count: int, pixels: float, callers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many frames at once as share the threads out well."""
    job = prepare(recipe(), PHOTO)
    side = int(pixels**0.5)
    job = replace(job, canvas=torch.zeros(1, 1, 1, 1).expand(1, 3, side, side))
    monkeypatch.setattr(torch, "get_num_threads", lambda: count)
    assert beside(job, 1e10) == callers


def test_frames_at_once_share_the_memory(two_threads: None) -> None:
    """That of painting, and what is enlarged afterwards."""
    job = prepare(recipe(size=256), torch.zeros(1, 3, 256, 256))
    held = 1e6 * job.estimate.held_mb
    assert beside(job, 2.1 * held) == 2
    assert beside(job, 1.9 * held) == 1
    large = prepare(recipe(size=3000, stroke_size=1), torch.zeros(1, 3, 256, 256))
    assert beside(large, 1e10) == 1
    assert large.estimate.held_mb > 900


def test_integers_that_were_asked_for_are_kept(two_threads: None) -> None:
    job = prepare(recipe(method="johnson"), PHOTO)
    job = replace(job, runtime=replace(job.runtime, engine="auto", int8=True))
    assert shared(job, 1).runtime.engine == "auto"


def test_a_network_is_loaded_once_for_all_threads(
    two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(kind: str, name: str, described: Any) -> Any:
        loaded.append(name)
        time.sleep(0.05)
        return real(kind, name, described)

    real = johnson.load
    job = shared(prepare(recipe(method="johnson"), PHOTO))
    monkeypatch.setattr(johnson, "load", load)
    frame = Frame(np.zeros((*SIZE, 3), np.uint8), 0, 1)
    list(FramePainter(job).film([Keyframe(frame, None)] * 4))
    assert loaded == ["starry-night"]


def test_a_film_takes_more_memory_than_its_frames(two_threads: None) -> None:
    """Once for each that is painted at the same time, and what flow and H.264 take."""
    job = prepare(recipe(size=64), PHOTO)
    held = job.estimate.held_mb
    assert held > 0
    rest = film_mb(job) - job.estimate.peak_mb
    assert 150 < rest < 151
    assert film_mb(shared(job)) - film_mb(job) == pytest.approx(held)


@pytest.fixture
def integers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does integers, whatever this one does."""
    monkeypatch.setattr("impasto.film_job.has_int8", lambda device, engine: engine == "auto")


@pytest.mark.usefixtures("integers_here")
def test_long_films_are_painted_in_integers() -> None:
    """And the film says so; all else of the job is as it was."""
    job = prepare(recipe(method="johnson"), PHOTO)
    fast = hastened(job, frames=100_000)
    assert fast.recipe.precision == "int8" and fast.runtime.int8
    assert fast.stylizer is not job.stylizer and fast.estimate is job.estimate
    assert hastened(job).recipe.precision == "int8"  # a stream, whose end nobody knows


@pytest.mark.usefixtures("integers_here")
@pytest.mark.parametrize(
    ("settings", "deep", "frames"),
    [
        ({}, False, 100),
        ({}, True, 100_000),
        ({"precision": "bf16"}, False, 100_000),
        ({"strength": 0.5}, False, 100_000),
        ({"method": "adain"}, False, 100_000),
        ({"engine": "torch"}, False, 100_000),  # not there, see above
    ],
    ids=["short", "10 bits", "by hand", "strength", "statistics", "machine"],
)
def test_other_films_are_painted_as_pictures_are(
    settings: dict[str, object], deep: bool, frames: int
) -> None:
    job = prepare(recipe(**{"method": "johnson", **settings}), PHOTO)
    assert hastened(job, deep, frames) is job


@pytest.mark.usefixtures("integers_here")
def test_frames_in_tiles_are_not_in_integers() -> None:
    """Torch paints those, and the film would say something else of itself."""
    job = prepare(recipe(method="johnson"), PHOTO)
    tiled = replace(job, estimate=replace(job.estimate, side=32))
    assert hastened(tiled, frames=100_000) is tiled


def test_frames_cost_less_than_pictures() -> None:
    job = prepare(recipe(method="gatys", iterations=10), PHOTO)
    assert seconds_each(job, 0.3) == pytest.approx(0.4 * job.estimate.seconds)
    assert seconds_each(job, 0) == job.estimate.seconds
    quick = prepare(recipe(), PHOTO)
    assert seconds_each(quick, 0.3) == quick.estimate.seconds
