"""The manifest: one line for every picture that was painted or failed, in order of time.

A picture is written beside the others first, then its line, and then it is renamed to where it
belongs. So a picture that is there has a line, and for a line whose picture is not there yet the
renaming is made up for.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from filelock import FileLock, Timeout

from impasto.batch.items import STAGE, Source
from impasto.batch.tasks import Remote
from impasto.errors import BadOutput
from impasto.files import writing

NAME = "manifest"

Outcome = Literal["done", "failed"]


@dataclass(frozen=True)
class Row:
    """What came of a photo: one line."""

    name: str
    source: str
    target: str
    key: str
    """Changes with whatever could change the picture."""
    outcome: Outcome
    finished: float
    """Seconds since 1970."""
    reason: str = ""
    seconds: float | None = None
    """What painting took, without reading and writing."""
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    """Of a film, those painted this time."""
    notices: tuple[str, ...] = ()
    recipe: Mapping[str, object] = field(default_factory=dict)
    """With everything settled; what is as by default is left out."""


class Known(NamedTuple):
    """What is kept in mind of a row."""

    name: str
    source: str
    key: str
    outcome: Outcome
    finished: float


def entered(rows: dict[str, Known], line: bytes) -> None:
    """Keep a line in mind, unless it is torn, none of ours, or older than what is known."""
    with suppress(ValueError, KeyError, TypeError):
        row = json.loads(line)
        name, source, key, outcome, finished = (row[name] for name in Known._fields)
        old = rows.get(row["target"])
        if old is None or old.finished <= finished:
            rows[row["target"]] = Known(
                name, source, key, "done" if outcome == "done" else "failed", finished
            )


def line_of(row: Row) -> bytes:
    """ASCII: names need not be valid text."""
    return json.dumps(asdict(row)).encode() + b"\n"


class Manifest:
    """The lines of one shard, open for more; and what all shards have done so far."""

    def __init__(self, folder: Path, shard: tuple[int, int] = (1, 1)) -> None:
        """Open, or make, the manifest in a folder, which is made too.

        Raises BadOutput, also while another process works on that shard.
        """
        part = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
        self.folder, self.path = folder, folder / f"{NAME}{part}.jsonl"
        self.stage = folder / STAGE / f"{NAME}{part}"
        self._made = not folder.exists()
        with writing(folder):
            self.stage.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.stage.with_suffix(".lock"), timeout=0)
            try:
                self._lock.acquire()
            except Timeout:
                text = f"Another process is painting into {str(folder)!r}: wait for it, or use"
                raise BadOutput(f"{text} --shard.") from None
            self._file = self.path.open("ab", buffering=0)
        self._end_line()
        self.rows: dict[str, Known] = {}
        for path in sorted(folder.glob(f"{NAME}*.jsonl")):
            self._read(path)
        self.settle()

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()
        begun = os.fstat(self._file.fileno()).st_size > 0
        self._file.close()
        if not begun:  # before another may take the lock
            self.path.unlink(missing_ok=True)
            self._vanish()
        self._lock.release()

    def _vanish(self) -> None:
        """Leave no folder of a batch that could not begin; others may be at work in it."""
        with suppress(OSError):
            self.stage.with_suffix(".lock").unlink(missing_ok=True)
            self.stage.rmdir()
            self.stage.parent.rmdir()
            if self._made:
                self.folder.rmdir()

    def _end_line(self) -> None:
        """A line that was torn stays one of its own."""
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    self._file.write(b"\n")

    def _read(self, path: Path) -> None:
        with path.open("rb") as lines:
            for line in lines:
                entered(self.rows, line)

    def finished(self, target: str, key: str) -> bool:
        """Whether that picture is there, and nothing has changed that it depends on."""
        row = self.rows.get(target)
        there = row is not None and row.key == key and row.outcome == "done"
        return there and (self.folder / target).is_file()

    def staged(self, key: str, target: str = "") -> str:
        """Where a picture is written."""
        return str(self.stage / f"{key}{PurePosixPath(target).suffix}")

    def keep_films(self, keys: Collection[str]) -> None:
        """Throw away what was begun of other films than these."""
        for path in self.stage.glob(".*.parts"):
            if path.name.split(".")[1] not in keys:
                shutil.rmtree(path, ignore_errors=True)

    def add(self, row: Row) -> Row:
        """Write a line, and put the picture, if there is one, where it belongs.

        ->  the row, failed where the picture cannot be put there

        Raises BadOutput when no line can be written.
        """
        if row.outcome == "failed":
            self._write(row)
            return row
        target = self.folder / row.target
        try:
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_dir():
                    raise OSError(0, "it is a folder")
        except BadOutput as error:
            return self.add(_failed(row, error))
        self._write(row)
        try:
            with writing(target):
                Path(self.staged(row.key, row.target)).replace(target)
        except BadOutput as error:
            return self.add(_failed(row, error))
        return row

    def _write(self, row: Row) -> None:
        line = line_of(row)
        with writing(self.path):
            if self._file.write(line) < len(line):
                raise OSError(0, "there is no space left")
        self.rows[row.target] = Known(row.name, row.source, row.key, row.outcome, row.finished)

    def settle(self) -> None:
        """Put pictures that have a line where they belong, and remove what has none."""
        wanted = {row.key: target for target, row in self.rows.items() if row.outcome == "done"}
        for path in [*self.stage.glob("*")]:
            with suppress(OSError):  # then it is not there, and painted next time
                if path.stem in wanted:
                    _placed(path, self.folder / wanted[path.stem])
            with suppress(OSError):  # a folder is what was begun of a film, and stays
                path.unlink(missing_ok=True)


def _failed(row: Row, error: BadOutput) -> Row:
    return replace(row, outcome="failed", reason=str(error))


def _placed(staged: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)


def item_key(base: str, target: str, source: Source) -> str:
    """Changes with the ``fingerprint``, the target and the photo, by its size and time."""
    facts = f"{base} {target}"
    if isinstance(source, Remote):
        facts += f" {source.stamp}"
    else:
        with suppress(OSError):  # a link to nothing, or gone since: told when it is opened
            status = source.stat()
            facts += f" {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()[:24]
