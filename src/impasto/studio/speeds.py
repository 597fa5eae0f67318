"""How fast this machine is at every method: measured once, before the first job."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import psutil

from impasto import methods
from impasto.errors import ImpastoError
from impasto.estimate import WHOLE, estimate, pace
from impasto.networks.encoders import load_encoder
from impasto.recipe import Recipe
from impasto.runtime import runtime
from impasto.studio.boxed import Message
from impasto.studio.estimates import QUALITIES, SIDES, Table, entry

SHARE = 0.8
"""Share of the memory that is left which a picture may take before it is painted in tiles."""


def in_one_piece(memory_mb: float) -> float:
    """Bytes from which on pictures are painted in tiles by a process that may hold so much."""
    left = 1e6 * memory_mb - float(psutil.Process().memory_info().rss)
    return min(WHOLE, max(1.0, SHARE * left))


def speeds(task: Message, tell: Callable[[Message], None]) -> Message:
    """Seconds and megabytes of a method at several sizes: ``{"table": Table}``.

    task: method, device, memory_mb (as for what is painted later)

    The table is empty where its weights are missing.
    """
    encoder, machine = load_encoder("compact"), runtime(task["device"])
    method, table = methods.get(task["method"]), Table()
    qualities = QUALITIES if "quality" in method.can.options else (None,)
    with suppress(ImpastoError):
        recipes = [Recipe(quality=quality or "normal") for quality in qualities]
        stylizers = [method.create(encoder, machine, recipe) for recipe in recipes]
        speed = replace(pace(stylizers[0]), whole=in_one_piece(task["memory_mb"]))
        for quality, stylizer in zip(qualities, stylizers, strict=True):
            costs = [estimate(stylizer, speed, side, 1.0) for side in SIDES]
            table[entry(method.name, quality)] = [
                (cost.size, round(cost.seconds, 4), round(cost.peak_mb)) for cost in costs
            ]
    return {"table": table}
