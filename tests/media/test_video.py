"""Films in and out: times, sound, turns, colours, odd sizes, parts, animations."""

import weakref
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import BadOutput, BadPicture
from impasto.media import image as media
from impasto.media.video import animation, reader
from impasto.media.video.colours import Colours, from_rgb, of_frame, tag, to_rgb
from impasto.media.video.frames import Film, Frame, Span
from impasto.media.video.join import assemble
from impasto.media.video.parts import Coding, Parts
from impasto.media.video.source import check_film_target, open_film, read_frames

av: Any = pytest.importorskip("av")

TICK = Fraction(1, 600)
VFR = [0, 40, 60, 61, 160, 200, 240, 300, 420, 430, 440, 500]
"""Times of a film whose frames are not shown equally long, in ticks."""


def smooth(size: tuple[int, int], index: int = 0) -> np.ndarray:
    """(H, W, 3), uint8: red to the right, green downwards, blue in time."""
    down, across = np.mgrid[: size[0], : size[1]]
    planes = across * 200 // size[1] + 20, down * 200 // size[0] + 20, 0 * down + 10 * index + 20
    return np.stack(planes, 2).astype(np.uint8)


def make_film(
    path: Path,
    times: list[int] = VFR,
    size: tuple[int, int] = (48, 64),
    layout: str = "yuv420p",
    colours: Colours | None = None,
    turn: int = 0,
    sound: bool = False,
) -> Path:
    """A film of a few small frames, with a sine for a sound."""
    tags = colours or Colours()
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", options={"crf": "8", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], layout
        stream.codec_context.time_base = TICK
        if turn:
            stream.set_display_rotation(turn)
        if tags.matrix != 2:
            tag(stream.codec_context, tags)
        audio = out.add_stream("aac", rate=8000, layout="mono") if sound else None
        for index, time in enumerate(times):
            frame = from_rgb(smooth(size, index), tags, layout)
            frame.pts, frame.time_base, frame.duration = time, TICK, 20
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None:
            for packet in sine(audio, (times[-1] + 20) / 600):
                out.mux(packet)
    return path


def sine(stream: Any, seconds: float) -> list[Any]:
    """A tone of 440 Hz, encoded."""
    wave = np.sin(np.arange(int(8000 * seconds)) * 440 * 2 * np.pi / 8000).astype(np.float32)
    found = []
    for start in range(0, len(wave) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024] / 3, "fltp", "mono")
        frame.rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
        found += stream.encode(frame)
    return found + stream.encode(None)


def heard(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(file.streams.audio[0]) if p.size]
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets]


def seconds(film: Film, frames: list[Frame]) -> list[float]:
    return [float(frame.pts * film.time_base) for frame in frames]


def copy(
    source: Path,
    target: Path,
    span: Span | None = None,
    cut: int = 5,
    notices: list[str] | None = None,
) -> Path:
    """A film written as it is, in parts of ``cut`` frames."""
    span, told = span or Span(), [] if notices is None else notices
    film = open_film(source)
    coding = Coding(
        *(target.suffix, film.width, film.height, film.time_base),
        *(film.colours.painted, film.deep, film.aspect),
    )
    frames = list(read_frames(film, span, told.append))
    parts = Parts(target.with_suffix(".parts"), {"work": str(target)})
    for start in range(0, len(frames), cut):
        encoder = parts.next(coding)
        for frame in frames[start : start + cut]:
            pixels = frame.pixels
            if coding.animated:
                alpha = np.full(pixels.shape[:2], 255, np.uint8)
                pixels = np.dstack([pixels, alpha if frame.alpha is None else frame.alpha])
            encoder.write(pixels, frame.pts, frame.duration)
        encoder.close()
    assemble(parts.finished(), coding, film, span, target, "a recipe", told.append)
    parts.remove()
    return target


def both(source: Path, target: Path) -> tuple[Film, list[Frame], Film, list[Frame]]:
    before, after = open_film(source), open_film(target)
    old, new = (list(read_frames(f, Span(), lambda _: None)) for f in (before, after))
    return before, old, after, new


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_films_say_how_many_frames_a_second_they_have(tmp_path: Path, suffix: str) -> None:
    """Not how many ticks; and so how many frames there are is known of them, too."""
    source = make_film(tmp_path / "in.mp4", [24 * n for n in range(10)])
    with av.open(str(copy(source, tmp_path / f"out{suffix}"))) as file:
        assert float(file.streams.video[0].average_rate) == pytest.approx(25, abs=0.5)
    film = open_film(tmp_path / f"out{suffix}")
    assert film.frames is not None and abs(film.frames - 10) <= 1


