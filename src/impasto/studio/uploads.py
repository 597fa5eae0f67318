"""Uploads: a stranger's bytes become a picture of ours, or nothing is left of them."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from impasto.errors import BadInput, ImpastoError
from impasto.recipe import Recipe
from impasto.storage import Missing, Storage
from impasto.studio.desk import Desk, opened
from impasto.studio.orders import Kind
from impasto.studio.problems import Refused
from impasto.studio.shares import Origins, share
from impasto.studio.views import iso

OWN = 200
"""Uploads that one visitor may have at a time."""

ALL, ALL_BYTES = 5000, 50_000_000_000
"""Uploads that there may be at a time, of all visitors, and their bytes."""

LOOKING = 10.0
"""Least seconds between two counts of all uploads: in a bucket they take a while."""


class Upload(BaseModel):
    """What is known of an uploaded file."""

    id: str
    kind: Kind
    width: int
    height: int
    alpha: bool
    """Whether some of it is transparent."""
    frames: int | None = None
    seconds: float | None = None
    recipe: Recipe | None = None
    """By which it was painted, where it is a result of Impasto."""
    notices: list[str] = []
    expires: str
    preview: str
    """Address."""


class Stock:
    """How much all visitors have uploaded: who sends no cookie is somebody new every time."""

    def __init__(self, most: int = ALL, most_bytes: int = ALL_BYTES) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._sizes: dict[str, int] = {}
        """Bytes of each, by its id"""
        self._origins = Origins()
        self._looked = float("-inf")

    def check(self, storage: Storage) -> None:
        """Raise Refused when there is no room for one more."""
        if time.monotonic() - self._looked > LOOKING:
            self._sizes = _sizes(storage)
            self._looked = time.monotonic()
        if self._over(self._sizes, self.most, self.most_bytes):
            text = "The studio has no room for more uploads: delete some of yours, or come later."
            raise Refused(503, text, {"Retry-After": "600"}, code="no-room")
        if self._over(self._origins.mine(self._sizes), share(self.most), share(self.most_bytes)):
            text = (
                "Half of all uploads come from your address: delete some of yours, or come later."
            )
            raise Refused(429, text, {"Retry-After": "600"}, code="address-full")

    def _over(self, ids: Collection[str], most: float, most_bytes: float) -> bool:
        return len(ids) >= most or sum(self._sizes[id] for id in ids) >= most_bytes

    def add(self, id: str, size: int) -> None:
        """One more is kept."""
        self._sizes[id] = size
        self._origins.add(id)


def _sizes(storage: Storage) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for found in storage.walk("uploads/"):
        sizes[found.key.split("/")[2]] += found.size
    return dict(sizes)


async def accept(
    desk: Desk,
    storage: Storage,
    owner: str,
    source: Path,
    kind: Kind,
    hold: Callable[[int], object],
) -> Upload:
    """Open a received file, and keep what is made of it.

    hold: told of the bytes of what is made; it may raise Refused

    Raises Refused, with words, for what cannot be opened; then nothing is kept.
    """
    facts = await _opened(desk, source, kind)
    hold(sum(path.stat().st_size for path in source.parent.iterdir() if path != source))
    id = f"u{secrets.token_hex(16)}"
    about = {
        "id": id,
        "kind": kind,
        "expires": iso(time.time() + desk.limits.ttl_seconds),
        "preview": f"/v1/uploads/{id}/preview",
    }
    upload = Upload.model_validate({**about, **facts})
    return await run_in_threadpool(_keep, storage, owner, upload, source.parent, source)


async def _opened(desk: Desk, source: Path, kind: Kind) -> dict[str, Any]:
    limits = desk.limits
    most = limits.upload_bytes if kind == "picture" else limits.film_bytes
    task = {
        "work": kind,
        "source": str(source),
        "folder": str(source.parent),
        "bytes": most,
        "pixels": limits.pixels,
        "seconds": limits.film_seconds,
        "size": limits.size,
    }
    async with desk.decoder() as box:
        try:
            return await run_in_threadpool(opened, box, task)
        except BadInput as error:  # films need an extra
            raise Refused(415, str(error), code="films") from error
        except ImpastoError as error:
            raise Refused(422, str(error), code="bad-picture") from error


def _keep(storage: Storage, owner: str, upload: Upload, folder: Path, source: Path) -> Upload:
    """``about.json`` comes last: what has none is not there."""
    base = place(owner, upload.id)
    name = "picture.png" if upload.kind == "picture" else "film"
    try:
        _check_room(storage, owner)
        made = folder / "picture.png" if upload.kind == "picture" else source
        storage.put(f"{base}{name}", made)
        storage.put(f"{base}preview.webp", folder / "preview.webp")
        storage.put(f"{base}about.json", upload.model_dump_json().encode())
    except BaseException:
        storage.delete_prefix(base)
        raise
    return upload


def _check_room(storage: Storage, owner: str) -> None:
    own = sum(found.key.endswith("/about.json") for found in storage.list(f"uploads/{owner}/"))
    if own >= OWN:
        text = f"You have {own} uploads here, and that is the most: delete some, or wait a day."
        raise Refused(429, text, {"Retry-After": "3600"}, code="uploads-full", facts={"count": own})


def place(owner: str, id: str) -> str:
    """The prefix under which an upload is stored."""
    return f"uploads/{owner}/{id}/"


def find(storage: Storage, owner: str, id: str) -> Upload:
    """One's own upload.

    Raises Refused when there is none.
    """
    try:
        about = storage.get(f"{place(owner, id)}about.json")
    except (Missing, BadInput) as error:
        text = "There is no such upload: it was deleted, has expired, or is another visitor's."
        raise Refused(404, text, code="upload-gone") from error
    return Upload.model_validate(json.loads(about))
