"""Any film or animation: what is known of it, its frames, and whether a result can be written."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from impasto.errors import BadOutput
from impasto.files import obstacle
from impasto.media.video import animation, reader
from impasto.media.video.animation import KINDS
from impasto.media.video.frames import Film, Frame, OnNotice, Span
from impasto.media.video.parts import CODECS


def open_film(path: Path) -> Film:
    """What is known of a film, or of a GIF, WebP or APNG animation.

    Raises BadPicture for all that is neither, BadInput where the extra ``video`` is missing.
    """
    return animation.facts(path) or reader.facts(path)


def read_frames(
    film: Film, span: Span, on_notice: OnNotice, after: int | None = None
) -> Iterator[Frame]:
    """The frames of a span in order, those after the tick ``after`` only."""
    if film.loops is None:
        return reader.frames(film, span, after, on_notice)
    return animation.frames(film, span, after, on_notice)


def check_film_target(target: Path, read: Iterable[str]) -> None:
    """Find out before the work whether a film can be written there.

    read: what the work begins with, of which some may be files

    Raises BadOutput for an unknown suffix, a missing folder, a folder in the place of the file,
    missing permission, and a file that is read.
    """
    if target.suffix.lower() not in {*CODECS, *KINDS}:
        films, moving = (", ".join(kinds) for kinds in (CODECS, KINDS))
        raise BadOutput(
            f"{target} cannot be written: a film ends in {films}, an animation in {moving}."
        )
    if reason := obstacle(target, read):
        raise BadOutput(f"{target} cannot be written: {reason}.")
