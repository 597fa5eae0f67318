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
from impasto.storage import Missing, Storage, StorageDown, is_url, located


@pytest.fixture(params=["folder", "file", "memory:///", "memory:///below", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A folder, the same by its address, what stands for every bucket, and a server."""
    folder = str(tmp_path / "new" / "files")
    if request.param == "s3":
        return Storage(request.getfixturevalue("s3"))
    return Storage({"folder": folder, "file": f"file://{folder}"}.get(request.param, request.param))


def test_what_is_put_is_got(storage: Storage, tmp_path: Path) -> None:
    key = "sub/a b+é 50%.png"
    storage.put(key, b"first")
    storage.put(key, b"0123456789")
    assert storage.get(key) == b"0123456789"
    assert storage.part(key, 3, 6) == b"345"
    assert storage.size(key) == 10
    assert storage.exists(key) and not storage.exists("sub/a b")
    storage.fetch(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"0123456789"


def test_files_are_put(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"film" * 2_000_000)
    storage.put("jobs/1/result.mp4", tmp_path / "file")
    assert storage.get("jobs/1/result.mp4") == b"film" * 2_000_000


def test_stamps_change_with_what_is_there(storage: Storage) -> None:
    stamps = []
    for content in (b"first", b"other"):
        storage.put("a", content)
        stamps += [stored.stamp for stored in storage.walk()]
    assert len({*stamps}) == 2


def test_what_is_missing_is_said(storage: Storage, tmp_path: Path) -> None:
    key = "jobs/1/result.png"
    assert not storage.exists(key)
    acts: list[Callable[[], object]] = [
        lambda: storage.get(key),
        lambda: storage.part(key, 0, 1),
        lambda: storage.size(key),
        lambda: storage.fetch(key, tmp_path / "copy"),
    ]
    for act in acts:
        with pytest.raises(Missing, match=r"There is no .*jobs/1/result\.png"):
            act()
    assert storage.list("jobs/") == []
    assert not (tmp_path / "copy").exists()


def test_objects_by_their_addresses(tmp_path: Path) -> None:
    place = Storage(f"file://{tmp_path}/photos 1/")
    place.put("a.jpg", b"photo")
    found, key = located(place.address("a.jpg"))
    assert found.get(key) == b"photo"
    assert place.address("a b.jpg") == f"file://{tmp_path}/photos 1/a b.jpg"
    assert str(Storage("s3://photos/2024/")) == "s3://photos/2024"
    assert is_url("s3://a/b") and not is_url("/a/s3:/b")


def test_without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(BadInput, match="impasto\\[s3\\]"):
        Storage("s3://photos")


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
    with pytest.raises(BadOutput, match="Cannot write 's3://bucket/files/a/b'"):
        storage.put("a/b", b"")
    acts: list[Callable[[], object]] = [
        lambda: storage.get("a/b"),
        lambda: storage.part("a/b", 0, 1),
        lambda: storage.fetch("a/b", tmp_path / "copy"),
        lambda: storage.exists("a/b"),
        lambda: storage.list("a/"),
        lambda: storage.delete("a/b"),
        lambda: storage.delete_prefix("a/"),
    ]
    for act in acts:
        with pytest.raises(StorageDown, match="Cannot read 's3://bucket/files/a/"):
            act()


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
    "key", ["", "/", "/etc/passwd", "..", "../a", "a/../b", "a//b", "./a", "a/.", "a\\b", "a\0"]
)
def test_no_key_leads_out(storage: Storage, key: str, tmp_path: Path) -> None:
    acts: list[Callable[[str], object]] = [storage.get, storage.size, storage.exists, storage.path]
    acts += [storage.delete, storage.delete_prefix]
    for act in acts:
        with pytest.raises(BadInput, match="no key"):
            act(key)
    if key:
        with pytest.raises(BadInput, match="no key"):
            storage.list(key)
    with pytest.raises(BadInput, match="no key"):
        storage.put(key, b"")
    with pytest.raises(BadInput, match="no key"):
        storage.fetch(key, tmp_path / "copy")


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    (tmp_path / "jobs").write_text("a file in the way")
    with pytest.raises(BadOutput, match="Cannot write"):
        storage.put("jobs/1/a", b"")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s4://somewhere", "Did you mean 's3'"),
        ("s3://", "names no bucket"),
        ("az://photos", "cannot be used: .*Account must be specified"),
    ],
)
def test_what_is_no_storage_is_said(url: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Storage(url)


WRITE = """
import sys
from impasto.storage import Storage
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
