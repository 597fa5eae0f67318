"""A crew on a Ray cluster: Ray Data hands out the work, an actor for each device does it.

Ray Data keeps no more under way than the actors can take, and starts an actor anew that has died.
Who asked for the work keeps the account: actors are given Tasks and give back what came of them.
"""

import logging
import math
import os
import pickle
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import psutil
import torch

from impasto.batch.tasks import DIED, Done, Manner, Message, Task
from impasto.batch.worker import loaded, work_off
from impasto.errors import BadInput, ImpastoError, OutOfMemory
from impasto.painter import Painter

AUTO, LOCAL = "auto", "local"
"""In the place of an address: a cluster that runs already, else a local one; a local one."""

GROUP = 16
"""Most pictures that an actor is given at a time: so many are painted again when it dies."""

ROUNDS = 8
"""How often every actor gets something, at least, so that they end at about the same time."""

TRIES = 2
"""How often a group of pictures is begun before it counts as lost with those who painted it."""

UNBORN = 3
"""How often every actor may die before any of them has painted."""

PATIENCE = 5.0
"""Seconds in which a cluster has to answer."""

JOINS = 3
"""How often to ask the server of a ``ray://`` address, which loses some clients as they come."""


class Tries:
    """An actor that counts: Ray begins what was lost again and again."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()
        self._born = 0

    def born(self) -> int:
        """How many actors were started since anything was painted, this one too."""
        self._born += 1
        return self._born

    def begun(self, group: str) -> int:
        """How often a group was begun, this time too."""
        self._born = 0
        self._begun[group] += 1
        return self._begun[group]


class Easel:
    """What an actor does: it loads what the Recipe needs once, and paints what comes."""

    def __init__(self, manner: Manner, tries: Any, actors: int) -> None:
        torch.set_num_threads(1)
        self.manner, self.tries = manner, tries
        self.painter: Painter | None = None
        self.failure: ImpastoError | None = OutOfMemory(
            "Actors die before they paint: they need more memory, or fewer --workers."
        )
        if _told(tries.born.remote()) <= UNBORN * actors:
            self.painter, self.failure = loaded(manner.recipe)

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[bytes]]:
        """A group of Tasks to what came of each, or to an error that ends the work; all pickled."""
        messages: list[Message] = [] if self.failure is None else [self.failure]
        tasks: list[Task] = [task for row in rows["tasks"] for task in pickle.loads(row)]

        def keep(message: Message) -> bool:
            messages.append(message)
            return True

        if self.painter is not None and _told(self.tries.begun.remote(_id(tasks))) <= TRIES:
            rest = iter(tasks)
            work_off(self.painter, self.manner, lambda: next(rest, None), keep)
        return {"messages": [pickle.dumps(message) for message in messages]}


class Conductor:
    """An actor that has the work done where the cluster is: Ray Data does not reach into one."""

    def __init__(
        self,
        easel: type[Easel],
        manner: Manner,
        work: list[bytes],
        actors: int,
        gpus: bool,
        at_once: int,
    ) -> None:
        """work: groups of Tasks, pickled"""
        data = import_module("ray.data")
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # what is lost shows by what is left over
        tries = import_module("ray").remote(num_cpus=0)(Tries).remote()
        rows = [{"tasks": group} for group in work]
        painted = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            easel,
            batch_size=None,
            fn_constructor_args=(manner, tries, actors),
            compute=data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=at_once),
            num_cpus=1,
            num_gpus=1 if gpus else None,
        )
        self._blocks = iter(painted.iter_batches(batch_size=None, prefetch_batches=0))

    def more(self) -> list[bytes] | None:
        """What came of the next group, pickled; None at the end."""
        block = next(self._blocks, None)
        return None if block is None else [bytes(message) for message in block["messages"]]


class RayCrew:
    """What ``Crew`` is on one machine: the same work by the actors of a cluster."""

    def __init__(self, manner: Manner, address: str, workers: int | None = None) -> None:
        """address: see ``AUTO``; or ``HOST:PORT`` or ``ray://HOST:PORT``

        Raises BadInput where Ray is not installed, or that is no address.
        """
        self.manner, self.address, self.workers = manner, address, workers
        self.ray, self.easel = _installed(), Easel
        if address not in (AUTO, LOCAL):
            host_of(address)
        self._open = ExitStack()

    def __enter__(self) -> "RayCrew":
        self._open.enter_context(redirect_stdout(sys.stderr))  # Ray's own words
        try:
            self._join()
        except BaseException:
            self._open.close()
            raise
        self._open.callback(self.ray.shutdown)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def work(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done]]:
        """What came of every task, as soon as it is known.

        Tasks that were lost with an actor are tried once more, each alone; then they have failed.

        Raises what ``Painter`` raises, and ImpastoError where the cluster is lost.
        """
        left = {task.key: task for task in tasks}
        yield from self._round(left, grouped(tasks, self._devices()))
        again = [replace(task, again=True) for task in left.values()]
        yield from self._round(left, [[task] for task in again], at_once=1)
        for task in left.values():
            yield task, Done(task.key, DIED)

    def _join(self) -> None:
        """Connect to the cluster, or start one."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of our work
        address = self.address
        if address == AUTO:
            address = os.environ.get("RAY_ADDRESS", AUTO)
        if address not in (AUTO, LOCAL):
            check_answers(address)
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if address != LOCAL:
                self._connect(address, quiet)
                return
        except ConnectionError as error:
            if address != AUTO:
                raise _unreachable(address, error) from error
        except Exception as error:
            raise _unreachable(address, error) from error
        cores = self.workers or psutil.cpu_count(logical=False) or 1
        self.ray.init(address=LOCAL, num_cpus=cores, include_dashboard=False, **quiet)

    def _connect(self, address: str, quiet: dict[str, Any]) -> None:
        """Join a cluster that runs.

        The process that a server of clients forks for each of them may die at once, since gRPC is
        busy in another thread (ray-project/ray#63202): the next try is given another process.
        """
        for tries in range(JOINS if address.startswith("ray://") else 1, 0, -1):
            try:
                self.ray.init(address=address, **quiet)
                return
            except (RuntimeError, ConnectionAbortedError):
                if tries == 1:
                    raise
                self.ray.shutdown()

    def _gpus(self) -> int:
        if self.manner.recipe.device == "cpu":
            return 0
        return int(self.ray.cluster_resources().get("GPU", 0))

    def _devices(self) -> int:
        """How many actors there are: one for each GPU, or else for each core."""
        there = self._gpus() or int(self.ray.cluster_resources().get("CPU", 1))
        return min(there, self.workers or there)

    def _round(
        self, left: dict[str, Task], groups: Sequence[Sequence[Task]], at_once: int = 2
    ) -> Iterator[tuple[Task, Done]]:
        """Have groups of tasks done, and take those from ``left`` of which something is known."""
        for message in self._messages(groups, at_once) if groups else ():
            if isinstance(message, ImpastoError):
                raise message
            if message is not None and (task := left.pop(message.key, None)) is not None:
                yield task, message

    def _messages(self, groups: Sequence[Sequence[Task]], at_once: int) -> Iterator[Message]:
        actors = min(self._devices(), len(groups))
        work = [pickle.dumps(list(group)) for group in groups]
        start = self.ray.remote(num_cpus=0)(Conductor).remote
        conductor = start(self.easel, self.manner, work, actors, self._gpus() > 0, at_once)
        try:
            while (known := self.ray.get(conductor.more.remote())) is not None:
                yield from map(pickle.loads, known)
        except (self.ray.exceptions.RayError, ConnectionError) as error:
            said = str(error).strip().rpartition("\n")[2]
            raise ImpastoError(f"The cluster is lost; run this again to go on. {said}") from error
        finally:
            with suppress(Exception):  # it may have gone with the cluster
                self.ray.kill(conductor)


