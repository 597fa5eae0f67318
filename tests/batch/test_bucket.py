"""Photos and pictures in buckets: of a server that speaks S3, and of a folder treated as one."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from torch import Tensor

from impasto import storage
from impasto.batch import crew, ledger
from impasto.batch.crew import Hand
from impasto.batch.items import found
from impasto.batch.ledger import Ledger
from impasto.batch.manifest import Row
from impasto.batch.tasks import Manner, Remote
from impasto.batch.worker import serve
from impasto.cli import main
from impasto.errors import BadInput, BadOutput, BadPicture
from impasto.media import image as media
from impasto.storage import Storage

pytest.importorskip("obstore")

# --- a folder as a bucket, and a server ---


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "file":
        return Storage(f"file://{tmp_path}/bucket")
    return Storage(request.getfixturevalue("s3"))


def put(place: Storage, *names: str, content: bytes = b"x") -> None:
    for name in names:
        place.put(name, content)


def test_photos_of_a_bucket(place: Storage) -> None:
    """By the rules of a folder: nothing hidden, nothing that a batch has painted."""
    put(place, "b.JPG", "a.mp4", "note.txt", ".c.png", "sub/d.gif", ".git/e.png")
    put(place, "painted/a.png", "painted/manifest.0-0.00000.jsonl", "out/new/x.png")
    output = Storage(place.address("out/new"))
    sources = found([place], output, True, print)
    assert list(sources) == ["a.mp4", "b.JPG", "sub/d.gif"]
    assert str(sources["b.JPG"]) == place.address("b.JPG")
    assert list(found([place], output, False, print)) == ["a.mp4", "b.JPG"]
    painted = Storage(place.address("painted"))
    assert list(found([painted], output, True, print)) == ["a.png"]  # unless one asks for it
    with pytest.raises(BadInput, match="among the photos"):
        found([output], place, True, print)
    with pytest.raises(BadInput, match="one folder of a bucket"):
        found([place, painted], output, True, print)


def row(target: str, key: str = "k", outcome: str = "done") -> Row:
    return Row(target, f"/in/{target}", target, key, outcome, time.time())  # type: ignore[arg-type]


def test_lines_in_a_bucket(place: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objects they fill; two runs at the same time lose nothing."""
    monkeypatch.setattr(ledger, "PART_LINES", 3)
    with Ledger(place) as one, Ledger(place) as other:
        for n in range(8):
            put(place, f"{n}.png")
            (one if n % 3 else other).add(row(f"{n}.png"))
        one.add(row("bad.png", outcome="failed"))
    with Ledger(place) as later:
        assert len(later.rows) == 9
        assert [later.finished(f"{n}.png", "k") for n in range(8)] == [True] * 8
        assert not later.finished("0.png", "other") and not later.finished("bad.png", "k")
    (name,) = [name for name, *_ in place.walk() if name == "3.png"]
    one.rows.clear()
    assert name in later.there and "bad.png" not in later.there


