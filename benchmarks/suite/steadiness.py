"""Steadiness: the warping error of films, and what steadying costs in style.

Four photos are turned, panned, zoomed and shaken, near and far, 192 x 256 px, with grain, so the
motion is known; ``--data`` brings real clips besides, whose motion is estimated, and the teachers.
All are painted as a film is. Settings: ``stable 0`` is frame by frame; ``grey`` a film without any
error and without style; ``every 2`` has frames that are made of those before and after them where
the film allows it; ``int8`` convolutions in integers, where processor and method can do that.
style_error is that of every frame from the fourth on. Control: the clip itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise, product
from pathlib import Path
from statistics import mean

import numpy as np
from rows import Cell, Options, Results
from suite.films import decoded, does_int8
from suite.judges import Judge, judges

from impasto.evaluate.stability import filmed, warping_error
from impasto.film import STABLE
from impasto.finishing import steadied
from impasto.flow import Map, consistent, grey
from impasto.frame_painter import FramePainter, as_tensor
from impasto.keyframes import keyframes
from impasto.media.image import resize
from impasto.media.samples import sample_photo
from impasto.media.video.frames import Frame
from impasto.pipeline import prepare
from impasto.recipe import Recipe
from impasto.steady import Stabiliser

PAIRS = (
    ("johnson", "starry-night"),
    ("johnson", "great-wave"),
    ("dumoulin", "the-scream"),
    ("ghiasi", "great-wave"),
    ("adain", "composition-vii"),
    ("wct", "starry-night"),
)
SHOTS = (("turn", "chelsea"), ("pan", "astronaut"), ("zoom", "coffee"), ("shake", "rocket"))
"""Motion and photo."""

PARTS = (0.5, 0.8)
"""How much of the photo's width is seen: things are near, and have little detail, or far."""

LEVELS = (0.0, 0.2, STABLE, 0.5, 0.8)
SIZE, FRAMES, GRAIN = (192, 256), 8, 0.01
CLIP_FRAMES = 24
SETTLED = slice(3, None)
"""The frames whose style is looked at."""


@dataclass(frozen=True, eq=False)
class Film:
    """Frames, (H, W, 3) each, and for each but the first the flow to the one before."""

    frames: Sequence[Map]
    flows: Sequence[Map]
    held: Sequence[Map] | None = None
    """Where the flow holds, (H, W) each, 0 or 1; None where it is known."""


def run(results: Results, options: Options) -> None:
    """Measure what is missing."""
    count = 4 if options.quick else FRAMES
    films = {"": known(count), **clips(options.data, 4 if options.quick else CLIP_FRAMES)}
    who = judges(options.data)
    wanted = chain.from_iterable(cells(clip, judge) for clip, judge in product(films, who))
    results.measure(
        filter(options.wants, wanted),
        lambda cell: measured(cell, films[cell.photo or ""], who[cell.judge or ""]),
    )


def cells(clip: str, judge: str) -> Iterator[Cell]:
    """Every pair with every setting; with those that matter most where the data are not ours."""
    few = [f"stable {x:g}" for x in (0, STABLE)] + [f"every 2, stable {STABLE:g}"]
    where = {"benchmark": "steadiness", "photo": clip or None, "judge": judge}
    for method, style in PAIRS:
        many = [f"stable {x:g}" for x in LEVELS] + ["grey"]
        many += [f"every 2, stable {x:g}" for x in LEVELS if x > 0]
        if does_int8(method):
            many += ["int8, stable 0", f"int8, every 2, stable {STABLE:g}"]
        for setting in few if clip or judge != "compact" else many:
            yield Cell(method=method, style=style, setting=setting, **where)
    if clip and judge == "compact":
        yield Cell(method="photo", way="control", style=PAIRS[0][1], setting="stable 0", **where)


def measured(cell: Cell, films: Sequence[Film], judge: Judge) -> Mapping[str, float]:
    """Means over the films."""
    *manner, setting = cell.setting.split(", ")
    precision, every = "int8" if "int8" in manner else "auto", 2 if "every 2" in manner else 1
    errors, styles = [], []
    for shown in films:
        frames = shown.frames
        if setting == "grey":
            done = [np.full_like(frame, 0.5) for frame in frames]
        elif cell.way == "control":
            done = frames
        else:
            painted = paintings(cell.method, cell.style, precision, shown)
            done = as_filmed(painted, frames, float(setting.removeprefix("stable ")), every)
        errors.append(warping_error(done, shown.flows, shown.held))
        seen = zip(map(as_tensor, done[SETTLED]), map(as_tensor, frames[SETTLED]), strict=True)
        styles += [judge(own, photo, cell.style)["style_error"] for own, photo in seen]
    return {"warping_error": mean(errors), "style_error": mean(styles)}


def known(count: int) -> list[Film]:
    """Films of photos."""
    return [film(shot, part, count) for shot, part in product(SHOTS, PARTS)]


def film(shot: tuple[str, str], part: float, count: int) -> Film:
    """A photo that the camera moves over."""
    photo = sample_photo(shot[1])
    width = round(SIZE[1] / part)
    photo = resize(photo, (round(width * photo.shape[-2] / photo.shape[-1]), width))
    return Film(*filmed(photo[0].permute(1, 2, 0).numpy(), shot[0], count, SIZE, GRAIN))


def clips(data: Path | None, count: int) -> dict[str, list[Film]]:
    """The beginnings of real clips, by name."""
    paths = sorted((data / "clips").glob("*.mp4")) if data else []
    return {path.stem: [clip(path, count)] for path in paths}


def clip(path: Path, count: int) -> Film:
    """The beginning of a film, with estimated flow."""
    frames = [np.float32(frame) / np.float32(255) for frame in decoded(path)[:count]]
    flows, held = zip(*(estimated(new, old) for old, new in pairwise(frames)), strict=True)
    return Film(frames, flows, held)


def estimated(new: Map, old: Map) -> tuple[Map, Map]:
    """Where each pixel of ``new`` was in ``old``, and where that holds.

    Finer than what films are steadied by: at full size, to the last pixel.
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    a, b = (grey(frame, max(frame.shape)) for frame in (new, old))
    back, forth = search.calc(a, b, None), search.calc(b, a, None)
    return back, consistent(back, forth)


@cache
def paintings(method: str, style: str, precision: str, shown: Film) -> list[Map]:
    """The frames of a film, painted one by one."""
    frames = [levels(frame) for frame in shown.frames]
    recipe = Recipe(photo="film", styles=(style,), method=method, precision=precision)
    painter = FramePainter(prepare(recipe, as_tensor(frames[0])))
    return [painter([frame])[0] for frame in frames]


def as_filmed(
    painted: Sequence[Map], frames: Sequence[Map], stable: float, every: int
) -> list[Map]:
    """The paintings as a film has them, by the motion that is found in the frames."""
    given = [Frame(levels(frame), number, 1) for number, frame in enumerate(frames)]
    stabiliser = Stabiliser(stable)
    done = (
        steadied(stabiliser, key, painted[key.frame.pts])
        for key in keyframes(given, stable, every=every)
    )
    return [painting for _, painting in chain.from_iterable(done)]


def levels(frame: Map) -> np.ndarray:
    """As it would be decoded.  (H, W, 3), [0, 1]  ->  the same, uint8"""
    return np.rint(frame * 255).astype(np.uint8)
