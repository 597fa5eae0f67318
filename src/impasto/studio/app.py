"""The web application: the page and the HTTP interface, put together."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic.json_schema import models_json_schema

from impasto import __version__
from impasto.storage import Storage
from impasto.studio import problems
from impasto.studio.api import (
    Services,
    catalogue,
    comparisons,
    estimates,
    jobs,
    results,
    service,
    streams,
    uploads,
)
from impasto.studio.cards import Speeds
from impasto.studio.desk import Desk
from impasto.studio.events import Hub
from impasto.studio.jobs import Jobs
from impasto.studio.limits import Limits
from impasto.studio.metrics import Metrics, Recorder
from impasto.studio.problems import Refused
from impasto.studio.security import Door, Gate
from impasto.studio.shelf import Shelf

STATIC = Path(__file__).parent / "static"

PARTS = (catalogue, uploads, estimates, jobs, streams, results, comparisons)

BODIES = (
    jobs.JobRequest,
    jobs.JobPatch,
    comparisons.ComparisonRequest,
    estimates.EstimateRequest,
    problems.Problem,
)
"""Models of the documentation that FastAPI does not see."""

SWEEP = 60.0
"""Seconds between two looks for what has expired."""

ABOUT = """
Neural style transfer as a service. Upload a photo, order it painted with a Recipe, follow the job,
fetch the result.

Whose jobs are whose, a cookie tells, which comes with the first answer; with a token
(`Authorization: Bearer TOKEN`) and no cookie it is the token. Every refusal is a problem (RFC 9457)
whose `detail` says what to do.
"""

log = logging.getLogger("impasto.studio")


def create_app(services: Services, door: Door) -> FastAPI:
    """The application; it owns its services, and closes them when it ends."""
    app = FastAPI(
        title="Impasto Studio",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # these pages fetch scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan(services),
    )
    app.state.services = services
    problems.handle(app)
    app.include_router(service.router)
    app.include_router(service.limits_router, prefix="/v1")
    for part in PARTS:
        app.include_router(part.router, prefix="/v1")
    app.add_api_route("/", _page, methods=["GET"], include_in_schema=False)
    if STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    app.add_middleware(Gate, door=door)
    app.add_middleware(Recorder, metrics=services.metrics)
    return app


def build_services(database: str, storage: str, folder: Path, limits: Limits) -> Services:
    """All that a web process needs.

    folder: for files while they are worked on

    Raises BadInput for a database or storage that cannot be used.
    """
    store = Storage(storage)
    queue = Jobs(database, store, limits)
    return Services(
        jobs=queue,
        storage=store,
        limits=limits,
        desk=Desk(limits, folder),
        shelf=Shelf(),
        speeds=Speeds(store),
        hub=Hub(queue),
        metrics=Metrics(queue, store),
    )


def _lifespan(services: Services) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(services.desk.start)
        work = [services.hub.run(), _read_shelf(services), _expire(services)]
        tasks = [asyncio.create_task(_kept(one)) for one in work]
        try:
            yield
        finally:
            services.hub.close()
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
            await run_in_threadpool(_close, services)

    return lifespan


def _close(services: Services) -> None:
    services.desk.close()
    services.jobs.close()


async def _kept(work: Coroutine[Any, Any, None]) -> None:
    """Work beside the answers; that it ended by an error is told."""
    try:
        await work
    except Exception:
        log.exception("background")


async def _read_shelf(services: Services) -> None:
    while not services.shelf.ready:
        try:
            await services.shelf.goods(services.desk)
        except Refused as error:  # its decoder died; the next one may not
            log.warning("shelf: %s", error)
            await asyncio.sleep(1)


async def _expire(services: Services) -> None:
    while True:
        try:
            gone = await run_in_threadpool(services.jobs.expire, time.time())
            for owner, id in gone:
                services.hub.tell(owner, id, None)
        except Exception:  # the database may come back
            log.exception("expire")
        await asyncio.sleep(SWEEP)


async def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=ABOUT, routes=app.routes
        )
        template = "#/components/schemas/{model}"
        _, more = models_json_schema(
            [(model, "validation") for model in BODIES], ref_template=template
        )
        parts = schema.setdefault("components", {})
        parts["schemas"] = {**more.get("$defs", {}), **parts.get("schemas", {})}
        parts["schemas"].pop("HTTPValidationError", None)
        parts["schemas"].pop("ValidationError", None)
        parts["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "Off this machine only."}
        }
        schema["security"] = [{}, {"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
