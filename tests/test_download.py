"""Downloads: cut, refused, wrong, at once; nothing bad is ever left behind."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from impasto import download
from impasto.errors import BadInput, BadOutput, DamagedWeights, MissingWeights

BLOB = bytes(range(256)) * 20_000  # 5 MB, several chunks
BLOB_SHA = hashlib.sha256(BLOB).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves BLOB; the class attributes, set by each test, say how badly."""

    ranges: ClassVar[bool] = True
    cut_after: ClassVar[list[int]] = []  # bytes sent before the connection drops, per request
    status: ClassVar[list[int]] = []  # refusals, per request
    asked: ClassVar[list[str | None]] = []  # the Range of every request

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        if self.status:
            return self.send_error(self.status.pop(0))
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        if start >= len(BLOB):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BLOB) - start))
        self.end_headers()
        stop = start + self.cut_after.pop(0) if self.cut_after else len(BLOB)
        self.wfile.write(BLOB[start:stop])
        return None

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in {"ranges": True, "cut_after": [], "status": [], "asked": []}.items():
        monkeypatch.setattr(Handler, name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/vgg19.pth"
        running.shutdown()
        thread.join()


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_download(server: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    target = tmp_path / "cache" / "blob.pth"
    got = download.download(server, BLOB_SHA[:8], target, lambda *each: seen.append(each))
    assert got == target and target.read_bytes() == BLOB
    assert left_in(target.parent) == {"blob.pth"}
    assert seen == sorted(seen) and seen[-1] == (len(BLOB), len(BLOB))
    download.download(server, BLOB_SHA, target)
    assert Handler.asked == [None]  # the second time nothing is fetched


def test_download_goes_on_after_cut_connections(server: str, tmp_path: Path) -> None:
    Handler.cut_after += [3_000_000, 1_000_000]
    seen: list[tuple[int, int]] = []
    target = tmp_path / "blob.pth"
    download.download(server, BLOB_SHA[:8], target, lambda *each: seen.append(each))
    assert target.read_bytes() == BLOB
    assert Handler.asked == [None, "bytes=3000000-", "bytes=4000000-"]
    assert seen == sorted(seen) and {total for _, total in seen} == {len(BLOB)}


def test_third_cut_keeps_the_part_for_the_next_run(server: str, tmp_path: Path) -> None:
    Handler.cut_after += [1_000_000] * 3
    target = tmp_path / "blob.pth"
    with pytest.raises(MissingWeights, match=r"closed after 3000000 of 5120000 bytes.* to go on"):
        download.download(server, BLOB_SHA[:8], target)
    assert left_in(tmp_path) == {"blob.pth.part"}
    download.download(server, BLOB_SHA[:8], target)
    assert target.read_bytes() == BLOB
    assert Handler.asked[-1] == "bytes=3000000-"


def test_server_without_ranges_starts_again(server: str, tmp_path: Path) -> None:
    Handler.ranges = False
    (tmp_path / "blob.pth.part").write_bytes(b"old" * 100)
    download.download(server, BLOB_SHA[:8], tmp_path / "blob.pth")
    assert (tmp_path / "blob.pth").read_bytes() == BLOB
    assert Handler.asked == ["bytes=300-"]


def test_part_longer_than_the_file_starts_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "blob.pth.part").write_bytes(BLOB + b"x")
    download.download(server, BLOB_SHA[:8], tmp_path / "blob.pth")
    assert (tmp_path / "blob.pth").read_bytes() == BLOB


def test_wrong_hash_leaves_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedWeights, match=f"begins with {BLOB_SHA[:8]}, not dcbb9e9d"):
        download.download(server, "dcbb9e9d", tmp_path / "blob.pth")
    assert left_in(tmp_path) == set()


def test_refusal_is_not_tried_again(server: str, tmp_path: Path) -> None:
    Handler.status += [404]
    with pytest.raises(MissingWeights, match="404 Not Found"):
        download.download(server, "", tmp_path / "blob.pth")
    assert len(Handler.asked) == 1
    assert left_in(tmp_path) == set()


def test_server_errors_are_tried_again(server: str, tmp_path: Path) -> None:
    Handler.status += [503, 500]
    download.download(server, BLOB_SHA[:8], tmp_path / "blob.pth")
    assert len(Handler.asked) == 3


def test_no_server(server: str, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:1/blob.pth"
    with pytest.raises(MissingWeights, match=f"Cannot download {nobody}: .*refused"):
        download.download(nobody, "", tmp_path / "blob.pth")


def test_only_http(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="https://"):
        download.download("file:///etc/passwd", "", tmp_path / "blob.pth")


def test_unwritable_cache(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadOutput):
        download.download(server, "", tmp_path / "file" / "blob.pth")


def test_two_at_once_fetch_once(server: str, tmp_path: Path) -> None:
    target = tmp_path / "blob.pth"
    threads = [
        threading.Thread(target=download.download, args=(server, BLOB_SHA[:8], target))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == BLOB
    assert Handler.asked == [None]
