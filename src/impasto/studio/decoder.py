"""The decoder: the process in which strangers' files are opened, and made anew.

It runs in a box. What comes out of it are files written by us: a PNG without any metadata but the
Recipe, a small preview, and what is known of them. It also knows what needs torch to be told: the
web process has none.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import BadPicture

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from impasto.media.image import Picture
    from impasto.recipe import Recipe

Task = Mapping[str, Any]
Tell = Callable[[dict[str, Any]], None]

WORK = "impasto.studio.decoder:serve"
"""What a box is told to run."""

PREVIEW = 1024
"""Long side of a preview, pixels."""

SCANS = 100
"""Times that a JPEG may go over the picture: usual are ten, and thousands take minutes."""

LONGEST_RECIPE = 100_000
"""Characters; those that we write have some thousand."""

SAMPLES = {
    "chelsea": "Chelsea, a cat",
    "astronaut": "Eileen Collins, astronaut",
    "coffee": "A cup of coffee",
    "rocket": "A rocket at take-off",
}
"""The photos that every installation has, by their names in ``skimage.data``."""


def serve() -> Callable[[Task, Tell], dict[str, Any]]:
    """What a box does with a task: its field ``work`` says which of the kinds below."""
    import impasto.media.image  # noqa: F401  (so that the first task does not wait for it)

    _hush()
    kinds = {"picture": picture, "film": film, "convert": convert, "catalogue": catalogue}
    return lambda task, tell: kinds[task["work"]](task)


def _hush() -> None:
    """Let C libraries keep to themselves what they think of damaged files; tracebacks are kept."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  (no path, but a device)
        os.dup2(nothing.fileno(), 2)


def picture(task: Task) -> dict[str, Any]:
    """Make ``picture.png`` and ``preview.webp`` in a folder out of a picture of any kind.

    task: source, folder; bytes, pixels: the most that is allowed

    Raises BadPicture, OutOfMemory.
    """
    from impasto.media import image as media

    data, folder = Path(task["source"]).read_bytes(), Path(task["folder"])
    if data.count(b"\xff\xda") > SCANS and data[:2] == b"\xff\xd8":
        raise BadPicture("The picture goes over itself too often: save it as an ordinary JPEG.")
    found = media.read(data, media.Limits(task["pixels"], task["bytes"]))
    clean = media.to_pil(found.pixels, found.alpha)
    recipe, notices = _recipe(found)
    _save_png(clean, folder / "picture.png", recipe)
    _save_preview(clean, folder / "preview.webp")
    if _moves(data):
        notices.append("This is an animation: its first picture is used.")
    return {
        "width": clean.width,
        "height": clean.height,
        "alpha": found.alpha is not None,
        "recipe": None if recipe is None else recipe.model_dump(mode="json"),
        "notices": notices,
    }


def _recipe(found: "Picture") -> tuple["Recipe | None", list[str]]:
    """The Recipe inside, and what there is to say about it."""
    from pydantic import ValidationError

    from impasto.recipe import Recipe

    if found.recipe is None or len(found.recipe) > LONGEST_RECIPE:
        return None, []
    try:
        recipe = Recipe.model_validate_json(found.recipe)
    except ValidationError:
        return None, ["The settings inside the picture are not of this version: they are left out."]
    return recipe, []


def _moves(data: bytes) -> bool:
    """Whether a GIF, WebP or PNG has more than one picture."""
    if data[:4] == b"GIF8":
        return data.count(b"\x21\xf9\x04") > 1
    if data[8:12] == b"WEBP":
        return data[12:16] == b"VP8X" and bool(data[20] & 2)
    return data[:4] == b"\x89PNG" and b"acTL" in data[:4096]


def _save_png(picture: "Image.Image", path: Path, recipe: "Recipe | None") -> None:
    """Quickly rather than small: it is read once, by a worker."""
    from PIL import PngImagePlugin

    from impasto.media.encode import MARK

    info = PngImagePlugin.PngInfo()
    if recipe is not None:
        info.add_itxt(MARK, recipe.model_dump_json())
    picture.save(path, "PNG", compress_level=1, pnginfo=info)


def _save_preview(picture: "Image.Image", path: Path) -> None:
    small = picture.copy()
    small.thumbnail((PREVIEW, PREVIEW))
    small.save(path, "WEBP", quality=80, method=2)


