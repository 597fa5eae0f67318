"""The queue of jobs: what visitors order, see, cancel and delete."""

import hashlib
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from impasto.errors import BadInput, ImpastoError
from impasto.storage import Storage, StorageDown
from impasto.studio import cards
from impasto.studio.database import UNFINISHED, WAITING, Database, Row
from impasto.studio.limits import Limits
from impasto.studio.orders import JOB, JobView, Order, State, uploads
from impasto.studio.shares import Origins
from impasto.studio.views import expires, state, view

RETRY = (5.0, 600.0)
"""Least and most seconds after which to try a full queue again."""

USUAL = 10.0
"""Seconds that a job is thought to take of which nothing is known."""

EPOCH = 1_767_225_600.0
"""From where priorities count, 2026-01-01 UTC: DBOS takes them from 1 to ``LAST``."""

LAST = 2**31 - 1

TURN = 60.0
"""Seconds that one more waiting job of the same visitor puts the next one back."""

ORPHAN = 3600.0
"""Seconds after which files of a job or worker that there is not are rubbish."""

log = logging.getLogger(__name__)

Rows = list[Row]
Views = list[JobView]
Owned = list[tuple[str, JobView]]
Gone = list[tuple[str, str]]


class QueueFull(ImpastoError):
    """Too many jobs wait; ``retry_after`` says in how many seconds there may be room."""

    def __init__(self, text: str, retry_after: float, code: str = "queue-full", own: int = 0):
        """code: see ``words``; own: jobs that wait"""
        super().__init__(text)
        self.retry_after, self.code, self.facts = retry_after, code, {"count": own}


@dataclass(frozen=True)
class Submitted:
    """What became of an order."""

    view: JobView
    made: bool
    """It is new; else its key came before."""


class KeyReused(BadInput):
    """The idempotency key came before, with another order."""


class NoSuchJob(ImpastoError):
    """There is no such job, or it is somebody else's."""


