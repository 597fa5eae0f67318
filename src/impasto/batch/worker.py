"""A process that paints: one thread reads ahead, one paints, one writes."""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.batch import films
from impasto.batch.tasks import Done, Manner, Message, Task
from impasto.errors import BadOutput, ImpastoError, reason
from impasto.files import replacing
from impasto.job import Job
from impasto.media import image as media
from impasto.media.small import read_small
from impasto.painter import Painter
from impasto.pipeline import Result, fitted_alpha
from impasto.processes import serve_parent
from impasto.recipe import Recipe
from impasto.storage import is_url, located


class _Ready(NamedTuple):
    """A photo that was read."""

    task: Task
    job: Job
    alpha: Tensor | None
    exif: bytes | None
    room: int


class _Reel(NamedTuple):
    """A film, which is not read before it is painted."""

    task: Task
    room: int = 1


_Waiting = _Ready | _Reel
_Finished = tuple[_Ready, Result]
_Outcomes = Queue[_Finished | Done | None]


class Shelf:
    """What was read and waits to be painted: no more than is painted at once."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, one: _Waiting) -> None:
        """Add one as soon as there is room for such a one."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < one.room)
            self._waiting.append(one)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> list[_Waiting]:
        """The next, and others whose canvases are of its size; none when nothing more comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            group: list[_Waiting] = []
            while self._waiting and (not group or _alike(group, self._waiting[0])):
                group.append(self._waiting.popleft())
            self._changed.notify_all()
            return group


def _alike(group: list[_Waiting], one: _Waiting) -> bool:
    first = group[0]
    if isinstance(first, _Reel) or isinstance(one, _Reel):
        return False
    return first.job.canvas.shape == one.job.canvas.shape and len(group) < one.room


def begin(connection: Connection, manner: Manner, threads: int) -> None:
    """What the process does; it ends with the one that started it, and Ctrl-C is not for it."""
    serve_parent()
    torch.set_num_threads(threads)
    serve(connection, manner)


def serve(connection: Connection, manner: Manner) -> None:
    """Say when everything is loaded, then paint what comes until nothing more does."""
    painter, failure = loaded(manner.recipe)
    try:
        connection.send(failure)
    except OSError:  # what there was to do is done
        return
    if painter is not None:
        work_off(painter, manner, partial(_next, connection), partial(_send, connection))
    connection.close()


def loaded(recipe: Recipe) -> tuple[Painter | None, ImpastoError | None]:
    """A Painter, or why there is none."""
    try:
        return Painter(recipe), None
    except ImpastoError as error:
        return None, error
    except Exception as error:
        return None, ImpastoError(reason(error))


def _next(connection: Connection) -> Task | None:
    try:
        task: Task | None = connection.recv()
    except (EOFError, OSError):
        return None
    return task


def _send(connection: Connection, message: Message) -> bool:
    try:
        connection.send(message)
    except OSError:  # nobody listens any more
        return False
    return True


def work_off(
    painter: Painter,
    manner: Manner,
    receive: Callable[[], Task | None],
    send: Callable[[Message], bool],
) -> None:
    """Paint what is received until that is None; reading and writing go on beside it.

    receive: called in a thread of its own; send: too, until it says that nobody listens
    """
    shelf, finished = Shelf(), _Outcomes(2)
    threads = [
        threading.Thread(target=_read, args=(receive, painter, shelf, finished), daemon=True),
        threading.Thread(target=_write, args=(send, manner.quality, finished), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while group := shelf.take():
        for outcome in _outcomes(painter, manner, group):
            finished.put(outcome)
    finished.put(None)
    for thread in threads:
        thread.join()


def _read(
    receive: Callable[[], Task | None], painter: Painter, shelf: Shelf, finished: _Outcomes
) -> None:
    """Photos become jobs."""
    while (task := receive()) is not None:
        try:
            shelf.put(_Reel(task) if task.film else _opened(painter, task))
        except Exception as error:  # one photo's fault must not end the others
            finished.put(Done(task.key, reason(error)))
    shelf.close()


def _opened(painter: Painter, task: Task) -> _Ready:
    photo = _photo(task.source, painter.recipe)
    job = painter.job(photo.levels, photo.alpha)
    alpha = fitted_alpha(photo, job.photo)
    return _Ready(task, job, alpha, photo.exif, painter.room(job))


def _photo(place: str, recipe: Recipe) -> media.Picture:
    """No larger than it is needed; in its own colours all of it counts."""
    if recipe.size is None or recipe.color == "match":
        return media.read(_source(place))
    return read_small(_source(place), recipe.size)


def _source(place: str) -> str | bytes:
    """A path; of an object what it holds."""
    if not is_url(place):
        return place
    storage, name = located(place)
    return storage.get(name)


def _outcomes(painter: Painter, manner: Manner, group: list[_Waiting]) -> "list[_Finished | Done]":
    if isinstance(group[0], _Reel):  # alone, see _alike
        return [films.painted(group[0].task, manner, painter.recipe)]
    return _painted(painter, [one for one in group if isinstance(one, _Ready)])


def _painted(painter: Painter, group: list[_Ready]) -> "list[_Finished | Done]":
    try:
        results = painter.paint([one.job for one in group])
        return [(one, result) for one, result in zip(group, results, strict=True)]
    except Exception as error:
        if len(group) > 1:
            return [outcome for one in group for outcome in _painted(painter, [one])]
        return [Done(group[0].task.key, reason(error))]


def _write(send: Callable[[Message], bool], quality: int, finished: _Outcomes) -> None:
    heard = True
    while (outcome := finished.get()) is not None:
        message = outcome if isinstance(outcome, Done) else _written(*outcome, quality)
        heard = heard and send(message)


def _written(one: _Ready, result: Result, quality: int) -> Done | ImpastoError:
    key, suffix = one.task.key, Path(one.task.target).suffix
    recipe = result.recipe.model_copy(update={"photo": one.task.source})
    try:
        data = media.encode(result.pixels, suffix, one.alpha, one.exif, recipe.embedded(), quality)
    except Exception as error:
        return Done(key, reason(error))
    try:
        _keep(data, one.task.staged)
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


def _keep(data: bytes, place: str) -> None:
    if is_url(place):
        storage, name = located(place)
        storage.put(name, data)
        return
    with replacing(Path(place)) as file:
        file.write(data)
