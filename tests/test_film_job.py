"""The Job of a film: in one piece, side by side, in integers, and what it will cost."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from impasto import estimate
from impasto.film_job import film_mb, hastened, prepared, seconds_each, shared
from impasto.pipeline import prepare
from impasto.recipe import Recipe

SIZE = (48, 64)
PHOTO = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def recipe(**settings: object) -> Recipe:
    return Recipe.model_validate({"styles": ("starry-night",), "method": "adain", **settings})


@pytest.fixture
def threads() -> Iterator[None]:
    """Two, whatever this machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_what_is_painted_one_by_one(threads: None) -> None:
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
def test_short_films_compile_nothing(frames: int | None, engine: str, threads: None) -> None:
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
    job = prepared(recipe(), PHOTO, known={"size": 32, "precision": precision})
    assert max(job.canvas.shape) == 32
    assert job.recipe.precision == ("auto" if precision == "int8" else "bf16")


def test_a_film_takes_more_memory_than_its_frames(threads: None) -> None:
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
    monkeypatch.setattr("impasto.film_job.has_int8", lambda device, engine: device == "auto")


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
        ({"device": "cpu"}, False, 100_000),  # not there, see above
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
