"""A batch on a Ray cluster: nothing is lost, nothing is done twice, whoever dies."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from impasto.batch import ray as cluster
from impasto.batch.ray import RayCrew, Tries, check_answers, grouped, host_of
from impasto.batch.tasks import Manner, Task
from impasto.cli import main
from impasto.errors import BadInput
from impasto.media import image as media
from impasto.recipe import Recipe

# --- without Ray ---


def tasks(count: int, film: bool = False) -> list[Task]:
    return [Task(f"{film}{n}", "", "", "", "", film=film) for n in range(count)]


def test_groups_hold_everything_once_and_films_go_alone() -> None:
    for count in (0, 1, 40, 1000):
        groups = grouped(tasks(count) + tasks(3, film=True), 2)
        keys = Counter(task.key for group in groups for task in group)
        assert len(keys) == count + 3 and set(keys.values()) == {1}
        assert all(len(group) == 1 for group in groups if group[0].film)
    assert len(grouped(tasks(10), 2)) == 10 and len(grouped(tasks(10_000), 2)) == 625


def test_tries_are_counted() -> None:
    tries = Tries()
    assert [tries.born(), tries.born(), tries.begun("a"), tries.begun("a"), tries.begun("b")] == [
        *(1, 2, 1, 2, 1)
    ]
    assert tries.born() == 1


@pytest.mark.parametrize(
    ("address", "parts"),
    [("ray://head:10001", ("head", 10001)), ("10.0.0.1:6379", ("10.0.0.1", 6379))],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert host_of(address) == parts


@pytest.mark.parametrize("address", ["photos", "head:port", ":6379", "ray://head", "head:99999"])
def test_what_is_no_address(address: str) -> None:
    """Most likely the folder that stood after --ray."""
    with pytest.raises(BadInput, match="no address of a Ray cluster"):
        host_of(address)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_cluster_that_does_not_answer() -> None:
    with pytest.raises(BadInput, match="No Ray cluster can be joined at ray"):
        check_answers(f"ray://127.0.0.1:{closed_port()}")


@pytest.fixture
def photos(tmp_path: Path, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photos").mkdir()
    for n in range(30):
        media.write(photo * (0.4 + n / 60), tmp_path / "photos" / f"{n:02}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("address", "lost", "asked"),
    [("ray://{}", 2, 3), ("ray://{}", 3, 3), ("{}", 1, 1)],
)
def test_a_server_that_loses_clients(
    address: str, lost: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again; the port of a cluster itself is not."""
    calls = list[str]()

    def init(**words: object) -> None:
        calls.append(str(words["address"]))
        if len(calls) <= lost:
            raise RuntimeError("Starting Ray client server failed.")

    fake = SimpleNamespace(init=init, shutdown=lambda: None)
    monkeypatch.setattr(cluster, "_installed", lambda: fake)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = address.format(f"127.0.0.1:{server.getsockname()[1]}")
        recipe = Recipe.model_validate({"styles": ("starry-night",), "method": "adain"})
        crew = RayCrew(Manner(recipe), address)
        if lost < asked:
            with crew:
                pass
        else:
            with pytest.raises(BadInput, match="client server failed"), crew:
                pass
    assert calls == [address] * asked


WORDS = ["batch", "photos", "out", "-s", "starry-night", "--method", "adain"]


