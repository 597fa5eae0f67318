"""Steadiness: the warping error of films whose motion is known, and what steadying costs in style.

Four photos are turned, panned, zoomed and shaken, near and far, 192 x 256 px, with grain, and
painted as a film is. Settings: ``stable 0`` is frame by frame; ``grey`` a film without any error
and without style; ``every 2`` has frames that are made of those before and after them; ``int8``
convolutions in integers, where processor and method can do that. style_error is that of the
packaged encoder, of every frame from the fourth on.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, product
from statistics import mean

import numpy as np
from rows import Cell, Options, Results
from suite.films import does_int8

from impasto.evaluate.perception import style_errors
from impasto.evaluate.stability import filmed, warping_error
from impasto.film import STABLE
from impasto.finishing import steadied
from impasto.flow import Map
from impasto.keyframes import shots
from impasto.media.image import resize
from impasto.media.samples import sample_photo
from impasto.media.video.frames import Frame
from impasto.networks.encoders import load_encoder
from impasto.pipeline import prepare
from impasto.recipe import Recipe
from impasto.shots import FramePainter, as_tensor
from impasto.steady import Stabiliser
from impasto.style import looks, named

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

LEVELS = (0.0, 0.2, 0.35, 0.5, 0.8)
SIZE, FRAMES, GRAIN = (192, 256), 8, 0.01
SETTLED = slice(3, None)
"""The frames whose style is looked at."""


def run(results: Results, options: Options) -> None:
    """Measure what is missing."""
    frames = 4 if options.quick else FRAMES
    results.measure(filter(options.wants, cells()), lambda cell: measured(cell, frames))


def cells() -> Iterator[Cell]:
    """Every pair with every setting."""
    for method, style in PAIRS:
        settings = [f"stable {stable:g}" for stable in LEVELS] + ["grey"]
        settings += [f"every 2, stable {stable:g}" for stable in LEVELS if stable > 0]
        if does_int8(method):
            settings += ["int8, stable 0", f"int8, every 2, stable {STABLE:g}"]
        for setting in settings:
            yield Cell(
                benchmark="steadiness",
                method=method,
                style=style,
                setting=setting,
                size=max(SIZE),
                judge="compact",
            )


def measured(cell: Cell, count: int) -> Mapping[str, float]:
    """Means over the films."""
    *manner, setting = cell.setting.split(", ")
    precision, every = "int8" if "int8" in manner else "auto", 2 if "every 2" in manner else 1
    errors, styles = [], []
    for shot in product(SHOTS, PARTS, (count,)):
        frames, flows = film(*shot)
        if setting == "grey":
            done = [np.full_like(frame, 0.5) for frame in frames]
        else:
            painted = paintings(cell.method, cell.style or "", precision, shot)
            done = as_filmed(painted, frames, float(setting.removeprefix("stable ")), every)
        errors.append(warping_error(done, flows))
        styles.append(style_error(done[SETTLED], cell.style or ""))
    return {"warping_error": mean(errors), "style_error": mean(styles)}


@cache
def film(shot: tuple[str, str], part: float, count: int) -> tuple[list[Map], list[Map]]:
    """Frames, (H, W, 3) each, and the flow from each but the first to the one before."""
    photo = sample_photo(shot[1])
    width = round(SIZE[1] / part)
    photo = resize(photo, (round(width * photo.shape[-2] / photo.shape[-1]), width))
    return filmed(photo[0].permute(1, 2, 0).numpy(), shot[0], count, SIZE, GRAIN)


@cache
def paintings(
    method: str, style: str, precision: str, shot: tuple[tuple[str, str], float, int]
) -> list[Map]:
    """The frames of a film, painted one by one."""
    frames = [levels(frame) for frame in film(*shot)[0]]
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
        steadied(stabiliser, shot, painted[shot.frame.pts])
        for shot in shots(given, stable, every=every)
    )
    return [painting for _, painting in chain.from_iterable(done)]


def levels(frame: Map) -> np.ndarray:
    """As it would be decoded.  (H, W, 3), [0, 1]  ->  the same, uint8"""
    return np.rint(frame * 255).astype(np.uint8)


def style_error(frames: Sequence[Map], name: str) -> float:
    """The mean over frames, by the packaged encoder."""
    encoder, wanted = load_encoder("compact"), named(name).at(max(SIZE))
    seen = (looks(encoder, as_tensor(frame)) for frame in frames)
    return mean(sum(style_errors(look, wanted).values()) for look in seen)