def _told(reference: Any) -> int:
    return int(import_module("ray").get(reference))


def _id(tasks: Sequence[Task]) -> str:
    return f"{tasks[0].key} {len(tasks)} {tasks[0].again}"


def grouped(tasks: Sequence[Task], devices: int) -> list[list[Task]]:
    """Tasks as they are handed out: some pictures at a time, films one by one."""
    pictures = [task for task in tasks if not task.film]
    size = max(1, min(GROUP, math.ceil(len(pictures) / (devices * ROUNDS))))
    groups = [pictures[i : i + size] for i in range(0, len(pictures), size)]
    return [[task] for task in tasks if task.film] + groups


def host_of(address: str) -> tuple[str, int]:
    """Host and port of the address of a cluster.  Raises BadInput."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        forms = "ray://HOST:10001, HOST:6379, auto or local"
        text = f"{address!r} is no address of a Ray cluster: write {forms}"
        raise BadInput(f"{text}, or --ray alone at the end of the command.")
    return host.strip("[]"), int(port)


def check_answers(address: str) -> None:
    """Raise BadInput where nothing listens at that address; Ray itself would take minutes."""
    try:
        socket.create_connection(host_of(address), PATIENCE).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> BadInput:
    said = (getattr(error, "strerror", None) or str(error)).strip().rpartition("\n")[2]
    return BadInput(f"No Ray cluster can be joined at {address}: {said.rstrip('.')}.")


def _installed() -> Any:
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError as error:
        text = "--ray needs packages that are not installed: pip install 'impasto[ray]'."
        raise BadInput(text) from error
