"""A process of its own that paints: what it takes, and whether it survives, is its own affair."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType

import torch

from impasto import weights
from impasto.errors import reason
from impasto.estimate import peak_mb, reset_peak
from impasto.evaluate.cells import Outcome
from impasto.job import Job
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.pipeline import fitted_alpha, paint, prepare
from impasto.processes import serve_parent, starting
from impasto.recipe import Recipe
from impasto.style import SUFFIX

QUICK = 1.0
"""Seconds; what is painted in less is painted ``TURNS`` times, and the fastest counts."""

TURNS = 3


@dataclass(frozen=True)
class Painted:
    """What painting took; ``reason`` says why there is no picture."""

    outcome: Outcome = "done"
    reason: str = ""
    width: int | None = None
    height: int | None = None
    load_seconds: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    parameters: int | None = None
    file_bytes: int | None = None


class Worker:
    """Paints cells one by one in another process, started when needed and again when it died."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(kill=error is not None)

    def paint(self, recipe: Recipe, target: Path) -> Painted:
        """Paint and write a picture; whatever goes wrong is told and not raised."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, get_context("spawn"), _begin, (torch.get_num_threads(),)
            )
        try:
            with starting():
                work = self._pool.submit(painted, recipe, target)
            return work.result()
        except BrokenProcessPool:
            self.stop()
            return Painted("failed", "The process died while it painted; maybe memory ran out.")

    def stop(self, kill: bool = False) -> None:
        """End the process; ``kill``: without waiting for what it is painting."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()) if kill else ():
                process.terminate()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _begin(threads: int) -> None:
    serve_parent()
    torch.set_num_threads(threads)


def painted(recipe: Recipe, target: Path) -> Painted:
    """Paint and write a picture, and say what it took; failures are told and not raised."""
    try:
        return _painted(recipe, target)
    except Exception as error:  # one method's fault must not end the comparison
        return Painted("failed", reason(error))


def _painted(recipe: Recipe, target: Path) -> Painted:
    reset_peak()
    with weights.recorded() as files:
        photo = media.read(recipe.photo)
        job = prepare(recipe, photo.levels, alpha=photo.alpha)
        if not all(map(job.stylizer.knows, job.styles)):
            name = job.stylizer.name
            how = f"impasto train {name} teaches it."
            return Painted("unlearned", f"{name} has not learned this style; {how}")
        result = paint(job)
    peak, seconds = peak_mb(), result.seconds
    for _ in range(TURNS - 1 if seconds < QUICK else 0):
        seconds = min(seconds, paint(job).seconds)
    networks = _networks(files, job)
    alpha = fitted_alpha(photo, result.pixels)
    media.write(result.pixels, target, alpha=alpha, recipe=result.recipe.embedded())
    return Painted(
        width=result.pixels.shape[-1],
        height=result.pixels.shape[-2],
        load_seconds=round(job.load_seconds, 3),
        seconds=round(seconds, 4),
        peak_mb=round(peak),
        parameters=sum(map(weights.parameters, networks)),
        file_bytes=sum(path.stat().st_size for path in networks),
    )


def _networks(files: Iterable[Path], job: Job) -> list[Path]:
    """Of the files that were read those that the method paints with, not those of styles."""
    looks = any(isinstance(module, Encoder) for module in job.stylizer.modules())
    return [
        path
        for path in files
        if not path.name.endswith(SUFFIX) and (looks or not path.name.startswith("encoder-"))
    ]
