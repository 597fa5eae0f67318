"""Films: frames a second, what all but the painting costs, and how busy the cores are.

A film of 1280 x 720 pixels, made of a sample photo that the camera pans over. Ways: ``frames``
paints its frames, which are in memory already, as pictures are painted, and ``int8`` as those of
films are, in integers; ``film`` is the whole command without steadying, ``every`` with it and every
frame painted, ``steady`` as it is by default; ``folder`` is ``impasto batch`` on the frames as JPEG
files. What has to get ready on the way (engines compile after some frames) is not counted: the
clock starts after 24 frames.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from rows import Cell, Options, Results

from impasto import methods
from impasto.film import STABLE, paint_film
from impasto.media.video.frames import Pixels, Span
from impasto.recipe import Recipe
from impasto.runtime import has_int8

METHODS = ("johnson", "dumoulin", "adain")
STYLE = "starry-night"
WAYS = ("frames", "int8", "film", "every", "steady", "folder")
SIZE, FRAMES, WARM = 1280, 100, 24


def run(results: Results, options: Options) -> None:
    """Time what is missing, ways of a method one after the other."""
    size, frames, warm = (64, 24, 2) if options.quick else (SIZE, FRAMES, WARM)
    with tempfile.TemporaryDirectory(prefix="impasto-films-") as folder:
        source = Path(folder) / "in.mp4"
        film(source, size, frames)
        pairs = ((m, w) for m in METHODS for w in WAYS if w != "int8" or does_int8(m))
        cells = (Cell(benchmark="films", method=m, way=w, size=size) for m, w in pairs)
        results.measure(filter(options.wants, cells), lambda cell: measured(cell, source, warm))


def does_int8(method: str) -> bool:
    """Whether films by that method are painted in integers on this machine."""
    return methods.get(method).can.int8 and has_int8("auto", "auto")


def film(path: Path, size: int, count: int) -> None:
    """Write a film of a photo that the camera pans over, with the photo's grain.  16 : 9"""
    import av

    from impasto.evaluate.stability import filmed
    from impasto.media.image import resize
    from impasto.media.samples import sample_photo

    height = size * 9 // 16
    photo = resize(sample_photo("astronaut"), (height + count, size + 3 * count))
    frames, _ = filmed(photo[0].permute(1, 2, 0).numpy(), "pan", count, (height, size), 0.01)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = size, height, "yuv420p"
        for pixels in frames:
            levels = np.rint(pixels * 255).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(levels, "rgb24")))
        file.mux(stream.encode())


def measured(cell: Cell, source: Path, warm: int) -> Mapping[str, float]:
    """Frames a second, and the share of the processors' time that was used, %."""
    clock = Clock(warm)
    if cell.way == "folder":
        in_folder(cell.method, source, clock)
    elif cell.way in ("frames", "int8"):
        in_memory(cell.method, "int8" if cell.way == "int8" else "auto", source, clock)
    else:
        recipe = Recipe(photo=str(source), styles=(STYLE,), method=cell.method)
        stable, every = 0.0 if cell.way == "film" else STABLE, 2 if cell.way == "steady" else 1
        target, at = source.with_name("out.mp4"), lambda event: clock.at(event.get("done"))
        paint_film(recipe, target, at, stable=stable, every=every)
    return clock.figures()


class Clock:
    """The time and the processors' time from the first frame after the warm-up to the last."""

    def __init__(self, warm: int, used: Callable[[], float] = time.process_time) -> None:
        self.warm, self.used = warm, used
        self.seen: list[tuple[int, float, float]] = []

    def at(self, done: object) -> None:
        """So many frames are done."""
        if isinstance(done, int) and done >= self.warm:
            self.seen.append((done, time.perf_counter(), self.used()))

    def figures(self) -> dict[str, float]:
        """What came out."""
        first, last = self.seen[0], self.seen[-1]
        seconds = last[1] - first[1]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return {
            "frames_per_second": (last[0] - first[0]) / seconds,
            "busy_percent": 100 * (last[2] - first[2]) / (seconds * (cores or 1)),
        }


def in_memory(method: str, precision: str, source: Path, clock: Clock) -> None:
    """Paint frames that are decoded already, side by side as those of films are."""
    from impasto.film_job import shared
    from impasto.frame_painter import FramePainter, as_tensor
    from impasto.keyframes import Keyframe
    from impasto.media.video.frames import Frame
    from impasto.pipeline import prepare

    frames = decoded(source)
    recipe = Recipe(photo=str(source), styles=(STYLE,), method=method, precision=precision)
    painter = FramePainter(shared(prepare(recipe, as_tensor(frames[0]))))
    keys = (Keyframe(Frame(pixels, number, 1), None) for number, pixels in enumerate(frames))
    for done, _ in enumerate(painter.film(keys), 1):
        clock.at(done)


def decoded(source: Path) -> list[Pixels]:
    """The frames of a film.  ->  (H, W, 3), uint8 each"""
    from impasto.media.video.source import open_film, read_frames

    return [frame.pixels for frame in read_frames(open_film(source), Span(), print)]


def in_folder(method: str, source: Path, clock: Clock) -> None:
    """Paint the frames as pictures, JPEG to JPEG, by the command."""
    import psutil
    from PIL import Image

    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        pictures, out = Path(folder) / "in", Path(folder) / "out"
        pictures.mkdir()
        for number, pixels in enumerate(decoded(source)):
            Image.fromarray(pixels).save(pictures / f"{number:04}.jpg", quality=95)
        command = [sys.executable, "-m", "impasto", "batch", str(pictures), str(out), "-s", STYLE]
        command += ["--method", method, "--format", "jpg", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            family = psutil.Process(process.pid)
            clock.used = lambda: sum(times(family))
            for done in finished(process.stdout or ()):
                clock.at(done)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")


def finished(lines: Iterator[str] | tuple[()]) -> Iterator[int]:
    """How many pictures are done, whenever one more is."""
    events = map(json.loads, lines)
    items = (event for event in events if event["event"] == "item")
    for done, item in enumerate(items, 1):
        if item["outcome"] != "done":
            raise RuntimeError(item["reason"])
        yield done


def times(family: object) -> Iterator[float]:
    """The processor time of a process and of those that it has started."""
    import psutil

    assert isinstance(family, psutil.Process)
    for process in (family, *family.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            yield used.user + used.system