class Jobs:
    """The queue; synchronous, thread-safe, without torch."""

    def __init__(self, database_url: str, storage: Storage, limits: Limits) -> None:
        """Connect; the tables are made where there are none.

        Raises BadInput for a database that does not answer.
        """
        self.database = Database(database_url)
        self.storage = storage
        self.limits = limits
        self._entrance = threading.Lock()
        self._origins = Origins()

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def check(self) -> None:
        """Raise sqlalchemy's error where the database does not answer."""
        self.database.check()

    def submit(self, order: Order, key: str | None = None) -> Submitted:
        """Put an order in the queue. The same key again gives the same job again.

        Raises QueueFull, KeyReused.
        """
        id = _job_id(order.owner, key)
        if not (key and self.database.row(id)):
            self._priority(order.owner)  # who is refused need not wait for who is let in
        with self._entrance:
            made = not (key and self.database.row(id))
            if made:
                attributes = {
                    "order": order.model_dump(mode="json"),
                    "created": time.time(),
                    "starred": False,
                }
                self.database.enqueue(id, order.owner, attributes, self._priority(order.owner))
                self._origins.add(id)
        row = self._row(order.owner, id)
        if _wish(Order.model_validate(row.attributes["order"])) != _wish(order):
            raise KeyReused("This Idempotency-Key came before with another order: take a new one.")
        return Submitted(self._view(row), made)

    def _priority(self, owner: str) -> int:
        """First come, first served, but that every job of one's own that waits counts as if one had
        come ``TURN`` later: who orders little need not wait for who orders much, and who has waited
        long enough comes before everybody new.  ->  from 1, seconds

        Raises QueueFull.
        """
        all, own = self.database.crowd(owner)
        if own >= self.limits.own:
            text = f"{own} of your jobs are waiting, and that is the most: wait, or cancel some."
            raise QueueFull(text, self._patience(all), "own-full", own)
        if all >= self.limits.queue:
            raise QueueFull("The queue is full: try again in a while.", self._patience(all))
        if self._origins.full(self.limits.queue, self.database.queue):
            text = "Half of the queue comes from your address, and that is the most: try again"
            raise QueueFull(f"{text} in a while.", self._patience(all), "address-full")
        return min(max(1, round(time.time() - EPOCH + own * TURN)), LAST)

    def _patience(self, waiting: int) -> float:
        """Seconds until one of those that wait is likely to be done."""
        mean = self.database.queued_seconds(USUAL) / max(1, waiting)
        return min(max(mean, RETRY[0]), RETRY[1])

    def waiting(self) -> tuple[int, float]:
        """How many jobs nobody works on yet, and the seconds that painting them will take."""
        return self.database.crowd().all, self.database.queued_seconds(USUAL)

    def get(self, owner: str, id: str) -> JobView:
        """One's own job.  Raises NoSuchJob."""
        return self._view(self._row(owner, id))

    def _row(self, owner: str, id: str) -> Row:
        row = self.database.row(id) if JOB.fullmatch(id) else None
        if row is None or row.owner != owner:
            raise NoSuchJob("There is no such job: it may have expired.")
        return row

    def _view(self, row: Row) -> JobView:
        return self._views([row])[0]

    def list(
        self,
        owner: str,
        limit: int = 50,
        before: str | None = None,
        starred: bool | None = None,
        comparison: str | None = None,
    ) -> tuple[Views, str | None]:
        """One's own jobs, newest first, and where to go on (``before``) if there are more.

        before: the id of a job; only older ones are listed
        """
        rows = self.database.rows(lambda column, now: column.authenticated_user == owner)
        rows.sort(key=lambda row: (row.attributes["created"], row.id), reverse=True)
        if before is not None:
            places = [place for place, row in enumerate(rows) if row.id == before]
            rows = rows[places[0] + 1 :] if places else []
        rows = [
            row
            for row in rows
            if (starred is None or row.attributes["starred"] == starred)
            and (comparison is None or row.attributes["order"]["comparison"] == comparison)
        ]
        more = len(rows) > limit
        return self._views(rows[:limit]), rows[limit - 1].id if more else None

    def _views(self, rows: Sequence[Row]) -> Views:
        queued = any(row.status == WAITING for row in rows)
        queue = self.database.queue() if queued else []
        return [view(row, self.limits, queue) for row in rows]

    def active(self, seconds: float = 10.0) -> Owned:
        """Owner and state of all unfinished jobs, and of those that lately changed, in one query.

        seconds: how long ago is lately, by the database's clock
        """
        rows = self.database.rows(
            lambda column, now: (
                column.status.in_(UNFINISHED) | (column.updated_at >= now - seconds * 1000)
            )
        )
        waiting = sorted((row for row in rows if row.status == WAITING), key=lambda row: row.turn)
        queue = [row.id for row in waiting]
        return [(row.owner, view(row, self.limits, queue)) for row in rows]

    def cancel(self, owner: str, id: str) -> JobView:
        """Stop a job; what is painted of a running one is kept. A finished one stays as it is.

        Raises NoSuchJob.
        """
        row = self._row(owner, id)
        if row.status in UNFINISHED:
            self.database.update(id, finished=time.time())
            self.database.client.cancel_workflow(id)
        return self.get(owner, id)

    def delete(self, owner: str, id: str) -> None:
        """Stop and forget a job with all its files.  Raises NoSuchJob."""
        self._forget(self._row(owner, id))

    def _forget(self, row: Row) -> None:
        if row.status in UNFINISHED:
            self.database.client.cancel_workflow(row.id)
        self.database.client.delete_workflow(row.id)
        try:
            self.storage.delete_prefix(f"jobs/{row.id}/")
        except StorageDown:  # they are nobody's now, and swept later
            log.warning("job %s: its files are still there", row.id)

    def star(self, owner: str, id: str, starred: bool) -> JobView:
        """Mark a job.  Raises NoSuchJob."""
        self._row(owner, id)
        self.database.update(id, starred=starred)
        return self.get(owner, id)

    def counts(self) -> dict[State, int]:
        """How many jobs there are, by state."""
        found = Counter(state(row) for row in self._all())
        return {name: found[name] for name in get_args(State)}

    def _all(self) -> Rows:
        return self.database.rows(lambda column, now: column.status.is_not(None))

    def oldest_queued_seconds(self) -> float:
        """How long the first of those that wait has been waiting; 0 when none does."""
        rows = self.database.rows(lambda column, now: column.status == WAITING)
        created = [row.attributes["created"] for row in rows]
        return max(0.0, time.time() - min(created)) if created else 0.0

    def expire(self, now: float) -> Gone:
        """Delete what is past its time: jobs, uploads that nothing unfinished uses, orphans.

        now: seconds since 1970  ->  owners and ids of the jobs that are gone
        """
        rows = self._all()
        over = [row for row in rows if (expires(row, self.limits) or now) < now]
        for row in over:
            self._forget(row)
        kept = {row.id for row in rows} - {row.id for row in over}
        used = {
            (row.owner, name) for row in rows if row.status in UNFINISHED for name in _used(row)
        }
        self._sweep("jobs/", 1, now - ORPHAN, lambda job: job[0] in kept)
        self._sweep("uploads/", 2, now - self.limits.ttl_seconds, lambda upload: upload in used)
        self.storage.sweep(now - ORPHAN)
        for stored in self.storage.list(cards.FOLDER):
            if stored.modified.timestamp() < now - ORPHAN:
                self.storage.delete(stored.key)
        return [(row.owner, row.id) for row in over]

    def _sweep(
        self, prefix: str, depth: int, before: float, keep: Callable[[tuple[str, ...]], bool]
    ) -> None:
        """Delete the folders below a prefix that are old and not to be kept."""
        latest: dict[tuple[str, ...], float] = {}
        for stored in self.storage.list(prefix):
            folder = tuple(stored.key.removeprefix(prefix).split("/")[:depth])
            latest[folder] = max(latest.get(folder, 0.0), stored.modified.timestamp())
        for folder, modified in latest.items():
            if modified < before and not keep(folder):
                self.storage.delete_prefix(f"{prefix}{'/'.join(folder)}/")


def _job_id(owner: str, key: str | None) -> str:
    """A new id, or the one that belongs to a visitor's key."""
    if key is None:
        return secrets.token_hex(16)
    return hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()[:32]


def _wish(order: Order) -> dict[str, object]:
    """What makes two orders the same."""
    return order.model_dump(exclude={"estimate"})


def _used(row: Row) -> set[str]:
    return uploads(Order.model_validate(row.attributes["order"]).recipe)
