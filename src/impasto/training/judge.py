"""What a trained encoder is worth: pictures painted on it, seen through the teacher's eyes."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from impasto.errors import BadInput
from impasto.losses import content_error, style_error
from impasto.media.image import fit, read, resize, write
from impasto.media.samples import sample_photo
from impasto.methods.gatys import Gatys
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import Stylizer
from impasto.training.data import Crops, held_out
from impasto.training.distill import Student, relative_error
from impasto.training.encoder import EncoderRecipe
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


def check_gallery(folder: Path) -> None:
    """Raise BadInput where a painting is missing that the judgement needs."""
    missing = [name for name in STYLES if not (folder / f"{name}.jpg").is_file()]
    if missing:
        raise BadInput(
            f"No {', '.join(missing)} (.jpg) in {str(folder)!r}: the judgement needs it."
        )


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
        photo = sample_photo(name)
        photo = resize(photo, fit(photo.shape[-1], photo.shape[-2], SIZE))
        for look in looks:
            pictures = [photo, *(_paint(e, photo, look[e], runtime) for e in (encoder, teacher))]
            figures.append([_errors(teacher, p, photo, look[teacher], runtime) for p in pictures])
            rows.append(torch.cat(pictures, 3))
    _write_sheet(rows, sheet)
    return _means(figures, ("photo", "encoder", "teacher"))


def judge_method(
    stylizer: Stylizer, encoder: Encoder, gallery: Path, runtime: Runtime, sheet: Path
) -> dict[str, float]:
    """Paint 4 photos in 6 styles at the method's own strength, measured by its own encoder.

    Writes a sheet: a row per photo, with what it became in each style.
    ->  mean errors of the paintings, and of the unpainted photos
    """
    looks = [Style.of(read(gallery / f"{name}.jpg").pixels, encoder) for name in STYLES]
    codes = [stylizer.encode(look) for look in looks]
    rows, figures = [], []
    for name in PHOTOS:
        photo = sample_photo(name)
        photo = resize(photo, fit(photo.shape[-1], photo.shape[-2], SIZE))
        pictures = [stylizer.stylize(photo, code) for code in codes]
        for picture, look in zip(pictures, looks, strict=True):
            figures.append([_errors(encoder, p, photo, look, runtime) for p in (photo, picture)])
        rows.append(torch.cat([photo, *pictures], 3))
    _write_sheet(rows, sheet)
    return _means(figures, ("photo", "painted"))


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
def _errors(
    teacher: Encoder, picture: Tensor, photo: Tensor, style: Style, runtime: Runtime
) -> dict[str, float]:
    """style_error (sum over the taps) and content_error of a picture, in the teacher's features."""
    target = style.at(max(photo.shape[-2:]))
    features = teacher(runtime.tensor(picture), TAPS)
    content = teacher(runtime.tensor(photo), ("relu4_1",))["relu4_1"]
    grams = {tap: gram(f).cpu() for tap, f in features.items()}
    return {
        "style_error": float(style_error(grams, {tap: m.second for tap, m in target.items()})),
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


def card(recipe: EncoderRecipe, metrics: Mapping[str, Any], photos: int, paintings: int) -> str:
    """The model card, in Markdown."""
    r2_rows = "\n".join(f"| {tap} | {value:.3f} |" for tap, value in metrics["r2"].items())
    rows = "\n".join(
        f"| {column} | {metrics[f'{column}/style_error']:.4f} "
        f"| {metrics[f'{column}/content_error']:.3f} |"
        for column in ("photo", "encoder", "teacher")
    )
    return f"""# Encoder `{recipe.name}`

A VGG-shaped network of 0.8 million weights, distilled from VGG-19 by
`impasto train recipes/encoder-{recipe.name}.toml`, from random weights, on {photos:,} photos and
{paintings:,} paintings. Licence: MIT. Use: features for style transfer. It was never trained to
classify, and knows what VGG-19 knows of natural photos, no more.

Share of the teacher's variance explained, on held-out pictures:

| tap | R2 |
|---|---|
{r2_rows}

{len(PHOTOS)} photos in {len(STYLES)} styles at {SIZE} px, measured by the teacher (`style_error`:
sum over five taps of relative squared Gram errors; `content_error`: relu4_1):

| painted on | style_error | content_error |
|---|---|---|
{rows}
"""
