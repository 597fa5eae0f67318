"""The desk: what happens to a visitor's file when the process that opens it does not live."""

import io
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from impasto.studio import box, desk
from impasto.studio.box import Box
from impasto.studio.problems import Refused


@pytest.fixture(scope="module")
def photo() -> bytes:
    """One that takes a good part of a second to be opened and made anew."""
    noise = random.Random(0).randbytes(3 * 1900 * 1900)
    file = io.BytesIO()
    Image.frombytes("RGB", (1900, 1900), noise).save(file, "JPEG", quality=50)
    return file.getvalue()


@contextmanager
def killing(site: Any, times: int, kind: int) -> Iterator[list[int]]:
    """Kill the decoders that work on something, one after another."""
    killed: list[int] = []
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.002) and len(killed) < times:
            for one in site.services.desk._boxes:
                if not one._idle and one.pid and one.pid not in killed:
                    killed.append(one.pid)
                    os.kill(one.pid, kind)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSEGV], ids=str)
def test_a_decoder_that_is_killed_costs_nobody_a_picture(
    site: Any, visitor: httpx.Client, photo: bytes, kind: int
) -> None:
    with killing(site, 1, kind) as killed:
        answer = site.sent(visitor, photo)
    assert len(killed) == 1
    assert answer.status_code == 201, answer.text
    assert (answer.json()["width"], answer.json()["height"]) == (1900, 1900)
    site.until(lambda: not site.left_over())


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGKILL, 503), (signal.SIGSEGV, 422)])
def test_two_that_are_killed_are_an_error_in_words(
    site: Any, visitor: httpx.Client, photo: bytes, kind: int, status: int
) -> None:
    """Of the studio when somebody killed them, and of the file when they crashed over it."""
    with killing(site, 2, kind) as killed:
        answer = site.sent(visitor, photo)
    assert len(killed) == 2
    assert answer.status_code == status == answer.json()["status"]
    words = {503: "short of memory", 422: "save it anew"}
    assert words[status] in answer.json()["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)
    assert site.sent(visitor, photo).status_code == 201
    site.until(lambda: not site.left_over())


def test_too_much_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    start: Callable[[Box], None] = Box.start
    monkeypatch.setattr(Box, "start", lambda self: (tries.append(1), start(self)))
    with Box(desk.WORK) as one:
        monkeypatch.setattr(box, "LOOK", 0.01)
        with pytest.raises(Refused, match="more time or memory") as refused:
            desk.opened(one, {}, seconds=0.0)
    assert refused.value.status == 422 and len(tries) == 1
