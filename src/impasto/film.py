"""From a film to a painted film: decoding, painting and encoding at once, frame by frame."""

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from impasto.commands import OnEvent, undisturbed
from impasto.errors import BadInput
from impasto.estimate import peak_mb
from impasto.flow import Map, Stabiliser
from impasto.media import image as media
from impasto.media.video.frames import Film, Span, required
from impasto.media.video.join import assemble
from impasto.media.video.parts import Coding, Encoder, Parts
from impasto.media.video.source import check_film_target, open_film, read_frames
from impasto.overlap import Behind, ahead
from impasto.pipeline import Job, prepare
from impasto.recipe import Recipe
from impasto.shots import (
    FramePainter,
    Shot,
    as_tensor,
    batched,
    blended,
    check_recipe,
    coded,
    hastened,
    integers,
    seconds_each,
    shots,
)

STABLE = 0.35
"""45 % of the warping error gone, at 7 % more style_error (docs/films.md)."""

DEPTH = 4
"""Frames that may wait between two stages."""

PART_SECONDS, PART_WORK = 10.0, 60.0
"""A part is finished after so many seconds of film, or of work: no more is lost by a kill."""


@dataclass(frozen=True)
class Filmed:
    """What a film took."""

    frames: int
    """Painted this time"""
    seconds: float
    interrupted: bool


def paint_film(
    recipe: Recipe,
    target: Path,
    on_event: OnEvent = lambda _: None,
    *,
    stable: float = STABLE,
    span: Span | None = None,
    preview: bool = False,
) -> Filmed:
    """Paint the film or animation that the Recipe names, and write it to ``target``.

    stable: 0 paints frame by frame, 1 keeps what is painted as long as it is seen
    span: the part that is painted; preview: write the first painted frame beside the target

    What is finished outlives a kill: the same call goes on from there. Ctrl-C writes the film as
    far as it is. Raises what ``prepare`` and ``open_film`` raise, and BadOutput.
    """
    required("cv2")
    span = span or Span()
    _check(stable, span)
    check_recipe(recipe)
    film = open_film(Path(recipe.photo))
    check_film_target(target, film)
    first = next(iter(read_frames(film, span, _quiet)), None)
    if first is None:
        raise BadInput(f"No frame of {film.path} lies between --from and --to.")
    job = prepare(recipe, as_tensor(first.pixels))
    job = hastened(job, film.deep, expected(film, span))
    coding = coded(film, job, target)
    _announce(job, film, span, coding, seconds_each(job, stable), on_event)
    parts = Parts(target.with_name(f".{target.name}.parts"), _work(job, film, stable, span, target))
    try:
        return _Production(job, film, span, coding, parts, target, on_event).run(stable, preview)
    finally:
        parts.release()


class _Production:
    """One film being painted."""

    def __init__(
        self,
        job: Job,
        film: Film,
        span: Span,
        coding: Coding,
        parts: Parts,
        target: Path,
        on_event: OnEvent,
    ) -> None:
        self.job, self.film, self.span, self.coding = job, film, span, coding
        self.parts, self.target, self.on_event = parts, target, on_event
        self.total = expected(film, span)

    def run(self, stable: float, preview: bool) -> Filmed:
        start, finished = time.perf_counter(), self.parts.finished()
        before = sum(len(part.times) for part in finished)
        after = finished[-1].times[-1][0] if finished else None
        if before:
            self._notice(f"Going on after {before} frames that are finished.")
        last = finished[-1].last() if finished else None
        writer = _Writer(self.parts, self.coding, blended(self.job, stable), last)
        painter, interrupted = FramePainter(self.job, last), False
        try:
            self._paint(painter, writer, stable, after, before, preview)
        except KeyboardInterrupt:
            interrupted = True
        with undisturbed():
            writer.finish()
            self._assemble(interrupted)
        seconds = time.perf_counter() - start
        done = Filmed(writer.count, seconds, interrupted)
        self.on_event({**self._figures(done), "load_seconds": round(self.job.load_seconds, 2)})
        return done

    def _paint(
        self,
        painter: FramePainter,
        writer: "_Writer",
        stable: float,
        after: int | None,
        before: int,
        preview: bool,
    ) -> None:
        start, done = time.perf_counter(), before
        # Once more the last finished frame: the motion to the next one begins there.
        frames = read_frames(
            self.film, self.span, self._notice, None if after is None else after - 1
        )
        with closing(ahead(shots(frames, stable, after), DEPTH)) as ready:
            for batch in batched(ready, painter.batch):
                paintings = painter([shot.frame.pixels for shot in batch], batch[0].motion)
                if preview and done == before:
                    self._preview(paintings[0])
                for shot, painted in zip(batch, paintings, strict=True):
                    writer.put(shot, painted)
                done += len(batch)
                pace = (time.perf_counter() - start) / (done - before)
                self._step(done, pace)

    def _step(self, done: int, pace: float) -> None:
        total = max(self.total or done, done)
        left = round(pace * (total - done), 1)
        self.on_event({"event": "step", "done": done, "total": total, "seconds_left": left})

    def _notice(self, text: str) -> None:
        self.on_event({"event": "notice", "text": text})

    def _preview(self, painted: Map) -> None:
        path = self.target.with_name(f"{self.target.stem}.preview.png")
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
        rate = done.frames / done.seconds if done.seconds else 0.0
        return {
            "event": "done",
            "output": str(self.target),
            "method": self.job.recipe.method,
            "size": [self.coding.width, self.coding.height],
            "frames": done.frames,
            "seconds": round(done.seconds, 2),
            "frames_per_second": round(rate, 2),
            "peak_mb": round(peak_mb()),
            "interrupted": done.interrupted,
        }


