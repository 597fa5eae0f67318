"""A worker: takes jobs from the queue and has them painted; any number, on any machines."""

import hashlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from impasto import methods
from impasto.errors import BadInput, ImpastoError
from impasto.storage import Missing, Storage, StorageDown
from impasto.studio import cards
from impasto.studio.box import Box
from impasto.studio.database import APPLICATION, UNFINISHED, VERSION, WORKFLOW, Database
from impasto.studio.execution import Execution, Workshop
from impasto.studio.limits import Limits
from impasto.studio.orders import Order

EASEL = "impasto.studio.easel:serve"

LEASE = 30.0
"""Seconds without a sign of life after which a job belongs to a dead worker."""

HEARTBEAT, ROUNDS = 10.0, 5.0
"""Seconds between two heartbeats, and between two looks for jobs of the dead."""

FINISH = 15
"""Seconds that a job has when the worker is asked to end."""

WAIT, MEASURE = 1.0, 120.0
"""Seconds in which a job may come before speeds are measured, and that one method may take."""

GRACE = 20.0
"""Seconds that the easel has to end a picture and write it when the job is cancelled."""

SLOTS = 256

log = logging.getLogger(__name__)


def run(
    database_url: str,
    storage_url: str,
    data: Path,
    device: str = "auto",
    limits: Limits | None = None,
    threads: int | None = None,
    parent: int | None = None,
) -> None:
    """Work until SIGTERM or SIGINT: what is painted then has ``FINISH`` seconds, or goes back.

    data: for scratch files, which a restarted worker goes on with; device: as in a Recipe;
    threads: of the processor; parent: id of the process that started this one, to end with it

    Raises BadInput for a database or storage that cannot be used.
    """
    limits = limits or Limits()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with _slot(database_url) as slot, Box(EASEL, limits.memory_mb, threads, GRACE) as easel:
        easel.start()
        workshop = Workshop(
            executor=f"{socket.gethostname()}-{slot}",
            database=Database(database_url),
            storage=Storage(storage_url),
            limits=limits,
            easel=easel,
            scratch=data / "scratch",
            device=device,
            leaving=threading.Event(),
        )
        if parent is not None and sys.platform == "win32":
            parent = os.getppid()  # a launcher stands between us
        _Worker(workshop).serve(stop, parent)


class _Worker:
    """The process around the jobs: DBOS, heartbeat, the jobs of the dead, and the end."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.current: Execution | None = None
        self.speeds: dict[str, Any] = {}

    def paint(self, id: str, order: dict[str, Any]) -> None:
        """Do one job; what became of it is in its attributes."""
        self.current = Execution(self.workshop, id, Order.model_validate(order))
        try:
            self.current.run()
        finally:
            self.current = None

    def serve(self, stop: threading.Event, parent: int | None) -> None:
        """Until ``stop``, or until the parent has gone."""
        self._launch()
        threading.Thread(target=self._measure, daemon=True).start()
        beaten = rounds = float("-inf")
        while not stop.wait(0.5) and parent in (None, os.getppid()):
            now = time.monotonic()
            with _despite_trouble():
                if now - rounds >= ROUNDS:
                    rounds = now
                    self._rounds()
                if now - beaten >= HEARTBEAT:
                    beaten = now
                    self.beat()
        self._leave()

    def _rounds(self) -> None:
        """A sign of life in the row of the job, and a look at those who give none."""
        if current := self.current:
            self.workshop.database.update(current.id)
        self.workshop.database.requeue(idle=LEASE)

    def _launch(self) -> None:
        """Take what this very worker had in hand when it was killed, and then what comes."""
        from dbos import DBOS, DBOSPortableJSONSerializer

        self.workshop.database.requeue(self.workshop.executor)
        self._sweep()
        with suppress(Missing, StorageDown):  # of the same machine, before it was killed
            self.speeds = cards.speeds(self.workshop.storage, self.workshop.executor)
        DBOS(
            config={
                "name": APPLICATION,
                "application_version": VERSION,
                "executor_id": self.workshop.executor,
                "system_database_engine": self.workshop.database.engine,
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "WARNING",
                "run_migrations": False,
            }
        )

        @DBOS.workflow(name=WORKFLOW)
        def paint(order: dict[str, Any]) -> None:
            self.paint(str(DBOS.workflow_id), order)

        DBOS.launch()

    def _sweep(self) -> None:
        """Scratch files of jobs that others have finished."""
        unfinished = self.workshop.database.rows(lambda column, _: column.status.in_(UNFINISHED))
        kept = {row.id for row in unfinished}
        for folder in self.workshop.scratch.glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _measure(self) -> None:
        """The table of speeds, which estimates are made of."""
        time.sleep(WAIT)
        for method in methods.names():  # jobs come in between
            with _despite_trouble():
                task = {
                    "do": "speeds",
                    "method": method,
                    "device": self.workshop.device,
                    "memory_mb": self.workshop.limits.memory_mb,
                }
                self.speeds = self.speeds | self.workshop.easel.call(task, MEASURE)["table"]
                self.beat()

    def beat(self) -> None:
        """Tell that it is alive, and how fast it is."""
        about = {
            "id": self.workshop.executor,
            "device": self.workshop.device,
            "seen": time.time(),
            "job": self.current.id if self.current else None,
            "speeds": self.speeds,
        }
        cards.write(self.workshop.storage, self.workshop.executor, about)

    def _leave(self) -> None:
        """Finish what can be finished soon, and give the rest back."""
        from dbos import DBOS

        current = self.current
        soon = current is not None and (current.eta is None or current.eta <= FINISH)
        self.workshop.leaving.set()
        DBOS.destroy(workflow_completion_timeout_sec=FINISH if soon else 0)
        self.workshop.easel.close()
        with _despite_trouble():
            self.workshop.database.requeue(self.workshop.executor)
            self.workshop.storage.delete(cards.key(self.workshop.executor))
        os._exit(0)  # a thread may wait for a picture that will not come


@contextmanager
def _despite_trouble() -> Iterator[None]:
    """What can be tried again later must not end the worker."""
    try:
        yield
    except (SQLAlchemyError, ImpastoError, OSError) as error:
        log.warning("%s", error)


@contextmanager
def _slot(database_url: str) -> Iterator[str]:
    """A name that no other worker for that database has here; a restarted one has it again."""
    place = hashlib.sha256(database_url.encode()).hexdigest()[:8]
    if sys.platform == "win32":
        yield f"{place}-{secrets.token_hex(4)}"
        return
    import fcntl

    for number in range(SLOTS):
        slot = f"{os.getuid()}-{place}-{number}"
        with (Path(tempfile.gettempdir()) / f"impasto-worker-{slot}.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield slot
            return
    raise BadInput(f"{SLOTS} workers for one database run on this machine: end some.")
