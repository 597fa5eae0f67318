"""The HTTP interface: what all its parts share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from impasto.storage import Storage
from impasto.studio.cards import Speeds
from impasto.studio.desk import Desk
from impasto.studio.events import Hub
from impasto.studio.jobs import Jobs
from impasto.studio.limits import Limits
from impasto.studio.metrics import Metrics
from impasto.studio.problems import Refused, described, invalid
from impasto.studio.receiving import SILENCE, Intake
from impasto.studio.shelf import Shelf
from impasto.studio.uploads import Stock

BODY = 262_144
"""Bytes of a JSON body."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Services:
    """All that answers are made of."""

    jobs: Jobs
    storage: Storage
    limits: Limits
    desk: Desk
    shelf: Shelf
    speeds: Speeds
    hub: Hub
    metrics: Metrics
    intake: Intake = field(default_factory=Intake)
    stock: Stock = field(default_factory=Stock)


JobId = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{32}$",
        description="As given by `POST /v1/jobs`.",
        examples=["0123456789abcdef0123456789abcdef"],
    ),
]

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Sent again with the same key, an order is carried out once. Take random text.",
    ),
]


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def _owner(request: Request) -> str:
    owner: str = request.state.owner
    return owner


Serving = Annotated[Services, Depends(_services)]
Owner = Annotated[str, Depends(_owner)]


def body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency: the JSON body, exactly as described. A number in quotes is no number here."""

    async def read(request: Request) -> Model:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(
                415,
                "Send the body as JSON, with Content-Type: application/json.",
                code="media-type",
            )
        text = await _text(request)
        try:
            return model.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise invalid(error.errors(include_input=False), "body") from error

    return read


async def _text(request: Request) -> bytes:
    text = bytearray()
    try:
        async with asyncio.timeout(SILENCE):
            async for piece in request.stream():
                text += piece
                if len(text) > BODY:
                    raise Refused(413, f"The body has more than {BODY} bytes.")
    except (TimeoutError, ClientDisconnect) as error:
        raise Refused(408, "The body stopped arriving: try again.") from error
    return bytes(text)


def taking(model: type[BaseModel], **examples: object) -> dict[str, Any]:
    """Documentation of an operation's JSON body."""
    content = {
        "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def giving(kinds: Mapping[str, object] | None, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documentation of answers: of success, unless it is described otherwise, and of errors.

    kinds: by media type an example, or None
    """
    errors = described(*statuses)
    if kinds is None:
        return errors
    content = {
        kind: {"schema": {"type": "string"}} | ({"example": example} if example else {})
        for kind, example in kinds.items()
    }
    return {200: {"description": "As asked for.", "content": content}, **errors}