def test_lines_are_written_in_time(place: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill takes those of the last seconds with it, and no more."""
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr("impasto.batch.ledger.time.monotonic", lambda: next(clock))
    with Ledger(place) as killed:
        for n in range(6):
            killed.add(row(f"{n}.png"))
        written = len(Ledger(place).rows)
        assert 3 <= written < 6
    assert len(Ledger(place).rows) == 6


# --- all of it ---


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command with threads as processes."""

    class Thread:
        def __init__(self, manner: Manner) -> None:
            import threading
            from multiprocessing import Pipe

            self.ours, theirs = Pipe()
            self.thread = threading.Thread(target=serve, args=(theirs, manner), daemon=True)
            self.thread.start()

        def is_alive(self) -> bool:
            return False

        def kill(self) -> None:
            """A thread ends when its connection does."""

        def join(self, timeout: float | None = None) -> None:
            self.thread.join(10)

    def hired(manner: Manner, threads: int) -> Hand:
        thread = Thread(manner)
        return Hand(thread, thread.ours)  # type: ignore[arg-type]

    monkeypatch.setattr(crew, "hired", hired)

    def run(*words: str) -> Result:
        settings = ["-s", "starry-night", "--method", "adain", "--size", "32", "--workers", "1"]
        return CliRunner().invoke(main, ["batch", *words, *settings, "--json"])

    return run


def last(result: Result) -> dict[str, object]:
    event: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return {name: event[name] for name in ("done", "kept", "failed")}


def test_from_a_bucket_to_a_bucket(
    place: Storage, painted: Callable[..., Result], photo: Tensor, tmp_path: Path
) -> None:
    media.write(photo, tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    put(place, "in/a.png", "in/sub/b 1.jpg", content=content)
    put(place, "in/bad.png")
    words = (place.address("in"), place.address("out"), "-r")
    result = painted(*words)
    assert result.exit_code == 1, result.output
    assert last(result) == {"done": 2, "kept": 0, "failed": 1}
    picture = media.read(place.get("out/sub/b 1.png"))
    assert picture.pixels.shape[-2:] == (32, 27) and picture.recipe is not None
    assert last(painted(*words)) == {"done": 0, "kept": 2, "failed": 1}
    (tmp_path / "a.png").write_bytes(content)
    media.write(photo.flip(-1), tmp_path / "a.png")
    put(place, "in/a.png", content=(tmp_path / "a.png").read_bytes())
    put(place, "in/bad.png", content=content)
    assert last(painted(*words)) == {"done": 2, "kept": 1, "failed": 0}
    shards = [last(painted(*words, "--shard", f"{i}/2"))["kept"] for i in (1, 2)]
    assert sum(map(int, map(str, shards))) == 3


def test_between_a_folder_and_a_bucket(
    place: Storage, painted: Callable[..., Result], photo: Tensor, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    media.write(photo, tmp_path / "photos" / "a.png")
    assert last(painted(str(tmp_path / "photos"), str(place))) == {
        "done": 1,
        "kept": 0,
        "failed": 0,
    }
    names = {name for name, *_ in place.walk()}
    assert "a.png" in names and len(names) == 2
    put(place, "more/b.png", content=(tmp_path / "photos" / "a.png").read_bytes())
    back = painted(place.address("more"), str(tmp_path / "back"))
    assert last(back)["done"] == 1 and (tmp_path / "back" / "b.png").is_file()


def test_a_film_in_a_bucket(
    s3: str,
    painted: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    from PIL import Image

    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    pictures = [Image.new("RGB", (32, 24), (60 * n, 90, 120)) for n in range(3)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    place = Storage(s3)
    put(place, "in/a.gif", content=(tmp_path / "a.gif").read_bytes())
    result = painted(place.address("in"), place.address("out"))
    assert result.exit_code == 0, result.output
    (tmp_path / "back.gif").write_bytes(place.get("out/a.gif"))
    with Image.open(tmp_path / "back.gif") as made:
        assert made.n_frames == 3  # type: ignore[attr-defined]
    assert not any((tmp_path / "cache" / "films").iterdir())


def test_a_film_that_is_none_leaves_nothing_in_the_cache(
    s3: str, painted: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    place = Storage(s3)
    put(place, "in/a.mp4", content=b"no film")
    result = painted(place.address("in"), place.address("out"))
    assert result.exit_code == 1, result.output
    assert not any((tmp_path / "cache" / "films").iterdir())


def test_storage_that_does_not_answer(
    painted: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line and a code, after a few tries."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(storage, "PATIENT", (5, 1.0))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    result = painted("s3://photos/in", str(tmp_path / "out"))
    assert result.exit_code == BadPicture.exit_code and "Cannot read" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    with pytest.raises(BadOutput, match="Cannot write"):
        Storage("s3://photos", storage.PATIENT).put("a.png", b"x")


def test_a_remote_photo_is_known_by_its_stamp() -> None:
    from impasto.batch.manifest import item_key

    assert item_key("b", "t", Remote("s3://a/b", "1")) != item_key(
        "b", "t", Remote("s3://a/b", "2")
    )
    assert item_key("b", "t", Remote("s3://a/b", "1")) == item_key(
        "b", "t", Remote("s3://c/b", "1")
    )
    assert os.sep not in item_key("b", "t", Remote("s3://a/b", "1"))
