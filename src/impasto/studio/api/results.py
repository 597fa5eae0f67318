"""Pictures over HTTP: previews, results in any format, many at once."""

import zipfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from impasto.studio.api import JobId, Owner, Services, Serving, giving
from impasto.studio.orders import JobView
from impasto.studio.problems import Refused

router = APIRouter(tags=["results"])

PNG, FILM = "result.png", "result.mp4"

KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}

MOST = 100
"""Results in an archive."""

Format = Literal["png", "jpeg", "webp"]


@router.get(
    "/jobs/{id}/preview",
    response_class=Response,
    responses=giving({"image/webp": None}, 404, 422)
    | {304: {"description": "It is still the one that you have (If-None-Match)."}},
    summary="The picture so far",
)
async def preview(id: JobId, request: Request, owner: Owner, all: Serving) -> Response:
    """WebP, 512 px, while it is painted and afterwards."""
    view = await run_in_threadpool(all.jobs.get, owner, id)
    tag = f'"{(view.preview or "").rpartition("=")[2]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if view.preview and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    data = await run_in_threadpool(all.storage.get, f"jobs/{id}/preview.webp")
    return Response(data, media_type="image/webp", headers=headers)


@router.get(
    "/jobs/{id}/result",
    response_class=FileResponse,
    responses=giving(dict.fromkeys(KINDS.values()), 404, 409, 413, 422, 503)
    | {206: {"description": "The part that was asked for (Range)."}}
    | {416: {"description": "There is no such part."}},
    summary="The finished picture or film",
)
async def result(
    id: JobId,
    owner: Owner,
    all: Serving,
    format: Annotated[
        Format | None, Query(description="Of a picture; by default png. Films are MP4.")
    ] = None,
    download: Annotated[bool, Query(description="Save it rather than show it.")] = False,
) -> FileResponse:
    """With the Recipe inside, from which every setting can be restored."""
    view = await run_in_threadpool(all.jobs.get, owner, id)
    name = _name(view)
    if name == FILM and format is not None:
        raise Refused(422, "A film comes as MP4: leave the format out.")
    room = all.desk.room()
    folder = room.__enter__()
    try:
        path = folder / name
        await run_in_threadpool(all.storage.fetch, f"jobs/{id}/{name}", path)
        if format in ("jpeg", "webp"):
            path = await _converted(all, path, format)
    except BaseException:
        room.__exit__(None, None, None)
        raise
    return FileResponse(
        path,
        media_type=KINDS[path.suffix[1:]],
        filename=f"impasto-{id[:8]}{path.suffix}",
        content_disposition_type="attachment" if download else "inline",
        headers={"Cache-Control": "private, max-age=3600"},
        background=BackgroundTask(room.__exit__, None, None, None),
    )


def _name(view: JobView) -> str:
    """The file of a result.  Raises Refused while there is none."""
    if view.result is None:
        texts = {
            "queued": "The job is still queued; its result comes when it is done.",
            "running": "The job is still running; its result comes when it is done.",
            "cancelled": "The job was cancelled before there was a picture.",
        }
        text = texts.get(view.state, f"The job failed and has no result: {view.reason}")
        raise Refused(409, text)
    return FILM if view.kind == "film" else PNG


async def _converted(all: Services, path: Path, format: str) -> Path:
    target = path.with_suffix(f".{format}")
    task = {"work": "convert", "source": str(path), "target": str(target)}
    await all.desk.work(task)
    return target


@router.get(
    "/archive",
    response_class=FileResponse,
    responses=giving({"application/zip": None}, 404, 409, 422),
    summary="Several results as a zip",
)
def archive(
    owner: Owner,
    all: Serving,
    id: Annotated[
        list[Annotated[str, Query(pattern="^[0-9a-f]{32}$")]],
        Query(min_length=1, max_length=MOST, description="Of jobs; give it several times."),
    ],
) -> FileResponse:
    """Stored as they are: pictures do not get smaller."""
    views = [all.jobs.get(owner, one) for one in dict.fromkeys(id)]
    names = {view.id: _name(view) for view in views}
    room = all.desk.room()
    folder = room.__enter__()
    try:
        path = _packed(all, names, folder)
    except BaseException:
        room.__exit__(None, None, None)
        raise
    return FileResponse(
        path,
        media_type="application/zip",
        filename="impasto.zip",
        background=BackgroundTask(room.__exit__, None, None, None),
    )


def _packed(all: Services, names: dict[str, str], folder: Path) -> Path:
    path, part = folder / "impasto.zip", folder / "part"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for id, name in names.items():
            all.storage.fetch(f"jobs/{id}/{name}", part)
            file.write(part, f"impasto-{id[:8]}{Path(name).suffix}")
    return path
