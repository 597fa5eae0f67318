"""Receiving: what is sent too slowly, too long or by too many at once is refused in words."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from impasto.studio.problems import Refused
from impasto.studio.receiving import kind_of


def assert_busy(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"]


def test_too_large_is_refused_before_it_is_read(
    jpeg: bytes, site: Any, visitor: httpx.Client
) -> None:
    """Announced, or found out on the way; in both cases the sender hears why."""
    data = jpeg + bytes(2_000_000)
    announced = site.sent(visitor, data)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]

    streamed = visitor.post("/v1/uploads", content=pieces())
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert "2 MB" in answer.json()["detail"]
    site.until(lambda: not site.left_over())


REQUEST = b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def test_an_endless_upload_ends(jpeg: bytes, site: Any) -> None:
    """Whoever goes on sending after the refusal is cut off, within two seconds."""
    host, port = site.url.removeprefix("http://").split(":")
    start = time.perf_counter()
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n"
        )
        line.sendall(jpeg)
        answer = line.recv(65536)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert time.perf_counter() - start < 3


def test_a_sender_who_goes_away_leaves_nothing(jpeg: bytes, site: Any) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n"
        )
        line.sendall(jpeg[:500])
        site.until(lambda: site.left_over())
    site.until(lambda: not site.left_over())


def test_a_sender_who_falls_silent_is_not_waited_for(
    jpeg: bytes, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.studio.receiving.SILENCE", 0.2)
    monkeypatch.setattr("impasto.studio.receiving.LINGER", 0.1)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(REQUEST % 50_000 + jpeg[:500])
        assert b" 408 " in line.recv(65536).split(b"\r\n")[0]
    site.until(lambda: not site.left_over())


def test_a_sender_who_drips_is_cut_off(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never falls silent; still it has to come forward."""
    monkeypatch.setattr("impasto.studio.receiving.START", 0.4)
    monkeypatch.setattr("impasto.studio.receiving.LINGER", 0.1)
    host, port = site.url.removeprefix("http://").split(":")
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=0.05) as line:
        line.sendall(REQUEST % 50_000)
        answer = b""
        while not answer:
            assert time.monotonic() - start < 5
            line.sendall(b"\xff")
            with suppress(TimeoutError):
                answer = line.recv(65536)
    assert b" 408 " in answer.split(b"\r\n")[0]
    site.until(lambda: not site.left_over())


def test_only_so_many_send_at_once(
    jpeg: bytes, site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = site.services.intake
    monkeypatch.setattr(intake, "most", 1)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(REQUEST % 50_000 + jpeg[:500])
        site.until(lambda: intake.senders)
        assert_busy(site.sent(visitor, jpeg))
    site.until(lambda: not intake.senders)
    assert site.sent(visitor, jpeg).status_code == 201
    assert intake.bytes == 0


def test_bytes_of_all_senders_are_counted(
    jpeg: bytes, site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = site.services.intake
    data = jpeg
    for room in (100, len(data)):  # for the file; for what is made of it
        monkeypatch.setattr(intake, "together", room)
        assert_busy(site.sent(visitor, data))
        assert intake.bytes == 0
        assert site.stored(visitor) == []
    site.until(lambda: not site.left_over())


def test_uploads_of_all_visitors_are_counted(
    jpeg: bytes, site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.sent(visitor, jpeg)
    for bound in ("most", "most_bytes"):
        with monkeypatch.context() as patch, site.visitor() as other:
            patch.setattr(site.services.stock, bound, 1)
            assert_busy(site.sent(other, jpeg))
    assert site.sent(visitor, jpeg).status_code == 201


def test_others_may_decode_while_it_is_stored(
    jpeg: bytes, site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, inside = site.services.storage.put, []

    def slow(key: str, data: bytes) -> None:
        inside.append(site.services.desk._inside)
        put(key, data)

    monkeypatch.setattr(site.services.storage, "put", slow)
    assert site.sent(visitor, jpeg).status_code == 201
    assert inside == [0, 0, 0]


def test_forms_are_explained(jpeg: bytes, visitor: httpx.Client) -> None:
    answer = visitor.post("/v1/uploads", files={"file": jpeg})
    assert answer.status_code == 415
    assert "--data-binary" in answer.json()["detail"]


@pytest.mark.parametrize("head", [b"", bytes(64), b"RIFF\0\0\0\0AVI ", b"MZ"], ids=range(4))
def test_what_is_no_picture(head: bytes) -> None:
    with pytest.raises(Refused) as refused:
        kind_of(head)
    assert refused.value.status == 415