def test_without_ray(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(main, [*WORDS, "--ray"])
    assert result.exit_code == 2 and "pip install 'impasto[ray]'" in result.stderr
    assert not (photos / "out").exists()


# --- with it ---


@pytest.fixture
def _ray() -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")


def running(words: list[str]) -> "subprocess.Popen[str]":
    """The command; what it says to people lies in the file ``said``."""
    with Path("said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "impasto", *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def events_of(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    """What it tells, until its end."""
    assert process.stdout is not None
    with process:
        yield from map(json.loads, process.stdout)


def actors(process: "subprocess.Popen[str]") -> list[int]:
    """The processes of its cluster that paint."""
    below = psutil.Process(process.pid).children(recursive=True)
    names = {child.pid: " ".join(child.cmdline()) for child in below}
    return [pid for pid, name in names.items() if "MapWorker" in name]


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_a_worker_that_is_killed(photos: Path) -> None:
    """A local cluster of two: what the dead one had in hand is painted by others."""
    process = running([*WORDS, "--size", "160", "--workers", "2", "--ray", "local"])
    events, victims = [], list[int]()
    for event in events_of(process):
        events.append(event)
        if event["event"] == "item" and not victims:
            victims = actors(process)
            os.kill(victims[0], signal.SIGKILL)
    assert process.returncode == 0, Path("said").read_text()
    assert len(victims) == 2
    assert events[-1]["done"] == 30 and events[-1]["failed"] == 0
    painted = Counter(event["target"] for event in events if event["event"] == "item")
    rows = (photos / "out" / "manifest.jsonl").read_text().splitlines()
    wanted = {f"{n:02}.png": 1 for n in range(30)}
    assert painted == wanted == Counter(json.loads(row)["target"] for row in rows)
    assert {path.name for path in (photos / "out").glob("*.png")} == wanted.keys()


@pytest.fixture
def _head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster with one core that serves clients at this machine's address, as Ray sees it."""
    import ray.util

    host, port, gcs = ray.util.get_node_ip_address(), closed_port(), closed_port()
    script = Path(sys.executable).with_name("ray")
    options = [f"--port={gcs}", f"--ray-client-server-port={port}", "--num-cpus=1"]
    options += [f"--node-ip-address={host}", "--include-dashboard=false"]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")  # see docs/many-machines.md
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    said = tmp_path / "head"
    with said.open("w") as log:
        words = [str(script), "start", "--head", "--block", *options]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_for(f"ray://{host}:{port}", process, said)
        yield f"ray://{host}:{port}"
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        for one in [process, *below]:
            one.kill()
        process.wait(60)


def wait_for(address: str, head: "subprocess.Popen[bytes]", said: Path) -> None:
    """Until clients are served."""
    end = time.monotonic() + 60
    while head.poll() is None and time.monotonic() < end:
        try:
            return check_answers(address)
        except BadInput:
            time.sleep(0.5)
    pytest.fail(f"No cluster at {address}:\n{said.read_text()}")


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
def test_an_existing_cluster(photos: Path, _head: str) -> None:
    """By its address; a photo that is none is one failed item there too."""
    (photos / "photos" / "00.png").write_bytes(b"none")
    process = running([*WORDS, f"--ray={_head}"])
    events = [*events_of(process)]
    assert process.returncode == 1, Path("said").read_text()
    assert (events[-1]["done"], events[-1]["failed"]) == (29, 1)


class Fatal(cluster.Easel):
    """Dies of one of the tasks."""

    def __call__(self, rows: dict[str, object]) -> dict[str, list[bytes]]:
        real = cluster.work_off

        def work_off(painter, manner, receive, send) -> None:  # type: ignore[no-untyped-def]
            def checked() -> Task | None:
                task: Task | None = receive()
                if task is not None and task.name == "poison":
                    os._exit(1)
                return task

            real(painter, manner, checked, send)

        cluster.work_off = work_off
        try:
            return super().__call__(rows)
        finally:
            cluster.work_off = real


@pytest.mark.slow
@pytest.mark.usefixtures("_ray")
@pytest.mark.filterwarnings("ignore")
def test_a_photo_that_kills_has_failed(
    photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those in hand with it are none the worse."""
    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    work = []
    for n in range(8):
        name, path = ("poison", "x") if n == 3 else (f"{n}", str(photos / "photos" / f"{n:02}.png"))
        work.append(Task(f"k{n}", name, path, f"{n}.png", str(tmp_path / f"{n}.png")))
    recipe = Recipe.model_validate({"styles": ("starry-night",), "method": "adain"})
    monkeypatch.setattr(cluster, "ROUNDS", 1)
    crew = RayCrew(Manner(recipe), "local", 1)
    crew.easel = Fatal
    with crew:
        outcomes = [(task.name, done.reason) for task, done in crew.work(work)]
    assert Counter(name for name, _ in outcomes) == {task.name: 1 for task in work}
    assert [name for name, reason in outcomes if reason] == ["poison"]
    assert torch.is_tensor(media.read(tmp_path / "7.png").levels)
