"""The client of the package, and every example of docs/studio.md, against a real studio."""

import io
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from impasto.errors import BadInput, ImpastoError
from impasto.media import image as media
from impasto.recipe import Recipe
from impasto.studio import events, receiving, uploads
from impasto.studio.api import results
from impasto.studio.client import TRIES, Studio, Trouble
from impasto.studio.orders import JobView

PAGE = Path(__file__).parents[2] / "docs" / "studio.md"

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def client(served: Any) -> Iterator[Studio]:
    with Studio(served.url) as client:
        yield client


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.linear_gradient("L").resize((80, 60)).convert("RGB").save(path)
    return path


def kind_of(data: bytes) -> str | None:
    return Image.open(io.BytesIO(data)).format


def test_a_photo_is_painted(client: Studio, photo: Path) -> None:
    png = client.paint(photo, "starry-night", method="adain", size=64)
    assert isinstance(png, bytes)
    recipe = Recipe.model_validate_json(media.read(png).recipe or "")
    assert (recipe.method, recipe.size, recipe.styles[0].source) == ("adain", 64, "starry-night")


def test_styles_can_be_files_and_have_weights(client: Studio, photo: Path) -> None:
    mix = ["great-wave:0.3", photo]
    job = client.paint(photo.read_bytes(), mix, method="adain", size=64, wait=False)
    assert isinstance(job, JobView)
    assert [share.weight for share in job.recipe.styles] == [0.3, 1]
    done = client.wait(job.id)
    assert done.state == "done"
    assert kind_of(client.result(job.id, "jpeg")) == "JPEG"
    assert next(client.jobs()).id == client.job(job.id).id == job.id
    client.delete(job.id)
    assert job.id not in [one.id for one in client.jobs()]


def test_jobs_can_be_stopped(client: Studio) -> None:
    settings = {"method": "gatys", "quality": "best", "size": 512}
    job = client.paint("sample:coffee", "udnie", wait=False, **settings)
    assert isinstance(job, JobView)
    assert client.cancel(job.id).state in ("cancelled", "running")
    assert client.wait(job.id).state == "cancelled"


def test_all_events(client: Studio) -> None:
    job = client.paint("sample:coffee", "udnie", method="adain", size=64, wait=False)
    assert isinstance(job, JobView)
    done = next(one for one in client.events() if one.id == job.id and one.state == "done")
    assert done.result is not None


def test_refusals_are_told_in_words(client: Studio, tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="Did you mean 'starry-night'") as trouble:
        client.paint("sample:coffee", "stary-night")
    assert trouble.value.status == 422
    with pytest.raises(BadInput, match="cannot be read"):
        client.upload(tmp_path / "none.jpg")
    with pytest.raises(Trouble, match="no such job"):
        next(client.events("0" * 32))
    with pytest.raises(Trouble, match="answers 502"), Studio() as other:  # a proxy's words
        other.http._transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
        next(other.jobs())


def test_a_studio_without_room_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    answers = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(503)]
    answers.append(httpx.Response(200, json={"jobs": [], "next": None}))
    with Studio() as client:
        client.http._transport = httpx.MockTransport(lambda request: answers.pop(0))
        assert list(client.jobs()) == []
    assert slept == [7, 1]


def test_what_did_not_get_through_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    seen: list[str] = []

    def torn(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.headers.get('idempotency-key', '')[:5]}".strip())
        raise httpx.ReadError("torn")

    with Studio() as client:
        client.http._transport = httpx.MockTransport(torn)
        for call in (
            lambda: client.job("1"),
            lambda: client.delete("1"),  # may have been done: the next would be told 404
            lambda: client.paint("sample:coffee", "udnie"),
        ):
            with pytest.raises(httpx.ReadError):
                call()
    assert [seen.count("GET"), seen.count("DELETE"), len(seen)] == [TRIES, 1, 2 * TRIES + 1]
    assert len(set(seen)) == 3  # the order kept its key
    assert slept == [0.5, 1, 2, 4] * 2


