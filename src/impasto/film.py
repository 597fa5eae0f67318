"""From a film to a painted film: decoding, painting and encoding at once, frame by frame."""

import time
from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from impasto.commands import OnEvent, undisturbed
from impasto.errors import BadInput
from impasto.estimate import peak_mb
from impasto.film_job import (
    blended,
    check_recipe,
    film_mb,
    prepared,
    seconds_each,
    settled,
    shared,
)
from impasto.fingerprint import fingerprint
from impasto.finishing import DEPTH, Writer
from impasto.flow import Map, one_thread_each
from impasto.frame_painter import FramePainter, as_tensor, coded
from impasto.job import Job
from impasto.keyframes import EVERY, Keyframe, keyframes
from impasto.media import image as media
from impasto.media.video.frames import Film, Frame, Span, required
from impasto.media.video.join import assemble
from impasto.media.video.parts import Coding, Parts, begun
from impasto.media.video.source import check_film_target, open_film, read_frames
from impasto.overlap import ahead
from impasto.recipe import Recipe

STABLE = 0.35
"""51 % of the warping error gone, at 5 % more style_error (docs/films.md)."""


@dataclass(frozen=True)
class Filmed:
    """What a film took."""

    frames: int
    """Written this time"""
    seconds: float
    interrupted: bool


def paint_film(
    recipe: Recipe,
    target: Path,
    on_event: OnEvent = lambda _: None,
    *,
    stable: float = STABLE,
    every: int = EVERY,
    span: Span | None = None,
    preview: bool = False,
    room: float | None = None,
) -> Filmed:
    """Paint the film or animation that the Recipe names, and write it to ``target``.

    stable: 0 paints frame by frame, 1 keeps what is painted as long as it is seen
    every: 2 paints every second frame, where those between can be made of their neighbours
    span: the part that is painted; preview: write the first painted frame beside the target
    room: bytes that painting may take, a share of what is free where None, see ``film_job``

    What is finished outlives a kill: the same call goes on from there. Ctrl-C writes the film as
    far as it is. Raises what ``prepare`` and ``open_film`` raise, and BadOutput.
    """
    required("cv2")
    span = span or Span()
    check_recipe(recipe, stable)
    _check(every, span)
    film = open_film(Path(recipe.photo))
    check_film_target(target, recipe.sources())
    if preview:
        check_film_target(preview_of(target), recipe.sources())
    first, painted = _first(film, span), _painted(film, span, stable, every)
    work = _work(recipe, film, (stable, every), span, target)
    folder = target.with_name(f".{target.name}.parts")
    known = begun(folder, work)
    photo = as_tensor(first.pixels)
    job = shared(prepared(recipe, photo, film.deep, painted, known, room), painted, room)
    coding = coded(film, job, target)
    seconds = seconds_each(job, stable) * (painted or 1)
    _announce(job, film, span, coding, seconds, on_event)
    parts = Parts(folder, work, settled(job))
    production = _Production(job, film, span, coding, parts, target, on_event)
    try:
        with one_thread_each() if job.runtime.device.type == "cpu" else nullcontext():
            return production.run(stable, every, preview)
    finally:
        parts.release()


