"""The service itself: is it well, what does it allow, how is it used."""

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel

from impasto.studio import cards
from impasto.studio.api import Serving, giving
from impasto.studio.limits import Limits
from impasto.studio.problems import Refused

router = APIRouter(tags=["service"])
limits_router = APIRouter(tags=["service"])


class Health(BaseModel):
    """That the web process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """That pictures can be painted."""

    status: str = "ready"
    workers: int
    """That gave a sign of life lately."""


@router.get("/healthz", summary="Does the server live?")
async def healthz() -> Health:
    """Yes, or no answer at all. Never asks for the token."""
    return Health()


@router.get("/readyz", responses=giving(None, 503), summary="Can it work?")
async def readyz(all: Serving) -> Readiness:
    """Yes, once the gallery is read, a worker lives, and database and storage answer."""
    try:
        await run_in_threadpool(all.jobs.check)
        workers = len(await run_in_threadpool(cards.alive, all.storage))
    except Exception as error:
        text = "The database or the storage does not answer."
        raise Refused(503, text, {"Retry-After": "5"}) from error
    if not workers or not all.shelf.ready:
        what = "no worker has given a sign of life" if not workers else "the gallery is being read"
        raise Refused(503, f"Not ready: {what}.", {"Retry-After": "2"})
    return Readiness(workers=workers)


@router.get(
    "/metrics",
    response_class=Response,
    responses=giving({"text/plain": 'impasto_jobs{state="queued"} 0.0'}),
    summary="Numbers for Prometheus",
)
def metrics(all: Serving) -> Response:
    """Jobs by state, the oldest that waits, requests, latencies, uploads, workers."""
    kind = "text/plain; version=0.0.4; charset=utf-8"
    return Response(all.metrics.text(), headers={"Content-Type": kind})


@limits_router.get("/limits", summary="What is allowed here")
async def limits(all: Serving) -> Limits:
    """Sizes, numbers and times beyond which requests are refused."""
    return all.limits
