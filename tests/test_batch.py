"""Many photos in one go: every one is painted once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto import weights
from impasto.batch import crew, run
from impasto.batch.crew import Crew, Hand
from impasto.batch.items import STAGE, found, mine, targets
from impasto.batch.manifest import Manifest, Row, item_key
from impasto.batch.run import Order, Tally, batch
from impasto.batch.tasks import Done, Manner, Task
from impasto.batch.worker import serve
from impasto.cli import main
from impasto.errors import (
    BadInput,
    BadOutput,
    BadPicture,
    MissingWeights,
    OutOfMemory,
    UnknownName,
)
from impasto.files import replacing
from impasto.fingerprint import fingerprint
from impasto.media import image as media
from impasto.networks import encoders
from impasto.networks.encoders import Encoder
from impasto.painter import Painter
from impasto.pipeline import paint, prepare
from impasto.recipe import Recipe
from impasto.style import Style

Event = Mapping[str, object]


def ignore(_: object) -> None:
    pass


# --- what is painted, and where it goes ---


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(folder: Path, output: Path, recursive: bool = True) -> list[str]:
    return list(found([folder], output, recursive, ignore))


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    folder = touched(
        tmp_path / "in", "b.JPG", "a.png", "a.txt", ".c.png", "sub/d.gif", ".git/e.png"
    )
    assert names(folder, tmp_path / "out") == ["a.png", "b.JPG", "sub/d.gif"]
    assert names(folder, tmp_path / "out", recursive=False) == ["a.png", "b.JPG"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    folder = touched(tmp_path / "in", "a.png", "sub/b.png")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "c.png").symlink_to(folder / "a.png")
    assert names(folder, tmp_path / "out") == ["a.png", "c.png", "self.png", "sub/b.png"]


def test_what_was_painted_is_not_painted(tmp_path: Path) -> None:
    """Neither what goes to this folder, nor what went to another, nor a link to it."""
    folder = touched(tmp_path, "a.png", "out/a.png", f"old/{STAGE}/x", "old/a.png")
    (folder / "link.png").symlink_to(folder / "out" / "a.png")
    assert names(folder, folder / "out") == ["a.png"]
    assert names(folder / "old", folder / "out") == ["a.png"]  # unless one asks for it


@pytest.mark.parametrize("output", ["in", ".", "in/../in"])
def test_pictures_never_land_among_photos(tmp_path: Path, output: str) -> None:
    folder = touched(tmp_path / "in", "a.png")
    with pytest.raises(BadInput, match="among the photos"):
        found([folder], tmp_path / output, True, ignore)
    with pytest.raises(BadInput, match="among the photos"):
        found([folder / "a.png"], folder, True, ignore)


def test_photos_from_anywhere(tmp_path: Path) -> None:
    touched(tmp_path, "x/a.png", "y/a.png", "y/b")
    paths = [tmp_path / name for name in ("x/a.png", "y/a.png", "y/b", "x/a.png")]
    sources = found(paths, tmp_path / "out", False, ignore)
    assert sources == {"a.png": paths[0], "a-2.png": paths[1], "b": paths[2]}
    with pytest.raises(BadInput, match="one of several"):
        found([tmp_path / "x", tmp_path / "y"], tmp_path / "out", False, ignore)
    with pytest.raises(BadPicture, match="no file or folder"):
        found([tmp_path / "none"], tmp_path / "out", False, ignore)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be read")
def test_a_folder_that_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    errors: list[OSError] = []
    touched(tmp_path / "in", "a.png", "shut/b.png")
    (tmp_path / "in" / "shut").chmod(0)
    assert list(found([tmp_path / "in"], tmp_path / "out", True, errors.append)) == ["a.png"]
    (tmp_path / "in" / "shut").chmod(0o700)
    assert len(errors) == 1


def gone(_: str) -> bool:
    return True


def test_targets_are_named_like_photos() -> None:
    assert targets(["a.jpg", "b/a.gif"], "png", {}, gone) == {
        "a.jpg": "a.png",
        "b/a.gif": "b/a.png",
    }
    assert targets(["a.JPG", "a.gif"], "keep", {}, gone) == {"a.JPG": "a.JPG", "a.gif": "a.png"}
    both = targets(["a.jpg", "A.png", "a.jpg.png"], "png", {}, gone)
    assert both == {"A.png": "A.png.png", "a.jpg": "a.jpg.png", "a.jpg.png": "a.jpg.png.png"}


def test_a_photo_keeps_its_target() -> None:
    """Also when another of that name comes later, until another format is asked for."""
    owners = {"a.png": "a.jpg"}
    chosen = targets(["a.gif", "a.jpg"], "png", owners, lambda name: False)
    assert chosen == {"a.jpg": "a.png", "a.gif": "a.gif.png"}
    assert targets(["a.jpg"], "webp", owners, lambda name: False) == {"a.jpg": "a.webp"}
    assert targets(["a.gif"], "png", owners, lambda name: False) == {"a.gif": "a.gif.png"}
    assert targets(["a.gif"], "png", owners, gone) == {"a.gif": "a.png"}


PARTS = st.sampled_from(["a", "A", "b", "a.png", "é", "é", "a.jpg"])
PHOTOS = st.builds(
    lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
    st.lists(PARTS, max_size=2),
    PARTS,
    st.sampled_from([".png", ".PNG", ".jpg", ".gif", ".webp"]),
)


@settings(max_examples=200, deadline=None)
@given(st.sets(PHOTOS, max_size=12), st.sampled_from(["png", "jpg", "keep"]))
def test_no_two_targets_are_alike(photos: set[str], kind: str) -> None:
    chosen = targets(sorted(photos), kind, {}, gone)
    assert chosen.keys() == photos
    assert len({target.casefold() for target in chosen.values()}) == len(photos)
    assert all(Path(chosen[name]).parent == Path(name).parent for name in photos)
    later = targets(sorted(photos), kind, {t: n for n, t in chosen.items()}, lambda name: False)
    assert later == chosen


def test_shards_share_out_everything_and_stay() -> None:
    photos = [f"{n}.png" for n in range(300)]
    shards = [{name for name in photos if mine(name, (i, 3))} for i in (1, 2, 3)]
    assert sum(map(len, shards)) == 300 and set().union(*shards) == set(photos)
    assert all(70 < len(shard) < 130 for shard in shards)


# --- the manifest ---


def row(target: str, key: str = "k", **more: object) -> Row:
    facts = {"name": target, "source": f"/in/{target}", "target": target, "key": key}
    return Row(**{**facts, "outcome": "done", "finished": 1.0, **more})  # type: ignore[arg-type]


def stage(manifest: Manifest, key: str, text: str = "picture") -> None:
    with replacing(Path(manifest.staged(key, "a.png"))) as file:
        file.write(text.encode())


def test_a_row_and_its_picture(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        stage(manifest, "k")
        assert manifest.add(row("sub/a.png")).outcome == "done"
        assert manifest.finished("sub/a.png", "k") and not manifest.finished("sub/a.png", "other")
        manifest.add(row("b.png", outcome="failed", reason="why"))
    with Manifest(tmp_path) as manifest:
        assert manifest.finished("sub/a.png", "k") and not manifest.finished("b.png", "k")
        (tmp_path / "sub" / "a.png").unlink()
        assert not manifest.finished("sub/a.png", "k")
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["done", "failed"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xe9.png")
    with Manifest(tmp_path) as manifest:
        manifest.add(row(name, outcome="failed"))
    with Manifest(tmp_path) as manifest:
        assert manifest.rows[name].name == name


def test_lines_of_others_and_torn_ones(tmp_path: Path) -> None:
    """Of two shards that have painted the same, the later counts; what is no row does not."""
    for shard, time_ in (((1, 2), 5.0), ((2, 2), 3.0)):
        with Manifest(tmp_path, shard) as manifest:
            manifest.add(row("a.png", str(shard), finished=time_, outcome="failed"))
    path = tmp_path / "manifest-1-of-2.jsonl"
    path.write_bytes(path.read_bytes() + b'\xff[]\n[1]\n{"name": "x"')
    with Manifest(tmp_path, (1, 2)) as manifest:
        assert {t: known.key for t, known in manifest.rows.items()} == {"a.png": "(1, 2)"}
        manifest.add(row("b.png", outcome="failed"))
    with Manifest(tmp_path) as manifest:
        assert manifest.rows.keys() == {"a.png", "b.png"}


def test_nothing_is_left_of_a_batch_that_could_not_begin(tmp_path: Path) -> None:
    """But a folder that was there stays, and what others have written into it."""
    with Manifest(tmp_path / "new"):
        pass
    (tmp_path / "old").mkdir()
    with Manifest(tmp_path / "old"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert not [*(tmp_path / "old").iterdir()]
    with Manifest(tmp_path / "new", (1, 2)) as first, Manifest(tmp_path / "new", (2, 2)):
        stage(first, "k")
        first.add(row("a.png"))
    assert (tmp_path / "new" / "a.png").is_file()
    assert [path.name for path in (tmp_path / "new").glob("*.jsonl")] == [first.path.name]


def test_two_cannot_do_the_same(tmp_path: Path) -> None:
    with Manifest(tmp_path), pytest.raises(BadOutput, match="Another process"):
        Manifest(tmp_path)
    with Manifest(tmp_path), Manifest(tmp_path, (1, 2)):
        pass


def test_a_target_that_cannot_be(tmp_path: Path) -> None:
    """It has failed, and says so; what was painted does not stay behind."""
    touched(tmp_path, "a.png/b", "c")
    with Manifest(tmp_path) as manifest:
        for target in ("a.png", "c/d.png", "x" * 300 + ".png"):
            stage(manifest, "k")
            made = manifest.add(row(target))
            assert made.outcome == "failed" and "Cannot write" in made.reason
    assert list(manifest.stage.iterdir()) == []


class Killed(BaseException):
    """kill -9: from here on nothing happens any more, not even in ``finally``."""


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Die at the n-th operation on the file system, half of a write done."""
    left = 10**9
    real = {name: getattr(Path, name) for name in ("replace", "unlink", "mkdir")}
    write = Manifest._write

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    def dying(name: str) -> Callable[..., object]:
        def act(path: Path, *args: object, **options: object) -> object:
            step()
            return real[name](path, *args, **options)

        return act

    class Torn:
        def __init__(self, file: object) -> None:
            self.file = file

        def write(self, line: bytes) -> int:
            try:
                step()
            except Killed:
                if left == -1:
                    self.file.write(line[: len(line) // 2])  # type: ignore[attr-defined]
                raise
            return self.file.write(line)  # type: ignore[attr-defined, no-any-return]

        def close(self) -> None:
            self.file.close()  # type: ignore[attr-defined]

    def torn(manifest: Manifest, line: Row) -> None:
        if not isinstance(manifest._file, Torn):
            manifest._file = Torn(manifest._file)  # type: ignore[assignment]
        write(manifest, line)

    def arm(count: int) -> None:
        nonlocal left
        left = count

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(Path, name, dying(name))
        patch.setattr(Manifest, "_write", torn)
        yield arm


def session(folder: Path, wanted: list[str], painted: list[str]) -> None:
    """What a batch does, without painting."""
    manifest = Manifest(folder)
    try:
        for target in wanted:
            if not manifest.finished(target, target[:-4]):
                painted.append(target)
                stage(manifest, target[:-4], target)
                manifest.add(row(target, target[:-4]))
        manifest.settle()
    finally:
        manifest._file.close()  # as the operating system would
        manifest._lock.release()


def test_killed_at_any_point(tmp_path: Path, kill: Callable[[int], None]) -> None:
    """What is there is whole and has a line, and is not painted again; at the end all is there."""
    wanted = ["a.png", "b.png", "c.png"]
    deaths = 0
    for point in range(30):
        folder = tmp_path / str(point)
        finished: set[str] = set()
        for _ in range(2):
            kill(10**9)
            folder.mkdir(exist_ok=True)
            kill(point)
            painted: list[str] = []
            try:
                session(folder, wanted, painted)
            except Killed:
                deaths += 1
            assert not finished & set(painted)
            finished = {path.name for path in folder.glob("*.png")}
            assert all((folder / name).read_text() == name for name in finished)
        kill(10**9)
        session(folder, wanted, [])
        lines = (folder / "manifest.jsonl").read_text().splitlines()
        done = [json.loads(line)["target"] for line in lines if line.endswith("}")]
        assert {path.name for path in folder.glob("*.png")} == set(wanted) == set(done)
        assert len(done) == 3 and list((folder / STAGE / "manifest").iterdir()) == []
    assert deaths > 20


# --- the crew: no torch, threads in the place of processes ---


class Stub:
    """A thread in the place of a process."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def is_alive(self) -> bool:
        return False

    def kill(self) -> None:
        """A thread ends when its connection does."""

    def join(self, timeout: float | None = None) -> None:
        self.thread.join(5)


def hire(work: Callable[[Connection], None]) -> Hand:
    ours, theirs = Pipe()

    def run() -> None:
        work(theirs)
        theirs.close()

    return Hand(Stub(run), ours)  # type: ignore[arg-type]


def dutiful(connection: Connection) -> None:
    """Does everything at once, but dies of what is called poison."""
    connection.send(None)
    while (task := connection.recv()) is not None:
        if "poison" in task.name:
            return
        connection.send(Done(task.key, room=4))


def tasks(*names: str) -> list[Task]:
    return [Task(name, name, "", "", "") for name in names]


def crewed(monkeypatch: pytest.MonkeyPatch, *works: Callable[[Connection], None]) -> Crew:
    """Hands that do those, one after another, and then the last."""
    left = list(works)
    monkeypatch.setattr(crew, "hired", lambda *_: hire(left.pop(0) if len(left) > 1 else left[0]))
    return Crew(Manner(Recipe()), 2, 1)


def test_everything_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with crewed(monkeypatch, dutiful) as hands:
        for part in ("a", "b"):  # the same hands
            done = [task.name for task, _ in hands.work(tasks(*(f"{part}{n}" for n in range(50))))]
            assert sorted(done) == sorted(f"{part}{n}" for n in range(50))
        assert list(hands.work([])) == [] and len(hands.hands) == 2


def test_who_dies_is_replaced_and_who_killed_it_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those in hand with it are none the worse."""
    everything = tasks("a", "poison", "b", "c", "d", "poison 2", "e")
    with crewed(monkeypatch, dutiful) as hands:
        outcomes = {task.name: done.reason for task, done in hands.work(everything)}
    failed = {name for name, reason in outcomes.items() if reason}
    assert outcomes.keys() == {task.name for task in everything}
    assert failed == {"poison", "poison 2"} and "died" in outcomes["poison"]


def test_a_single_death_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def mortal(connection: Connection) -> None:
        connection.send(None)
        connection.recv()

    with crewed(monkeypatch, mortal, dutiful) as hands:
        outcomes = [done.reason for _, done in hands.work(tasks("a", "b", "c"))]
    assert outcomes == ["", "", ""]


def test_who_dies_while_loading_is_not_replaced_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        crewed(monkeypatch, lambda _: None) as hands,
        pytest.raises(OutOfMemory, match="fewer --workers"),
    ):
        list(hands.work(tasks("a")))


def test_what_no_photo_would_survive_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    full = BadOutput("There is no space left.")
    with (
        crewed(monkeypatch, lambda connection: connection.send(full)) as hands,
        pytest.raises(BadOutput, match="no space left"),
    ):
        list(hands.work(tasks("a")))


# --- all of it, in this process, with the tiny networks ---


def threaded(manner: Manner, threads: int) -> Hand:
    return hire(lambda connection: serve(connection, manner))


@pytest.fixture
def desk(
    tmp_path: Path,
    photo: Tensor,
    painting: Tensor,
    encoder: Encoder,
    decoders: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Photos of two sizes and one that is none, a painting, and threads as processes."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "sub/a.webp"):
        media.write(photo, folder / name)
    media.write(photo[..., :30], folder / "c.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    media.write(painting, tmp_path / "own.png")
    store = tmp_path / "store"
    path = store / "encoder-tiny.safetensors"
    weights.write(path, encoder.state_dict(), weights.Header("encoder", "tiny"))
    monkeypatch.setattr(weights, "folders", lambda: [store, weights.user_folder()])
    monkeypatch.setitem(encoders.SHAPES, "tiny", encoder.shape)  # type: ignore[index]
    monkeypatch.setattr(crew, "hired", threaded)
    return tmp_path


def recipe(desk: Path, **more: object) -> Recipe:
    own = ({"source": str(desk / "own.png")},)
    given = {"styles": own, "method": "adain", "encoder": "tiny", "device": "cpu"}
    return Recipe.model_validate({**given, **more})


def order(desk: Path, **more: object) -> Order:
    given = {"inputs": [desk / "photos"], "output": desk / "out", "recursive": True, "workers": 1}
    return Order(**{"recipe": recipe(desk), **given, **more})  # type: ignore[arg-type]


def rows(folder: Path, outcome: str = "done") -> dict[str, dict[str, object]]:
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    return {r["target"]: r for r in map(json.loads, lines) if r["outcome"] == outcome}


def pictures(folder: Path) -> list[str]:
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in paths if not path.startswith((STAGE, "manifest")))


PAINTED = ["a.png", "b.png", "c.png", "sub/a.png"]


def test_a_folder(desk: Path, photo: Tensor) -> None:
    events: list[Event] = []
    assert batch(order(desk), events.append) == Tally(done=4, failed=1)
    assert pictures(desk / "out") == PAINTED
    assert [event["event"] for event in events] == ["plan", *["item"] * 5, "done"]
    assert "not a picture" in str(rows(desk / "out", "failed")["bad.png"]["reason"])
    line = rows(desk / "out")["sub/a.png"]
    assert (line["width"], line["height"]) == (40, 48)
    made = Recipe.model_validate(line["recipe"])
    assert made.size == 48 and made.photo == str((desk / "photos/sub/a.webp").resolve())


def test_a_picture_is_that_of_stylize(desk: Path) -> None:
    """Also when it was painted together with others, and its Recipe is inside."""
    batch(order(desk), ignore)
    photo = media.read(desk / "photos" / "b.png")
    alone = paint(prepare(recipe(desk), photo.pixels))
    media.write(alone.pixels, desk / "alone.png")
    found = media.read(desk / "out" / "b.png")
    assert torch.equal(found.pixels, media.read(desk / "alone.png").pixels)
    assert found.recipe is not None
    assert Recipe.model_validate_json(found.recipe).photo == "b.png"


def test_again_only_what_is_missing_changed_or_failed(desk: Path, photo: Tensor) -> None:
    batch(order(desk), ignore)
    before = {name: (desk / "out" / name).stat().st_mtime_ns for name in PAINTED}
    (desk / "out" / "a.png").unlink()
    media.write(photo.flip(-1), desk / "photos" / "b.png")
    media.write(photo, desk / "photos" / "bad.jpg")
    assert batch(order(desk), ignore) == Tally(done=3, kept=2)
    after = {name: (desk / "out" / name).stat().st_mtime_ns for name in PAINTED}
    assert [name for name in PAINTED if before[name] == after[name]] == ["c.png", "sub/a.png"]
    assert batch(order(desk), ignore) == Tally(kept=5)


@pytest.mark.parametrize("change", [{"strength": 0.5}, {"styles": ["own 2.png"]}, {"seed": 3}])
def test_other_settings_paint_anew(desk: Path, painting: Tensor, change: dict[str, object]) -> None:
    media.write(painting.flip(-1), desk / "own 2.png")
    if "styles" in change:
        change = {"styles": ({"source": str(desk / "own 2.png")},)}
    batch(order(desk), ignore)
    assert batch(order(desk, recipe=recipe(desk, **change)), ignore).done == 4


def test_keys(desk: Path, painting: Tensor) -> None:
    """A style counts by what is in it, a network of another style does not count."""
    base = fingerprint(recipe(desk))
    os.utime(desk / "own.png", (1, 1))
    assert fingerprint(recipe(desk)) == base
    media.write(painting.flip(-1), desk / "own.png")
    assert fingerprint(recipe(desk)) != base
    other = weights.read(weights.find("johnson", "style"))
    auto = recipe(desk, method="auto")
    base = fingerprint(auto)
    path = weights.folders()[0] / "johnson-new.safetensors"
    weights.write(path, other.tensors, weights.Header("johnson", "new", other.header.config))
    styles = weights.user_folder().parent / "styles"
    assert fingerprint(auto) != base  # not known to be of one style
    styles.mkdir(exist_ok=True)
    touched(styles, "new.style.safetensors")
    assert fingerprint(auto) == base
    (styles / "new.style.safetensors").unlink()
    assert item_key("x", "a", desk / "none") == item_key("x", "a", desk / "none")


def test_no_more_processes_than_photos(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share the cores among them; where more may come, there is one for each core."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr("impasto.batch.run.free", lambda: 64e9)
    made = []
    for watch in (False, True):
        hands = run._crew(order(desk, workers=None, watch=watch), 2)
        assert isinstance(hands, Crew)
        made.append((hands.workers, hands.threads))
    assert made == [(2, 4), (8, 1)]
    monkeypatch.setattr("impasto.batch.run.free", lambda: 5e9)
    assert run.usual_workers(recipe(desk), 8) == 2  # what the container grants


def test_formats(desk: Path) -> None:
    (desk / "photos" / "bad.jpg").unlink()
    batch(order(desk, kind="keep"), ignore)
    assert pictures(desk / "out") == ["a.jpg", "b.png", "c.png", "sub/a.webp"]
    sizes = []
    for quality in (20, 95):
        batch(order(desk, kind="jpg", file_quality=quality), ignore)
        sizes.append((desk / "out" / "sub" / "a.jpg").stat().st_size)
    assert sizes[0] < 0.6 * sizes[1]


def test_no_picture_takes_the_place_of_a_style(desk: Path, painting: Tensor) -> None:
    (desk / "out").mkdir()
    style = desk / "out" / "b.png"
    media.write(painting, style)
    content = style.read_bytes()
    shares = ({"source": str(style)},)
    with pytest.raises(BadOutput, match="would take its place"):
        batch(order(desk, recipe=recipe(desk, styles=shares)), ignore)
    assert style.read_bytes() == content


def test_two_folders_into_one(desk: Path, photo: Tensor) -> None:
    """Photos of the same name are not the same; nothing is painted over."""
    batch(order(desk, recursive=False), ignore)
    media.write(photo.flip(-1), touched(desk / "more", "b.png") / "b.png")
    more = order(desk, inputs=[desk / "more"])
    assert batch(more, ignore) == Tally(done=1)
    assert pictures(desk / "out") == ["a.png", "b.png", "b.png.png", "c.png"]
    assert batch(more, ignore) == Tally(kept=1)


def test_a_folder_that_has_moved(desk: Path) -> None:
    batch(order(desk), ignore)
    (desk / "photos").rename(desk / "moved")
    assert batch(order(desk, inputs=[desk / "moved"]), ignore) == Tally(kept=4, failed=1)


def test_shards_make_the_whole(desk: Path) -> None:
    (desk / "photos" / "bad.jpg").unlink()
    tallies = [batch(order(desk, shard=(i, 2)), ignore) for i in (1, 2)]
    assert sum(tally.done for tally in tallies) == 4 and pictures(desk / "out") == PAINTED
    assert batch(order(desk), ignore) == Tally(kept=4)


def test_same_size_go_together(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is painted others arrive; another size waits for its turn."""
    shapes = []
    real = Painter.paint

    def slow(painter: Painter, jobs: list[object]) -> object:
        shapes.append([job.canvas.shape[-1] for job in jobs])  # type: ignore[attr-defined]
        time.sleep(0.05)
        return real(painter, jobs)  # type: ignore[arg-type]

    monkeypatch.setattr(Painter, "paint", slow)
    for n in range(20):
        media.write(media.read(desk / "photos" / "b.png").pixels, desk / "photos" / f"d{n:02}.png")
    assert batch(order(desk), ignore).done == 24
    assert max(map(len, shapes)) > 3 and all(len(set(shape)) == 1 for shape in shapes)


def test_what_cannot_be_begun(desk: Path) -> None:
    """One error, with its own exit code, and not one for every photo."""
    for wrong, error in (
        ({"method": "adian"}, UnknownName),
        ({"styles": ()}, BadInput),
        ({"encoder": "vgg19"}, MissingWeights),
        ({"method": "johnson"}, UnknownName),
    ):
        with pytest.raises(error):
            batch(order(desk, recipe=recipe(desk, **wrong)), ignore)
    assert pictures(desk / "out") == []
    with pytest.raises(BadInput, match="No pictures"):
        batch(order(desk, inputs=[touched(desk / "none", "a.txt")]), ignore)


def test_a_full_disk_ends_it_and_what_is_finished_stays(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.batch.worker.replacing", fails_after(2, replacing))
    with pytest.raises(BadOutput, match="full"):
        batch(order(desk), ignore)
    assert len(pictures(desk / "out")) == 2 == len(rows(desk / "out"))
    monkeypatch.undo()


def fails_after(count: int, real: Callable[..., object]) -> Callable[..., object]:
    calls = iter(range(count))

    def act(*args: object) -> object:
        if next(calls, None) is None:
            raise BadOutput("The disk is full.")
        return real(*args)

    return act


def test_a_photo_that_breaks_the_method(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a group: the others of it are painted one by one."""
    real = Painter.paint

    def picky(painter: Painter, jobs: list[object]) -> object:
        if any(job.canvas.shape[-1] == 30 for job in jobs):  # type: ignore[attr-defined]
            raise RuntimeError("too narrow\nand more")
        return real(painter, jobs)  # type: ignore[arg-type]

    monkeypatch.setattr(Painter, "paint", picky)
    assert batch(order(desk), ignore) == Tally(done=3, failed=2)
    assert rows(desk / "out", "failed")["c.png"]["reason"] == "RuntimeError: too narrow"


def test_watching(desk: Path, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that still grows is left; a failed one is tried again when it has changed."""
    looks = 0
    monkeypatch.setattr(run, "POLL", 0)

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            (desk / "photos" / "new.png").write_bytes(b"half of")
        if looks == 3:
            media.write(photo, desk / "photos" / "new.png")
        if looks == 5:
            assert "new.png" in rows(desk / "out") and "new.png" not in rows(desk / "out", "failed")
            media.write(photo, desk / "photos" / "bad.jpg")
        if looks == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr("impasto.batch.run.time.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        batch(order(desk, watch=True), ignore)
    assert pictures(desk / "out") == [*PAINTED[:2], "bad.png", "c.png", "new.png", "sub/a.png"]
    lines = (desk / "out" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines].count("failed") == 1


# --- a painter ---


def test_a_painter_loads_once(desk: Path, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = Painter(recipe(desk))
    for name in ("job.load_encoder", "painter.load", "painter.read_style", "painter.pace"):
        monkeypatch.setattr(f"impasto.{name}", None)
    jobs = [painter.job(photo), painter.job(photo.flip(-1))]
    together = [result.pixels for result in painter.paint(jobs)]
    for job, pixels in zip(jobs, together, strict=True):
        assert torch.allclose(pixels, paint(job).pixels, atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        {"color": "match"},
        {"color": "luma", "strength": 0.5},
        {"stroke_size": 8.0, "size": 80},
        {"size": 30, "method": "ghiasi"},
        {"method": "gatys", "iterations": 1, "size": 40},
        {"method": "wct", "style_scale": 2.0},
    ],
)
def test_a_painter_paints_what_the_pipeline_does(
    desk: Path, photo: Tensor, more: dict[str, object]
) -> None:
    given = recipe(desk, **more)
    painter, plain = Painter(given), prepare(given, photo)
    job = painter.job(photo)
    assert job.recipe == plain.recipe and job.recolor == plain.recolor
    assert torch.allclose(painter.paint([job])[0].pixels, paint(plain).pixels, atol=1e-5)


def test_masks(desk: Path, photo: Tensor) -> None:
    """Every photo's own transparency; one without any is told of."""
    alpha = torch.zeros(1, 1, *photo.shape[-2:])
    alpha[..., :20] = 1
    given = recipe(desk, styles=(), masks=({"mask": "alpha", "style": str(desk / "own.png")},))
    painter = Painter(given)
    job = painter.job(photo, alpha)
    assert painter.room(job) == 1
    plain = paint(prepare(given, photo, alpha=alpha))
    assert torch.allclose(painter.paint([job])[0].pixels, plain.pixels, atol=1e-5)
    with pytest.raises(BadInput, match="nothing in this photo is transparent"):
        painter.job(photo)


def test_a_style_file_and_matched_colours(desk: Path, photo: Tensor, encoder: Encoder) -> None:
    Style.of(media.read(desk / "own.png").pixels, encoder).save(desk / "own.style.safetensors")
    given = recipe(desk, color="match", styles=({"source": str(desk / "own.style.safetensors")},))
    painter = Painter(given)
    assert (
        painter.job(photo).recolor
        and not painter.apart
        and Painter(recipe(desk, color="match")).apart
    )


def test_how_many_together(desk: Path, photo: Tensor) -> None:
    painter = Painter(recipe(desk))
    rooms = [painter.room(painter.job(torch.rand(1, 3, side, side))) for side in (40, 200, 600)]
    assert rooms == [16, 6, 1]
    assert Painter(recipe(desk, method="gatys")).room(painter.job(photo)) == 1


# --- the command, with processes and the packaged networks ---


def command(desk: Path, *more: str) -> list[str]:
    flags = ["--threads", "1", "batch", "photos", "out", "-s", "starry-night", "--method", "adain"]
    return [*flags, "--size", "32", *more]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for n in range(12):
        media.write(
            torch.rand(1, 3, 24, 32), touched(tmp_path, f"photos/{n}.png") / f"photos/{n}.png"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_speaks_json(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "hired", threaded)
    (photos / "photos" / "0.png").write_bytes(b"bad")
    result = CliRunner().invoke(main, command(photos, "--json"))
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1 and len(pictures(photos / "out")) == 11
    assert events[0] == {"event": "plan", "items": 12, "kept": 0, "todo": 12}
    assert events[-1]["failed"] == 1 and events[-1]["done"] == 11


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none", "out", "-s", "udnie"], 3, "no file or folder"),
        (["photos", "photos", "-s", "udnie"], 2, "among the photos"),
        (["photos", "out", "-s", "udnie", "--shard", "3/2"], 2, "A shard is I/N"),
        (["photos", "out"], 2, "No style given"),
        (["photos", "-s", "udnie"], 2, "Only photos is named"),
    ],
)
def test_wrong_usage(photos: Path, words: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(main, ["batch", *words])
    assert result.exit_code == code and said in result.stderr


def started(words: list[str]) -> "subprocess.Popen[str]":
    """The command, once it has painted something."""
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None and not pictures(Path("out")):
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_begun_again(
    photos: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command(photos, "--method", "gatys", "--iterations", "5")
    process = started(words)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), said
    there = {name: (photos / "out" / name).stat().st_mtime_ns for name in pictures(photos / "out")}
    assert 0 < len(there) < 12 and there.keys() <= rows(photos / "out").keys()
    monkeypatch.setattr(crew, "hired", threaded)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and len(pictures(photos / "out")) == 12
    assert all((photos / "out" / name).stat().st_mtime_ns == at for name, at in there.items())
    lines = (photos / "out" / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == 12
