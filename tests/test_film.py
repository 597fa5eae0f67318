"""Films painted: frame for frame, steady, stopped and gone on with; raw streams; the commands."""

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from impasto import finishing
from impasto.cli.video import Clock, video
from impasto.commands import Event
from impasto.errors import BadInput, BadOutput
from impasto.film import Filmed, expected, paint_film
from impasto.film_job import beside, shared
from impasto.finishing import Writer, steadied
from impasto.flow import Map, Motion
from impasto.frame_painter import (
    FramePainter,
    as_array,
    as_batch,
    as_tensor,
    batched,
    integers,
)
from impasto.keyframes import Keyframe, keyframes
from impasto.media import image as media
from impasto.media.video.colours import Colours, from_rgb
from impasto.media.video.frames import Film, Frame, Span
from impasto.media.video.parts import Coding, Encoder, takes_deep
from impasto.media.video.source import open_film, read_frames
from impasto.methods.gatys import Gatys
from impasto.pipeline import prepare, run
from impasto.recipe import Recipe
from impasto.shell import INTERRUPTED
from impasto.steady import Stabiliser
from impasto.stream import paint_stream
from impasto.stylizer import Step

av: Any = pytest.importorskip("av")
cv2: Any = pytest.importorskip("cv2")

SIZE = (48, 64)


def recipe(**settings: object) -> Recipe:
    return Recipe.model_validate({"styles": ("starry-night",), "method": "adain", **settings})


def picture(index: int) -> np.ndarray:
    """(H, W, 3), uint8: a pattern that moves."""
    down, across = np.mgrid[: SIZE[0], : SIZE[1]]
    wave = np.sin((across + 2 * index) / 5) * np.cos(down / 4) * 80 + 128
    return np.stack([wave, np.roll(wave, 7, 1), 255 - wave], 2).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames that are not shown equally long."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        out_stream = out.add_stream("libx264", options={"crf": "10", "preset": "veryfast"})
        out_stream.width, out_stream.height, out_stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        out_stream.codec_context.time_base = Fraction(1, 600)
        for index in range(12):
            frame = from_rgb(picture(index), Colours(), "yuv420p")
            frame.pts, frame.time_base = index * 20 + 5 * (index % 3), Fraction(1, 600)
            out.mux(out_stream.encode(frame))
        out.mux(out_stream.encode(None))
    return path


def frames_of(path: Path) -> tuple[Film, list[Frame]]:
    film = open_film(path)
    return film, list(read_frames(film, Span(), lambda _: None))


def times(path: Path) -> list[float]:
    film, frames = frames_of(path)
    return [float(frame.pts * film.time_base) for frame in frames]


def paint(clip: Path, target: Path, **settings: Any) -> tuple[Filmed, list[Event]]:
    events: list[Event] = []
    done = paint_film(recipe(photo=str(clip)), target, events.append, **settings)
    return done, events


def test_every_frame_is_painted_at_its_time(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    done, events = paint(clip, target)
    assert done == Filmed(12, done.seconds, False)
    assert times(target) == pytest.approx(times(clip), abs=1e-9)
    kinds = [event["event"] for event in events]
    assert kinds == ["estimate", *["step"] * 12, "done"] or kinds.count("step") < 12
    assert events[-1]["frames"] == 12 and events[-2]["done"] == 12
    json.dumps(events)
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "out.mp4"}
    with av.open(str(target)) as file:
        assert Recipe.model_validate_json(file.metadata["comment"]).styles == recipe().styles


def test_the_place_where_it_was_shot_is_left_out(clip: Path, tmp_path: Path) -> None:
    """As of pictures; all else that is told of the film stays."""
    shot, target = tmp_path / "shot.mp4", tmp_path / "out.mkv"
    with av.open(str(clip)) as source, av.open(str(shot), "w") as out:
        out.metadata.update({"title": "Walk", "location": "+48.2082+016.3738/"})
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(shot)) as file:
        assert "+48.2082" in str(file.metadata)
    paint(shot, target, span=Span(0, 0.06))
    with av.open(str(target)) as file:
        told = {key.lower(): text for key, text in file.metadata.items()}
    assert told["title"] == "Walk" and "+48.2082" not in str(told)


