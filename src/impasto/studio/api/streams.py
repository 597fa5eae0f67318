"""Events over HTTP: what happens to jobs, as it happens."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from impasto.studio.api import JobId, Owner, Serving, giving
from impasto.studio.events import Listener

router = APIRouter(tags=["events"])


async def _listener(owner: Owner, all: Serving) -> AsyncIterator[Listener]:
    listener = all.hub.enter(owner)
    try:
        yield listener
    finally:
        all.hub.leave(listener)


async def _listener_to(id: JobId, owner: Owner, all: Serving) -> AsyncIterator[Listener]:
    await run_in_threadpool(all.jobs.get, owner, id)
    listener = all.hub.enter(owner, id)
    try:
        yield listener
    finally:
        all.hub.leave(listener)


STREAM = 'event: job\ndata: {"id": "0123456789abcdef0123456789abcdef", ...}\nid: 1\n\n'


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses=giving({"text/event-stream": STREAM}, 429, 503),
    summary="Follow all own jobs",
)
async def events(
    owner: Owner, all: Serving, listener: Annotated[Listener, Depends(_listener)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `job` with a job as it is now, first for every job there is; `gone` with
    the id of one that was deleted. Who comes back after a break is sent the whole list again."""
    async for event in all.hub.stream(listener, lambda: all.jobs.list(owner, 200)[0][::-1]):
        yield event


@router.get(
    "/jobs/{id}/events",
    response_class=EventSourceResponse,
    responses=giving({"text/event-stream": STREAM}, 404, 422, 429, 503),
    summary="Follow one job",
)
async def job_events(
    id: JobId, owner: Owner, all: Serving, listener: Annotated[Listener, Depends(_listener_to)]
) -> AsyncIterator[ServerSentEvent]:
    """Ends when the job has."""
    async for event in all.hub.stream(listener, lambda: [all.jobs.get(owner, id)]):
        yield event
