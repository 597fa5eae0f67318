"""``impasto serve``: the web process, and a worker beside it for every device."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import uvicorn

from impasto.errors import BadInput
from impasto.files import writing
from impasto.studio.app import build_services, create_app
from impasto.studio.desk import is_abandoned
from impasto.studio.events import Hub
from impasto.studio.limits import Limits
from impasto.studio.security import Door

PREFIX = "IMPASTO_STUDIO_"
"""What settings are called in the environment, from which workers take them."""

GRACE = 17.0
"""Seconds that workers have to finish, or to give back, what they paint."""

CLOSE = 8
"""Seconds that answers have to be sent."""

PAUSES = (0.5, 30.0)
"""Seconds until a worker that died is replaced: at first, and after many deaths."""

LASTING = 20.0
"""Seconds after which a worker counts as one that works."""

STALE = 3600.0
"""Seconds after which files of an upload belong to a server that is no more."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that says which of them may be used, as CUDA reads it."""

NVIDIA = Path("/proc/driver/nvidia/gpus")
"""Where Linux tells of NVIDIA's devices."""


@dataclass(frozen=True)
class Settings:
    """How a studio is started."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    database: str | None = None
    """An address; by default an SQLite file in ``data``"""
    storage: str | None = None
    """A folder or bucket; by default a folder in ``data``"""
    token: str | None = None
    allowed: Sequence[str] = ()
    """Further names under which it answers"""
    device: str = "auto"
    workers: int | None = None
    """By default one for every NVIDIA device, else one"""
    limits: Limits = field(default_factory=Limits)

    @property
    def database_url(self) -> str:
        """Of the queue."""
        return self.database or f"sqlite:///{self.data.resolve() / 'studio.db'}"

    @property
    def storage_url(self) -> str:
        """Of the pictures."""
        return self.storage or str(self.data.resolve() / "files")


def serve(
    settings: Settings, tell: Callable[[str], None], opened: Callable[[str], object] | None = None
) -> None:
    """Serve until SIGTERM or Ctrl-C; then end within 20 seconds, and lose nothing.

    tell: is given one line once it listens; opened: is given the address then, to show it

    Raises BadInput for a port that is taken, and for a database or storage that cannot be used.
    """
    door = Door.at(settings.host, settings.allowed, settings.token)
    with listening(settings.host, settings.port) as sock:
        with writing(settings.data):
            folder = incoming(settings.data)
        services = build_services(
            settings.database_url, settings.storage_url, folder, settings.limits
        )
        address = address_of(settings.host, sock.getsockname()[1], door.token)

        def started() -> None:
            tell(f"Impasto Studio: {address}  (Ctrl-C stops it)")
            if opened:
                opened(address)

        crew = Crew(settings)
        server = _Server(_config(create_app(services, door)), crew, services.hub, started)
        crew.start()
        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again that ended it
            server.run([sock])
        crew.end()


def address_of(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    everywhere = host in ("", "0.0.0.0", "::")
    name = socket.gethostname() if everywhere else host.strip("[]")
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def listening(host: str, port: int) -> socket.socket:
    """A socket at that address; port 0: any that is free.

    Raises BadInput when the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise BadInput(
            f"Cannot listen at {host} port {port} ({(error.strerror or str(error)).lower()}): "
            "stop what uses it, or choose another --port."
        ) from error
    return sock


def incoming(data: Path) -> Path:
    """The folder of files that are being received; what a killed server left there goes."""
    folder = data / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        with suppress(OSError):
            if is_abandoned(old) or time.time() - old.stat().st_mtime > STALE:
                shutil.rmtree(old, ignore_errors=True)
    return folder


def devices() -> list[str]:
    """The NVIDIA devices that may be used; without torch, which takes seconds."""
    if (allowed := os.environ.get(VISIBLE)) is not None:
        names = (name.strip() for name in allowed.split(","))
        return [*takewhile(lambda name: name not in ("", "-1"), names)]
    with suppress(OSError):
        return [str(number) for number, _ in enumerate(NVIDIA.iterdir())]
    return []


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=CLOSE,
        h11_max_incomplete_event_size=16_384,
    )


class _Server(uvicorn.Server):
    """Tells when it listens; ends event streams and workers before it waits for answers."""

    def __init__(
        self, config: uvicorn.Config, crew: "Crew", hub: Hub, started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.crew, self.hub, self.on_start = crew, hub, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.crew.stop()
        self.hub.close()
        await super().shutdown(sockets)


class Crew:
    """The workers beside a server; one that dies is replaced."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._found = [] if settings.device == "cpu" else devices()
        count = settings.workers
        self._count = max(1, len(self._found)) if count is None else count
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._stopped_at = 0.0
        self._keepers: list[threading.Thread] = []

    def start(self) -> None:
        """Start one for every device."""
        for place in range(self._count):
            keeper = threading.Thread(target=self._keep, args=(place,), daemon=True)
            self._keepers.append(keeper)
            keeper.start()

    def stop(self) -> None:
        """Ask all to end, and do not wait."""
        if not self._stopping.is_set():
            self._stopped_at = time.monotonic()
            self._stopping.set()
        for process in self._processes.values():
            with suppress(OSError):
                process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Ask all to end, and wait for it; those that do not are killed."""
        self.stop()
        for keeper in self._keepers:
            keeper.join(max(0.0, self._stopped_at + GRACE - time.monotonic()))
        for process in self._processes.values():
            with suppress(OSError):
                process.kill()
            process.wait()

    def _keep(self, place: int) -> None:
        pause = PAUSES[0]
        while not self._stopping.is_set():
            began = time.monotonic()
            process = self._processes[place] = self._hire(place)
            if self._stopping.is_set():  # it came too late to be told
                process.send_signal(signal.SIGTERM)
            process.wait()
            lasted = time.monotonic() - began > LASTING
            pause = PAUSES[0] if lasted else min(2 * pause, PAUSES[1])
            self._stopping.wait(pause)

    def _hire(self, place: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **worker_environment(self.settings)}
        if len(self._found) > 1:
            environment[VISIBLE] = self._found[place % len(self._found)]
        command = [sys.executable, "-m", "impasto", "worker", f"--with-parent={os.getpid()}"]
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes to us, and we tell them
        )


def worker_environment(settings: Settings) -> Mapping[str, str]:
    """The settings of a worker; a database's password is not for everybody to see, as a command
    line is."""
    values = {
        "DATA": str(settings.data.resolve()),
        "DATABASE": settings.database_url,
        "STORAGE": settings.storage_url,
        "DEVICE": settings.device,
        **{name.upper(): str(value) for name, value in settings.limits.model_dump().items()},
    }
    return {f"{PREFIX}{name}": value for name, value in values.items()}
