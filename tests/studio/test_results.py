"""Results over HTTP: parts, copies, and archives."""

import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from impasto.recipe import Recipe
from impasto.storage import Storage
from impasto.studio.orders import JobView, Kind

DATA = bytes(range(256)) * 40

Finished = Callable[..., str]


@pytest.fixture
def finished(site: Any, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """Makes a finished job, with that result."""
    views: dict[str, JobView] = {}

    def make(number: int = 1, kind: Kind = "film", data: bytes = DATA) -> str:
        id, recipe = f"{number:032x}", Recipe(photo="sample:coffee")
        facts = {
            "recipe": recipe,
            "asked": recipe,
            "photo": recipe.photo,
            "created": "",
            "result": "/",
        }
        views[id] = JobView(id=id, kind=kind, state="done", **facts)
        name = "result.mp4" if kind == "film" else "result.png"
        site.services.storage.put(f"jobs/{id}/{name}", data)
        return id

    monkeypatch.setattr(site.services.jobs, "get", lambda owner, id: views[id])
    return make


@pytest.fixture(params=[False, True], ids=["local", "remote"])
def place(site: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the storage is on this machine."""
    if request.param:
        bucket = Storage("memory:///")
        for act in ("put", "get", "size", "part", "path", "fetch", "delete_prefix"):
            monkeypatch.setattr(site.services.storage, act, getattr(bucket, act))
        monkeypatch.setattr(site.services.storage, "folder", None)
    return bool(request.param)


def assert_nothing_is_left(site: Any) -> None:
    """Soon: an answer is there before its copies are gone, and the gallery is read at the start."""
    end = time.monotonic() + 20
    while site.left_over():
        assert time.monotonic() < end, site.left_over()
        time.sleep(0.02)


def test_parts_of_a_film(site: Any, visitor: httpx.Client, finished: Finished, place: bool) -> None:
    address = f"/v1/jobs/{finished()}/result"
    whole = visitor.get(address)
    assert (whole.status_code, whole.content) == (200, DATA)
    again = {"Range": "bytes=100-299", "If-Range": whole.headers["etag"]}
    part = visitor.get(address, headers=again)
    assert (part.status_code, part.content) == (206, DATA[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(DATA)}"
    assert_nothing_is_left(site)


def test_of_a_film_in_a_bucket_only_the_part_is_read(
    site: Any,
    visitor: httpx.Client,
    place: bool,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not place:
        pytest.skip("a file of this machine")
    film, read = bytes(range(250)) * 20_000, []
    part = site.services.storage.part

    def noted(key: str, start: int, stop: int) -> bytes:
        read.append(stop - start)
        return bytes(part(key, start, stop))

    monkeypatch.setattr(site.services.storage, "part", noted)
    monkeypatch.setattr(site.services.storage, "fetch", lambda *given: pytest.fail("copied"))
    address = f"/v1/jobs/{finished(data=film)}/result"
    for text, wanted in (
        ("bytes=100-299", film[100:300]),
        ("bytes=-7", film[-7:]),
        ("bytes=4999990-9999999", film[4_999_990:]),
        ("bytes=0-1200000", film[:1_200_001]),
    ):
        read.clear()
        answer = visitor.get(address, headers={"Range": text})
        assert (answer.status_code, answer.content) == (206, wanted)
        assert sum(read) == len(wanted) == int(answer.headers["content-length"])
    assert visitor.get(address, headers={"Range": "bytes=0-1,5-6"}).content == film
    other = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert visitor.get(address, headers=other).content == film


@pytest.mark.parametrize(
    ("range", "status"),
    [("bytes=999999-", 416), ("bytes=9-3", 400), ("lines=1-2", 400), ("bytes=-", 400)],
)
def test_parts_that_there_are_not(
    site: Any, visitor: httpx.Client, finished: Finished, place: bool, range: str, status: int
) -> None:
    answer = visitor.get(f"/v1/jobs/{finished()}/result", headers={"Range": range})
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(DATA)}"
        assert str(len(DATA)) in answer.json()["detail"]
    assert_nothing_is_left(site)


def test_a_file_of_this_machine_is_not_copied(
    site: Any, visitor: httpx.Client, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.services.storage, "fetch", lambda *given: pytest.fail("copied"))
    assert visitor.get(f"/v1/jobs/{finished()}/result").content == DATA


def test_a_file_that_has_expired_is_missing(
    site: Any, visitor: httpx.Client, finished: Finished, place: bool
) -> None:
    id = finished()
    site.services.storage.delete_prefix(f"jobs/{id}/")
    for address in (f"/v1/jobs/{id}/result", f"/v1/archive?id={id}"):
        assert visitor.get(address).status_code == 404
    assert_nothing_is_left(site)


def test_archives_have_an_end(
    site: Any,
    visitor: httpx.Client,
    finished: Finished,
    place: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = {"id": [finished(1), finished(2, "picture", b"png")]}
    answer = visitor.get("/v1/archive", params=ids)
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert sorted(len(packed.read(name)) for name in packed.namelist()) == [3, len(DATA)]
    monkeypatch.setattr("impasto.studio.api.results.MOST_BYTES", len(DATA))
    answer = visitor.get("/v1/archive", params=ids)
    assert answer.status_code == 413
    assert "fewer" in answer.json()["detail"]
    assert_nothing_is_left(site)