def film(task: Task) -> dict[str, Any]:
    """Check a film, and make ``preview.webp`` of its first picture; the film stays as it is.

    task: source, folder; bytes, pixels, seconds, size: the most that is allowed

    Raises BadPicture; BadInput where the extra ``video`` is missing.
    """
    from PIL import Image

    from impasto.media.video import reader
    from impasto.media.video.frames import required

    required("cv2")
    path = Path(task["source"])
    try:
        seconds, count = _measure(path, task)
        found = reader.facts(path)
        first = next(iter(reader.frames(found, _whole(), None, lambda text: None)), None)
    except BadPicture as error:
        raise BadPicture(str(error).replace(str(path), "The film")) from error
    if first is None:
        raise BadPicture("The film has no picture that can be decoded.")
    pixels = first.pixels if first.pixels.dtype.itemsize == 1 else first.pixels >> 8
    _save_preview(Image.fromarray(pixels.astype("uint8")), Path(task["folder"]) / "preview.webp")
    return {
        "width": found.width,
        "height": found.height,
        "alpha": False,
        "frames": count,
        "seconds": round(seconds, 3),
        "recipe": None,
        "notices": [],
    }


def _whole() -> Any:
    from impasto.media.video.frames import Span

    return Span()


def _measure(path: Path, task: Task) -> tuple[float, int]:
    """Seconds and pictures of a film, counted, not believed; nothing is decoded.

    Raises BadPicture for what is above the limits.
    """
    from impasto.media.video import reader

    with reader.opened(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > task["pixels"] or max(width, height) > task["size"]:
            allowed = f"{task['size']} px a side are allowed"
            raise BadPicture(f"The film is {width} x {height}; {allowed}. Make it smaller.")
        first, last, count = None, 0.0, 0
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            now, count = float(packet.pts * stream.time_base), count + 1
            first = now if first is None else min(first, now)
            last = max(last, now + float((packet.duration or 0) * stream.time_base))
            if last - first > task["seconds"] or count > task["seconds"] * MOST_RATE:
                raise BadPicture(f"The film is longer than {task['seconds']:g} s: cut it shorter.")
    if first is None:
        raise BadPicture("The film has no pictures.")
    return last - first, count


MOST_RATE = 120
"""Pictures a second, over the length that is allowed."""


def convert(task: Task) -> dict[str, Any]:
    """Write a result in another format, with its Recipe inside.

    task: source, target (its suffix is the format)

    Raises BadOutput for a picture that the format cannot hold.
    """
    from impasto.media import image as media

    found = media.read(task["source"])
    media.write(found.pixels, task["target"], alpha=found.alpha, recipe=found.recipe, quality=92)
    return {}


def catalogue(task: Task) -> dict[str, Any]:
    """All styles, methods and sample photos; the samples are written to a folder as JPEG.

    task: folder
    """
    from impasto import methods
    from impasto.auto import AUTO, ORDER
    from impasto.style import Style, about, gallery

    kinds = {name: methods.get(name) for name in methods.names()}
    styles = []
    for name, path in gallery().items():
        style, facts = Style.load(path), about(path)
        knowing = [method for method in ORDER if method in kinds and kinds[method].knows(style)]
        swatch = path.with_name(f"{name}.jpg")
        styles.append(
            {
                "name": name,
                "title": facts.get("title") or name,
                "artist": facts.get("artist") or "",
                "year": facts.get("year"),
                "methods": knowing,
                "file": str(swatch) if swatch.is_file() else None,
            }
        )
    ordered = [name for name in ORDER if name in kinds]
    auto: dict[str, Any] = {
        "name": AUTO,
        "good": "the fastest that looks good, chosen by style and settings",
        "bad": "which one it was is told with the result",
        "paper": "",
        "strength": None,
        "any_style": True,
        "steps": False,
        "regions": True,
        "mix": True,
        "options": [],
    }
    told = [auto, *(_method(name, kinds[name]) for name in ordered)]
    return {"styles": styles, "methods": told, "samples": _samples(Path(task["folder"]))}


def _method(name: str, kind: Any) -> dict[str, Any]:
    return {
        "name": name,
        "good": kind.good,
        "bad": kind.bad,
        "paper": kind.paper,
        "strength": kind.strength,
        "any_style": kind.can.any_style,
        "steps": kind.can.steps,
        "regions": kind.can.regions,
        "mix": True,
        "options": sorted(kind.can.options),
    }


def _samples(folder: Path) -> list[dict[str, Any]]:
    from impasto.media.image import to_pil
    from impasto.media.samples import sample_photo

    found = []
    for name, title in SAMPLES.items():
        photo: Tensor = sample_photo(name)
        to_pil(photo).save(folder / f"{name}.jpg", quality=90)
        width, height = photo.shape[-1], photo.shape[-2]
        found.append({"name": name, "title": title, "width": width, "height": height})
    return found
