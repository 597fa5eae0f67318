"""Pictures over HTTP: previews, results in any format, many at once."""

import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from impasto.studio.api import JobId, Owner, Services, Serving, giving, parts
from impasto.studio.orders import FILM, RESULT, JobView
from impasto.studio.problems import Refused

router = APIRouter(tags=["results"])


KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}

MOST = 100
"""Results in an archive."""

MOST_BYTES = 1_000_000_000
"""Of them together."""

Format = Literal["png", "jpeg", "webp"]


class Sending(FileResponse):
    """A file, or the part that is asked for; what was copied for it is gone afterwards."""

    copies: ExitStack | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One answer, as ASGI has it; a part that there is not is a problem in words."""
        refused: Refused | None = None

        async def guarded(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                refused = _no_part(message)
            if refused is None:
                await send(message)

        with self.copies or ExitStack():
            await super().__call__(scope, receive, guarded)
        if refused is not None:
            await refused.response(Headers(scope=scope))(scope, receive, send)


def _no_part(message: Message) -> Refused:
    if message["status"] == 400:
        return parts.malformed()
    size = Headers(raw=message["headers"]).get("content-range", "")
    return parts.outside(size.removeprefix("bytes */"))


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
    responses=giving(dict.fromkeys(KINDS.values()), 404, 409, 413, 416, 422, 503)
    | {206: {"description": "The part that was asked for (Range)."}},
    summary="The finished picture or film",
)
async def result(
    id: JobId,
    request: Request,
    owner: Owner,
    all: Serving,
    format: Annotated[
        Format | None, Query(description="Of a picture; by default png. Films are MP4.")
    ] = None,
    download: Annotated[bool, Query(description="Save it rather than show it.")] = False,
) -> Response:
    """With the Recipe inside, from which every setting can be restored."""
    view = await run_in_threadpool(all.jobs.get, owner, id)
    name = _name(view)
    if name == FILM and format is not None:
        raise Refused(422, "A film comes as MP4: leave the format out.")
    key, wanted = f"jobs/{id}/{name}", format if format in ("jpeg", "webp") else name[-3:]
    headers = {
        "Cache-Control": "private, max-age=3600",
        # A result never changes, so that parts of two copies fit together.
        "ETag": f'"{id}.{wanted}"',
        "Content-Disposition": f"{'attachment' if download else 'inline'}; "
        f'filename="impasto-{id[:8]}.{wanted}"',
    }
    if all.storage.folder is None and wanted == name[-3:]:
        asked = (request.headers, headers, KINDS[wanted])
        return await run_in_threadpool(parts.sent, all.storage, key, *asked)
    with ExitStack() as copies:
        path = await run_in_threadpool(_local, all, key, copies)
        if wanted != name[-3:]:
            path = await _converted(all, path, wanted, copies)
        answer = Sending(path, media_type=KINDS[wanted], headers=headers)
        answer.copies = copies.pop_all()
    return answer


def _local(all: Services, key: str, copies: ExitStack) -> Path:
    """The file under a key, or a copy where it is not on this machine."""
    path = all.storage.path(key)
    if path is None:
        path = copies.enter_context(all.desk.room()) / key.rpartition("/")[2]
        all.storage.fetch(key, path)
    return path


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
    return FILM if view.kind == "film" else RESULT


async def _converted(all: Services, path: Path, format: str, copies: ExitStack) -> Path:
    target = copies.enter_context(all.desk.room()) / f"result.{format}"
    task = {"work": "convert", "source": str(path), "target": str(target)}
    await all.desk.work(task)
    return target


@router.get(
    "/archive",
    response_class=FileResponse,
    responses=giving({"application/zip": None}, 404, 409, 413, 422),
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
    with ExitStack() as copies:
        path = _packed(all, names, copies.enter_context(all.desk.room()))
        answer = Sending(path, media_type="application/zip", filename="impasto.zip")
        answer.copies = copies.pop_all()
    return answer


def _packed(all: Services, names: dict[str, str], folder: Path) -> Path:
    path, size = folder / "impasto.zip", 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for id, name in names.items():
            with ExitStack() as copies:
                part = _local(all, f"jobs/{id}/{name}", copies)
                size += part.stat().st_size
                if size > MOST_BYTES:
                    most = f"{MOST_BYTES / 1e6:g} MB"
                    raise Refused(413, f"These are more than {most}: ask for fewer at a time.")
                file.write(part, f"impasto-{id[:8]}{Path(name).suffix}")
    return path
