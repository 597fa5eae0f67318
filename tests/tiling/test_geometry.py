"""Tiles cover a picture once, with halos of real pixels; how far networks see is not guessed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.networks.decoders import Decoder
from impasto.networks.encoders import SHAPES, TAPS, Encoder
from impasto.networks.transformer import Transformer, layers
from impasto.tiling.geometry import (
    DOUBLED,
    LEAST,
    Box,
    Grid,
    Layer,
    Tile,
    decoding,
    encoding,
    reach,
    steps,
    stride,
    tile_side,
)

sides = st.integers(1, 200)
grids = st.builds(
    Grid,
    st.tuples(sides, sides),
    halo=st.integers(0, 40),
    align=st.sampled_from([1, 4, 16]),
    least=st.just(8),
)


def counted(size: tuple[int, int], tiles: list[Tile]) -> Tensor:
    """How many cores every pixel is in."""
    count = torch.zeros(1, 1, *size)
    for tile in tiles:
        tile.core.of(count).add_(1)
    return count


@given(grid=grids, cut=st.tuples(sides, sides))
@settings(max_examples=60, deadline=None)
def test_tiles_cover_every_pixel_once(grid: Grid, cut: tuple[int, int]) -> None:
    assert (counted(grid.size, grid.tiles(cut)) == 1).all()


@given(grid=grids, cut=st.tuples(sides, sides))
@settings(max_examples=60, deadline=None)
def test_halos_lie_in_the_picture_and_are_wide_enough(grid: Grid, cut: tuple[int, int]) -> None:
    for core, seen in grid.tiles(cut):
        assert seen == seen.within(grid.size)
        for axis in (0, 1):
            start, end = (core[axis], core[axis + 2])
            assert end - start <= max(cut[axis], grid.align)
            assert start % grid.align == 0
            assert seen[axis] % grid.align == 0
            assert end % grid.align == 0 or end == grid.size[axis]
            assert seen[axis] <= max(0, start - grid.halo)
            assert seen[axis + 2] >= min(grid.size[axis], end + grid.halo)


@given(grid=grids, cut=st.tuples(sides, sides))
@settings(max_examples=60, deadline=None)
def test_halves_are_the_tile(grid: Grid, cut: tuple[int, int]) -> None:
    tile = grid.tiles(cut)[0]
    halves = grid.halves(tile)
    if halves:
        assert torch.equal(counted(grid.size, halves), counted(grid.size, [tile]))
        assert len(halves) == 2


def test_strips_are_halved_into_strips() -> None:
    """What is worked on in place relies on whole rows in their order."""
    (strip, *_), width = Grid((512, 3000)).tiles((64, 3000)), 3000
    assert [half.core for half in Grid((512, 3000)).halves(strip)] == [
        Box(0, 0, 32, width),
        Box(32, 0, 64, width),
    ]
    assert Grid((1, 9000)).halves(Grid((1, 9000)).tiles((1, 9000))[0]) == []


def test_tiles_are_even() -> None:
    """1000 pixels in tiles of at most 600 are two halves, not 600 and 400."""
    cores = [tile.core for tile in Grid((1000, 10)).tiles((600, 600))]
    assert cores == [Box(0, 0, 500, 10), Box(500, 0, 1000, 10)]


def test_a_box_of_features_has_the_size_that_pools_leave() -> None:
    """13 rows from an aligned one on become 7, 4, 2; a whole picture of 13 does, too."""
    for step, rows in ((2, 7), (4, 4), (8, 2)):
        assert Box(16, 0, 29, 8).over(step).size == (rows, 8 // step)


# --- how far networks see ---


@pytest.mark.parametrize(
    ("stack", "margin", "wanted"),
    [
        ([Layer(3)], 0, 1),
        ([Layer(9)], 2, 6),
        ([Layer(2, 2)], 1, 2),
        ([Layer(3, 2)], 1, 3),
        ([DOUBLED, Layer(3)], 0, 1),
        ([Layer(3), DOUBLED, Layer(3), Layer(3)], 1, 3),
    ],
)
def test_reach_by_hand(stack: list[Layer], margin: int, wanted: int) -> None:
    assert reach(stack, margin) == wanted


@pytest.mark.parametrize(("tap", "halo"), [("relu1_1", 2), ("relu4_1", 62), ("relu5_1", 150)])
def test_reach_of_vgg19_and_its_mirror(tap: str, halo: int) -> None:
    shape = SHAPES["vgg19"]
    with torch.device("meta"):
        stack = [*encoding(Encoder(shape), tap), *decoding(Decoder(shape, tap))]
    assert reach(stack) == halo


def moved_by(network: object, image: Tensor, at: int) -> list[int]:
    """Rows of the picture on which one row of what a network makes of it depends."""
    image = image.double().requires_grad_()
    assert callable(network)
    network(image)[..., at, :].sum().backward()
    assert image.grad is not None
    return image.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()


@pytest.mark.parametrize("tap", TAPS)
def test_encoders_see_no_further_than_that(encoder: Encoder, tap: str) -> None:
    stack = encoding(encoder, tap)
    step, halo = stride(stack), reach(stack)
    encoder.double()
    rows = moved_by(lambda x: encoder(x, (tap,))[tap], torch.rand(1, 3, 160, 32), 80 // step)
    assert 80 - halo <= rows[0]
    assert rows[-1] < 80 + step + halo
    assert rows[-1] - rows[0] + 1 <= 2 * halo + step


@pytest.mark.parametrize("tap", TAPS)
def test_decoders_see_no_further_than_that(encoder: Encoder, tap: str) -> None:
    decoder = Decoder(encoder.shape, tap).double()
    step, halo = stride(encoding(encoder, tap)), reach(decoding(decoder))
    features = torch.rand(1, encoder.shape.channels[int(tap[4]) - 1], 160 // step, 32 // step)
    rows = moved_by(lambda x: decoder(x, (160, 32)), features, 80)
    assert 80 // step - halo <= rows[0]
    assert rows[-1] <= 80 // step + halo


def test_transformers_see_no_further_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch norm in use needs no statistics of the picture, so nothing else is seen."""
    network = Transformer(0.125, "batch").eval().double()
    monkeypatch.setattr(Tensor, "float", lambda self: self)  # it ends in float32 otherwise
    stack = [step for layer in layers() for step in steps(network.convs[layer.name])]
    rows = moved_by(network, torch.rand(1, 3, 240, 16), 120)
    assert 120 - reach(stack) - 3 <= rows[0]  # 120 is a multiple of the stride
    assert rows[-1] <= 120 + reach(stack) + 3
    assert rows[-1] - rows[0] > reach(stack)  # and not nearly so far as twice that


def test_the_side_of_tiles_is_what_fits() -> None:
    assert tile_side(256e6, 256, 0) == 1000
    assert tile_side(256e6, 256, 64) == 872
    assert tile_side(1e3, 256, 64) == tile_side(-1, 256, 64) == LEAST
