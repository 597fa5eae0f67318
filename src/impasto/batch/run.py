"""A batch: what of the photos is not finished is painted, and written down."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from impasto.batch.crew import Crew
from impasto.batch.films import is_film
from impasto.batch.items import Item, Place, Source, found, mine, targets
from impasto.batch.ledger import Ledger
from impasto.batch.manifest import Known, Manifest, Row, item_key
from impasto.batch.ray import RayCrew
from impasto.batch.tasks import Done, Manner, Task
from impasto.errors import BadInput, BadOutput
from impasto.estimate import free
from impasto.files import is_file
from impasto.film import STABLE
from impasto.film_job import ROOM
from impasto.fingerprint import fingerprint
from impasto.recipe import Recipe
from impasto.runtime import runtime
from impasto.storage import Storage, is_url, located

POLL = 1.0
"""Seconds between two looks at a folder that is watched."""

WORKER_MB = 2000
"""Memory that a process may come to hold: itself, and a picture just not painted in tiles."""

OnEvent = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True)
class Order:
    """What is to be painted, and how."""

    inputs: Sequence[Place]
    """One folder, or photos."""
    output: Place
    recipe: Recipe
    """Without a photo."""
    recursive: bool = False
    kind: str = "png"
    """A suffix without its dot, or ``keep``."""
    file_quality: int = 95
    """Of JPEG and WebP files, 1 to 100."""
    stable: float = STABLE
    """Of films, 0 to 1."""
    workers: int | None = None
    ray: str | None = None
    """Paint on a cluster: its address, or what ``RayCrew`` makes of ``auto`` and ``local``."""
    shard: tuple[int, int] = (1, 1)
    watch: bool = False


@dataclass
class Tally:
    """What came of a batch."""

    done: int = 0
    kept: int = 0
    """Finished before."""
    failed: int = 0


def batch(order: Order, on_event: OnEvent) -> Tally:
    """Paint what is not finished; a photo that fails is told of and does not stop the others.

    on_event: told of ``plan``, of every ``item``, and of ``done``

    Raises BadInput where there are no photos, or a picture to go on from, what ``Painter`` raises,
    BadOutput when nothing can be written any more. KeyboardInterrupt passes through, and what is
    finished stays.
    """
    start, tally = time.perf_counter(), Tally()
    if (begun := order.recipe.begun) is not None:
        text = "a picture to go on from is of a single photo"
        raise BadInput(f"--init {begun}: {text}. Leave it out, or paint that photo with stylize.")
    # What is wrong with them is told before anything is made
    crew = _crew(order, len(_photos(order, _ignore)))
    with _account(order) as manifest, crew:
        plan = _Plan(order, manifest, tally)
        while True:
            tasks = plan.tasks(on_event)
            for task, done in crew.work(tasks):
                row = manifest.add(_row(task, done))
                tally.done += row.outcome == "done"
                tally.failed += row.outcome == "failed"
                on_event({"event": "item", **asdict(row)})
            if not order.watch:
                break
            if tasks:
                manifest.settle()
            time.sleep(POLL)
    seconds = round(time.perf_counter() - start, 2)
    on_event({"event": "done", "output": str(order.output), **vars(tally), "seconds": seconds})
    return tally


def _account(order: Order) -> Manifest | Ledger:
    if isinstance(order.output, Storage):
        return Ledger(order.output, order.shard)
    return Manifest(order.output, order.shard)


def _crew(order: Order, photos: int) -> Crew | RayCrew:
    """Processes that share the cores; no more than there are photos, unless more may come."""
    manner = Manner(order.recipe, order.file_quality, order.stable)
    if order.ray is not None:
        return RayCrew(manner, order.ray, order.workers)
    threads = torch.get_num_threads()
    workers = order.workers or usual_workers(order.recipe, threads)
    workers = workers if order.watch else min(workers, photos)
    manner = replace(manner, room=ROOM * free() / workers)
    return Crew(manner, workers, max(1, threads // workers))


def usual_workers(recipe: Recipe, threads: int) -> int:
    """A process for every core, as far as memory allows; of those with an accelerator one."""
    if runtime(recipe.device).device.type != "cpu":
        return 1
    return max(1, min(threads, int(free() / 1e6 // WORKER_MB)))


class _Plan:
    """What is to be done now; when watching, asked again and again."""

    def __init__(self, order: Order, manifest: Manifest | Ledger, tally: Tally) -> None:
        self.order, self.manifest, self.tally = order, manifest, tally
        quality = None if order.kind == "png" else order.file_quality
        self.photos = fingerprint(order.recipe, quality)
        self.films = fingerprint(order.recipe, "film", order.stable)
        self.tried: dict[str, str] = {}
        """Keys by target; what failed is tried again when it has changed, or next time."""
        self.seen: dict[str, str] | None = None
        """Keys by target at the last look: a file that still grows is left for the next."""

    def tasks(self, on_event: OnEvent) -> list[Task]:
        """What is neither finished nor has failed now."""
        items, first = self._items(on_event), self.seen is None
        keys: dict[str, str] = {}
        tasks, kept = [], 0
        for item in items:
            base = self.films if item.film else self.photos
            key = keys[item.target] = item_key(base, item.target, item.source)
            if self.manifest.finished(item.target, key):
                kept += 1
            elif self.tried.get(item.target) != key and self._settled(item.target, key):
                self.tried[item.target] = key
                staged = self.manifest.staged(key, item.target)
                facts = (item.name, str(item.source), item.target, staged)
                tasks.append(Task(key, *facts, film=item.film))
        self.seen = keys
        self.manifest.keep_films({*keys.values()})
        if tasks or first:
            self.tally.kept = kept if first else self.tally.kept
            on_event({"event": "plan", "items": len(items), "kept": kept, "todo": len(tasks)})
        return tasks

    def _settled(self, target: str, key: str) -> bool:
        return not self.order.watch or (self.seen or {}).get(target) == key

    def _items(self, on_event: OnEvent) -> list[Item]:
        def closed(error: OSError) -> None:
            text = f"The folder {error.filename!r} cannot be read: {error.strerror}."
            if self.tried.setdefault(str(error.filename), text) == text:
                self.tally.failed += 1
                on_event({"event": "notice", "text": text})

        sources = _photos(self.order, closed)
        rows = self.manifest.rows.items()
        owners = {target: _owner(row, sources) for target, row in rows}
        films = {name for name, source in sources.items() if is_film(source)}
        chosen = targets(
            list(sources), self.order.kind, owners, lambda owner: _lost(owner, sources), films
        )
        _check_spared(self.order, chosen.values())
        return [
            Item(name, sources[name], chosen[name], name in films)
            for name in chosen
            if mine(name, self.order.shard)
        ]


def _check_spared(order: Order, targets: Collection[str]) -> None:
    """Raise BadOutput where a picture would take the place of a style or a mask."""
    if isinstance(order.output, Storage):
        return
    folder = order.output.resolve()
    for name in filter(is_file, order.recipe.sources()):
        path = Path(name).resolve()
        if path.is_relative_to(folder) and path.relative_to(folder).as_posix() in targets:
            raise BadOutput(f"{name} is read, and a picture would take its place. Move it.")


def _owner(row: Known, sources: Mapping[str, Source]) -> str:
    """The name of the photo that a row is of; the path, where it is another of that name.

    A photo that has moved with its folder is the same, while the old one is not there.
    """
    same = row.name in sources and str(sources[row.name]) == row.source
    return row.name if same or not _exists(row.source) else row.source


def _lost(owner: str, sources: Mapping[str, Source]) -> bool:
    return owner not in sources and not _exists(owner)


def _exists(source: str) -> bool:
    if not is_url(source):
        return Path(source).is_file()
    storage, name = located(source)
    return storage.exists(name)


def _photos(order: Order, on_error: Callable[[OSError], None]) -> Mapping[str, Source]:
    sources = found(order.inputs, order.output, order.recursive, on_error)
    if not sources and not order.watch:
        hint = "" if order.recursive else " (--recursive looks into folders inside)"
        raise BadInput(f"No pictures or films in {str(order.inputs[0])!r}{hint}.")
    return sources


def _ignore(error: OSError) -> None:
    """What is told a second time anyway."""


def _row(task: Task, done: Done) -> Row:
    return Row(
        name=task.name,
        source=task.source,
        target=task.target,
        key=task.key,
        outcome="failed" if done.reason else "done",
        finished=time.time(),
        reason=done.reason,
        seconds=done.seconds,
        width=done.width,
        height=done.height,
        frames=done.frames,
        notices=done.notices,
        recipe=done.recipe,
    )
