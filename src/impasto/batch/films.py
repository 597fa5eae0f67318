"""Films and animations in a batch: one at a time in a process, gone on with after a kill."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

from impasto.batch.tasks import Done, Manner, Remote, Task
from impasto.errors import BadPicture, reason
from impasto.files import writing
from impasto.film import paint_film
from impasto.media.video import animation
from impasto.media.video.parts import CODECS
from impasto.recipe import Recipe
from impasto.storage import is_url, located
from impasto.weights import cache_folder

READ = (".avi", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".ogv", ".wmv", ".3gp")

FILMS = frozenset({*CODECS, *READ, ".apng"})
"""What the name of a film or animation ends in; GIF, WebP and PNG may be either."""

HOLDS_ALL = ".mkv"
"""What films become whose kind is read and not written: it holds any sound."""


def is_film(source: Path | Remote) -> bool:
    """Whether it is painted as a film; of GIF, WebP and PNG, what moves; in a bucket every GIF."""
    suffix = PurePosixPath(str(source)).suffix.lower()
    if suffix in (".gif", ".webp", ".png"):
        return suffix == ".gif" if isinstance(source, Remote) else _moves(source, suffix)
    return suffix in FILMS


def suffix_of(name: str) -> str:
    """What a painted film or animation ends in."""
    own = PurePosixPath(name).suffix
    return own if own.lower() in {*CODECS, *animation.KINDS} else HOLDS_ALL


def _moves(path: Path, suffix: str) -> bool:
    try:
        status = path.stat()
        return _animated(path, suffix, status.st_size, status.st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=1 << 16)
def _animated(path: Path, suffix: str, _size: int, _time: int) -> bool:
    """Looked up once for every state of a file: folders that are watched are read often."""
    if suffix == ".webp":
        with path.open("rb") as file:
            head = file.read(21)
        return head[12:16] == b"VP8X" and bool(head[20] & 2)
    try:
        return animation.facts(path) is not None
    except BadPicture:
        return False


def painted(task: Task, manner: Manner, settled: Recipe) -> Done:
    """Paint a film; whatever is wrong with it is its own outcome.

    settled: the Recipe with the method and strength that it comes to
    """
    size, notices = [0, 0], list[str]()

    def note(event: Mapping[str, object]) -> None:
        if event["event"] == "notice":
            notices.append(str(event["text"]))
        elif event["event"] == "done":
            size[:] = event["size"]  # type: ignore[call-overload]

    try:
        with _at_hand(task) as (source, target):
            recipe = manner.recipe.model_copy(update={"photo": str(source)})
            done = paint_film(recipe, target, note, stable=manner.stable, room=manner.room)
    except Exception as error:
        return Done(task.key, reason(error))
    told = settled.model_copy(update={"photo": task.source, "size": max(size)})
    return Done(
        key=task.key,
        seconds=round(done.seconds, 4),
        width=size[0],
        height=size[1],
        frames=done.frames,
        notices=tuple(notices),
        recipe=told.model_dump(exclude_defaults=True),
    )


@contextmanager
def _at_hand(task: Task) -> Iterator[tuple[Path, Path]]:
    """Files to read from and to write to; those of buckets lie in the cache until all went well."""
    source, target = Path(task.source), Path(task.staged)
    folder = cache_folder() / "films" / task.key
    if is_url(task.source):
        source = folder / "in" / PurePosixPath(task.source).name
        with writing(source):
            source.parent.mkdir(parents=True, exist_ok=True)
        if not source.is_file():
            storage, name = located(task.source)
            storage.fetch(name, source)
    if is_url(task.staged):
        target = folder / "out" / PurePosixPath(task.staged).name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield source, target
    except BadPicture:  # nothing to go on with
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if is_url(task.staged):
        storage, name = located(task.staged)
        storage.put(name, target)
    shutil.rmtree(folder, ignore_errors=True)
