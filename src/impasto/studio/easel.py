"""The easel: what paints, in a box of its own, with torch and the models loaded.

A task names files in a folder; events tell of files that were written there meanwhile.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from impasto.errors import BadInput, OutOfMemory
from impasto.job import Job
from impasto.media import image as media
from impasto.media.samples import sample_photo
from impasto.pipeline import Interrupted, Result, fitted_alpha, paint, prepare
from impasto.recipe import Recipe
from impasto.regions import ALPHA
from impasto.sources import Source
from impasto.studio.boxed import Message, Work
from impasto.studio.orders import RESULT, SAMPLE
from impasto.studio.reel import film
from impasto.studio.report import Report, Tell, at_most
from impasto.studio.speeds import in_one_piece, speeds
from impasto.style import named

Value = TypeVar("Value")


def serve() -> Work:
    """What does each task: ``do`` is picture, film or speeds."""
    tasks: Mapping[str, Work] = {"picture": picture, "film": film, "speeds": speeds}
    return lambda task, tell: tasks[task["do"]](task, tell)


def picture(task: Message, tell: Tell) -> Message:
    """Paint a photo: ``result.png`` and a last preview in the folder of the task.

    task: recipe, device, folder, files (path by upload id), size (most pixels a side), memory_mb,
    after (whether to go on after the scale that lies in the folder)

    Raises what ``prepare`` raises, and OutOfMemory.
    """
    folder, files = Path(task["folder"]), task["files"]
    recipe = Recipe.model_validate(task["recipe"]).model_copy(update={"device": task["device"]})
    photo = _photo(recipe.photo, files, task["size"])
    whole = in_one_piece(task["memory_mb"])
    job = prepare(recipe, photo.levels, given(recipe, files), photo.alpha, whole)
    _check_memory(job, task["memory_mb"])
    report = Report(job, folder, tell)
    report.prepared()
    try:
        result = paint(job, report.step, after=report.continued() if task["after"] else None)
    except Interrupted as interruption:
        result = interruption.result
    return in_full(lambda: _written(job, photo, result, folder, report))


def _photo(name: str, files: Mapping[str, str], most: int) -> media.Picture:
    """An upload or a sample, not larger than anything is painted."""
    if name.startswith(SAMPLE):
        return media.Picture(at_most(sample_photo(name.removeprefix(SAMPLE)), most))
    photo = media.read(files[name])
    opacity = None if photo.opacity is None else at_most(photo.opacity, most)
    return media.Picture(at_most(photo.levels, most), opacity, photo.exif)


def given(recipe: Recipe, files: Mapping[str, str]) -> dict[str, Source]:
    """Everything that a Recipe names beside the photo, read: no name becomes a path."""
    if recipe.begun is not None:
        raise BadInput("init is a picture: leave it out.")
    masks = {share.mask for share in recipe.masks} - {ALPHA}
    styles = {*(s.source for s in recipe.styles), *(m.style for m in recipe.masks)}
    return {
        name: media.read(files[name]) if name in files else named(name) for name in masks | styles
    }


def _check_memory(job: Job, most: float) -> None:
    if job.estimate.peak_mb > most:
        need, height, width = job.estimate.peak_mb, *job.photo.shape[-2:]
        raise OutOfMemory(
            f"{width} x {height} px take about {need:.0f} MB with {job.recipe.method}, and "
            f"{most:.0f} MB are allowed: choose a smaller size."
        )


def _written(
    job: Job, photo: media.Picture, result: Result, folder: Path, report: Report
) -> Message:
    recipe = result.recipe.model_copy(update={"device": "auto"})
    alpha = fitted_alpha(photo, result.pixels)
    media.write(
        *(result.pixels, folder / RESULT),
        alpha=alpha,
        exif=photo.exif,
        recipe=recipe.embedded(),
    )
    report.preview(result.pixels, alpha)
    return {
        "recipe": recipe.model_dump(mode="json"),
        "result": RESULT,
        "seconds": round(result.seconds, 3),
        "width": result.pixels.shape[-1],
        "height": result.pixels.shape[-2],
        "interrupted": result.interrupted,
    }


def in_full(work: Callable[[], Value]) -> Value:
    """Do what is worth more than to stop at once; there is one word to stop, not two."""
    try:
        return work()
    except KeyboardInterrupt:
        return work()
