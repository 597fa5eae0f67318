"""Who is let in, under which name, and what every answer carries."""

import httpx
import pytest
from starlette.datastructures import Headers

from impasto.studio.problems import Refused
from impasto.studio.security import Door, bearer, cookies, host_name, is_loopback, same

TOKEN = "a token that nobody guesses"


def status(door: Door, host: str) -> int:
    try:
        door.check_host(host)
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("localhost.", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.1.7", 403),
        ("", 400),
        ("localhost:port", 400),
        ("user@localhost", 400),
        ("localhost/x", 400),
        ("[::1", 400),
    ],
)
def test_names_on_this_machine(host: str, expected: int) -> None:
    assert status(Door.at("127.0.0.1"), host) == expected


def test_names_in_the_network() -> None:
    """No stranger's name can be a number, so numbers are good where all addresses are served."""
    door = Door.at("0.0.0.0", ["Studio.Example.org"], TOKEN)
    assert [status(door, host) for host in ("studio.example.org:80", "10.0.0.5", "[fe80::1]")] == [
        200
    ] * 3
    assert status(door, "other.example.org") == 403
    assert status(Door.at("192.168.1.7", (), TOKEN), "192.168.1.7:8000") == 200
    assert status(Door.at("192.168.1.7", (), TOKEN), "192.168.1.8:8000") == 403


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("", False),
        ("192.168.1.7", False),
        ("studio", False),
    ],
)
def test_off_this_machine_there_is_a_token(host: str, private: bool) -> None:
    assert is_loopback(host) is private
    assert (Door.at(host).token is None) is private
    assert Door.at(host).token is None or len(Door.at(host).token or "") >= 32
    assert Door.at(host) == Door.at(host) or not private  # a new one each time
    assert Door.at(host, (), TOKEN).token == TOKEN


def origin_status(**headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        Door().check_origin(Headers(given))
    except Refused as refused:
        return refused.status
    return 200


def test_only_our_own_page_gives_orders() -> None:
    assert origin_status(host="localhost:8000", origin="http://localhost:8000") == 200
    assert origin_status(host="studio.org", origin="https://studio.org") == 200
    assert origin_status(host="localhost:8000") == 200  # no browser
    assert origin_status(host="localhost:8000", sec_fetch_site="same-origin") == 200
    for origin in ("http://localhost:9000", "https://evil.example", "null", "", "http://[", "x"):
        assert origin_status(host="localhost:8000", origin=origin) == 403, origin
    for place in ("cross-site", "same-site"):
        assert origin_status(host="localhost:8000", sec_fetch_site=place) == 403


def test_who_knows_the_token_is_let_in() -> None:
    door = Door(token=TOKEN)
    assert door.admits(Headers({"authorization": f"Bearer {TOKEN}"}))
    assert door.admits(Headers({"authorization": f"bearer  {TOKEN} "}))
    assert door.admits(Headers({"cookie": f"impasto-token={door.ticket}"}))
    for wrong in ({}, {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer x"}):
        assert not door.admits(Headers(wrong))
    assert not door.admits(Headers({"cookie": f"impasto-token={TOKEN}"}))  # not stored itself
    assert TOKEN not in door.ticket
    assert Door().admits(Headers({}))


def test_owners_come_from_cookies_or_the_token() -> None:
    door, name = Door(token=TOKEN), "0123456789abcdef" * 2
    shown = {"authorization": f"Bearer {TOKEN}"}
    derived = door.owner(Headers(shown))
    assert derived == door.owner(Headers(shown))
    assert derived is not None
    assert derived != Door(token="other").owner(Headers({"authorization": "Bearer other"}))
    assert door.owner(Headers({**shown, "cookie": f"impasto={name}"})) == name
    assert door.owner(Headers({"cookie": "impasto=../../etc"})) is None
    assert Door().owner(Headers(shown)) is None


def test_malformed_headers_are_none() -> None:
    assert cookies(Headers({"cookie": "a=b; ;;=; impasto"})).get("impasto", "") == ""
    assert bearer(Headers({"authorization": "nonsense"})) is None
    assert host_name("a" * 5000) == "a" * 5000
    assert not same("ü\ud800", "a")


def test_every_answer_is_safe(visitor: httpx.Client) -> None:
    for path in ("/", "/healthz", "/v1/limits", "/nowhere", "/v1/jobs/x"):
        headers = visitor.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers or headers["server"] == "uvicorn"


def test_the_first_answer_names_the_visitor(visitor: httpx.Client) -> None:
    first = visitor.get("/v1/limits")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("impasto=")
    assert len(visitor.cookies["impasto"]) == 32
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Lax", "Path=/"))
    assert "set-cookie" not in visitor.get("/v1/limits").headers


def test_strangers_are_refused(visitor: httpx.Client) -> None:
    refused = visitor.get("/v1/limits", headers={"Host": "evil.example"})
    assert refused.status_code == 403
    assert "--allow-host" in refused.json()["detail"]
    order = visitor.post("/v1/jobs", json={}, headers={"Origin": "https://evil.example"})
    assert order.status_code == 403
    assert order.headers["content-type"] == "application/problem+json"


def test_there_are_no_permissions_for_other_sites(visitor: httpx.Client) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = visitor.options("/v1/jobs", headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
