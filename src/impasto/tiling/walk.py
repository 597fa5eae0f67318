"""From tile to tile: progress, and smaller tiles where memory does not suffice."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from impasto.errors import OutOfMemory, for_want_of_memory
from impasto.tiling.geometry import Grid, Tile

T = TypeVar("T")

OnTile = Callable[[int, int], None]
"""Told after every tile: how many are done, and of how many."""


def _ignore(done: int, total: int) -> None:
    """When nobody listens."""


def share(on_tile: OnTile, number: int, count: int) -> OnTile:
    """The listener of part ``number``, from 0, of ``count`` parts that take the same time."""
    return lambda done, total: on_tile(number * total + done, count * total)


@dataclass
class Walk:
    """All passes over the tiles of one piece of work."""

    on_tile: OnTile = _ignore
    done: int = 0
    total: int = 0
    failed: int = field(default=0)
    """How often tiles had to be halved; from then on all start so small."""

    def expect(self, grid: Grid, sides: tuple[int, int], passes: int = 1) -> None:
        """Announce passes, so that progress knows its end."""
        self.total += passes * len(grid.tiles(sides))

    def over(
        self, grid: Grid, sides: tuple[int, int], compute: Callable[[Tile], T]
    ) -> Iterator[tuple[Tile, T]]:
        """Every tile, row by row, with what was computed from it.

        ``compute`` must leave no traces: where an allocation fails it is called again with half of
        the tile. Raises OutOfMemory when the smallest tile does not fit.
        """
        waiting = deque(grid.tiles(sides))
        for _ in range(self.failed):
            waiting = self._halved(grid, waiting)
        while waiting:
            found = _attempt(compute, waiting[0])
            if found is None:
                if not grid.halves(waiting[0]):
                    raise _too_small(waiting[0])
                self.failed += 1
                waiting = self._halved(grid, waiting)
                continue
            yield waiting.popleft(), found[0]
            self.done += 1
            self.total = max(self.total, self.done)
            self.on_tile(self.done, self.total)

    def _halved(self, grid: Grid, tiles: deque[Tile]) -> deque[Tile]:
        smaller = deque(half for tile in tiles for half in grid.halves(tile) or [tile])
        self.total += len(smaller) - len(tiles)
        return smaller


def _too_small(tile: Tile) -> OutOfMemory:
    height, width = tile.core.size
    return OutOfMemory(
        f"Not even a tile of {width} x {height} pixels fits into the memory that is left: "
        "end other programs, or use a smaller --size."
    )


def _attempt(compute: Callable[[Tile], T], tile: Tile) -> tuple[T] | None:
    """The result, or None for want of memory; its traceback, which holds tensors, is gone then."""
    try:
        return (compute(tile),)
    except (MemoryError, RuntimeError) as error:
        if not for_want_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