@dataclass(frozen=True)
class _Production:
    """One film being painted."""

    job: Job
    film: Film
    span: Span
    coding: Coding
    parts: Parts
    target: Path
    on_event: OnEvent

    def run(self, stable: float, every: int, preview: bool) -> Filmed:
        start, finished = time.perf_counter(), self.parts.finished()
        before = sum(len(part.times) for part in finished)
        after = finished[-1].times[-1][0] if finished else None
        if self.parts.lost:
            self._notice(f"{self.parts.lost} frames finished with other settings begin anew.")
        if before:
            self._notice(f"Going on after {before} frames that are finished.")
        last, onward = (finished[-1].last(), finished[-1].start()) if finished else (None, None)
        painter, interrupted = FramePainter(self.job, onward), False
        writer = Writer(self.parts, self.coding, blended(self.job, stable), last)
        try:
            ready = self._keys(stable, every, after)
            self._paint(painter, writer, ready, before, preview)
        except KeyboardInterrupt:
            interrupted = True
        except BaseException:
            writer.stop()
            raise
        with undisturbed():
            writer.finish()
            self._assemble(interrupted)
        seconds = time.perf_counter() - start
        done = Filmed(writer.count, seconds, interrupted)
        self.on_event({**self._figures(done), "load_seconds": round(self.job.load_seconds, 2)})
        return done

    def _keys(
        self, stable: float, every: int, after: int | None
    ) -> Generator[Keyframe, None, None]:
        """What comes after that tick, found in a thread of its own."""
        # Once more the last finished frame: the motion to the next one begins there.
        since = None if after is None else after - 1
        frames = read_frames(self.film, self.span, self._notice, since)
        return ahead(keyframes(frames, stable, after, every), DEPTH)

    def _paint(
        self,
        painter: FramePainter,
        writer: Writer,
        ready: Generator[Keyframe, None, None],
        before: int,
        preview: bool,
    ) -> None:
        start, done = time.perf_counter(), before
        with closing(ready), closing(painter.film(ready)) as paintings:
            for key, painted in paintings:
                if preview and done == before:
                    self._preview(painted)
                writer.put(key, painted, painter.last)
                done += key.count
                pace = (time.perf_counter() - start) / (done - before)
                self._step(done, pace)

    def _step(self, done: int, pace: float) -> None:
        total = max(expected(self.film, self.span) or done, done)
        left = round(pace * (total - done), 1)
        self.on_event({"event": "step", "done": done, "total": total, "seconds_left": left})

    def _notice(self, text: str) -> None:
        self.on_event({"event": "notice", "text": text})

    def _preview(self, painted: Map) -> None:
        path = preview_of(self.target)
        media.write(as_tensor(painted), path, recipe=self.job.recipe.embedded())
        self.on_event({"event": "preview", "output": str(path), "done": 1})

    def _assemble(self, interrupted: bool) -> None:
        finished = self.parts.finished()
        if not finished:
            self.parts.remove()
            raise KeyboardInterrupt
        comment = self.job.recipe.embedded()
        assemble(
            *(finished, self.coding, self.film, self.span),
            *(self.target, comment, self._notice),
        )
        if interrupted:
            self._notice("Stopped: the same command again goes on from here.")
        else:
            self.parts.remove()

    def _figures(self, done: Filmed) -> dict[str, object]:
        return {
            "event": "done",
            "output": str(self.target),
            "method": self.job.recipe.method,
            "size": [self.coding.width, self.coding.height],
            "frames": done.frames,
            "seconds": round(done.seconds, 2),
            "frames_per_second": round(done.frames / (done.seconds or 1), 2),
            "peak_mb": round(peak_mb()),
            "interrupted": done.interrupted,
        }


def preview_of(target: Path) -> Path:
    """Where the first painted frame goes."""
    return target.with_name(f"{target.stem}.preview.png")


def expected(film: Film, span: Span) -> int | None:
    """About how many frames a span has."""
    if film.frames is None or not film.seconds:
        return film.frames
    start, stop = span.start or 0.0, film.seconds if span.stop is None else span.stop
    share = (min(stop, film.seconds) - start) / film.seconds
    return max(1, round(film.frames * min(1.0, share)))


def _painted(film: Film, span: Span, stable: float, every: int) -> int | None:
    """The fewest frames of a span that have to be painted."""
    count = expected(film, span)
    return count if count is None or stable == 0 else -(-count // every)


def _check(every: int, span: Span) -> None:
    if every not in (1, 2):
        raise BadInput(f"--every is {every}: 1 paints every frame, 2 every second one.")
    if span.stop is not None and span.stop <= (span.start or 0.0):
        start = span.start or 0.0
        raise BadInput(f"--to is {span.stop:g} s, which is not after --from, {start:g} s.")


def _announce(
    job: Job, film: Film, span: Span, coding: Coding, seconds: float, on_event: OnEvent
) -> None:
    count = expected(film, span)
    on_event(
        {
            "event": "estimate",
            "method": job.recipe.method,
            "size": [coding.width, coding.height],
            "frames": count,
            "seconds": round(seconds, 1),
            "peak_mb": round(film_mb(job)),
        }
    )
    notices = list(job.notices)
    if film.deep and not coding.deep and not coding.animated:
        notices.append(f"{coding.suffix} is written with 8 bits here; .mp4 and .mkv keep 10.")
    if coding.layout.startswith("yuv444p"):
        size = f"{coding.width} x {coding.height}"
        notices.append(
            f"{size} is odd, which H.264 holds in 4:4:4 only; some players lack that. "
            "A .webm or an even --size plays everywhere."
        )
    for text in notices:
        on_event({"event": "notice", "text": text})


def _first(film: Film, span: Span) -> Frame:
    frame = next(iter(read_frames(film, span, _quiet)), None)
    if frame is None:
        raise BadInput(f"No frame of {film.path} lies between --from and --to.")
    return frame


def _work(
    recipe: Recipe, film: Film, steadied: tuple[float, int], span: Span, target: Path
) -> dict[str, object]:
    """All that the painted frames depend on: what was finished for other work is of no use."""
    status = film.path.stat()
    return {
        "film": [str(film.path.absolute()), status.st_size, status.st_mtime_ns],
        "painting": fingerprint(recipe, *steadied, asdict(span)),
        "suffix": target.suffix.lower(),
    }


def _quiet(text: str) -> None:
    """A notice that will come again."""
