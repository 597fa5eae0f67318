"""Problems: every refusal is a JSON document (RFC 9457) whose words help."""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from impasto.errors import (
    BadInput,
    BadPicture,
    ImpastoError,
    MissingWeights,
    OutOfMemory,
    UnknownName,
)
from impasto.storage import Missing, StorageDown
from impasto.studio.box import BoxDied
from impasto.studio.jobs import KeyReused, NoSuchJob, QueueFull
from impasto.studio.words import CODES, language, told

log = logging.getLogger(__name__)

Documented = dict[int | str, dict[str, Any]]
"""Answers by status, as FastAPI documents them."""

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[ImpastoError], tuple[int, str]] = MappingProxyType(
    {
        QueueFull: (429, "queue-full"),
        KeyReused: (422, "key-reused"),
        NoSuchJob: (404, "job-gone"),
        Missing: (404, "expired"),
        StorageDown: (503, "storage"),
        BoxDied: (422, "breaks"),
        BadPicture: (422, "bad-picture"),
        OutOfMemory: (413, "too-heavy"),
        MissingWeights: (422, "weights-missing"),
        UnknownName: (422, "unknown-name"),
        BadInput: (422, "invalid"),
    }
)
"""Status and code of our errors; of all others a client is told only that they happened."""


class Complaint(BaseModel):
    """One part of a request that is wrong."""

    where: str
    """Such as ``body.recipe.size``."""
    detail: str


class Problem(BaseModel):
    """Why a request was refused, RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    """For programs: what it is, whatever the language."""
    detail: str
    """For people: what was given, what is allowed, what to do."""
    errors: list[Complaint] | None = None


class Refused(Exception):
    """A request that is not served, with the status and the words for its sender."""

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Complaint] = (),
        code: str | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """code: see ``words``; facts: in the words"""
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers, self.errors = dict(headers or {}), [*errors]
        self.code, self.facts = code or CODES.get(status, "refused"), facts or {}

    def response(self, asked: Headers) -> Response:
        """What the client gets, in its language.  asked: headers of the request"""
        spoken = language(asked)
        title, detail = told(self.code, self.status, self.detail, self.facts, spoken)
        problem = Problem(
            title=title,
            status=self.status,
            code=self.code,
            detail=detail,
            errors=self.errors or None,
        )
        text = problem.model_dump_json(exclude_none=True)
        headers = {"Content-Language": spoken, **self.headers}
        return Response(text, self.status, headers, MEDIA_TYPE)


def refusal(error: Exception) -> Refused:
    """Any error as a refusal; an unforeseen one becomes a 500 without details."""
    if isinstance(error, Refused):
        return error
    for kind, (status, code) in STATUS.items():
        if isinstance(error, kind):
            facts = error.facts if isinstance(error, QueueFull) else {}
            code = error.code if isinstance(error, QueueFull) else code
            return Refused(status, _words(error), _retry(error), code=code, facts=facts)
    return Refused(500, "The studio made a mistake; it is in its log. Please try again.")


def _words(error: ImpastoError) -> str:
    """Of a storage nobody is told keys and addresses: they are in the log."""
    if isinstance(error, Missing):
        return "This file is not there: it may have expired."
    if isinstance(error, StorageDown):
        log.warning("the storage: %s", error)
        return "The studio's storage does not answer: try again in a moment."
    return str(error)


def complaints(errors: Sequence[Mapping[str, Any]], root: str = "") -> list[Complaint]:
    """What pydantic has to say, without the values that were sent."""
    return [
        Complaint(
            where=".".join([*([root] if root else []), *map(str, error["loc"])]),
            detail=str(error["msg"]).removeprefix("Value error, "),
        )
        for error in errors
    ]


def invalid(errors: Sequence[Mapping[str, Any]], root: str = "") -> Refused:
    """The refusal of a request that pydantic did not like."""
    found = complaints(errors, root)
    first = f"{found[0].where}: {found[0].detail}" if found else "it is not as described"
    return Refused(422, f"The request is not understood. {first}.".replace("..", "."), None, found)


def described(*statuses: int) -> Documented:
    """Documentation of the errors that an operation answers with, beside those that all have."""
    return {status: _described(status) for status in sorted({400, 401, 403, *statuses})}


def handle(app: FastAPI) -> None:
    """Let the application answer every error with a problem."""
    for kind in (Refused, ImpastoError):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)


def _answer(request: Request, error: Exception) -> Response:
    return refusal(error).response(request.headers)


def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors()).response(request.headers)


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: "There is nothing at this address.",
        405: f"{request.method} does not work here.",
    }
    detail = words.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405 and (methods := _methods(request)):
        headers["Allow"] = ", ".join(methods)
    return Refused(error.status_code, detail, headers).response(request.headers)


def _methods(request: Request) -> list[str]:
    """All methods of an address; Starlette tells those of the first route that has it."""
    paths = request.app.openapi()["paths"]
    return [
        method.upper()
        for path, item in paths.items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path)
        for method in item
    ]


def _retry(error: ImpastoError) -> dict[str, str]:
    seconds = getattr(error, "retry_after", None)
    return {} if seconds is None else {"Retry-After": str(max(1, round(seconds)))}


def _described(status: int) -> dict[str, Any]:
    example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    example["code"] = CODES[status]
    example["detail"] = EXAMPLES[status]
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    found: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: content},
    }
    if status in (429, 503):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "string"}}
        found["headers"] = {"Retry-After": seconds}
    return found


EXAMPLES: Mapping[int, str] = MappingProxyType(
    {
        400: "The request names no host, or one that is malformed.",
        401: "This studio asks for its token: open the address that it printed when it started.",
        403: "This request comes from another site. The studio takes orders from its own page.",
        404: "There is no such job: it was deleted, has expired, or is another visitor's.",
        408: "The upload stopped arriving: try again.",
        409: "The job is still queued; its result comes when it is done.",
        413: "The picture has more than 40 MB. Make it smaller.",
        415: "This is no picture or film. Send JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF.",
        416: "The range lies outside the film.",
        422: "size is 9000; at most 4096 px are painted here.",
        429: "100 jobs are waiting already. Try again in 60 s.",
        503: "The studio is busy with other uploads. Try again in 2 s.",
    }
)