def test_matroska_whose_clock_begins_late(tmp_path: Path) -> None:
    """It says when it ends and not how long it is: nothing lacks at the end."""
    film = open_film(make_film(tmp_path / "in.mkv", [3000 + 24 * n for n in range(10)]))
    assert (film.origin, film.seconds) == (5, pytest.approx(0.4, abs=0.05))
    assert film.frames is not None and abs(film.frames - 10) <= 1
    notices: list[str] = []
    copy(film.path, tmp_path / "out.mp4", notices=notices)
    assert notices == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_all_colour_tags_arrive(tmp_path: Path, suffix: str) -> None:
    source = make_film(tmp_path / "in.mp4", colours=Colours(1, 1, 1, 1))
    assert open_film(source).colours == Colours(1, 1, 1, 1)
    assert open_film(copy(source, tmp_path / f"out{suffix}")).colours == Colours(1, 1, 1, 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_frame_keeps_its_time(tmp_path: Path, suffix: str) -> None:
    source = make_film(tmp_path / "in.mp4")
    before, old, after, new = both(source, copy(source, tmp_path / f"out{suffix}"))
    # Matroska counts milliseconds.
    exact = 1e-9 if suffix in (".mp4", ".mov") else 6e-4
    assert seconds(before, old) == pytest.approx([t / 600 for t in VFR], abs=1e-9)
    assert seconds(after, new) == pytest.approx(seconds(before, old), abs=exact)
    for a, b in zip(old, new, strict=True):
        assert np.abs(a.pixels.astype(int) - b.pixels).mean() < 4


def test_sound_is_copied_byte_for_byte(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", sound=True)
    target = copy(source, tmp_path / "out.mp4")
    assert len(heard(source)) > 5
    assert heard(target) == heard(source)


def test_a_cut_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", list(range(0, 1200, 20)), sound=True)
    target = copy(source, tmp_path / "out.mp4", Span(0.5, 1.5))
    film = open_film(target)
    times = seconds(film, list(read_frames(film, Span(), lambda _: None)))
    assert times == pytest.approx([i / 30 for i in range(30)], abs=1e-6)
    kept = heard(target)
    wanted = [(t - 0.5, data) for t, data in heard(source) if 0.5 <= t < 1.5]
    assert [data for _, data in kept] == [data for _, data in wanted]
    assert [t for t, _ in kept] == pytest.approx([t for t, _ in wanted], abs=1e-3)


def test_what_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    notices: list[str] = []
    source = make_film(tmp_path / "in.mp4", sound=True)
    copy(source, tmp_path / "out.webm", notices=notices)
    assert any("sound" in text and "aac" in text for text in notices)


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_turned_film_is_upright(tmp_path: Path, turn: int) -> None:
    source = make_film(tmp_path / "in.mp4", VFR[:3], turn=turn)
    film, frames, again, copied = both(source, copy(source, tmp_path / "out.mp4"))
    upright = np.rot90(smooth((48, 64)), turn // 90)
    assert (film.height, film.width) == upright.shape[:2] == (again.height, again.width)
    for frame in (frames[0], copied[0]):
        assert np.abs(frame.pixels.astype(int) - upright).mean() < 5


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", VFR[:4], (47, 65), "yuv444p")
    _, _, after, new = both(source, copy(source, tmp_path / "out.mp4"))
    assert (after.height, after.width) == new[0].pixels.shape[:2] == (47, 65)


def test_ten_bits_stay_ten_bits(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", VFR[:4], layout="yuv420p10le")
    before, old, after, new = both(source, copy(source, tmp_path / "out.mp4"))
    assert before.deep and after.deep and new[0].pixels.dtype == np.uint16
    assert np.abs(old[0].pixels.astype(int) - new[0].pixels).mean() < 4 * 257


def test_ten_bits_there_and_back() -> None:
    """Without a codec between: less than a fifth of a level of 255 is lost."""
    down, across = np.mgrid[:96, :128] * 300
    pixels = (np.stack([across, down, 0 * down + 9000], 2) + 9000).astype(np.uint16)
    frame = from_rgb(pixels, Colours(), "yuv420p10le")
    back = to_rgb(frame, Colours(), deep=True)
    assert np.abs(back.astype(int) - pixels).mean() < 0.2 * 257


@pytest.mark.parametrize("matrix", [1, 5, 6])
@pytest.mark.parametrize("levels", [1, 2])
def test_colours_come_back(tmp_path: Path, matrix: int, levels: int) -> None:
    tags = Colours(matrix, levels)
    source = make_film(tmp_path / "in.mp4", VFR[:2], colours=tags)
    _, old, after, new = both(source, copy(source, tmp_path / "out.mp4"))
    assert (after.colours.matrix, after.colours.range) == (matrix, levels)
    for frame in (old[0], new[0]):
        assert np.abs(frame.pixels.astype(int) - smooth((48, 64))).mean() < 3


def test_small_films_without_tags_are_taken_for_bt601() -> None:
    def guess(width: int, height: int) -> int:
        frame = av.VideoFrame(width, height, "yuv420p")
        return of_frame(frame).matrix

    assert (guess(720, 576), guess(1280, 720), guess(720, 1280)) == (6, 1, 1)


def test_hdr_becomes_bt709() -> None:
    tags = Colours(9, 1, 9, 16)
    assert tags.painted == Colours(1, 1, 1, 1)
    frame = from_rgb(np.full((16, 16, 3), 38000, np.uint16), Colours(9, 1, 9, 16), "yuv420p10le")
    levels = to_rgb(frame, tags, deep=True)
    plain = to_rgb(
        from_rgb(np.full((16, 16, 3), 38000, np.uint16), Colours(), "yuv420p10le"), Colours(), True
    )
    assert levels.dtype == np.uint16 and int(levels.mean()) != pytest.approx(plain.mean(), rel=0.05)


def test_frames_that_change_their_size_are_read_in_that_of_the_film(tmp_path: Path) -> None:
    """As streams do that adapt to the line."""
    path = tmp_path / "in.h264"
    with path.open("wb") as file:
        for height, width in ((48, 64), (24, 32)):
            coder = av.CodecContext.create("libx264", "w")
            coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
            coder.time_base = Fraction(1, 25)
            frames = [from_rgb(smooth((height, width), i), Colours(), "yuv420p") for i in range(3)]
            for pts, frame in enumerate(frames):
                frame.pts, frame.time_base = pts, coder.time_base
            for frame in (*frames, None):
                file.write(b"".join(bytes(packet) for packet in coder.encode(frame)))
    film = open_film(path)
    shapes = [frame.pixels.shape for frame in read_frames(film, Span(), lambda _: None)]
    assert shapes == [(48, 64, 3)] * 6


def test_what_is_no_film_is_told_in_a_line(tmp_path: Path) -> None:
    def words(name: str, data: bytes | None = None) -> str:
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(BadPicture) as caught:
            open_film(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no film" in words("missing.mp4")
    assert "empty" in words("empty.mp4", b"")
    assert "no film that can be read" in words("text.mp4", b"hello" * 1000)
    Image.new("RGB", (4, 4)).save(tmp_path / "still.png")
    assert "impasto stylize" in words("still.png")
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000, layout="mono")
        out.mux(sine(stream, 0.5))
    assert "only audio" in words("sound.m4a")


def test_a_film_that_is_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mkv", list(range(0, 6000, 60)))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    notices: list[str] = []
    film = open_film(source)
    frames = list(read_frames(film, Span(), notices.append))
    assert 10 < len(frames) < 90
    assert any("cut short" in text for text in notices)


def test_every_frame_lasts_until_the_next(tmp_path: Path) -> None:
    """Also where frames are stored in another order than they are shown in (B-frames)."""
    film = open_film(make_film(tmp_path / "in.mp4", [0, 100, 150, 400, 420, 440, 1000, 1010, 1100]))
    found = list(read_frames(film, Span(), print))
    gaps = [b.pts - a.pts for a, b in pairwise(found)]
    assert [frame.duration for frame in found[:-1]] == gaps
    assert 0 < found[-1].duration <= max(gaps)


def test_converting_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For high dynamic range it takes more than a second."""
    made = list[object]()
    real = reader.reformatter

    def counted() -> object:
        made.append(real())
        return made[-1]

    film = open_film(make_film(tmp_path / "in.mp4", list(range(0, 900, 100))))
    monkeypatch.setattr(reader, "reformatter", counted)
    monkeypatch.setattr("impasto.media.video.colours.reformatter", pytest.fail)
    assert len(list(read_frames(film, Span(), print))) == 9 and len(made) == 1


def test_what_ffmpeg_would_take_for_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a colon is a name."""
    monkeypatch.chdir(tmp_path)
    film = open_film(make_film(tmp_path / "talk: 1.mp4", [0, 100]).relative_to(tmp_path))
    assert len(list(read_frames(film, Span(), print))) == 2


def test_reading_goes_on_after_a_frame(tmp_path: Path) -> None:
    film = open_film(make_film(tmp_path / "in.mp4", list(range(0, 9000, 100))))
    every = [f.pts for f in read_frames(film, Span(), print)]
    later = [f.pts for f in read_frames(film, Span(), print, after=every[70])]
    assert later == every[71:]


ANIMATIONS = [".gif", ".webp", ".apng"]


def animated(path: Path, durations: list[int], loop: int) -> Path:
    pictures = [Image.fromarray(smooth((24, 32), 2 * i)) for i in range(len(durations))]
    kind = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}[path.suffix]
    settings: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    pictures[0].save(
        *(path, kind), save_all=True, append_images=pictures[1:], duration=durations, loop=loop,
        **settings,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("source", ANIMATIONS)
@pytest.mark.parametrize("target", ANIMATIONS)
def test_animations_keep_durations_and_loops(tmp_path: Path, source: str, target: str) -> None:
    path = animated(tmp_path / f"in{source}", [100, 250, 50], 3)
    _, old, after, new = both(path, copy(path, tmp_path / f"out{target}"))
    assert [f.duration for f in new] == [f.duration for f in old] == [100, 250, 50]
    assert after.loops == 3
    assert np.abs(new[1].pixels.astype(int) - old[1].pixels).mean() < 8


def test_transparency_is_kept(tmp_path: Path) -> None:
    pixels = np.dstack([smooth((16, 16)), np.tile(np.array([0, 255], np.uint8), (16, 8))])
    pictures = [Image.fromarray(np.roll(pixels, i, 1)) for i in range(3)]
    path = tmp_path / "in.apng"
    pictures[0].save(path, "PNG", save_all=True, append_images=pictures[1:], duration=100)
    _, _, _, new = both(path, copy(path, tmp_path / "out.webp"))
    assert new[0].alpha is not None and (new[0].alpha == pixels[..., 3]).all()


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_few_frames_are_held_while_an_animation_is_written(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: a minute of them would be gigabytes."""
    known, most, real = list[weakref.ref[Image.Image]](), 0, Image.fromarray

    def noted(pixels: np.ndarray) -> Image.Image:
        nonlocal most
        picture = real(pixels)
        known.append(weakref.ref(picture))
        most = max(most, sum(one() is not None for one in known))
        return picture

    monkeypatch.setattr(Image, "fromarray", noted)
    frames = np.random.default_rng(0).integers(0, 255, (30, 8, 8, 4), np.uint8)
    path = tmp_path / f"out{suffix}"
    animation.write(animation.Pictures(lambda: iter(frames)), [40] * 30, 0, path)
    assert 1 <= most <= 5
    with Image.open(path) as written:
        assert getattr(written, "n_frames", 1) == 30


def test_a_gif_shows_a_frame_for_eleven_minutes_at_most(tmp_path: Path) -> None:
    assert animation.hundredths([10, 40, 900_000]) == [20, 40, 655_350]


def test_an_animation_becomes_a_film_and_a_film_an_animation(tmp_path: Path) -> None:
    path = animated(tmp_path / "in.gif", [100, 250, 50], 0)
    _, _, film, frames = both(path, copy(path, tmp_path / "out.mp4"))
    assert seconds(film, frames) == pytest.approx([0, 0.1, 0.35])
    _, _, again, turns = both(tmp_path / "out.mp4", copy(tmp_path / "out.mp4", tmp_path / "b.gif"))
    assert [f.duration for f in turns[:2]] == [100, 250] and again.loops == 0


def test_hundredths_do_not_drift() -> None:
    given = [33] * 30
    steps = animation.hundredths(given)
    assert sum(steps) == 990 and set(steps) == {30, 40}


def test_a_picture_with_a_recipe_is_a_film_of_one_frame(tmp_path: Path) -> None:
    """Its EXIF comes as a kind of side data that PyAV has no name for."""
    pixels = torch.from_numpy(smooth((48, 64))).permute(2, 0, 1)[None] / 255
    media.write(pixels, tmp_path / "x.jpg", recipe='{"method": "adain"}')
    frames = [*read_frames(open_film(tmp_path / "x.jpg"), Span(), print)]
    assert len(frames) == 1 and frames[0].pixels.shape == (48, 64, 3)


def test_the_matrix_turns_as_it_says() -> None:
    picture = smooth((3, 4))
    for turn, wanted in (
        ((1, 0, 0, 1), picture),
        ((-1, 0, 0, 1), picture[:, ::-1]),
        ((0, -1, 1, 0), np.rot90(picture)),
        ((0, 1, -1, 0), np.rot90(picture, -1)),
    ):
        assert (reader.upright(picture, turn) == wanted).all()


def test_parts_of_other_work_are_thrown_away(tmp_path: Path) -> None:
    coding = Coding(".mp4", 32, 32, TICK, Colours())

    def write(work: dict[str, object]) -> Parts:
        parts = Parts(tmp_path / "parts", work)
        encoder = parts.next(coding)
        encoder.write(np.zeros((32, 32, 3), np.uint8), 7, 20)
        encoder.close(np.ones((2, 2, 3), np.float32))
        parts.release()
        return parts

    assert [part.times for part in write({"a": 1}).finished()] == [((7, 20),)]
    assert len(write({"a": 1}).finished()) == 2
    last = write({"a": 2}).finished()
    assert len(last) == 1
    kept, start = last[0].last(), last[0].start()
    assert kept is not None and kept.shape == (2, 2, 3)
    assert start is not None and (start == kept).all()


def test_a_part_keeps_what_is_shown_and_what_is_gone_on_from(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts", {})
    encoder = parts.next(Coding(".mp4", 32, 32, TICK, Colours()))
    encoder.write(np.zeros((32, 32, 3), np.uint8), 7, 20)
    encoder.close(np.ones((4, 4, 3), np.float32), np.zeros((2, 2, 3), np.float32))
    last, start = parts.finished()[0].last(), parts.finished()[0].start()
    assert last is not None and last.shape == (4, 4, 3)
    assert start is not None and start.shape == (2, 2, 3)
    parts.remove()


def test_parts_that_are_not_whole_begin_anew(tmp_path: Path) -> None:
    """As a power cut leaves them: without frames, with half a list, with half a note."""
    work: dict[str, object] = {"a": 1}
    parts = Parts(tmp_path / "parts", work)
    for _ in range(3):
        encoder = parts.next(Coding(".mp4", 32, 32, TICK, Colours()))
        encoder.write(np.zeros((32, 32, 3), np.uint8), 7, 20)
        encoder.close()
    assert len(parts.finished()) == 3
    (tmp_path / "parts" / "00002.nut").write_bytes(b"")
    assert len(parts.finished()) == 2
    (tmp_path / "parts" / "00001.json").write_text("[[7")
    assert len(parts.finished()) == 1
    parts.release()
    (tmp_path / "parts" / "work.json").write_text('{"work"')
    anew = Parts(tmp_path / "parts", work)
    assert anew.lost == 1 and not anew.finished()
    anew.remove()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts", {})
    with pytest.raises(BadOutput, match="Another process"):
        Parts(tmp_path / "parts", {})
    parts.remove()
    assert not (tmp_path / "parts").exists()


def test_decoding_order_rises_across_parts(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mp4", [0, 500, 510, 515, 520, 900, 901, 902, 903, 1500])
    target = copy(source, tmp_path / "out.mp4", cut=3)
    with av.open(str(target)) as file:
        found = [(p.dts, p.pts) for p in file.demux(file.streams.video[0]) if p.size]
    assert all(a < b for (a, _), (b, _) in pairwise(found))
    assert all(dts <= pts for dts, pts in found)


def test_targets_are_checked_before_the_work(tmp_path: Path) -> None:
    film = open_film(make_film(tmp_path / "in.mp4", VFR[:2]))
    refused: list[tuple[Path, str]] = [
        (tmp_path / "out.xyz", "a film ends in .mp4"),
        (tmp_path / "no" / "out.mp4", "Create it first"),
        (film.path, "a file that is read"),
    ]
    for target, words in refused:
        with pytest.raises(BadOutput, match=words):
            check_film_target(target, [str(film.path)])
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(BadOutput, match="folder"):
        check_film_target(tmp_path / "folder.mp4", [])


def test_a_frame_that_is_no_yuv_keeps_its_levels() -> None:
    pixels = smooth((16, 16))
    make: Callable[..., Any] = av.VideoFrame.from_ndarray
    frame = make(pixels, "rgb24")
    assert (to_rgb(frame, of_frame(frame), False) == pixels).all()
