"""Films out: parts put together by copying packets, with the sound and subtitles of the film."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from impasto.files import replacing
from impasto.media.video import animation
from impasto.media.video.colours import tag
from impasto.media.video.frames import Film, OnNotice, Span, av_open, required
from impasto.media.video.parts import Coding, Part, encoding, packets, pictures, shown

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""What FFmpeg calls the containers."""

MOST = "A film named .mkv takes almost everything"

STALE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Tags that tell how a film was encoded."""

PLACE = ("location", "gps", "xyz")
"""Parts of the names of tags that tell where a film was shot."""

Timed = tuple[float, int, Any]
"""A packet with its place in the file: seconds, and a number of its own."""


def assemble(
    parts: Sequence[Part],
    coding: Coding,
    film: Film,
    span: Span,
    target: Path,
    comment: str,
    on_notice: OnNotice,
) -> None:
    """Write the film out of its finished parts, all of it or nothing.

    comment: the Recipe, for the inside of the film

    Raises BadOutput.
    """
    if coding.animated:
        _animation(parts, film, target)
        return
    options = {"movflags": "+faststart"} if coding.suffix in (".mp4", ".m4v", ".mov") else {}
    kind = CONTAINERS[coding.suffix]
    with (
        replacing(target) as file,
        encoding(target),
        av_open(file.name, "w", format=kind, options=options) as out,
    ):
        out.metadata.update({**metadata(film), "comment": comment})
        _copy(parts, coding, film, span, out, on_notice)


def _copy(
    parts: Sequence[Part], coding: Coding, film: Film, span: Span, out: Any, on_notice: OnNotice
) -> None:
    shift = _shift(parts, film, span)
    end = sum(parts[-1].times[-1]) * film.time_base
    with av_open(parts[0].path) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        stream.time_base = coding.time_base
        if (rate := _rate(parts, coding.time_base)) is not None:
            stream.codec_context.framerate = rate  # else Matroska writes down one of the clock
        if not coding.animated:
            tag(stream.codec_context, coding.colours)  # of VP9, parts do not keep all
        video = _video(parts, stream, coding.time_base, shift)
        if film.loops is not None:
            out.start_encoding()
            for _, _, packet in video:
                out.mux(packet)
            return
        with av_open(film.path, metadata_errors="replace") as source:
            streams = _others(source, out, on_notice)
            _chapters(source, out, shift, end)
            out.start_encoding()
            sound = _copied(source, streams, shift, _until(span, film, parts, end))
            for _, _, packet in heapq.merge(video, sound):
                out.mux(packet)


def _rate(parts: Sequence[Part], base: Fraction) -> Fraction | None:
    """Frames a second, on average; None for a single one."""
    times = [pts for part in parts for pts, _ in part.times]
    if len(times) < 2:
        return None
    return ((len(times) - 1) / ((times[-1] - times[0]) * base)).limit_denominator(1001)


def _shift(parts: Sequence[Part], film: Film, span: Span) -> Fraction:
    """Seconds by which everything moves: a cut, and every clock, begins at 0."""
    if span.start:
        return parts[0].times[0][0] * film.time_base
    return Fraction(film.origin).limit_denominator(1_000_000)


def _until(span: Span, film: Film, parts: Sequence[Part], end: Fraction) -> Fraction | None:
    """Seconds at which the sound ends; None where it is copied to its own end."""
    if span.stop is not None:
        return min(Fraction(film.ticks(span.stop) * film.time_base), end)
    total = film.seconds + film.origin if film.seconds is not None else float(end)
    return end if total - float(end) > 1 else None


def _video(parts: Sequence[Part], stream: Any, base: Fraction, shift: Fraction) -> Iterator[Timed]:
    """All encoded frames with their own times, and times of decoding that fit all parts.

    A packet is decoded when the one as many places before it is shown as frames are reordered:
    that never falls, and is never later than the packet itself is shown.
    """
    delay = max(_reordered(part) for part in parts)
    offset = round(shift / base)
    every = [pts - offset for part in parts for pts, _ in part.times]
    step = max(1, every[1] - every[0]) if len(every) > 1 else 1
    decode = [every[0] - step * (delay - i) for i in range(delay)] + every
    number = 0
    for part in parts:
        found = packets(part)
        for packet, (pts, duration) in zip(found, shown(part, found), strict=True):
            packet.stream, packet.time_base = stream, base
            packet.pts, packet.dts = pts - offset, decode[number]
            packet.duration = duration
            yield float(packet.dts * base), number, packet
            number += 1


def _reordered(part: Part) -> int:
    """By how many places a packet comes later than it is shown, at most."""
    times = [pts for pts, _ in shown(part, packets(part))]
    rank = {pts: place for place, pts in enumerate(sorted(times))}
    return max((index - rank[pts] for index, pts in enumerate(times)), default=0)


def _others(source: Any, out: Any, on_notice: OnNotice) -> Mapping[int, Any]:
    """Streams of the copy for those that the container can hold, by their place in the source."""
    streams = {}
    for stream in source.streams:
        if stream.type not in ("audio", "subtitle"):
            continue
        name = stream.codec_context.name if stream.codec_context else "unknown"
        codec = getattr(getattr(stream.codec_context, "codec", None), "canonical_name", name)
        what = "sound" if stream.type == "audio" else "subtitles"
        try:
            if codec not in out.supported_codecs:
                raise ValueError
            copy = out.add_stream_from_template(stream)
        except ValueError:
            text = f"{out.format.name} holds no {what} of the kind {codec}"
            here = out.format.name == "matroska"
            on_notice(f"Left out: {text}. {'An .mp4 may hold it' if here else MOST}.")
            continue
        copy.time_base = stream.time_base
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        streams[stream.index] = copy
    return streams


def _copied(
    source: Any, streams: Mapping[int, Any], shift: Fraction, end: Fraction | None
) -> Iterator[Timed]:
    """The packets of sound and subtitles as they are, those between ``shift`` and ``end``."""
    av = required("av")
    wanted = [source.streams[index] for index in streams]
    if not wanted:
        return
    clock, number = -1e9, 1 << 40
    found = source.demux(*wanted)
    while True:
        try:
            packet = next(found, None)
        except av.FFmpegError:  # cut short: what is there has been copied
            return
        if packet is None:
            return
        if packet.size == 0 or packet.pts is None:
            continue
        stream = streams[packet.stream.index]
        base = packet.time_base
        offset = round(shift / base)
        past = packet.pts + (packet.duration or 0) <= offset and shift > 0
        if past or (end is not None and packet.pts * base >= end):
            continue
        if shift > 0 and packet.pts < offset and stream.type == "audio":
            continue
        _moved(packet, offset, shift > 0)
        packet.stream = stream
        clock, number = max(clock, float((packet.dts or 0) * base)), number + 1
        yield clock, number, packet


def _moved(packet: Any, offset: int, cut: bool) -> None:
    """A packet at its new time; a subtitle that is on already when a cut begins, from there on."""
    pts = packet.pts - offset
    dts = packet.dts - offset if packet.dts is not None else pts
    if cut and pts < 0:
        packet.duration = max(0, (packet.duration or 0) + pts)
        pts = dts = 0
    packet.pts, packet.dts = pts, dts


def metadata(film: Film) -> dict[str, str]:
    """Title and the like of a film; not how it was encoded, nor the place, as of pictures."""
    if film.loops is not None:
        return {}
    with av_open(film.path, metadata_errors="replace") as source:
        return {key: text for key, text in source.metadata.items() if _stays(key.lower())}


def _stays(tag: str) -> bool:
    return tag not in STALE and not any(word in tag for word in PLACE)


def _chapters(source: Any, out: Any, shift: Fraction, end: Fraction) -> None:
    """The chapters that lie in what is written."""
    kept = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1)
        start = max(0, chapter["start"] - round(shift / base))
        stop = min(chapter["end"] - round(shift / base), round((end - shift) / base))
        if stop > start:
            kept.append({**chapter, "start": start, "end": stop})
    if kept:
        out.set_chapters(kept)


def _animation(parts: Sequence[Part], film: Film, target: Path) -> None:
    times = [time for part in parts for time in part.times]
    starts = [pts for pts, _ in times]
    last = times[-1][1] or (starts[-1] - starts[-2] if len(starts) > 1 else 1)
    ends = [*starts[1:], starts[-1] + last]
    to_ms = film.time_base * 1000
    clock = [round((tick - starts[0]) * to_ms) for tick in (*starts, ends[-1])]
    durations = [max(1, b - a) for a, b in pairwise(clock)]
    loops = 0 if film.loops is None else film.loops
    animation.write(animation.Pictures(lambda: pictures(parts)), durations, loops, target)
