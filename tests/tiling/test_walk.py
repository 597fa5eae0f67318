"""From tile to tile: progress is told, Ctrl-C is let through, and want of memory is met."""

import pytest
import torch

from impasto.errors import OutOfMemory
from impasto.tiling.geometry import Box, Grid, Tile
from impasto.tiling.walk import Walk, share


def areas(walk: Walk, grid: Grid, side: int, most: float, error: Exception) -> list[int]:
    """Areas of the cores in turn, on a machine that has room for so many pixels at a time."""

    def compute(tile: Tile) -> int:
        height, width = tile.core.size
        if height * width > most:
            raise error
        return height * width

    return [area for _, area in walk.over(grid, (side, side), compute)]


WANTS = [
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    torch.OutOfMemoryError("CUDA out of memory."),
]


@pytest.mark.parametrize("want", WANTS)
def test_tiles_are_halved_until_they_fit(want: Exception) -> None:
    walk = Walk()
    found = areas(walk, Grid((400, 600)), 200, 15_000, want)
    assert sum(found) == 400 * 600
    assert max(found) == 10_000
    assert walk.failed == 2


def test_what_comes_later_starts_with_small_tiles() -> None:
    walk, grid, calls = Walk(), Grid((256, 256)), []
    areas(walk, grid, 256, 20_000, MemoryError())

    def compute(tile: Tile) -> int:
        calls.append(tile)
        return 0

    assert len(list(walk.over(grid, (256, 256), compute))) == len(calls) == 4
    small = Grid((30, 30))
    assert [tile for tile, _ in walk.over(small, (256, 256), compute)] == small.tiles((256, 256))


def test_the_smallest_tile_that_does_not_fit_is_the_end() -> None:
    with pytest.raises(OutOfMemory, match=r"Not even a tile of 50 x 50 pixels fits.*--size"):
        areas(Walk(), Grid((400, 400)), 200, 1000, MemoryError())


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), KeyboardInterrupt("Ctrl-C")]
)
def test_other_errors_pass_through(error: BaseException) -> None:
    def compute(tile: Tile) -> int:
        raise error

    with pytest.raises(type(error), match=str(error)):
        list(Walk().over(Grid((400, 400)), (200, 200), compute))


def test_progress_is_told_tile_by_tile() -> None:
    told: list[tuple[int, int]] = []
    walk, grid = Walk(lambda done, total: told.append((done, total))), Grid((100, 200))
    walk.expect(grid, (100, 100), 2)
    for _ in range(2):
        areas(walk, grid, 100, 1e9, MemoryError())
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_progress_ends_where_it_said_with_halved_tiles_too() -> None:
    told: list[tuple[int, int]] = []
    walk, grid = Walk(lambda done, total: told.append((done, total))), Grid((200, 200))
    walk.expect(grid, (200, 200), 2)
    for _ in range(2):
        areas(walk, grid, 200, 10_000, MemoryError())
    assert told[-1] == (8, 8)
    assert [done for done, _ in told] == [*range(1, 9)]


def test_parts_share_one_progress() -> None:
    told: list[tuple[int, int]] = []
    share(lambda done, total: told.append((done, total)), 1, 3)(2, 10)
    assert told == [(12, 30)]


def test_results_belong_to_their_tiles() -> None:
    grid = Grid((10, 25))
    for tile, box in Walk().over(grid, (10, 10), lambda tile: tile.core):
        assert isinstance(box, Box)
        assert tile.core == box
