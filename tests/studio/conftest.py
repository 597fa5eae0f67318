"""A studio for tests: a database, a folder, and workers that are real processes."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from impasto.recipe import Recipe
from impasto.storage import Storage
from impasto.studio.app import build_services, create_app
from impasto.studio.jobs import Jobs
from impasto.studio.limits import Limits
from impasto.studio.orders import JobView, Order
from impasto.studio.security import Door

WORK = """
import sys
from pathlib import Path
from impasto.studio.limits import Limits
from impasto.studio.worker import run
url, storage, data, limits = sys.argv[1:]
run(url, storage, Path(data), "cpu", Limits.model_validate_json(limits), threads=1)
"""

PATIENCE = 120.0


class Studio:
    """Jobs and their workers."""

    def __init__(self, folder: Path, url: str | None = None, **limits: Any) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/studio.db"
        self.limits = Limits(**limits)
        self.storage = Storage(str(folder / "files"))
        self.jobs = Jobs(self.url, self.storage, self.limits)
        self.workers: list[subprocess.Popen[bytes]] = []

    def hire(self, data: str = "data") -> "subprocess.Popen[bytes]":
        """One more worker."""
        command = [sys.executable, "-c", WORK, self.url, str(self.folder / "files")]
        command += [str(self.folder / data), self.limits.model_dump_json()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(self.folder)}
        self.workers.append(subprocess.Popen(command, env=environment))
        return self.workers[-1]

    def order(self, owner: str = "a", **settings: Any) -> JobView:
        """One more job: a small painting of a sample, unless the settings say something else."""
        return self.jobs.submit(order(owner, **settings)).view

    def until(self, id: str, condition: Callable[[JobView], object], owner: str = "a") -> JobView:
        """The job as soon as it is so."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            view = self.jobs.get(owner, id)
            if condition(view):
                return view
            time.sleep(0.01)
        raise AssertionError(f"still {view}")

    def ended(self, id: str, owner: str = "a") -> JobView:
        """The job when it has ended."""
        return self.until(id, lambda view: view.state not in ("queued", "running"), owner)

    def result(self, view: JobView) -> bytes:
        """The bytes of a result."""
        return self.storage.get(f"jobs/{view.id}/result.png")

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            kill(worker)
        self.jobs.close()


def order(owner: str = "a", **settings: Any) -> Order:
    """An order of a small painting."""
    given = {"photo": "sample:astronaut", "styles": ("starry-night",), "method": "adain"}
    recipe = Recipe.model_validate({**given, "size": 64, **settings})
    return Order(recipe=recipe, owner=owner, photo=recipe.photo)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """As when the power fails."""
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server that was started for the tests."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if os.environ.get("CI") or not binaries:
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql, or a CI run")
    root = os.geteuid() == 0  # as whom PostgreSQL does not run
    user = "postgres" if root else None
    with tempfile.TemporaryDirectory(prefix="impasto-postgres-") as folder:
        if root:
            shutil.chown(folder, "postgres")
        data, bin = Path(folder) / "data", binaries[-1].parent
        make = [bin / "initdb", "-D", data, "-U", "tester", "--auth=trust", "--no-sync"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, user=user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        serve = [bin / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(serve, stdout=quiet, stderr=quiet, user=user) as server:
            ready = [bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready).returncode:
                time.sleep(0.05)
            yield f"postgresql://tester@127.0.0.1:{port}"
            server.send_signal(signal.SIGQUIT)  # at once


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio without workers."""
    studio = Studio(tmp_path)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with a worker, for all tests of a module."""
    studio = Studio(tmp_path_factory.mktemp("studio"))
    studio.hire()
    yield studio
    studio.close()


class Site:
    """A studio with its web process, as a thread of this one; its limits are small."""

    def __init__(self, folder: Path) -> None:
        limits = {"upload_bytes": 2_000_000, "pixels": 4_000_000, "film_bytes": 3_000_000}
        self.studio = Studio(folder, size=1024, own=6, queue=60, **limits)
        incoming = folder / "incoming"
        incoming.mkdir()
        self.services = build_services(
            self.studio.url, str(folder / "files"), incoming, self.studio.limits
        )
        self.app = create_app(self.services, Door())
        config = uvicorn.Config(self.app, log_config=None, ws="none", lifespan="on")
        self.server = uvicorn.Server(config)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))
        self.thread.start()

    def visitor(self, **headers: str) -> httpx.Client:
        """Somebody new."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def sent(self, client: httpx.Client, data: bytes, **headers: str) -> httpx.Response:
        """An upload."""
        kind = {"Content-Type": "application/octet-stream"}
        return client.post("/v1/uploads", content=data, headers={**kind, **headers})

    def stored(self, client: httpx.Client) -> list[str]:
        """Keys of what a visitor has uploaded."""
        owner = client.cookies.get("impasto")
        return [found.key for found in self.studio.storage.list(f"uploads/{owner}/")]

    def until(self, condition: Callable[[], object], seconds: float = 5) -> None:
        """Wait until it is so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, condition
            time.sleep(0.02)

    def left_over(self) -> list[str]:
        """Files of uploads that are still being received."""
        return [path.name for path in (self.studio.folder / "incoming").rglob("*")]

    def close(self) -> None:
        """End everything."""
        self.server.should_exit = True
        self.services.hub.close()
        self.thread.join(20)
        self.studio.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A web process, for all tests: what they find there is what they made."""
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture
def visitor(site: Site) -> Iterator[httpx.Client]:
    """Somebody who was never there before."""
    with site.visitor() as client:
        yield client


@pytest.fixture
def jpeg() -> bytes:
    """A small photo."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


class Served:
    """``impasto serve`` as a process, with one worker."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "impasto", "serve", "--port", "0"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
        self.began = time.monotonic()
        self.log = folder / "log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(folder / "data"), *options],
                env=environment,
                cwd=folder,
                text=True,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.seconds = time.monotonic() - self.began
        self.address = self.line.split()[2]
        self.url = self.address.partition("?")[0].rstrip("/")

    def end(self) -> int:
        """As a service manager does it.  ->  exit code"""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio as people start it, for all tests."""
    served = Served(tmp_path_factory.mktemp("served"), "--device", "cpu")
    yield served
    served.end()


@pytest.fixture
def served_as() -> type[Served]:
    """To start a studio with other options."""
    return Served
