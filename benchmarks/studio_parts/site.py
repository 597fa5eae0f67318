"""A studio to be tried: ``impasto serve`` with its children, in a folder of its own."""

import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil

PATIENCE = 300.0
"""Seconds after which something that should come about is taken for lost."""

FAMILY = {"worker": "impasto worker", "easel": "studio.easel", "decoder": "studio.decoder"}
"""What the command lines of the children contain."""

LASTING = re.compile(r"impasto-worker-.*\.lock|torchinductor_")
"""What stays in the folder for temporary files: locks of workers, and torch's own."""


class Site:
    """``impasto serve``; who kills it starts it again."""

    def __init__(self, folder: Path, **limits: object) -> None:
        self.folder, self.data = folder, folder / "data"
        (folder / "tmp").mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        options = [f"--{name.replace('_', '-')}={value}" for name, value in limits.items()]
        place = ["--port", str(self.port), "--data", str(self.data)]
        self._command = [sys.executable, "-m", "impasto", "serve", *place, *options]
        pool = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self.http = httpx.Client(base_url=self.url, timeout=60, limits=pool)
        self.start()

    def start(self) -> None:
        """Start the web process, which starts the others."""
        environment = {**os.environ, "TMPDIR": str(self.folder / "tmp")}
        with (self.folder / "log").open("ab") as log:
            self.web = subprocess.Popen(
                self._command, env=environment, cwd=self.folder, stdout=log, stderr=log
            )

    def ready(self) -> None:
        """Wait until it can paint."""
        until(lambda: self.answers("/readyz"), "the studio is not ready")

    def answers(self, path: str) -> bool:
        """Whether it says that all is well."""
        with suppress(httpx.TransportError):
            return self.http.get(path).status_code == 200
        return False

    def family(self, kind: str) -> list[psutil.Process]:
        """The living processes of a kind: web, worker, easel or decoder."""
        with suppress(psutil.Error):
            web = psutil.Process(self.web.pid)
            if kind == "web":
                return [web] if web.status() != psutil.STATUS_ZOMBIE else []
            return [child for child in web.children(recursive=True) if _is(child, kind)]
        return []

    def kill(self, kind: str, which: Callable[[list[Any]], Any] = lambda found: found[0]) -> bool:
        """kill -9 of one process of a kind; False where there is none at this moment."""
        found = self.family(kind)
        if not found:
            return False
        with suppress(psutil.NoSuchProcess):
            which(found).kill()
        if kind == "web":
            self.web.wait()
        return True

    def end(self) -> float:
        """As a service manager does it.  ->  seconds"""
        began = time.monotonic()
        self.web.send_signal(signal.SIGTERM)
        self.web.wait(60)
        self.http.close()
        return time.monotonic() - began

    def strays(self) -> list[str]:
        """Processes of this studio that do not belong to the one that runs."""
        mine = {child.pid for child in psutil.Process(self.web.pid).children(recursive=True)}
        found = (one for one in psutil.process_iter() if one.pid not in {*mine, self.web.pid})
        return [" ".join(one.cmdline()) for one in found if _home(one) == str(self.folder / "tmp")]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the database, which others go on to write."""
        with closing(sqlite3.connect(self.data / "studio.db", timeout=30)) as connection:
            found = connection.execute(sql).fetchall()
            connection.commit()
            return found

    def errors(self) -> list[str]:
        """What the log tells of mistakes: lines with status 5xx or a traceback."""
        return [line for line in (self.folder / "log").read_text().splitlines() if _is_error(line)]

    def left_over(self) -> list[str]:
        """Temporary files, which should be gone when nothing is under way; locks are to stay."""
        places = (self.data / "incoming", self.data / "scratch", self.folder / "tmp")
        found = [path for place in places if place.is_dir() for path in place.iterdir()]
        found += self.data.rglob("*.part")
        return [
            str(path.relative_to(self.folder)) for path in found if not LASTING.match(path.name)
        ]


@contextmanager
def site(**limits: object) -> Iterator[Site]:
    """A studio that is ready, for a while; limits: options of ``impasto serve``."""
    with TemporaryDirectory(prefix="impasto-studio-", ignore_cleanup_errors=True) as folder:
        made = Site(Path(folder), **limits)
        try:
            made.ready()
            yield made
        finally:
            made.end()


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for a condition, and return what it came to; RuntimeError when it does not."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"After {seconds:.0f} s {what}.")
        time.sleep(0.1)
    return found


def visitor() -> dict[str, str]:
    """Headers of somebody who was never there before."""
    return {"Cookie": f"impasto={secrets.token_hex(16)}"}


def _home(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("TMPDIR", ""))
    except psutil.Error:  # it is somebody else's, or gone
        return ""


def _is(process: psutil.Process, kind: str) -> bool:
    try:
        return FAMILY[kind] in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _is_error(line: str) -> bool:
    try:
        told = json.loads(line)
    except ValueError:
        return line.startswith("Traceback")
    if not isinstance(told, dict):
        return False
    return told.get("level") in ("error", "critical") or told.get("status", 0) in (500, 502)