def test_frame_by_frame_is_what_the_pipeline_paints(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    paint(clip, target, stable=0)
    _, frames = frames_of(clip)
    photo = as_tensor(frames[3].pixels)
    job = prepare(recipe(), photo)
    code = job.stylizer.encode(job.styles[0])
    with torch.no_grad():
        wanted = job.stylizer.stylize(photo, code, job.recipe.strength)
    painted = as_tensor(frames_of(target)[1][3].pixels)
    assert float((painted - wanted).abs().mean()) < 0.03  # 4:2:0 and crf 18 between them


class Stop:
    """Ctrl-C after some frames."""

    def __init__(self, after: int) -> None:
        self.after, self.notices = after, list[str]()

    def __call__(self, event: Event) -> None:
        if event["event"] == "notice":
            self.notices.append(str(event["text"]))
        if event["event"] == "step" and int(str(event["done"])) >= self.after:
            raise KeyboardInterrupt


@pytest.fixture
def _one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.frame_painter.BATCH", 1)
    monkeypatch.setattr(finishing, "PART_SECONDS", 0.1)


@pytest.mark.usefixtures("_one_by_one")
def test_ctrl_c_leaves_a_film_and_the_next_run_goes_on(clip: Path, tmp_path: Path) -> None:
    whole, target = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    paint(clip, whole)
    stop = Stop(5)
    done = paint_film(recipe(photo=str(clip)), target, stop)
    assert done.interrupted and times(target) == times(clip)[:5]
    assert any("goes on from here" in text for text in stop.notices)
    rest, events = paint(clip, target)
    assert rest.frames == 7 and not rest.interrupted
    assert any("5 frames" in str(event.get("text")) for event in events)
    assert times(target) == times(clip)
    for a, b in zip(frames_of(whole)[1], frames_of(target)[1], strict=True):
        assert np.abs(a.pixels.astype(int) - b.pixels).mean() < 4
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("_one_by_one")
def test_a_kill_loses_only_the_part_at_work(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill would have it: no thread finishes its work, nothing is put together."""
    target = tmp_path / "out.mp4"

    def dead(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(finishing.Writer, "finish", dead)
        with pytest.raises(SystemExit):
            paint_film(recipe(photo=str(clip)), target, Stop(11))
    assert not target.exists()
    rest, _ = paint(clip, target)
    assert rest.frames < 12
    assert times(target) == times(clip)


@pytest.mark.usefixtures("_one_by_one")
def test_a_part_ends_behind_a_painted_frame(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the disk was full between the two of a pair; and no thread is left behind."""
    target, real = tmp_path / "out.mp4", Encoder.write
    before, cv_threads = threading.active_count(), cv2.getNumThreads()

    def full(self: Encoder, pixels: Any, pts: int, duration: int) -> None:
        if len(self.times) == 2:
            raise BadOutput("No space")
        real(self, pixels, pts, duration)

    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "write", full)
        patched.setattr(finishing, "PART_SECONDS", 10)
        with pytest.raises(BadOutput):
            paint(clip, target)
    assert (threading.active_count(), cv2.getNumThreads()) == (before, cv_threads)
    whole = paint(clip, tmp_path / "whole.mp4")
    done, _ = paint(clip, target)
    assert done.frames == whole[0].frames == 12


def test_a_still_film_and_one_too_small_for_flow(tmp_path: Path) -> None:
    """Half of the still one is painted; of the small one all, each anew."""
    for size, count in (((48, 64), 4), ((8, 10), 7)):
        still = [Frame(np.full((*size, 3), 90, np.uint8), pts, 1) for pts in range(7)]
        found = list(keyframes(still, 1.0))
        assert len(found) == count and sum(key.count for key in found) == 7
        stabiliser, order = Stabiliser(1.0), []
        for number, key in enumerate(found):
            painted = np.full((*size, 3), number / 10, np.float32)
            for frame, steady in steadied(stabiliser, key, painted):
                order.append(frame.pts)
                if count == 4:
                    assert steady == pytest.approx(0, abs=1e-3)  # as the first one was painted
        assert order == list(range(7))


def test_arrays_and_tensors() -> None:
    deep = np.arange(2 * 3 * 3, dtype=np.uint16).reshape(2, 3, 3) * 3000
    batch = as_batch([deep, deep[::-1]])
    assert batch.shape == (2, 3, 2, 3) and batch.is_contiguous(memory_format=torch.channels_last)
    assert batch[1, 2, 0, 1] == pytest.approx(deep[1, 1, 2] / 65535)
    for one in (batch[:1], batch[:1].contiguous()):
        assert as_array(one).flags.c_contiguous
        assert as_array(one) == pytest.approx(deep / 65535)


def test_frames_between_keep_the_transparency_they_had(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    pictures = []
    for index in range(5):
        alpha = np.full(SIZE, 255, np.uint8)
        alpha[:, : 10 * index] = 0
        pictures.append(Image.fromarray(np.dstack([picture(0), alpha])))
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=40)
    paint(source, target)
    for index, frame in enumerate(frames_of(target)[1]):
        alpha = np.full(SIZE, 255, np.uint8) if frame.alpha is None else frame.alpha
        assert (alpha == np.asarray(pictures[index])[..., 3]).mean() > 0.99


def test_other_settings_begin_anew(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    paint_film(recipe(photo=str(clip), method="wct"), target, Stop(1))
    paint_film(recipe(photo=str(clip)), target, Stop(1), every=1)
    done, _ = paint(clip, target)
    assert done.frames == 12


@pytest.mark.usefixtures("_one_by_one")
def test_what_begins_anew_is_told_of(clip: Path, tmp_path: Path) -> None:
    paint_film(recipe(photo=str(clip)), tmp_path / "out.mp4", Stop(5))
    _, events = paint(clip, tmp_path / "out.mp4", stable=0.2)
    texts = [str(event["text"]) for event in events if event["event"] == "notice"]
    assert texts == ["5 frames finished with other settings begin anew."]


@pytest.mark.usefixtures("_one_by_one")
def test_a_machine_that_has_become_slower_goes_on_as_it_began(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though by now it would paint smaller frames: the film has its size."""
    target = tmp_path / "out.mp4"
    monkeypatch.setattr("impasto.estimate.REHEARSAL", 16)
    paint_film(recipe(photo=str(clip)), target, Stop(5))
    monkeypatch.setattr("impasto.estimate.PATIENCE", 0)
    assert max(prepare(recipe(), as_tensor(picture(0))).canvas.shape) < max(SIZE)
    rest, events = paint(clip, target)
    assert rest.frames == 7 and events[-1]["size"] == [64, 48]


def test_every_second_frame_takes_half_the_paintings(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the film looks much the same."""
    films, counts, real = [], [], FramePainter.__call__

    def counted(self: FramePainter, frames: Any, found: Motion | None = None) -> Any:
        counts[-1] += len(frames)
        return real(self, frames, found)

    monkeypatch.setattr(FramePainter, "__call__", counted)
    for every in (1, 2):
        counts.append(0)
        paint(clip, tmp_path / f"{every}.mp4", every=every)
        films.append(frames_of(tmp_path / f"{every}.mp4")[1])
    assert counts == [12, 7]
    gaps = [np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in zip(*films, strict=True)]
    assert max(gaps) < 20


def test_a_span_and_a_preview(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gif"
    done, events = paint(clip, target, span=Span(0.1, 0.3), preview=True)
    assert done.frames == sum(0.1 <= t < 0.3 for t in times(clip))
    assert (tmp_path / "out.preview.png").is_file()
    assert media.header(tmp_path / "out.preview.png") == SIZE[::-1]
    assert "preview" in [event["event"] for event in events]


def test_no_film_takes_the_place_of_its_style(
    clip: Path, tmp_path: Path, painting: torch.Tensor
) -> None:
    style = tmp_path / "painting.png"
    media.write(painting, style)
    told = Recipe.model_validate({"photo": str(clip), "styles": (str(style),)})
    with pytest.raises(BadOutput, match="a file that is read"):
        paint_film(told, style)


def test_vp9_is_written_with_8_bits(tmp_path: Path) -> None:
    """Where it is built without 10, as in PyAV; and that is told."""
    deep = tmp_path / "deep.mkv"
    with av.open(str(deep), "w") as out:
        stream = out.add_stream("libx264", options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p10le"
        stream.codec_context.time_base = Fraction(1, 25)
        for index in range(3):
            levels = picture(index).astype(np.uint16) * 257
            frame = from_rgb(levels, Colours(), "yuv420p10le")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    _, events = paint(deep, tmp_path / "out.webm")
    assert len(frames_of(tmp_path / "out.webm")[1]) == 3
    if not takes_deep(".webm"):
        assert any("8 bits" in str(event.get("text")) for event in events)


def test_a_preview_does_not_take_the_place_of_the_film(tmp_path: Path) -> None:
    source = tmp_path / "cat.preview.png"
    pictures = [Image.fromarray(picture(index)) for index in range(3)]
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=40)
    before = source.read_bytes()
    with pytest.raises(BadOutput, match="a file that is read"):
        paint(source, tmp_path / "cat.gif", preview=True)
    assert source.read_bytes() == before


def test_a_size_of_ones_own_is_even(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    paint_film(recipe(photo=str(clip), size=33), target)
    film, frames = frames_of(target)
    assert (film.width, film.height) == (32, 24) and len(frames) == 12


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stable": 1.5}, "--stable is 1.5"),
        ({"every": 3}, "--every is 3"),
        ({"span": Span(3, 2)}, "not after --from"),
        ({"span": Span(60, None)}, "No frame"),
    ],
)
def test_what_is_wrong_is_told(
    clip: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        paint(clip, tmp_path / "out.mp4", **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_full_disk_keeps_what_is_finished(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.media.video import parts

    def full(*_: object) -> None:
        raise BadOutput("No space left")

    with monkeypatch.context() as patched:
        patched.setattr(parts.Encoder, "write", full)
        with pytest.raises(BadOutput, match="No space"):
            paint(clip, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    done, _ = paint(clip, tmp_path / "out.mp4")
    assert done.frames == 12


def keys(count: int) -> list[Keyframe]:
    return [Keyframe(Frame(picture(number), number, 1), None) for number in range(count)]


@pytest.mark.parametrize("at_once", [1, 3], ids=["one by one", "in batches"])
def test_batches_paint_what_single_frames_do(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames, in order, whatever goes through the network together (on a GPU)."""
    monkeypatch.setattr("impasto.frame_painter.batch_size", lambda job: at_once)
    painter = FramePainter(prepare(recipe(), as_tensor(picture(0))))
    done = list(painter.film(keys(4)))
    assert [key.frame.pts for key, _ in done] == [0, 1, 2, 3]
    for key, painted in done:
        assert painted == pytest.approx(painter([key.frame.pixels])[0], abs=0.02)


def test_frames_are_painted_side_by_side(two_threads: None) -> None:
    """Each on its share of the threads, as one alone is; afterwards all are there again."""
    job = prepare(recipe(device="cpu"), as_tensor(picture(0)))
    both = shared(job)
    assert (beside(job), job.runtime.callers, both.runtime.callers) == (2, 1, 2)
    used = set()

    class Noted(FramePainter):
        def __call__(self, frames: Any, found: Motion | None = None) -> list[Map]:
            used.add((threading.get_ident(), torch.get_num_threads()))
            return super().__call__(frames, found)

    done = list(Noted(both).film(keys(5)))
    assert [key.frame.pts for key, _ in done] == [0, 1, 2, 3, 4]
    alone = FramePainter(job)
    for key, painted in done:
        assert painted == pytest.approx(alone([key.frame.pixels])[0], abs=0.02)
    assert {count for _, count in used} == {1} and threading.get_ident() not in dict(used)
    assert torch.get_num_threads() == 2


def test_the_last_batch_is_as_full_as_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a network would be made ready for its size; a batch that comes first is as it is."""
    counts = []

    def counted(job: Any, *rest: Any) -> Any:
        counts.append(len(job.canvas))
        return run(job, *rest)

    monkeypatch.setattr("impasto.frame_painter.run", counted)
    monkeypatch.setattr("impasto.frame_painter.batch_size", lambda job: 4)
    painter = FramePainter(prepare(recipe(), as_tensor(picture(0))))
    pictures = [picture(index) for index in range(painter.batch)]
    for many in (2, painter.batch, 2):
        assert len(painter(pictures[:many])) == many
    assert counts == [2, painter.batch, painter.batch]


def test_colours_of_the_photo_are_taken_frame_by_frame() -> None:
    pixels = picture(0)
    grey = np.repeat(pixels[..., :1], 3, 2)
    painter = FramePainter(prepare(recipe(color="luma"), as_tensor(pixels)))
    coloured, plain = painter([pixels, grey])
    assert np.ptp(coloured, 2).mean() > 0.2
    assert np.ptp(plain, 2).mean() < 0.02


def test_batched_gives_all() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_transparency_goes_along_or_onto_white() -> None:
    painted = np.zeros((4, 4, 3), np.float32)
    frame = Frame(picture(0), 0, 1, np.tile(np.array([0, 255], np.uint8), (4, 2)))
    size = (4, 4, Fraction(1), Colours())
    kept = integers(painted, frame, Coding(".gif", *size))
    assert kept.shape == (4, 4, 4) and (kept[..., 3] == frame.alpha).all()
    white = integers(painted, frame, Coding(".mp4", *size))
    assert (white[:, ::2] == 255).all() and (white[:, 1::2] == 0).all()


def test_expected_frames_of_a_span() -> None:
    film = Film(Path("x"), 4, 4, Fraction(1, 10), Colours(), frames=100, seconds=10.0)
    assert expected(film, Span()) == 100
    assert expected(film, Span(2, 4)) == 20
    assert expected(film, Span(8, 40)) == 20


def test_a_stream_paints_every_whole_frame() -> None:
    notices: list[str] = []
    data = b"".join(picture(index).tobytes() for index in range(3)) + b"half"
    sink = io.BytesIO()
    count = paint_stream(recipe(size=64), SIZE, io.BytesIO(data), sink, 0.3, notices.append)
    assert count == 3 and len(sink.getvalue()) == 3 * SIZE[0] * SIZE[1] * 3
    assert any("Half a frame after 3" in text for text in notices)
    with pytest.raises(BadInput, match="no frame of 64 x 48"):
        paint_stream(recipe(), SIZE, io.BytesIO(b""), io.BytesIO(), 0, notices.append)


@pytest.mark.parametrize(
    ("text", "seconds"), [("75", 75), ("1:15", 75), ("0:01:15.5", 75.5), ("0.25", 0.25)]
)
def test_clock(text: str, seconds: float) -> None:
    assert Clock().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["x", "1:75", "-3", "1:2:3:4", ""])
def test_no_time_is_no_time(text: str) -> None:
    result = CliRunner().invoke(video, ["a.mp4", "b.mp4", "--from", text])
    assert result.exit_code == 2 and "is no time" in result.output


def test_commands(clip: Path, tmp_path: Path) -> None:
    def call(command: Any, *args: str) -> Any:
        return CliRunner().invoke(command, args, catch_exceptions=False)

    target = tmp_path / "out.webm"
    shown = call(video, str(clip), str(target), "-s", "starry-night", "--method", "adain")
    assert shown.exit_code == 0 and "12 frames in" in shown.output
    lines = call(video, str(clip), str(target), "-s", "udnie", "--method", "adain", "--json")
    assert json.loads(lines.output.splitlines()[-1])["event"] == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals between processes")
def test_ctrl_c_ends_a_stream_that_waits() -> None:
    """A camera that is silent: what has come is painted, and the process does not wait for more."""
    args = "64", "48", "-s", "starry-night", "--method", "adain"
    command = [sys.executable, "-m", "impasto", "stream", *args]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(picture(0).tobytes())
        process.stdin.flush()
        assert len(process.stdout.read(64 * 48 * 3)) == 64 * 48 * 3
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == INTERRUPTED
        assert process.stderr.read().decode().strip() == "impasto: interrupted."


def test_packages_that_are_missing_are_named(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.media.video import frames

    def missing(name: str) -> None:
        raise ImportError(name)

    replaced: Callable[[str], None] = missing
    monkeypatch.setattr(frames, "import_module", replaced)
    with pytest.raises(BadInput, match=r"impasto\[video\]"):
        paint(clip, tmp_path / "out.mp4")


def test_one_frame_of_a_job_is_the_job(clip: Path) -> None:
    """``run`` of a Job with another canvas is what films stand on."""
    photo = as_tensor(picture(1))
    job = prepare(recipe(), photo)
    painter = FramePainter(job)
    alone = run(job, painter.regions, job.recipe.strength)
    assert painter([picture(1)])[0] == pytest.approx(alone[0].permute(1, 2, 0).numpy(), abs=1e-3)


# --- what works in steps goes on from the last frame ---


def slow(**settings: object) -> Recipe:
    return recipe(method="gatys", iterations=10, precision="fp32", **settings)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps that every frame took."""
    found: list[int] = []
    real = Gatys.paint

    def paint(self: Gatys, *given: Any, **more: Any) -> torch.Tensor:
        found.append(0)
        image, regions, strength, on_step = given

        def count(step: Step) -> None:
            found[-1] += 1
            on_step(step)

        return real(self, image, regions, strength, count, **more)

    monkeypatch.setattr(Gatys, "paint", paint)
    return found


def test_a_frame_goes_on_from_the_moved_painting(passes: list[int]) -> None:
    """In fewer steps; anew where something has come into sight."""
    job = prepare(slow(), as_tensor(picture(0)))
    painter = FramePainter(job)
    (first,) = painter([picture(0)])
    flow = np.full((*SIZE, 2), (3.0, 0.0), np.float32)
    trust = np.ones(SIZE, np.float32)
    trust[:, :20] = 0
    found = Motion(flow, trust)
    method = painter._begun(found)
    assert isinstance(method, Gatys) and method.begun is not None and method.trust is not None
    assert as_array(method.begun)[:, 21:60] == pytest.approx(first[:, 24:63], abs=1e-4)
    assert torch.equal(method.trust, torch.from_numpy(trust)[None, None])
    painter([picture(1)], found)
    painter([picture(2)])
    assert passes == [10, 4, 10]


def test_after_a_cut_and_frame_by_frame_it_begins_anew(clip: Path, passes: list[int]) -> None:
    _, frames = frames_of(clip)
    black = Frame(np.zeros((*SIZE, 3), np.uint8), 300, 20)
    painter = FramePainter(prepare(slow(), as_tensor(picture(0))))
    for key in keyframes([*frames[:3], black, frames[3]], 0.3, every=1):
        painter([key.frame.pixels], key.motion)
    for key in keyframes(frames[:2], 0):
        painter([key.frame.pixels], key.motion)
    assert passes == [10, 4, 4, 10, 10, 10, 10]


def test_a_film_by_optimisation(clip: Path, tmp_path: Path, passes: list[int]) -> None:
    """Stopped, it goes on from the last painting that was finished."""
    events: list[Event] = []
    span = Span(0, 0.18)
    paint_film(slow(photo=str(clip)), tmp_path / "out.mp4", Stop(2), span=span)
    paint_film(slow(photo=str(clip)), tmp_path / "out.mp4", events.append, span=span)
    assert len(times(tmp_path / "out.mp4")) == 5
    assert passes == [10, 4, 4]  # the first, the third, the fifth


def gone_on(clip: Path, target: Path) -> tuple[Map, Map]:
    """A film in the photo's colours, stopped after a frame and finished.

    ->  that frame as it is shown, and as the painter goes on from it
    """
    told = slow(photo=str(clip), color="luma")
    paint_film(told, target, Stop(1), span=Span(0, 0.06))
    paint_film(told, target, span=Span(0, 0.06))
    first = frames_of(clip)[1][0].pixels
    painter = FramePainter(prepare(told, as_tensor(first)))
    (coloured,) = painter([first])
    assert painter.last is not None
    return coloured, painter.last


def test_it_goes_on_from_what_was_painted_not_from_its_colours(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the colours of the photo put in afterwards: stopped or not, frames begin alike."""
    starts: list[Map] = []
    real = FramePainter.__init__

    def noted(self: FramePainter, job: Any, last: Map | None = None) -> None:
        real(self, job, last)
        starts.extend([] if last is None else [last])

    monkeypatch.setattr(FramePainter, "__init__", noted)
    coloured, last = gone_on(clip, tmp_path / "out.mp4")
    assert starts[0] == pytest.approx(last, abs=1e-4)
    assert np.abs(coloured - last).mean() > 0.02


def test_frames_between_are_made_of_what_is_shown(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a film that goes on, too: not of what the painter goes on from."""
    shown: list[Map] = []
    real = Writer.__init__

    def noted(self: Writer, parts: Any, coding: Any, stable: float, last: Map | None) -> None:
        real(self, parts, coding, stable, last)
        shown.extend([] if last is None else [last])

    monkeypatch.setattr(Writer, "__init__", noted)
    coloured, last = gone_on(clip, tmp_path / "out.mp4")
    assert shown[0] == pytest.approx(coloured, abs=1e-4)
    assert np.abs(shown[0] - last).mean() > 0.02


def test_a_film_goes_on_from_no_picture(clip: Path, tmp_path: Path) -> None:
    told = slow(photo=str(clip), init="a.png")
    with pytest.raises(BadInput, match=r"a\.png: a picture to go on from is for a photo"):
        paint_film(told, tmp_path / "out.mp4")
    with pytest.raises(BadInput, match=r"a\.png: a picture"):
        paint_stream(told, SIZE, io.BytesIO(), io.BytesIO(), 0, lambda text: None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize("words", [["stream", "64", "48"], ["video", "clip.mp4", "out.mp4"]])
def test_standard_output_without_room(clip: Path, words: list[str]) -> None:
    """One line and the exit code of what cannot be written, also at the very end."""
    command = [sys.executable, "-m", "impasto", *words, "-s", "starry-night", "--method", "adain"]
    command += ["--json"] if words[0] == "video" else []
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, input=picture(0).tobytes(), stdout=full, stderr=PIPE, cwd=clip.parent
        )
    assert done.returncode == 4
    assert done.stderr.count(b"No space left") == 1 and b"Traceback" not in done.stderr
