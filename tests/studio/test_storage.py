"""Keys and bytes, in a folder and in a bucket."""

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from impasto.errors import BadInput, BadOutput
from impasto.studio.storage import Missing, Storage, StorageDown


@pytest.fixture(params=["folder", "memory:///"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A folder, and what stands for every bucket."""
    yield Storage(str(tmp_path / "new" / "files") if request.param == "folder" else request.param)


def test_what_is_put_is_got(storage: Storage, tmp_path: Path) -> None:
    storage.put("jobs/1/result.png", b"one")
    storage.put("jobs/1/result.png", b"two")
    assert storage.get("jobs/1/result.png") == b"two"
    assert storage.exists("jobs/1/result.png")
    storage.fetch("jobs/1/result.png", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"two"


def test_what_is_missing_is_said(storage: Storage, tmp_path: Path) -> None:
    assert not storage.exists("jobs/1/result.png")
    with pytest.raises(Missing, match="expired"):
        storage.get("jobs/1/result.png")
    with pytest.raises(Missing, match="expired"):
        storage.fetch("jobs/1/result.png", tmp_path / "copy")
    assert storage.list("jobs/") == []


def test_what_is_missing_is_said_without_its_key(storage: Storage) -> None:
    with pytest.raises(Missing) as caught:
        storage.get("uploads/secret/picture.png")
    assert "secret" not in str(caught.value)


class Bucket(BaseHTTPRequestHandler):
    """What speaks as S3 does, as far as we ask."""

    def do_GET(self) -> None:
        found = self.path == "/bucket/files/jobs/1/result.png"
        body = b"picture" if found else b"<Error><Code>NoSuchKey</Code></Error>"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server without TLS, and an environment that knows it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setenv(name, "x")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_bucket_without_tls_where_the_environment_says_so(bucket: ThreadingHTTPServer) -> None:
    storage = Storage("s3://bucket/files")
    assert storage.get("jobs/1/result.png") == b"picture"
    with pytest.raises(Missing):
        storage.get("jobs/2/result.png")


def test_a_bucket_that_is_away_is_said(
    bucket: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    storage = Storage("s3://bucket/files")
    acts: list[Callable[[], object]] = [
        lambda: storage.put("secret/a", b""),
        lambda: storage.get("secret/a"),
        lambda: storage.fetch("secret/a", tmp_path / "copy"),
        lambda: storage.exists("secret/a"),
        lambda: storage.list("secret/"),
        lambda: storage.delete("secret/a"),
        lambda: storage.delete_prefix("secret/"),
    ]
    for act in acts:
        with pytest.raises(StorageDown, match="try again in a moment") as caught:
            act()
        assert "secret" not in str(caught.value)


def test_listing_and_deleting(storage: Storage) -> None:
    for key in ("jobs/1/b", "jobs/1/a", "jobs/10/a", "uploads/1/a"):
        storage.put(key, b"12345")
    assert [(stored.key, stored.size) for stored in storage.list("jobs/1/")] == [
        ("jobs/1/a", 5),
        ("jobs/1/b", 5),
    ]
    assert abs(storage.list("jobs/1/")[0].modified.timestamp() - time.time()) < 60
    storage.delete("jobs/1/a")
    storage.delete("jobs/1/a")
    storage.delete_prefix("jobs/1/")
    storage.delete_prefix("jobs/1/")
    assert [stored.key for stored in storage.list("jobs/")] == ["jobs/10/a"]
    assert storage.exists("uploads/1/a")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../a", "a/../b", "a//b", ".a", "a/.part", "a\\b", "a\0", "a b", "ä"]
)
def test_no_key_leads_out(storage: Storage, key: str, tmp_path: Path) -> None:
    for act in (storage.get, storage.exists, storage.delete, storage.list, storage.delete_prefix):
        with pytest.raises(BadInput, match="no key"):
            act(key)
    with pytest.raises(BadInput, match="no key"):
        storage.put(key, b"")
    with pytest.raises(BadInput, match="no key"):
        storage.fetch(key, tmp_path / "copy")


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    (tmp_path / "jobs").write_text("a file in the way")
    with pytest.raises(BadOutput, match="Cannot write"):
        storage.put("jobs/1/a", b"")


@pytest.mark.parametrize("url", ["nonsense://somewhere", "s3://"])
def test_what_is_no_storage_is_said(url: str) -> None:
    with pytest.raises(BadInput, match="Give a folder"):
        Storage(url)


WRITE = """
import sys
from impasto.studio.storage import Storage
storage = Storage(sys.argv[1])
storage.put("jobs/a", b"0" * 1_000_000)
print("ready", flush=True)
while True:
    for letter in b"01":
        storage.put("jobs/a", bytes([letter]) * 1_000_000)
"""


def test_a_kill_leaves_old_or_new(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    for seed in range(3):
        command = [sys.executable, "-c", WRITE, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.Random(seed).uniform(0.01, 0.1))
            writer.kill()
        data = storage.get("jobs/a")
        assert len(data) == 1_000_000
        assert len(set(data)) == 1
        assert [stored.key for stored in storage.list("jobs/")] == ["jobs/a"]


def test_what_a_kill_left_half_written_is_swept(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.put("jobs/a/result.png", b"whole")
    half = tmp_path / "jobs" / "a" / ".0a1b.part"
    half.write_bytes(b"ha")
    storage.sweep(half.stat().st_mtime - 1)
    assert half.exists()
    storage.sweep(half.stat().st_mtime + 1)
    assert not half.exists() and storage.get("jobs/a/result.png") == b"whole"
