"""A film on the easel: painted frame by frame, in parts that outlive a kill."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.film import STABLE, paint_film
from impasto.film_job import ROOM
from impasto.media import image as media
from impasto.recipe import Recipe
from impasto.studio.boxed import Message
from impasto.studio.orders import FILM, PREVIEW
from impasto.studio.report import Tell, write_preview


def film(task: Message, tell: Tell) -> Message:
    """Paint a film: ``result.mp4`` with its sound in the folder of the task.

    task: as for a picture, and stable; frames go in tiles that would take too much of memory_mb

    What was finished in that folder before is not painted again. Raises what ``paint_film`` raises.
    """
    folder, wished = Path(task["folder"]), Recipe.model_validate(task["recipe"])
    recipe = _with_paths(wished, task["files"]).model_copy(update={"device": task["device"]})
    for path in task["files"].values():
        os.utime(path, (0, 0))  # a copy that was fetched again is the same film
    events = _Events(folder, tell)
    stable = STABLE if task["stable"] is None else task["stable"]
    room = ROOM * 1e6 * task["memory_mb"]
    done = paint_film(recipe, folder / FILM, events, stable=stable, preview=True, room=room)
    method = events.facts.get("method", wished.method)
    width, height = events.facts.get("size", (None, None))
    settled = wished.model_copy(update={"method": method})
    return {
        "recipe": settled.model_dump(mode="json"),
        "result": FILM,
        "seconds": round(done.seconds, 3),
        "width": width,
        "height": height,
        "interrupted": done.interrupted,
    }


def _with_paths(recipe: Recipe, files: Mapping[str, str]) -> Recipe:
    """Uploads by the paths of their files, whose names are their ids."""
    styles = tuple(
        share.model_copy(update={"source": files.get(share.source, share.source)})
        for share in recipe.styles
    )
    masks = tuple(
        share.model_copy(
            update={
                "mask": files.get(share.mask, share.mask),
                "style": files.get(share.style, share.style),
            }
        )
        for share in recipe.masks
    )
    names = {"photo": files[recipe.photo], "styles": styles, "masks": masks}
    return recipe.model_copy(update=names)


class _Events:
    """Events of a film as those of an easel."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder, self.tell = folder, tell
        self.facts: dict[str, Any] = {}

    def __call__(self, event: Mapping[str, object]) -> None:
        said: Mapping[str, Any] = event
        if said["event"] in {"estimate", "done"}:
            self.facts |= said
        elif said["event"] == "notice":
            if not said["text"].startswith("Stopped"):  # there is no command to give again
                self.tell(dict(said))
        elif said["event"] == "preview":
            write_preview(media.read(said["output"]).pixels, self.folder / PREVIEW)
            self.tell({"event": "preview", "file": PREVIEW})
        elif said["event"] == "step":
            fraction = min(0.999, said["done"] / said["total"])
            self.tell({**said, "fraction": fraction, "eta_seconds": said["seconds_left"]})
