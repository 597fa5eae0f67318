"""``impasto serve``, as people start and stop it."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from impasto.cli import main
from impasto.media import image as media
from impasto.recipe import Recipe
from impasto.studio import serve
from impasto.studio.limits import Limits

RECIPE = {"styles": [{"source": "starry-night"}], "method": "adain", "size": 64}

PATIENCE = 60.0


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def client(served: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def painted(client: httpx.Client) -> dict[str, Any]:
    """A job from an upload to its end, as the stream of its events tells it."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((80, 60)).save(file, "JPEG")
    upload = client.post("/v1/uploads", content=file.getvalue()).json()
    order = {"recipe": {**RECIPE, "photo": upload["id"]}}
    job = client.post("/v1/jobs", json=order).json()
    text = client.get(f"/v1/jobs/{job['id']}/events").text
    seen = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert seen[-1]["state"] == "done", seen[-1]
    last: dict[str, Any] = seen[-1]
    return last


def test_it_says_where_it_is(served: Any) -> None:
    assert served.line.startswith("Impasto Studio: http://127.0.0.1:")
    assert "token" not in served.line
    assert served.seconds < 10  # 1.3 s on a machine that does nothing else


def test_from_upload_to_result(client: httpx.Client, painted: dict[str, Any]) -> None:
    assert (painted["width"], painted["height"]) == (64, 48)
    answer = client.get(painted["result"])
    assert answer.headers["content-type"] == "image/png"
    picture = media.read(answer.content)
    recipe = Recipe.model_validate_json(picture.recipe or "")
    assert recipe.photo == painted["photo"]  # so that a dropped result restores everything
    assert recipe.strength is not None
    preview = client.get(painted["preview"])
    assert preview.headers["content-type"] == "image/webp"
    again = client.get(painted["preview"], headers={"If-None-Match": preview.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_results_in_other_formats(client: httpx.Client, painted: dict[str, Any], kind: str) -> None:
    answer = client.get(painted["result"], params={"format": kind, "download": True})
    assert answer.headers["content-type"] == f"image/{kind}"
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["content-disposition"].endswith(f'.{kind}"')
    picture = media.read(answer.content)
    assert Recipe.model_validate_json(picture.recipe or "").photo == painted["photo"]


def test_a_part_of_a_result(client: httpx.Client, painted: dict[str, Any]) -> None:
    part = client.get(painted["result"], headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, b"\x89PNG\r\n\x1a\n")


def test_a_result_dropped_on_the_page_restores_its_settings(
    client: httpx.Client, painted: dict[str, Any]
) -> None:
    result = client.get(painted["result"]).content
    upload = client.post("/v1/uploads", content=result).json()
    assert upload["recipe"] == painted["recipe"]


def test_an_archive(client: httpx.Client, painted: dict[str, Any]) -> None:
    answer = client.get("/v1/archive", params={"id": [painted["id"], painted["id"]]})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        assert file.namelist() == [f"impasto-{painted['id'][:8]}.png"]


def test_nothing_is_left_of_what_was_sent(served: Any) -> None:
    incoming = served.log.parent / "data" / "incoming"
    wait_until(lambda: not [*incoming.iterdir()])


def test_the_log_is_json_without_ids(served: Any, painted: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert {"request", "route", "status", "ms"} <= requests[0].keys()
    assert painted["id"] not in served.log.read_text()


def test_a_worker_that_dies_is_replaced(served: Any, client: httpx.Client) -> None:
    workers = [p for p in psutil.Process(served.process.pid).children() if "worker" in p.cmdline()]
    [worker] = workers
    worker.kill()
    order = {"recipe": {**RECIPE, "photo": "sample:coffee"}}
    id = client.post("/v1/jobs", json=order).json()["id"]
    wait_until(lambda: client.get(f"/v1/jobs/{id}").json()["state"] == "done")


def run(*args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "impasto", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--port" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--database", "mysql://x/y"), "postgresql"),
        (("--device", "tpu"), "cuda"),
        (("--size", "0"), "size"),
        (("--host", "203.0.113.7"), "--port"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, args: tuple[str, ...], words: str) -> None:
    done = run("serve", "--port", "0", "--data", str(tmp_path), *args)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_without_the_extra(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("impasto.cli.studio.find_spec", lambda name: None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        main([command])
    signal.signal(signal.SIGTERM, before)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "pip install 'impasto[studio]'" in said
    assert said.count("\n") == 1


def test_off_this_machine_with_a_token_until_sigterm(tmp_path: Path, served_as: Any) -> None:
    """It stops in time, though somebody listens to events and the worker is still loading."""
    studio = served_as(tmp_path, "--host", "0.0.0.0", "--allow-host", "studio.example.org")
    token = studio.address.partition("?token=")[2]
    assert len(token) >= 32
    url = f"http://127.0.0.1:{studio.url.rpartition(':')[2]}"
    with httpx.Client(base_url=url) as stranger:
        assert stranger.get("/healthz").status_code == 200
        for path in ("/", "/v1/jobs", "/metrics", "/static/x", "/?token=wrong"):
            refused = stranger.get(path)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"] == "Bearer"
        assert stranger.get("/v1/jobs", headers={"Host": "evil.example"}).status_code == 403
        page = stranger.get("/", headers={"Accept": "text/html,*/*"})
        assert (page.status_code, 'name="token"' in page.text) == (401, True)
        entered = stranger.get("/", params={"token": token})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        named = {"Host": "studio.example.org"}
        assert stranger.get("/v1/jobs", headers=named).status_code == 200
    shown = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=shown) as client:
        order = {"recipe": {**RECIPE, "photo": "sample:coffee"}}
        id = client.post("/v1/jobs", json=order, timeout=30).json()["id"]
        with client.stream("GET", "/v1/events") as events:
            next(events.iter_lines())
            start = time.monotonic()
            assert studio.end() == 0
    assert time.monotonic() - start < 20
    assert token not in studio.log.read_text()
    again = served_as(tmp_path, "--host", "0.0.0.0", "--token", token)
    port = again.url.rpartition(":")[2]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=shown) as client:
        wait_until(lambda: client.get(f"/v1/jobs/{id}").json()["state"] == "done")
    again.end()


def test_settings_reach_workers() -> None:
    settings = serve.Settings(Path("data"), database="postgresql://u:secret@h/n", device="cpu")
    environment = serve.worker_environment(settings)
    assert environment["IMPASTO_STUDIO_DATABASE"] == "postgresql://u:secret@h/n"
    assert environment["IMPASTO_STUDIO_DATA"] == str(Path("data").resolve())
    assert environment["IMPASTO_STUDIO_JOB_SECONDS"] == "1800.0"
    assert {f"IMPASTO_STUDIO_{name.upper()}" for name in Limits.model_fields} <= {*environment}


def test_a_worker_for_every_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the user allows, else all that there are; none for a studio on processors."""
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(serve, "NVIDIA", tmp_path)
    monkeypatch.delenv(serve.VISIBLE, raising=False)
    assert serve.devices() == ["0", "1"]
    monkeypatch.setenv(serve.VISIBLE, "2,3,GPU-5a")
    assert serve.devices() == ["2", "3", "GPU-5a"]
    assert serve.Crew(serve.Settings(tmp_path))._count == 3
    assert serve.Crew(serve.Settings(tmp_path, device="cpu"))._count == 1
    started: list[str] = []
    monkeypatch.setattr(
        serve.subprocess,
        "Popen",
        lambda command, env, **more: started.append(env[serve.VISIBLE]),
    )
    crew = serve.Crew(serve.Settings(tmp_path))
    for place in range(4):
        crew._hire(place)
    assert started == ["2", "3", "GPU-5a", "2"]


def test_addresses() -> None:
    assert serve.address_of("127.0.0.1", 80, None) == "http://127.0.0.1:80/"
    assert serve.address_of("::1", 80, "t") == "http://[::1]:80/?token=t"
    assert serve.address_of("0.0.0.0", 80, "t") == f"http://{socket.gethostname()}:80/?token=t"


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    here = socket.gethostname()
    names = ("old", "new", f"{here}-{gone.pid}-a", f"{here}-{os.getpid()}-b", "elsewhere-1-c")
    for folder in (tmp_path / "incoming" / name for name in names):
        folder.mkdir(parents=True)
        (folder / "source").touch()
    os.utime(tmp_path / "incoming" / "old", (0, 0))
    assert serve.incoming(tmp_path) == tmp_path / "incoming"
    kept = {path.name for path in (tmp_path / "incoming").iterdir()}
    assert kept == {names[1], names[3], names[4]}
