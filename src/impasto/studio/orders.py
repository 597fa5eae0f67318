"""Orders and what is told of them: the words that web, worker and client share."""

import re
from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict

from impasto.errors import BadInput, unknown
from impasto.recipe import Recipe
from impasto.studio.limits import Limits

Kind = Literal["picture", "film"]
State = Literal["queued", "running", "done", "failed", "cancelled"]

UPLOAD = re.compile(r"u[0-9a-f]{32}")
"""Ids of uploads."""

JOB = re.compile(r"[0-9a-f]{32}")
"""Ids of jobs."""

SAMPLE = "sample:"
"""What the name of a sample photo starts with."""

SCALE, PREVIEW = "scale.safetensors", "preview.webp"
"""Files in the folder of a job: where an optimisation is, and how it looks."""

RESULT, FILM = "result.png", "result.mp4"
"""What came out, a picture or a film."""

ALPHA = "alpha"
"""The mask that is the photo's own transparency."""


class Order(BaseModel):
    """One job as it was asked for; it never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    recipe: Recipe
    owner: str
    photo: str
    """An upload id or ``sample:NAME``; the Recipe's ``photo`` is the same."""
    kind: Kind = "picture"
    comparison: str | None = None
    stable: float | None = None
    """Films: how steady, see ``film.paint_film``; None: the usual."""
    estimate: float | None = None
    """Seconds that it will take, as was told before."""


class Progress(BaseModel):
    """How far a running job is."""

    done: int
    total: int
    fraction: float
    eta_seconds: float | None = None


class JobView(BaseModel):
    """One job as its owner sees it; times are ISO 8601, UTC."""

    id: str
    kind: Kind
    state: State
    recipe: Recipe
    """As asked for; settled when done."""
    asked: Recipe
    """As asked for."""
    photo: str
    position: int | None = None
    """In the queue, from 1."""
    progress: Progress | None = None
    created: str
    started: str | None = None
    finished: str | None = None
    expires: str | None = None
    starred: bool = False
    comparison: str | None = None
    reason: str | None = None
    """Why it failed."""
    notices: list[str] = []
    seconds: float | None = None
    """That painting took."""
    width: int | None = None
    height: int | None = None
    estimate_seconds: float | None = None
    preview: str | None = None
    """Address of a small WebP; it changes with the picture."""
    result: str | None = None
    """Address."""


class Outcome(BaseModel):
    """What became of a job, as its worker writes it down."""

    done: bool = False
    """As asked for; else it was cancelled, or failed for a ``reason``."""
    reason: str | None = None
    recipe: Recipe | None = None
    """Settled: method, size and strength; of films only the method."""
    result: str | None = None
    """The file's name in ``jobs/<id>/``; of a cancelled one it is the last picture."""
    seconds: float | None = None
    width: int | None = None
    height: int | None = None


def is_upload(name: str) -> bool:
    """Whether that is the id of an upload."""
    return UPLOAD.fullmatch(name) is not None


def uploads(recipe: Recipe) -> set[str]:
    """Ids of all uploads that a Recipe is made of: photo, styles and masks."""
    return {name for name in (recipe.photo, *_styles(recipe), *_masks(recipe)) if is_upload(name)}


def check_recipe(
    recipe: Recipe, limits: Limits, gallery: Collection[str], samples: Collection[str]
) -> None:
    """Make sure that a stranger's Recipe names nothing but what a studio has, and is not too much.

    gallery, samples: names of styles and of sample photos (without ``sample:``)

    Raises BadInput, UnknownName. Whether uploads exist is another question, see ``uploads``.
    """
    _check_photo(recipe.photo, samples)
    for name in _styles(recipe):
        if not is_upload(name) and name not in gallery:
            raise unknown("style", name[:80], gallery)
    for name in _masks(recipe):
        if not is_upload(name) and name != ALPHA:
            raise BadInput(f"The mask {name[:80]!r} is neither an upload nor 'alpha': upload it.")
    if not recipe.styles and not recipe.masks:
        raise BadInput("No style given: choose one of the gallery, or upload a picture.")
    _check_effort(recipe, limits)


def _check_photo(photo: str, samples: Collection[str]) -> None:
    if photo.startswith(SAMPLE):
        if photo.removeprefix(SAMPLE) not in samples:
            raise unknown("sample", photo.removeprefix(SAMPLE)[:80], samples)
    elif not is_upload(photo):
        raise BadInput(f"The photo {photo[:80]!r} is neither an upload nor a sample: upload it.")


def _check_effort(recipe: Recipe, limits: Limits) -> None:
    if recipe.device != "auto":
        raise BadInput(f"device is {recipe.device!r}; a studio chooses it itself: leave it out.")
    if recipe.engine != "auto":
        raise BadInput(f"engine is {recipe.engine!r}; a studio chooses it itself: leave it out.")
    if recipe.begun is not None:
        raise BadInput("init is a picture; a studio starts from one of its own: leave it out.")
    if recipe.encoder != "compact":
        raise BadInput(f"encoder is {recipe.encoder[:80]!r}; a studio has 'compact' only.")
    if (recipe.size or 0) > limits.size:
        raise BadInput(f"size is {recipe.size}; at most {limits.size} px are painted here.")
    if (recipe.iterations or 0) > limits.iterations:
        raise BadInput(f"iterations is {recipe.iterations}; at most {limits.iterations} here.")
    if len(_styles(recipe)) > limits.styles:
        raise BadInput(f"{len(_styles(recipe))} styles; at most {limits.styles} in one picture.")


def _styles(recipe: Recipe) -> list[str]:
    return [*(s.source for s in recipe.styles), *(m.style for m in recipe.masks)]


def _masks(recipe: Recipe) -> list[str]:
    return [share.mask for share in recipe.masks]
