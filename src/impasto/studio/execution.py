"""One job in the hands of a worker: files in, events out, and what became of it."""

import io
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from impasto.errors import BadInput, ImpastoError
from impasto.storage import Missing, Storage, StorageDown
from impasto.studio.box import Box, BoxDied, Message, Stopped
from impasto.studio.database import CANCELLED, RUNNING, Database, Row
from impasto.studio.limits import Limits
from impasto.studio.orders import PREVIEW, RESULT, SCALE, Order, Outcome, uploads

FILES = {"picture": "picture.png", "film": "film"}
"""What an upload of a kind is stored as."""

LOOK = 0.3
"""Seconds between two looks at whether the job is still wanted."""

PATIENCE = 1.0
"""Seconds between two tries when database or storage do not answer."""

OFTEN = 0.5
"""Least seconds between two notes of progress."""

DEATHS = 2
"""How often the easel may die over a job without having come further."""

EXPIRED = "A picture that it needs has expired meanwhile: upload it again."

Value = TypeVar("Value")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What all jobs of a worker share."""

    executor: str
    database: Database
    storage: Storage
    limits: Limits
    easel: Box
    scratch: Path
    device: str
    leaving: threading.Event
    """Set when the worker ends: what is not finished is for another."""


class Execution:
    """One job, from the queue to its outcome."""

    def __init__(self, workshop: Workshop, id: str, order: Order) -> None:
        self.workshop, self.id, self.order = workshop, id, order
        self.folder = workshop.scratch / id
        self.attributes: dict[str, Any] = {}
        self.notices: list[str] = []
        self.previews = 0
        self.further = False
        """Whether the easel has finished something since it last died."""
        self.looked = self.noted = float("-inf")
        self.hand = secrets.token_hex(8)
        """Who works on it: another execution of the same job has another one."""
        self.wanted = True
        self.eta: float | None = None

    def run(self) -> None:
        """Paint, and write down what became of it; a job that has an outcome is left alone.

        Never returns when the worker is leaving: the job is not done.
        """
        row = _patient(lambda: self.workshop.database.row(self.id))
        if row is None or row.attributes.get("outcome"):
            return
        self.attributes = dict(row.attributes)
        self.notices = list(self.attributes.get("notices") or [])
        self.previews = self.attributes.get("preview") or 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            started = self.attributes.get("started") or time.time()
            _patient(lambda: self._note(started=started, hand=self.hand))
            outcome = self._painted()
        except Stopped:
            outcome = self._last()
        except ImpastoError as error:
            outcome = self._last() if self._cancelled() else Outcome(reason=str(error))
        except Exception as error:
            log.exception("job %s", self.id)
            outcome = Outcome(reason=f"This should not have happened: {type(error).__name__}.")
        if self.workshop.leaving.is_set() and not outcome.done:
            threading.Event().wait()  # until the process ends
        self._conclude(outcome)

    def _painted(self) -> Outcome:
        """Raises ImpastoError for all that can go wrong."""
        files, begun, deaths = self._lasting(self._fetched), time.monotonic(), 0
        while True:
            left = self.workshop.limits.job_seconds - (time.monotonic() - begun)
            try:
                done = self.workshop.easel.call(self._task(files), left, self._hear, self._stop)
                return self._stored(done)
            except BoxDied as death:
                deaths = 1 if self.further else deaths + 1
                self.further = False
                if deaths >= DEATHS or not death.again or self._stop():
                    raise

    def _task(self, files: Mapping[str, str]) -> Message:
        limits, recipe = self.workshop.limits, self.order.recipe
        if size := self.attributes.get("size"):  # which a moment ago hung on time and memory
            recipe = recipe.model_copy(update={"size": size})
        return {
            "do": self.order.kind,
            "recipe": recipe.model_dump(mode="json"),
            "device": self.workshop.device,
            "folder": str(self.folder),
            "files": dict(files),
            "size": limits.size,
            "memory_mb": limits.memory_mb,
            "stable": self.order.stable,
            "after": (self.folder / SCALE).is_file(),
        }

    def _fetched(self) -> dict[str, str]:
        """Everything the Recipe names, and the last finished scale, as files."""
        files = {}
        for upload in sorted(uploads(self.order.recipe)):
            kind = self.order.kind if upload == self.order.photo else "picture"
            path = self.folder / upload
            key = f"uploads/{self.order.owner}/{upload}/{FILES[kind]}"
            try:
                self.workshop.storage.fetch(key, path)
            except Missing as error:
                raise BadInput(EXPIRED) from error
            files[upload] = str(path)
        try:
            self.workshop.storage.fetch(self._key(SCALE), self.folder / SCALE)
        except Missing:
            (self.folder / SCALE).unlink(missing_ok=True)
        return files

    def _key(self, name: str) -> str:
        return f"jobs/{self.id}/{name}"

    def _hear(self, event: Message) -> None:
        """What the easel tells goes to storage and row; that one of them is away is no reason to
        stop."""
        try:
            self._on(event)
        except (SQLAlchemyError, ImpastoError, OSError) as error:
            log.warning("job %s: %s", self.id, error)

    def _on(self, event: Message) -> None:
        kind = event["event"]
        if kind == "prepared":
            self.attributes["size"] = event["size"]
            self._note(size=event["size"], notices=self._noticed(event["notices"]))
        elif kind == "notice":
            self._note(notices=self._noticed([event["text"]]))
        elif kind == "step":
            self._progress(event)
        elif kind == "preview":
            self.previews += 1
            self._put(event["file"])
            self._note(preview=self.previews)
        elif kind == "scale":
            self._put(event["file"])
            self.further = True

    def _noticed(self, texts: Sequence[str]) -> list[str]:
        """All notices; one that comes again after a kill counts once."""
        self.notices += [text for text in texts if text not in self.notices]
        return self.notices

    def _progress(self, event: Message) -> None:
        self.eta = event["eta_seconds"]
        if time.monotonic() - self.noted < OFTEN:
            return
        self.noted = time.monotonic()
        self.further = self.further or self.order.kind == "film"
        names = ("done", "total", "fraction", "eta_seconds")
        self._note(progress={name: event[name] for name in names})

    def _last(self) -> Outcome:
        """What there is of a picture whose easel did not live to write it: the last preview."""
        if self.order.kind == "film" or not self._cancelled():
            return Outcome()
        try:
            data, size = _as_png(self.workshop.storage.get(self._key(PREVIEW)))
            self.workshop.storage.put(self._key(RESULT), data)
        except (Missing, StorageDown, OSError) as error:
            log.info("job %s has no last picture: %s", self.id, error)
            return Outcome()
        return Outcome(result=RESULT, width=size[0], height=size[1])

    def _cancelled(self) -> bool:
        """Whether its owner has stopped it; else it was deleted, or is another worker's."""
        row = _patient(lambda: self.workshop.database.row(self.id))
        return row is not None and row.status == CANCELLED

    def _lasting(self, work: Callable[[], Value]) -> Value:
        """Do it as soon as the storage answers.  Raises Stopped when nobody wants it any more."""
        while True:
            try:
                return work()
            except StorageDown as error:
                log.warning("job %s: %s", self.id, error)
            if self._stop():
                raise Stopped("Stopped.")
            time.sleep(PATIENCE)

    def _put(self, name: str) -> None:
        self.workshop.storage.put(self._key(name), self.folder / name)

    def _note(self, **attributes: object) -> None:
        self.workshop.database.update(self.id, **attributes)

    def _stop(self) -> bool:
        """Whether nobody wants it any more, or not of this worker."""
        now = time.monotonic()
        if self.wanted and now - self.looked >= LOOK:
            self.looked = now
            try:
                row = self.workshop.database.row(self.id)
                self.wanted = row is not None and self._mine(row)
            except SQLAlchemyError as error:
                log.warning("job %s: %s", self.id, error)
        return not self.wanted

    def _mine(self, row: Row) -> bool:
        return row.status == RUNNING and row.attributes.get("hand") == self.hand

    def _stored(self, done: Message) -> Outcome:
        if done["interrupted"] and not self._cancelled():
            return Outcome()
        _patient(lambda: self._put(done["result"]))
        names = ("recipe", "result", "seconds", "width", "height")
        facts = {name: done[name] for name in names}
        return Outcome.model_validate({"done": not done["interrupted"], **facts})

    def _conclude(self, outcome: Outcome) -> None:
        """Write down the outcome, however long the database is away, unless it is another's."""
        database, storage = self.workshop.database, self.workshop.storage
        row = _patient(lambda: database.row(self.id))
        if row is None:  # deleted meanwhile
            with _sweeping():
                storage.delete_prefix(self._key(""))
        elif row.status == CANCELLED or self._mine(row):
            facts: dict[str, object] = {"outcome": outcome.model_dump(mode="json")}
            if row.status == RUNNING:
                facts["finished"] = time.time()
            _patient(lambda: database.update(self.id, **facts))
            with _sweeping():
                storage.delete(self._key(SCALE))
        shutil.rmtree(self.folder, ignore_errors=True)


def _patient(work: Callable[[], Value]) -> Value:
    """Do it as soon as database and storage answer."""
    while True:
        try:
            return work()
        except (SQLAlchemyError, StorageDown) as error:
            log.warning("it has to wait: %s", error)
            time.sleep(PATIENCE)


@contextmanager
def _sweeping() -> Iterator[None]:
    """What cannot be deleted now, ``Jobs.expire`` deletes later."""
    try:
        yield
    except StorageDown as error:
        log.warning("%s", error)


def _as_png(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """A picture of ours in the format of results.  ->  bytes, width and height"""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        picture.save(file, "PNG")
        return file.getvalue(), picture.size
