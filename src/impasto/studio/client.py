"""A client of the studio's HTTP interface, small enough to be read before it is used."""

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from impasto.errors import BadInput, ImpastoError
from impasto.recipe import StyleShare
from impasto.studio.orders import JobView, is_upload

OWNER = "impasto"
"""The cookie that tells who somebody is."""

TRIES = 5
"""How often a request is sent that the studio had no room for, or that did not get through."""

LONGEST = 30.0
"""Seconds that are waited before it is sent again, at most."""

PAUSES = 0.1, 2.0
"""Least and most seconds between two looks at a job that is waited for."""

ABSENCE = 120.0
"""Seconds for which a studio may be away while a job is waited for: it is started anew."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What leaves no doubt that the studio has not seen a request."""

AWAY = frozenset({429, 502, 503, 504})
"""What a studio answers that is busy, or a proxy without it."""


class Trouble(ImpastoError):
    """What the studio refused, in its own words; ``status`` is that of HTTP."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Studio:
    """A studio somewhere. Its jobs belong to the token, or else to this object.

    All who send a token are one visitor, unless they have an ``owner``: 32 hexadecimal digits.

    Raises ``Trouble`` for what the studio refuses, httpx.TransportError where there is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        timeout: float = 60.0,
        owner: str | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        jar = {OWNER: owner} if owner else {}
        self.http = httpx.Client(base_url=url, headers=headers, cookies=jar, timeout=timeout)

    def __enter__(self) -> "Studio":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; jobs go on."""
        self.http.close()

    def upload(self, photo: str | Path | bytes) -> str:
        """Send a picture or a film.  ->  its id, for ``paint``"""
        data = photo if isinstance(photo, bytes) else _read(Path(photo))
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._sent("POST", "/v1/uploads", content=data, headers=headers)
        return str(answer.json()["id"])

    def paint(
        self,
        photo: str | Path | bytes,
        styles: str | Path | Sequence[str | Path] = (),
        *,
        wait: bool = True,
        stable: float | None = None,
        **settings: object,
    ) -> bytes | JobView:
        """Have a photo painted.

        photo, styles: a file, an id of ``upload``, ``sample:NAME``, or a name of the gallery with
        its weight, if need be (``great-wave:0.3``)
        wait: until the picture is there, which is returned; else the job is
        settings: other fields of the Recipe, such as ``method="gatys", size=512``

        Raises ImpastoError when the painting failed.
        """
        many = [styles] if isinstance(styles, str | Path) else styles
        recipe = {"photo": self._named(photo), "styles": [self._share(s) for s in many], **settings}
        order: dict[str, Any] = {"recipe": recipe}
        if stable is not None:
            order["stable"] = stable
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        job = _job(self._sent("POST", "/v1/jobs", json=order, headers=headers))
        return self.result(self.wait(job.id).id) if wait else job

    def wait(self, id: str, seconds: float | None = None) -> JobView:
        """A job, once it has ended, or as it is after so many seconds.

        A studio that is started anew meanwhile is waited for.

        Raises ImpastoError when it failed.
        """
        began = heard = time.monotonic()
        end = float("inf") if seconds is None else began + seconds
        job: JobView | None = None
        while True:
            try:
                job, heard = self._look(id, end), time.monotonic()
            except (httpx.TransportError, Trouble) as error:
                if isinstance(error, Trouble) and error.status not in AWAY:
                    raise
                over = time.monotonic() >= end and job is None
                if over or time.monotonic() - heard > ABSENCE:
                    raise
            if job is not None and job.state == "failed":
                raise ImpastoError(f"The painting failed: {job.reason}")
            now = time.monotonic()
            if job is not None and (job.state in ("done", "cancelled") or now >= end):
                return job
            pause = min(max(PAUSES[0], (now - began) / 10), PAUSES[1])
            time.sleep(max(0.0, min(pause, end - now)))

    def _look(self, id: str, end: float) -> JobView:
        """A job as it is now, asked once, and not for much longer than until that time."""
        most = self.http.timeout.read or LONGEST
        patience = min(most, max(1.0, end - time.monotonic()))
        answer = self.http.get(f"/v1/jobs/{id}", timeout=patience)
        _check(answer)
        return _job(answer)

    def events(self, id: str | None = None) -> Iterator[JobView]:
        """Every change of a job until it has ended, or of all one's jobs for ever."""
        path = "/v1/events" if id is None else f"/v1/jobs/{id}/events"
        with self.http.stream("GET", path, timeout=httpx.Timeout(30)) as answer:
            if answer.is_error:
                answer.read()
            _check(answer)
            kind = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "job":
                    yield JobView.model_validate_json(value)

    def jobs(self, starred: bool | None = None) -> Iterator[JobView]:
        """One's own jobs, newest first."""
        params: dict[str, str | int] = {"limit": 100}
        if starred is not None:
            params["starred"] = str(starred).lower()
        while True:
            page = self._sent("GET", "/v1/jobs", params=params).json()
            yield from map(JobView.model_validate, page["jobs"])
            if page["next"] is None:
                return
            params["before"] = page["next"]

    def job(self, id: str) -> JobView:
        """A job as it is now."""
        return _job(self._sent("GET", f"/v1/jobs/{id}"))

    def result(self, id: str, format: str | None = None) -> bytes:
        """The file of a finished job. format: png, jpeg or webp, of pictures"""
        params = {} if format is None else {"format": format}
        return self._sent("GET", f"/v1/jobs/{id}/result", params=params).content

    def cancel(self, id: str) -> JobView:
        """Stop a job; what is painted of it is kept."""
        return _job(self._sent("POST", f"/v1/jobs/{id}/cancel"))

    def delete(self, id: str) -> None:
        """Forget a job with its pictures."""
        self._sent("DELETE", f"/v1/jobs/{id}")

    def _named(self, source: str | Path | bytes) -> str:
        """A file is sent; ids, samples and names of the gallery are not."""
        if isinstance(source, str) and (is_upload(source) or source.startswith("sample:")):
            return source
        return self.upload(source)

    def _share(self, style: str | Path) -> dict[str, object]:
        if isinstance(style, Path) or Path(style).is_file():
            return {"source": self.upload(style)}
        return StyleShare.parse(style).model_dump()

    def _sent(self, method: str, path: str, **what: Any) -> httpx.Response:
        """The answer; where the studio has no room, it is asked again when it says.

        What may have got through is sent again only where twice is as good as once.
        """
        safe = method == "GET" or "Idempotency-Key" in what.get("headers", {})
        again = httpx.TransportError if safe else UNSENT
        for attempt in range(TRIES - 1):
            try:
                answer = self.http.request(method, path, **what)
            except again:
                time.sleep(0.5 * 2**attempt)
                continue
            if answer.status_code not in (429, 503):
                break
            time.sleep(_pause(answer))
        else:
            answer = self.http.request(method, path, **what)
        _check(answer)
        return answer


def _pause(answer: httpx.Response) -> float:
    """Seconds to wait; a proxy may say a date instead."""
    text = answer.headers.get("Retry-After", "1")
    return min(LONGEST, float(text)) if text.isdecimal() else 1.0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def _job(answer: httpx.Response) -> JobView:
    return JobView.model_validate_json(answer.content)


def _check(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        text = str(answer.json()["detail"])
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        text = f"The studio answers {answer.status_code} {answer.reason_phrase}."
    raise Trouble(text, answer.status_code)
