"""Jobs over HTTP: order, look, change, stop, delete."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from impasto.recipe import Recipe
from impasto.studio.api import JobId, Key, Owner, Serving, body, giving, taking
from impasto.studio.api.ordering import ordered
from impasto.studio.orders import JobView

router = APIRouter(tags=["jobs"])

RECIPE = {"photo": "sample:chelsea", "styles": [{"source": "starry-night"}], "method": "adain"}
"""The example in the documentation."""


class JobRequest(BaseModel):
    """An order."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    recipe: Recipe
    stable: Annotated[
        float | None,
        Field(ge=0, le=1, description="Films: 0 paints frame by frame, 1 keeps all [0.35]."),
    ] = None


class JobPatch(BaseModel):
    """What can be changed of a job."""

    model_config = ConfigDict(extra="forbid")

    starred: bool


class JobList(BaseModel):
    """Own jobs, newest first."""

    jobs: list[JobView]
    next: str | None
    """Give it as `before` to go on; null at the end."""


@router.post(
    "/jobs",
    status_code=202,
    openapi_extra=taking(
        JobRequest,
        picture={"recipe": RECIPE},
        mix={
            "recipe": {
                **RECIPE,
                "styles": [
                    {"source": "starry-night", "weight": 0.7},
                    {"source": "great-wave", "weight": 0.3},
                ],
                "size": 512,
                "strength": 0.8,
            }
        },
    ),
    responses=giving(None, 404, 408, 413, 415, 422, 429),
    summary="Order a picture or a film",
)
async def create(
    order: Annotated[JobRequest, Depends(body(JobRequest))],
    response: Response,
    owner: Owner,
    all: Serving,
    key: Key = None,
) -> JobView:
    """Photo, styles and masks of the Recipe are ids of uploads, names of the gallery, or
    `sample:NAME`. Once this has answered, the order is not lost."""
    made = await ordered(all, owner, order.recipe, order.stable)
    view = (await run_in_threadpool(all.jobs.submit, made, key)).view
    response.headers["Location"] = f"/v1/jobs/{view.id}"
    all.hub.tell(owner, view.id, view)
    return view


@router.get("/jobs", responses=giving(None, 422), summary="List own jobs")
def index(
    owner: Owner,
    all: Serving,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(pattern="^[0-9a-f]{32}$", description="Only older ones than this job.")
    ] = None,
    starred: bool | None = None,
    comparison: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")] = None,
) -> JobList:
    """Newest first."""
    jobs, more = all.jobs.list(owner, limit, before, starred, comparison)
    return JobList(jobs=jobs, next=more)


@router.get("/jobs/{id}", responses=giving(None, 404, 422), summary="Look at a job")
def get(id: JobId, owner: Owner, all: Serving) -> JobView:
    """As it is now."""
    return all.jobs.get(owner, id)


@router.patch(
    "/jobs/{id}",
    openapi_extra=taking(JobPatch, star={"starred": True}),
    responses=giving(None, 404, 408, 413, 415, 422),
    summary="Star a job",
)
async def change(
    id: JobId, patch: Annotated[JobPatch, Depends(body(JobPatch))], owner: Owner, all: Serving
) -> JobView:
    """Or take the star away."""
    view = await run_in_threadpool(all.jobs.star, owner, id, patch.starred)
    all.hub.tell(owner, id, view)
    return view


@router.delete(
    "/jobs/{id}", status_code=204, responses=giving(None, 404, 422), summary="Delete a job"
)
async def delete(id: JobId, owner: Owner, all: Serving) -> None:
    """At once, with its pictures; one that runs is stopped."""
    await run_in_threadpool(all.jobs.delete, owner, id)
    all.hub.tell(owner, id, None)


@router.post("/jobs/{id}/cancel", responses=giving(None, 404, 422), summary="Stop a job")
async def cancel(id: JobId, owner: Owner, all: Serving) -> JobView:
    """At once; the last picture is kept, and comes when it is written: soon, of a large one some
    seconds later. One that has ended stays as it is."""
    view = await run_in_threadpool(all.jobs.cancel, owner, id)
    all.hub.tell(owner, id, view)
    return view