def test_waiting_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = httpx.Response(200, text=a_job("running").model_dump_json())
    with Studio() as client:
        client.http._transport = httpx.MockTransport(lambda request: answer)
        for seconds in (0, 0.3):
            start = time.monotonic()
            assert client.wait("1", seconds=seconds).state == "running"
            assert seconds <= time.monotonic() - start < seconds + 0.3


def test_a_studio_that_starts_anew_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    away = httpx.ConnectError("refused")
    steps = ["queued", away, away, httpx.Response(502), "running", httpx.ReadError(""), "done"]

    def answer(request: httpx.Request) -> httpx.Response:
        step = steps.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            return httpx.Response(200, text=a_job(step).model_dump_json())
        return step

    with Studio() as client:
        client.http._transport = httpx.MockTransport(answer)
        assert client.wait("1").state == "done"
        monkeypatch.setattr("impasto.studio.client.ABSENCE", -1)
        steps += [away]
        with pytest.raises(httpx.ConnectError):
            client.wait("1")


def a_job(state: Any, **facts: Any) -> JobView:
    recipe = Recipe(photo="sample:coffee")
    given = {
        "kind": "picture",
        "recipe": recipe,
        "asked": recipe,
        "photo": recipe.photo,
        "created": "",
        **facts,
    }
    return JobView(id="1", state=state, **given)


def test_a_failed_painting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    job = a_job("failed", reason="no memory")
    with Studio() as client:
        monkeypatch.setattr(client, "_look", lambda id, end: job)
        with pytest.raises(ImpastoError, match="no memory"):
            client.wait("1")


def test_the_token_is_sent() -> None:
    seen = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer secret"
        assert request.headers["cookie"] == f"impasto={'0' * 32}"
        seen.set()
        return httpx.Response(200, json={"jobs": [], "next": None})

    with Studio(token="secret", owner="0" * 32) as client:
        client.http._transport = httpx.MockTransport(answer)
        list(client.jobs())
    assert seen.is_set()


def examples(language: str) -> list[str]:
    return [text for tongue, text in FENCE.findall(PAGE.read_text()) if tongue == language]


def test_examples_with_curl(served: Any, photo: Path) -> None:
    """All of them in one shell, as a reader would type them; those that start studios are not."""
    if not shutil.which("curl") or not shutil.which("jq"):
        pytest.skip("curl and jq are not installed")
    blocks = [block for block in examples("sh") if "impasto " not in block]
    script = "set -euo pipefail; shopt -s expand_aliases\n" + "\n".join(blocks)
    script = script.replace("http://127.0.0.1:8000", served.url)
    done = subprocess.run(
        ["bash", "-c", script], cwd=photo.parent, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"adain"' in done.stdout
    for name, kind in (("painting.png", "PNG"), ("painting.jpg", "JPEG")):
        assert kind_of((photo.parent / name).read_bytes()) == kind


def test_examples_in_python(
    served: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photo.parent)
    for code in examples("py"):
        exec(compile(code.replace("http://127.0.0.1:8000", served.url), "studio.md", "exec"), {})
    assert kind_of(Path("painting.png").read_bytes()) == "PNG"
    assert len(capsys.readouterr().out.split()) == 2


def test_the_limits_are_those_of_the_code() -> None:
    from impasto.studio.limits import Limits

    text = PAGE.read_text()
    for name in Limits.model_fields:
        assert f"--{name.replace('_', '-')}`" in text, name


def test_the_bounds_of_all_visitors_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    for words in (
        f"| {receiving.AT_ONCE}, with {receiving.TOGETHER / 1e9:g} GB together |",
        f"| {receiving.START:g} s, and 1 s more for every {receiving.RATE / 1e3:g} kB; "
        f"{receiving.SILENCE:g} s of silence |",
        f"| {uploads.OWN} of one visitor |",
        f"| {uploads.ALL} of all, {uploads.ALL_BYTES / 1e9:g} GB |",
        f"| {events.OWN_STREAMS} of one visitor; {events.STREAMS} of all |",
        f"| {results.MOST} results, {results.MOST_BYTES / 1e9:g} GB |",
    ):
        assert words in text, words
