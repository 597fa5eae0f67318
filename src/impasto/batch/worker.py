"""A process that paints: one thread reads ahead, one paints, one writes."""

import threading
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue

import torch
from torch import Tensor

from impasto.errors import BadOutput, ImpastoError
from impasto.files import replacing
from impasto.media import image as media
from impasto.painter import Painter
from impasto.pipeline import Job, Result, fitted_alpha
from impasto.processes import serve_parent
from impasto.recipe import Recipe


@dataclass(frozen=True)
class Task:
    """A photo that is to be painted."""

    key: str
    name: str
    source: str
    target: str
    staged: str
    """The file that the picture is written to."""
    again: bool = False
    """A process has died with it in hand."""


@dataclass(frozen=True)
class Done:
    """What came of a task; ``reason`` says why there is no picture."""

    key: str
    reason: str = ""
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    notices: tuple[str, ...] = ()
    recipe: dict[str, object] = field(default_factory=dict)
    room: int = 1
    """How many like it are painted at once."""


Message = Done | ImpastoError | None
"""None: everything is loaded. An error is one that no other photo would fare better with."""


@dataclass(frozen=True)
class _Ready:
    task: Task
    job: Job
    alpha: Tensor | None
    exif: bytes | None
    room: int


_Finished = tuple[_Ready, Result]


class Shelf:
    """Jobs that were read and wait to be painted: no more than are painted at once."""

    def __init__(self) -> None:
        self._waiting: deque[_Ready] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, one: _Ready) -> None:
        """Add a job as soon as there is room for such a one."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < one.room)
            self._waiting.append(one)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> list[_Ready]:
        """The next jobs whose canvases are of one size; none when nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            group: list[_Ready] = []
            while self._waiting and (not group or _alike(group, self._waiting[0])):
                group.append(self._waiting.popleft())
            self._changed.notify_all()
            return group


def _alike(group: list[_Ready], one: _Ready) -> bool:
    return group[0].job.canvas.shape == one.job.canvas.shape and len(group) < one.room


def begin(connection: Connection, recipe: Recipe, quality: int, threads: int) -> None:
    """What the process does; it ends with the one that started it, and Ctrl-C is not for it."""
    serve_parent()
    torch.set_num_threads(threads)
    serve(connection, recipe, quality)


def serve(connection: Connection, recipe: Recipe, quality: int) -> None:
    """Say when everything is loaded, then paint what comes until nothing more does."""
    painter, failure = _loaded(recipe)
    try:
        connection.send(failure)
    except OSError:  # what there was to do is done
        return
    if painter is None:
        connection.close()
        return
    shelf = Shelf()
    finished: Queue[_Finished | Done | None] = Queue(2)
    threads = [
        threading.Thread(target=_read, args=(connection, painter, shelf, finished), daemon=True),
        threading.Thread(target=_write, args=(connection, quality, finished), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while group := shelf.take():
        for outcome in _painted(painter, group):
            finished.put(outcome)
    finished.put(None)
    for thread in threads:
        thread.join()
    connection.close()


def _loaded(recipe: Recipe) -> tuple[Painter | None, ImpastoError | None]:
    try:
        return Painter(recipe), None
    except ImpastoError as error:
        return None, error
    except Exception as error:
        return None, ImpastoError(_reason(error))


def _read(
    connection: Connection,
    painter: Painter,
    shelf: Shelf,
    finished: "Queue[_Finished | Done | None]",
) -> None:
    """Photos become jobs."""
    while (task := _next(connection)) is not None:
        try:
            shelf.put(_opened(painter, task))
        except Exception as error:  # one photo's fault must not end the others
            finished.put(Done(task.key, _reason(error)))
    shelf.close()


def _next(connection: Connection) -> Task | None:
    try:
        task: Task | None = connection.recv()
    except (EOFError, OSError):
        return None
    return task


def _opened(painter: Painter, task: Task) -> _Ready:
    photo = media.read(task.source)
    job = painter.job(photo.pixels, photo.alpha)
    alpha = fitted_alpha(photo, job.photo)
    return _Ready(task, job, alpha, photo.exif, painter.room(job))


def _painted(painter: Painter, group: list[_Ready]) -> "list[_Finished | Done]":
    try:
        results = painter.paint([one.job for one in group])
        return [(one, result) for one, result in zip(group, results, strict=True)]
    except Exception as error:
        if len(group) > 1:
            return [outcome for one in group for outcome in _painted(painter, [one])]
        return [Done(group[0].task.key, _reason(error))]


def _write(
    connection: Connection, quality: int, finished: "Queue[_Finished | Done | None]"
) -> None:
    gone = False
    while (outcome := finished.get()) is not None:
        message = outcome if isinstance(outcome, Done) else _written(*outcome, quality)
        try:
            if not gone:
                connection.send(message)
        except OSError:  # nobody listens any more
            gone = True


def _written(one: _Ready, result: Result, quality: int) -> Done | ImpastoError:
    key, suffix = one.task.key, Path(one.task.target).suffix
    recipe = result.recipe.model_copy(update={"photo": one.task.source})
    try:
        data = media.encode(result.pixels, suffix, one.alpha, one.exif, recipe.embedded(), quality)
    except Exception as error:
        return Done(key, _reason(error))
    try:
        with replacing(Path(one.task.staged)) as file:
            file.write(data)
    except BadOutput as error:
        return error
    return Done(
        key=key,
        seconds=round(result.seconds, 4),
        width=result.pixels.shape[-1],
        height=result.pixels.shape[-2],
        notices=one.job.notices,
        recipe=recipe.model_dump(exclude_defaults=True),
        room=one.room,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ImpastoError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There was not enough memory."
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}".removesuffix(": ")
