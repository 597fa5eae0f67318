"""The door: who may speak to the studio, under which name, and whose jobs they see."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.studio.problems import Refused
from impasto.studio.shares import ADDRESS, neighbour

OWNER, TICKET = "impasto", "impasto-token"
"""Cookies: who somebody is, and that they know the token."""

YEAR = 365 * 24 * 3600

OWNERS = re.compile(r"[0-9a-f]{32}")

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

OPEN = frozenset({"/healthz", "/readyz"})
"""Answered without a token: whoever looks after the machine asks."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)


ASKING = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Impasto Studio</title>
<h1>Impasto Studio</h1>
<form action="/"><p><label>This studio asks for its token. It was printed when it started.<br>
<input name="token" type="password" required autofocus></label> <button>Enter</button></form></html>
"""
"""What a browser without the token is shown."""


@dataclass(frozen=True)
class Door:
    """What a request has to show."""

    hosts: frozenset[str] = LOOPBACK
    """Names under which the studio answers, without ports"""
    token: str | None = None
    addresses: bool = False
    """Whether any address in numbers is a good name: no stranger's page can have one for its own"""

    @classmethod
    def at(cls, host: str, allowed: Iterable[str] = (), token: str | None = None) -> "Door":
        """The door of a studio that listens at ``host``; off loopback there is always a token."""
        names = frozenset({host.lower().strip("[]"), *LOOPBACK, *(n.lower() for n in allowed)})
        if not is_loopback(host):
            token = token or secrets.token_urlsafe(24)
        return cls(names - {"", "0.0.0.0", "::"}, token, host in ("", "0.0.0.0", "::"))

    def check_host(self, host: str) -> None:
        """Refuse a name that is not ours: a stranger's page may have had it point here."""
        name = host_name(host)
        if not name:
            raise Refused(400, EXAMPLE_HOST)
        if name in self.hosts or (self.addresses and _is_address(name)):
            return
        raise Refused(
            403,
            f"This studio does not answer to the name {name[:100]!r}. "
            f"Start it with: impasto serve --allow-host {name[:100]}",
            code="host",
        )

    def check_origin(self, headers: Headers) -> None:
        """Refuse what another site's page sends in a visitor's name."""
        origin = headers.get("origin")
        if origin is None:
            foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        else:
            foreign = _place(origin) != _place(f"http://{headers.get('host', '')}")
        if foreign:
            raise Refused(
                403,
                "This request comes from another site. The studio takes orders from its own page "
                "and from programs that send no Origin.",
            )

    def admits(self, headers: Headers) -> bool:
        """Whether the request shows the token, or the ticket that was given for it."""
        if self.token is None:
            return True
        shown = bearer(headers)
        if shown is not None:
            return same(shown, self.token)
        return same(cookies(headers).get(TICKET, ""), self.ticket)

    @property
    def ticket(self) -> str:
        """What stands for the token in a cookie."""
        return digest("ticket", self.token or "")

    def owner(self, headers: Headers) -> str | None:
        """Who the request comes from; None: somebody new."""
        known = cookies(headers).get(OWNER, "")
        if OWNERS.fullmatch(known):
            return known
        shown = bearer(headers)
        return digest("owner", shown)[:32] if shown and self.token is not None else None


EXAMPLE_HOST = "The request names no host, or one that is malformed."


def protect(headers: MutableHeaders, path: str) -> None:
    """Put on an answer what tells browsers to be careful with it."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")


class Gate:
    """Lets in what the door allows, and tells the application who it is."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:  # there are no web sockets here
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        ADDRESS.set(neighbour((scope.get("client") or [None])[0]))
        cookie: list[str] = []

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for text in cookie:
                    out.append("Set-Cookie", text)
            await send(message)

        try:
            self.door.check_host(headers.get("host", ""))
            if scope["method"] not in SAFE:
                self.door.check_origin(headers)
            if self._has_token(scope):
                cookie.append(_cookie(TICKET, self.door.ticket, scope))
                await RedirectResponse("/", 303)(scope, receive, guarded)
                return
            if scope["path"] not in OPEN and not self.door.admits(headers):
                raise _unknown()
        except Refused as refused:
            asked = refused.status == 401 and scope["path"] == "/"
            by_browser = asked and "text/html" in headers.get("accept", "")
            answer = HTMLResponse(ASKING, 401) if by_browser else refused.response(headers)
            await answer(scope, receive, guarded)
            return
        owner = self.door.owner(headers)
        if owner is None:
            owner = secrets.token_hex(16)
            if _is_visit(scope["path"]):
                cookie.append(_cookie(OWNER, owner, scope))
        scope.setdefault("state", {})["owner"] = owner
        await self.app(scope, receive, guarded)

    def _has_token(self, scope: Scope) -> bool:
        if self.door.token is None or scope["path"] != "/" or scope["method"] not in SAFE:
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any(same(one, self.door.token) for one in given)


def host_name(host: str) -> str:
    """``Studio.local:8000`` is ``studio.local``, ``[::1]:8000`` is ``::1``; empty: malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return ""
    if parts.netloc != host or "@" in host:
        return ""
    return (parts.hostname or "").rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that address."""
    name = host.lower().strip("[]")
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def bearer(headers: Headers) -> str | None:
    """The token of an ``Authorization: Bearer`` header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request; those that are malformed are none."""
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def digest(purpose: str, secret: str) -> str:
    """64 hexadecimal digits that stand for a secret and do not give it away."""
    return hmac.new(secret.encode("utf-8", "replace"), purpose.encode(), hashlib.sha256).hexdigest()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _place(url: str) -> tuple[str, int | None] | None:
    """Name and port; the usual ports are as good as none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, None if port in (80, 443) else port


def _unknown() -> Refused:
    text = (
        "This studio asks for its token: open the address that it printed when it started, or send "
        "the header 'Authorization: Bearer TOKEN'."
    )
    return Refused(401, text, {"WWW-Authenticate": "Bearer"})


def _is_visit(path: str) -> bool:
    return path == "/" or path.startswith("/v1/")


def _cookie(name: str, value: str, scope: Scope) -> str:
    # Lax: with Strict, whoever follows a link to the studio would come as a stranger, be given a
    # new name, and have lost their jobs. What changes anything asks for the Origin besides.
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"{name}={value}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}"
