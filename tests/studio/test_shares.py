"""Shares: an address may have half of what is for all, and this machine's own as much as ever."""

import socket
import threading
from typing import Any

import httpx
import pytest

from impasto.studio.events import Hub, Listener
from impasto.studio.problems import Refused
from impasto.studio.shares import ADDRESS, Origins, Shares, neighbour

RECIPE = {"photo": "sample:coffee", "styles": [{"source": "starry-night"}], "method": "adain"}


@pytest.fixture
def somewhere() -> Any:
    """Requests that come from an address of the world."""
    token = ADDRESS.set("203.0.113.7")
    yield
    ADDRESS.reset(token)


def test_what_counts_as_one_address() -> None:
    assert neighbour("203.0.113.7") == neighbour("::ffff:203.0.113.7") == "203.0.113.7"
    assert neighbour("2001:db8:1:2::1") == neighbour("2001:db8:1:2:ffff::9%eth0")
    assert neighbour("2001:db8:1:2::1") != neighbour("2001:db8:1:3::1")
    for own in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "", None, "testclient"):
        assert neighbour(own) is None


@pytest.mark.usefixtures("somewhere")
def test_half_and_no_more() -> None:
    shares = Shares()
    with shares.held(), shares.held():
        assert shares.room(6) and not shares.room(4)
        ADDRESS.set("203.0.113.8")
        assert shares.room(4)
        ADDRESS.set(None)
        assert shares.room(0)
        ADDRESS.set("203.0.113.7")
    assert shares.room(1) and not shares._held


@pytest.mark.usefixtures("somewhere")
def test_what_is_gone_does_not_count() -> None:
    origins, there = Origins(), {"a", "b", "c", "other"}
    for id in ("a", "b", "c"):
        origins.add(id)
    assert origins.full(6, lambda: there) and not origins.full(8, lambda: pytest.fail("asked"))
    there.remove("b")
    assert not origins.full(6, lambda: there)
    assert origins.mine(there) == {"a", "c"}
    ADDRESS.set("203.0.113.8")
    assert origins.mine(there) == set() and not origins.full(6, lambda: there)


@pytest.mark.usefixtures("somewhere")
def test_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.studio.events.STREAMS", 4)

    async def enter() -> None:
        hub = Hub(None)  # type: ignore[arg-type]
        hub.listeners = {Listener("a"), Listener("b")}
        with pytest.raises(Refused):
            hub.enter("c")
        ADDRESS.set("203.0.113.8")
        hub.enter("c")

    import asyncio

    asyncio.run(enter())


def ordered(site: Any, address: str, count: int) -> list[httpx.Response]:
    """Orders of somebody who keeps no cookie, behind a proxy of this machine."""
    headers = {"X-Forwarded-For": address}
    return [
        httpx.post(f"{site.url}/v1/jobs", json={"recipe": RECIPE}, headers=headers, timeout=60)
        for _ in range(count)
    ]


def emptied(site: Any) -> None:
    """What other tests have left in the queue."""
    jobs = site.services.jobs
    for id in jobs.database.queue():
        jobs.delete(jobs.database.row(id).owner, id)


def test_a_stranger_does_not_fill_the_queue(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who keeps no cookie is somebody new every time, but from the same address."""
    emptied(site)
    limits = site.services.limits.model_copy(update={"queue": 6})
    monkeypatch.setattr(site.services.jobs, "limits", limits)
    *taken, refused = ordered(site, "203.0.113.20", 4)
    assert [answer.status_code for answer in taken] == [202, 202, 202]
    assert refused.status_code == 429
    assert "your address" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    assert [answer.status_code for answer in ordered(site, "203.0.113.21", 2)] == [202, 202]
    emptied(site)
    assert ordered(site, "203.0.113.20", 1)[0].status_code == 202
    emptied(site)


REQUEST = (
    b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.30\r\n"
    b"Content-Length: 50000\r\n\r\n"
)


def test_a_stranger_does_not_send_all_files(
    site: Any, jpeg: bytes, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = site.services.intake
    monkeypatch.setattr(intake, "most", 2)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(REQUEST + jpeg[:500])
        site.until(lambda: intake.senders)
        again = site.sent(visitor, jpeg, **{"X-Forwarded-For": "203.0.113.30"})
        assert again.status_code == 429 and "your address" in again.json()["detail"]
        other = site.sent(visitor, jpeg, **{"X-Forwarded-For": "203.0.113.31"})
        assert other.status_code == 201
    site.until(lambda: not intake.senders)
    site.until(lambda: not intake.sending._held and not intake.holdings._held)


def test_a_stranger_does_not_keep_all_uploads(
    site: Any, jpeg: bytes, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = site.services.stock
    where = {"X-Forwarded-For": "203.0.113.40"}
    first = site.sent(visitor, jpeg, **where)
    assert first.status_code == 201
    monkeypatch.setattr(stock, "most_bytes", 2 * sum(stock._sizes.values()) + 1)
    monkeypatch.setattr(stock, "most", max(2, len(stock._sizes) + 1))
    monkeypatch.setattr("impasto.studio.uploads.share", lambda most: 1)
    again = site.sent(visitor, jpeg, **where)
    assert again.status_code == 429 and "your address" in again.json()["detail"]
    assert site.sent(visitor, jpeg).status_code == 201


def test_shares_are_kept_right_by_many() -> None:
    shares, address = Shares(), "203.0.113.7"

    def work() -> None:
        ADDRESS.set(address)
        for _ in range(2000):
            shares.take(1)
            shares.take(-1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not shares._held