class _Writer:
    """Stabilises and encodes in a thread of its own, part by part."""

    def __init__(self, parts: Parts, coding: Coding, stable: float, last: Map | None) -> None:
        self.parts, self.coding = parts, coding
        self.stabiliser = Stabiliser(stable, last)
        self.count = 0
        self._encoder: Encoder | None = None
        self._begun = 0.0
        self._thread = Behind[tuple[Shot, Map]](self._write, DEPTH)

    def put(self, shot: Shot, painted: Map) -> None:
        self._thread.put((shot, painted))

    def finish(self) -> None:
        self._thread.close()
        self._close()
        self._thread.check()

    def _write(self, item: tuple[Shot, Map]) -> None:
        shot, painted = item
        steady = self.stabiliser(painted, shot.motion)
        if self._encoder is None:
            self._encoder, self._begun = self.parts.next(self.coding), time.perf_counter()
        pixels = integers(steady, shot.frame, self.coding)
        self._encoder.write(pixels, shot.frame.pts, shot.frame.duration)
        self.count += 1
        length = (shot.frame.pts - self._encoder.times[0][0]) * self.coding.time_base
        if length >= PART_SECONDS or time.perf_counter() - self._begun >= PART_WORK:
            self._close()

    def _close(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.close(self.stabiliser.last)


def expected(film: Film, span: Span) -> int | None:
    """About how many frames a span has."""
    if film.frames is None or not film.seconds:
        return film.frames
    start, stop = span.start or 0.0, film.seconds if span.stop is None else span.stop
    share = (min(stop, film.seconds) - start) / film.seconds
    return max(1, round(film.frames * min(1.0, share)))


def _check(stable: float, span: Span) -> None:
    if not 0 <= stable <= 1:
        raise BadInput(f"--stable is {stable:g}; it goes from 0 (frame by frame) to 1 (steady).")
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
            "seconds": round(seconds * (count or 1), 1),
            "peak_mb": round(job.estimate.peak_mb),
        }
    )
    notices = list(job.notices)
    if coding.layout.startswith("yuv444p"):
        size = f"{coding.width} x {coding.height}"
        notices.append(
            f"{size} is odd, which H.264 holds in 4:4:4 only; some players lack that. "
            "A .webm or an even --size plays everywhere."
        )
    for text in notices:
        on_event({"event": "notice", "text": text})


def _work(job: Job, film: Film, stable: float, span: Span, target: Path) -> dict[str, object]:
    """All that the painted frames depend on: what was finished for other work is of no use."""
    sources = [film.path, *(Path(share.source) for share in job.recipe.styles)]
    sources += [Path(path) for m in job.recipe.masks for path in (m.mask, m.style)]
    return {
        "recipe": job.recipe.model_dump(mode="json"),
        "stable": stable,
        "span": asdict(span),
        "suffix": target.suffix.lower(),
        "files": [(str(path), _stamp(path)) for path in sources],
    }


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # a name of the gallery
        return None
    return status.st_size, status.st_mtime_ns


def _quiet(text: str) -> None:
    """A notice that will come again."""
