"""The manifest of pictures in a bucket, where nothing can be renamed and no file grows.

A picture is put where it belongs at once, whole. Lines are collected in objects, each of which is
written anew while it grows, every few seconds. Of pictures whose line was not written before a
kill nothing is known: they are painted again.
"""

import secrets
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from impasto.batch.items import ACCOUNT
from impasto.batch.manifest import NAME, Known, Row, entered, line_of
from impasto.storage import Storage

FLUSH_SECONDS = 10.0
"""So much of the work is done again after a kill."""

PART_LINES = 5000
"""Lines of an object, some megabytes."""

READERS = 16
"""Objects that are read at once."""


class Ledger:
    """The lines of one run, open for more; and what all have done so far."""

    def __init__(self, place: Storage, shard: tuple[int, int] = (1, 1)) -> None:
        """Read what there is.  Raises BadPicture where it cannot be read."""
        part = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
        self.place = place
        # A name of its own for every run: two at the same work do not lose lines.
        self.name = f"{NAME}{part}.{time.time_ns() // 10**6:x}-{secrets.token_hex(2)}"
        self.there = {found.key for found in place.walk()}
        self.rows: dict[str, Known] = {}
        self._lines: list[bytes] = []
        self._parts, self._written, self._last = 0, 0, 0.0
        self._read(sorted(name for name in self.there if ACCOUNT.fullmatch(name)))

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()

    def _read(self, names: list[str]) -> None:
        with ThreadPoolExecutor(READERS) as readers:
            for content in readers.map(self.place.get, names):
                for line in content.splitlines():
                    entered(self.rows, line)

    def finished(self, target: str, key: str) -> bool:
        """Whether that picture is there, and nothing has changed that it depends on."""
        row = self.rows.get(target)
        there = row is not None and row.key == key and row.outcome == "done"
        return there and target in self.there

    def staged(self, key: str, target: str) -> str:
        """Where a picture is written: at once to its place."""
        return self.place.address(target)

    def keep_films(self, keys: Collection[str]) -> None:
        """What was begun of films lies with those who paint them."""

    def add(self, row: Row) -> Row:
        """Note a line.  ->  the row

        Raises BadOutput when no line can be written.
        """
        self._lines.append(line_of(row))
        self.rows[row.target] = Known(row.name, row.source, row.key, row.outcome, row.finished)
        if row.outcome == "done":
            self.there.add(row.target)
        full = len(self._lines) >= PART_LINES
        if full or time.monotonic() - self._last >= FLUSH_SECONDS:
            self.settle()
        if full:
            self._lines, self._parts, self._written = [], self._parts + 1, 0
        return row

    def settle(self) -> None:
        """Write the lines that are not yet written.  Raises BadOutput."""
        if len(self._lines) > self._written:
            self.place.put(f"{self.name}.{self._parts:05}.jsonl", b"".join(self._lines))
            self._written = len(self._lines)
        self._last = time.monotonic()
