"""Cards: what workers tell of themselves in the storage, every few seconds while they live."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from impasto.storage import Missing, Storage
from impasto.studio.estimates import Table, slowest

FOLDER = "workers/"

ALIVE = 35.0
"""Seconds after which a worker without a sign of life is not counted."""

FRESH = 3.0
"""Seconds for which what workers said is good."""


def key(worker: str) -> str:
    """Where a worker's card lies."""
    return f"{FOLDER}{worker}.json"


def ages(storage: Storage) -> dict[str, float]:
    """Seconds since each worker's last sign of life, by its name."""
    now = datetime.now(UTC)
    return {
        found.key.removeprefix(FOLDER).removesuffix(".json"): max(
            0.0, (now - found.modified).total_seconds()
        )
        for found in storage.walk(FOLDER)
    }


def alive(storage: Storage) -> list[str]:
    """Names of the workers that gave a sign of life lately."""
    return [name for name, age in ages(storage).items() if age < ALIVE]


def write(storage: Storage, worker: str, card: Mapping[str, object]) -> None:
    """A sign of life."""
    storage.put(key(worker), json.dumps(card).encode())


def speeds(storage: Storage, worker: str) -> Table:
    """How fast a worker said that it is.  Raises Missing."""
    card: dict[str, Any] = json.loads(storage.get(key(worker)))
    return card.get("speeds") or {}


class Speeds:
    """How fast the workers are, as they say themselves; asked for at most every few seconds."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._until = 0.0
        self._table: Table = {}
        self._workers = 0

    def table(self) -> Table:
        """Of the slowest of all workers; empty while none has said anything."""
        self._look()
        return self._table

    def workers(self) -> int:
        """How many there are."""
        self._look()
        return self._workers

    def _look(self) -> None:
        if time.monotonic() < self._until:
            return
        tables = []
        for worker in alive(self.storage):
            with suppress(Missing):
                tables.append(speeds(self.storage, worker))
        self._table, self._workers = slowest(tables), len(tables)
        self._until = time.monotonic() + FRESH
