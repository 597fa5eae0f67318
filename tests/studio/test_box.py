"""A child process that may do anything."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from impasto.errors import BadInput, BadPicture, ImpastoError, OutOfMemory
from impasto.studio.box import Box, BoxDied, Stopped

WORK = """
import os, signal, sys, time
from impasto.errors import BadPicture

def serve():
    return lambda task, tell: globals()[task["do"]](task, tell)

def echo(task, tell):
    print("whatever prints does not disturb")
    os.write(1, b'{"done": "not this"}\\n')
    tell({"event": "one", "text": "äöü"})
    tell({"event": "two"})
    return {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS"), **task}

def refuse(task, tell):
    raise BadPicture("This is no picture.")

def stumble(task, tell):
    return 1 / 0

def burst(task, tell):
    raise MemoryError

def eat(task, tell):
    food = []
    while True:
        food.append(b"x" * 10_000_000)
        time.sleep(0.01)

def hang(task, tell):
    time.sleep(1000)

def deaf(task, tell):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(1000)

def die(task, tell):
    os.kill(os.getpid(), signal.SIGKILL)

def leave(task, tell):
    os._exit(7)

def finish(task, tell):
    try:
        time.sleep(1000)
    except KeyboardInterrupt:
        time.sleep(2)
        return {"finished": True}

def steps(task, tell):
    done = 0
    try:
        while True:
            done += 1
            tell({"event": "step", "done": done})
            time.sleep(0.01)
    except KeyboardInterrupt:
        return {"done": done}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "boxwork.py").write_text(WORK)
    return folder


@pytest.fixture
def new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Box]]:
    """Boxes, ended after the test."""
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    boxes: list[Box] = []

    def make(**settings: Any) -> Box:
        boxes.append(Box("boxwork:serve", **settings))
        return boxes[-1]

    yield make
    for box in boxes:
        box.close()


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_a_task_and_what_came_of_it(new: Callable[..., Box]) -> None:
    box, events = new(threads=3), []
    first = box.call({"do": "echo", "text": "ü"}, tell=events.append)
    assert events == [{"event": "one", "text": "äöü"}, {"event": "two"}]
    assert (first["text"], first["threads"]) == ("ü", "3")
    assert box.call({"do": "echo"})["pid"] == first["pid"] == box.pid != os.getpid()


@pytest.mark.parametrize(
    ("do", "kind", "words"),
    [
        ("refuse", BadPicture, "This is no picture."),
        ("stumble", ImpastoError, "should not have happened: ZeroDivisionError"),
        ("burst", OutOfMemory, "not enough memory"),
    ],
)
def test_errors_come_back(
    new: Callable[..., Box], do: str, kind: type[ImpastoError], words: str
) -> None:
    box = new()
    pid = box.call({"do": "echo"})["pid"]
    with pytest.raises(ImpastoError, match=words) as caught:
        box.call({"do": do})
    assert type(caught.value) is kind
    assert box.call({"do": "echo"})["pid"] == pid


@pytest.mark.parametrize(
    ("do", "settings", "seconds", "words", "again"),
    [
        ("eat", {"memory_mb": 150}, None, "ran out of memory .150 MB", True),
        ("hang", {}, 0.3, "took longer than 0.3 s", False),
        ("die", {}, None, "killed: maybe memory", True),
        ("leave", {}, None, "died .code 7", True),
    ],
)
def test_it_may_die_and_comes_back(
    new: Callable[..., Box],
    do: str,
    settings: dict[str, float],
    seconds: float | None,
    words: str,
    again: bool,
) -> None:
    box = new(**settings)
    pid = box.call({"do": "echo"})["pid"]
    start = time.monotonic()
    with pytest.raises(BoxDied, match=words) as caught:
        box.call({"do": do}, seconds)
    assert time.monotonic() - start < 5
    assert caught.value.again == again
    assert not psutil.pid_exists(pid)
    assert box.call({"do": "echo"})["pid"] != pid


def test_stopped_it_returns_what_it_has(new: Callable[..., Box]) -> None:
    box = new()
    pid = box.call({"do": "echo"})["pid"]
    assert box.call({"do": "steps"}, stop=after(0.2))["done"] > 2
    assert box.call({"do": "echo"})["pid"] == pid


def test_stopped_with_nothing_to_show(new: Callable[..., Box]) -> None:
    box = new()
    pid = box.call({"do": "echo"})["pid"]
    with pytest.raises(Stopped):
        box.call({"do": "hang"}, stop=after(0.1))
    assert box.call({"do": "echo"})["pid"] == pid


def test_a_box_of_patience_lets_it_finish(new: Callable[..., Box]) -> None:
    box = new(grace=20.0)
    pid = box.call({"do": "echo"})["pid"]
    assert box.call({"do": "finish"}, seconds=1.0, stop=after(0.1)) == {"finished": True}
    assert box.call({"do": "echo"})["pid"] == pid


def test_what_does_not_listen_is_killed(new: Callable[..., Box]) -> None:
    box = new()
    pid = box.call({"do": "echo"})["pid"]
    start = time.monotonic()
    with pytest.raises(Stopped):
        box.call({"do": "deaf"}, stop=after(0))
    assert 1.4 < time.monotonic() - start < 2.5
    assert not psutil.pid_exists(pid)


def test_a_listener_that_fails_ends_the_task(new: Callable[..., Box]) -> None:
    def fail(event: dict[str, Any]) -> None:
        raise BadInput("No.")

    box = new()
    with pytest.raises(BadInput, match=r"No\."):
        box.call({"do": "steps"}, tell=fail)
    assert "pid" in box.call({"do": "echo"})


def test_one_at_a_time(new: Callable[..., Box]) -> None:
    box, results = new(), []
    threads = [
        threading.Thread(target=lambda n=n: results.append(box.call({"do": "echo", "n": n})["n"]))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1, 2, 3, 4]


def test_closed_it_is_gone_and_starts_anew(new: Callable[..., Box]) -> None:
    with new() as box:
        pid = box.call({"do": "echo"})["pid"]
    assert not psutil.pid_exists(pid)
    assert box.pid is None
    assert box.call({"do": "echo"})["pid"] != pid


PARENT = """
from impasto.studio.box import Box
box = Box("boxwork:serve")
print(box.call({"do": "echo"})["pid"], flush=True)
box.call({"do": "hang"})
"""


def test_it_ends_with_its_parent(new: Callable[..., Box]) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs([child], timeout=5)[1] == []
