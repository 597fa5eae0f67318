"""What a trained encoder is worth: pictures painted on it, seen through the teacher's eyes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from impasto.errors import BadInput
from impasto.losses import content_error, style_error
from impasto.media.image import read, resize, scaled, write
from impasto.media.samples import sample_photo
from impasto.methods.gatys import Gatys
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.training.data import Crops, held_out
from impasto.training.distill import Student, relative_error
from impasto.training.teachers import Teachers

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
STYLES = (
    "starry-night",
    "great-wave",
    "composition-vii",
    "the-scream",
    "udnie",
    "grande-jatte",
)
SIZE = 512

Eyes = Callable[[Tensor, tuple[str, ...]], Mapping[str, Tensor]]
"""Features of a picture at some taps: an encoder, or the teachers."""


@torch.no_grad()
def r2(
    student: Student, teachers: Teachers, data: Path, runtime: Runtime, count: int = 64
) -> dict[str, float]:
    """Share of the teacher's variance explained per tap, on pictures that were never trained on."""
    folders = (data / "photos", data / "paintings")
    crops = Crops([p for folder in folders for p in held_out(folder)], 192, seed=1)
    images = runtime.tensor(torch.stack([crops[i] for i in range(count)]))
    theirs = teachers.targets(images, TAPS)
    return {
        tap: round(1 - float(relative_error(student.to_slim[tap](f), theirs[tap])), 4)
        for tap, f in student.encoder(images).items()
    }


def gallery_files(folder: Path) -> list[Path]:
    """The paintings that networks are judged with.

    Raises BadInput where one is missing.
    """
    missing = [name for name in STYLES if not (folder / f"{name}.jpg").is_file()]
    if missing:
        raise BadInput(
            f"No {', '.join(missing)} (.jpg) in {str(folder)!r}: the judgement needs it."
        )
    return [folder / f"{name}.jpg" for name in STYLES]


def judge(
    encoder: Encoder, teacher: Encoder, gallery: Path, runtime: Runtime, sheet: Path
) -> dict[str, float]:
    """Paint 4 photos in 6 styles on the encoder and on the teacher; let the teacher measure both.

    Writes a sheet: a row per photo and style, photo, painted on the encoder, on the teacher.
    ->  mean errors of both, and of the unpainted photo
    """
    runtime.place(teacher)
    rows, figures = [], []
    paintings = [read(gallery / f"{name}.jpg").pixels for name in STYLES]
    looks = [{e: Style.of(painting, e) for e in (encoder, teacher)} for painting in paintings]
    for name in PHOTOS:
        photo = _at_size(sample_photo(name))
        for look in looks:
            pictures = [photo, *(_paint(e, photo, look[e], runtime) for e in (encoder, teacher))]
            target = look[teacher].at(max(photo.shape[-2:]))
            grams = {tap: m.second for tap, m in target.items()}
            figures.append([_errors(teacher, p, photo, grams, runtime) for p in pictures])
            rows.append(torch.cat(pictures, 3))
    _write_sheet(rows, sheet)
    return _means(figures, ("photo", "encoder", "teacher"))


Paint = Callable[[Tensor, int], Tensor]
"""Repaints a photo in the style of that number."""


def judge_painter(
    paint: Paint, paintings: Sequence[Path], eyes: Eyes, runtime: Runtime, sheet: Path
) -> dict[str, float]:
    """Paint 4 photos in every style, at 512 px, measured by ``eyes``.

    Writes a sheet: a row per photo, with what it became in each style.
    ->  mean errors of the paintings, and of the unpainted photos
    """
    looks = [_grams(eyes, _at_size(read(path).pixels), runtime) for path in paintings]
    rows, figures = [], []
    for name in PHOTOS:
        photo = _at_size(sample_photo(name))
        pictures = [paint(photo, number) for number in range(len(looks))]
        for picture, look in zip(pictures, looks, strict=True):
            figures.append([_errors(eyes, p, photo, look, runtime) for p in (photo, picture)])
        rows.append(torch.cat([photo, *pictures], 3))
    _write_sheet(rows, sheet)
    return _means(figures, ("photo", "painted"))


def _at_size(image: Tensor) -> Tensor:
    return scaled(image, SIZE)


def _means(figures: list[list[dict[str, float]]], columns: tuple[str, ...]) -> dict[str, float]:
    return {
        f"{column}/{kind}": round(mean(row[index][kind] for row in figures), 4)
        for index, column in enumerate(columns)
        for kind in ("style_error", "content_error")
    }


def _paint(encoder: Encoder, photo: Tensor, style: Style, runtime: Runtime) -> Tensor:
    torch.manual_seed(0)
    gatys = Gatys(encoder, runtime)
    return gatys.stylize(photo, gatys.encode(style))


@torch.no_grad()
def _grams(eyes: Eyes, image: Tensor, runtime: Runtime) -> dict[str, Tensor]:
    return {tap: gram(f).cpu() for tap, f in eyes(runtime.tensor(image), TAPS).items()}


@torch.no_grad()
def _errors(
    eyes: Eyes, picture: Tensor, photo: Tensor, look: Mapping[str, Tensor], runtime: Runtime
) -> dict[str, float]:
    """style_error (sum over the taps) and content_error of a picture, in the features of ``eyes``.

    look: the Gram matrices of the painting at the size of the picture
    """
    features = eyes(runtime.tensor(picture), TAPS)
    content = eyes(runtime.tensor(photo), ("relu4_1",))["relu4_1"]
    grams = {tap: gram(f).cpu() for tap, f in features.items()}
    return {
        "style_error": float(style_error(grams, look)),
        "content_error": float(content_error(features["relu4_1"], content)),
    }


def _write_sheet(rows: list[Tensor], path: Path) -> None:
    width = max(row.shape[3] for row in rows)
    height = max(row.shape[2] for row in rows)
    padded = [
        torch.nn.functional.pad(row, (0, width - row.shape[3], 0, height - row.shape[2]), value=1.0)
        for row in rows
    ]
    write(resize(torch.cat(padded, 2), (height * len(rows) // 2, width // 2)), path)
