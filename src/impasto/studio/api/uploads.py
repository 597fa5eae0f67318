"""Uploads over HTTP: the body is the file itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from impasto.studio.api import Owner, Services, Serving, giving
from impasto.studio.problems import Refused
from impasto.studio.receiving import receive
from impasto.studio.uploads import Upload, accept, find, place

router = APIRouter(tags=["uploads"])

UploadId = Annotated[
    str,
    Path(
        pattern="^u[0-9a-f]{32}$",
        description="As given by `POST /v1/uploads`.",
        examples=["u0123456789abcdef0123456789abcdef"],
    ),
]

FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file itself: a picture (JPEG, PNG, WebP, TIFF, AVIF, BMP, GIF) or a "
        "film (MP4, MOV, WebM, MKV). What it is, its first bytes tell.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "video/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "/uploads",
    status_code=201,
    openapi_extra=FILE,
    responses=giving(None, 408, 413, 415, 422, 429, 503),
    summary="Upload a picture or a film",
)
async def upload(request: Request, response: Response, owner: Owner, all: Serving) -> Upload:
    """The picture is decoded and made anew: its place (GPS) and all else in it is removed, but for
    the settings (Recipe) inside what Impasto has painted, which the answer contains."""
    try:
        found = await _taken(request, owner, all)
    except Exception as error:
        status = error.status if isinstance(error, Refused) else 500
        all.metrics.uploads.labels("refused" if status < 500 else "failed").inc()
        raise
    all.metrics.uploads.labels("taken").inc()
    response.headers["Location"] = f"/v1/uploads/{found.id}"
    return found


async def _taken(request: Request, owner: str, all: Services) -> Upload:
    with all.intake.holding() as hold, all.desk.room() as folder:

        def count(size: int) -> None:
            hold(size)
            all.metrics.uploaded.inc(size)

        source = folder / "source"
        kind = await receive(request, source, all.limits, all.intake, count)
        await run_in_threadpool(all.stock.check, all.storage)
        found = await accept(all.desk, all.storage, owner, source, kind, hold)
        all.stock.add(found.id, source.stat().st_size)
        return found


@router.get("/uploads/{id}", responses=giving(None, 404, 422), summary="What an upload is")
def look(id: UploadId, owner: Owner, all: Serving) -> Upload:
    """As when it was uploaded."""
    return find(all.storage, owner, id)


@router.get(
    "/uploads/{id}/preview",
    response_class=Response,
    responses=giving({"image/webp": None}, 404, 422),
    summary="A small picture of an upload",
)
async def preview(id: UploadId, owner: Owner, all: Serving) -> Response:
    """WebP, at most 1024 px; of a film its first picture."""
    key = f"{place(owner, id)}preview.webp"
    data = await run_in_threadpool(all.storage.get, key)
    return Response(
        data, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"}
    )


@router.delete(
    "/uploads/{id}", status_code=204, responses=giving(None, 404, 422), summary="Delete an upload"
)
def delete(id: UploadId, owner: Owner, all: Serving) -> None:
    """At once, with all that was made of it; jobs that still wait for it will fail."""
    find(all.storage, owner, id)
    all.storage.delete_prefix(place(owner, id))
