"""Transformation networks tile by tile are those of the whole picture."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impasto import feedforward
from impasto.engines import Engine
from impasto.networks.normalisation import Norm
from impasto.networks.transformer import EVERY, EXPANSION, Transformer
from impasto.runtime import Runtime
from impasto.tiling.network import between, painted
from impasto.tiling.raster import Raster
from impasto.tiling.walk import Walk

Picture = Callable[[int, int], Tensor]

SAME = 1e-4
"""What rounding may differ by: a fortieth of a level of 8 bits."""

CONDITIONAL = {"johnson": (), "dumoulin": EVERY, "ghiasi": EXPANSION}


def network(kind: str = "johnson", norm: Norm = "instance") -> tuple[Transformer, Tensor | None]:
    """A network with scales and shifts that differ, and a row for it."""
    torch.manual_seed(3)
    made = Transformer(0.125, norm, CONDITIONAL[kind]).requires_grad_(False).eval()
    for name, parameter in made.named_parameters():
        if name.startswith("norms"):
            parameter.add_(torch.randn_like(parameter) * 0.2)
    row = made.neutral() + torch.randn(made.row_size) * 0.2
    return made, row[None] if len(row) else None


def tiled(
    image: Tensor,
    made: Transformer,
    row: Tensor | None,
    machine: Runtime,
    side: int,
    keep: torch.dtype | None = None,
    walk: Walk | None = None,
) -> Tensor:
    target = Raster.empty((image.shape[-2], image.shape[-1]), torch.float32)
    painted(Raster(image), target, made, row, machine, side, walk or Walk(), keep)
    return target.read()


def assert_same(got: Tensor, wanted: Tensor, most: float = SAME) -> None:
    assert got.shape == wanted.shape
    assert float((got - wanted).abs().max()) < most


@pytest.mark.parametrize("side", [16, 50, 500])
@pytest.mark.parametrize("kind", CONDITIONAL)
@pytest.mark.parametrize("norm", ["instance", "frn", "batch"])
def test_tiles_are_the_whole(
    machine: Runtime, picture: Picture, norm: Norm, kind: str, side: int
) -> None:
    """Height and width are no multiples of four."""
    (made, row), image = network(kind, norm), picture(103, 77)
    assert_same(tiled(image, made, row, machine, side), made(image, row))


@given(height=st.integers(1, 60), width=st.integers(1, 60), side=st.integers(1, 70))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_size(machine: Runtime, picture: Picture, height: int, width: int, side: int) -> None:
    """Of a strip, normalisation blows up what few values differ by, and rounding with it."""
    (made, row), image = network("dumoulin"), picture(height, width)
    most = SAME if min(height, width) >= 8 else 2 / 255
    assert_same(tiled(image, made, row, machine, side), made(image, row), most)


def test_half_precision_in_between(machine: Runtime, picture: Picture) -> None:
    (made, row), image = network("dumoulin"), picture(120, 90)
    got = tiled(image, made, row, machine, 32, torch.float16)
    assert_same(got, made(image, row), 2 / 255)


def test_in_bfloat16(picture: Picture) -> None:
    """Sums in another order fall to another side at times: no further from the truth than whole."""
    (made, row), image = network(), picture(120, 90)
    machine = Runtime(torch.device("cpu"), bf16=True)
    exact = made(image, row)
    with machine.autocast():
        wanted = made(machine.tensor(image), row)
    got = tiled(image, made, row, machine, 32)
    assert float((got - wanted).abs().mean()) < 0.5 / 255
    assert_same(got, wanted, 8 / 255)
    assert float((got - exact).abs().mean()) < 1.05 * float((wanted - exact).abs().mean())


@pytest.mark.parametrize("scale", [1.0, 1.7])
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_strength_and_scale_are_those_of_one_pass(
    machine: Runtime, picture: Picture, strength: float, scale: float
) -> None:
    (made, row), image = network("ghiasi"), picture(61, 83)
    assert row is not None
    own, target = made.neutral()[None], Raster.empty((61, 83), torch.float32)
    told: list[tuple[int, int]] = []
    between(
        *(Raster(image), target, made, own, row, strength, scale, machine, 32),
        lambda done, total: told.append((done, total)),
    )
    engine = Engine(made, machine, "test")
    assert_same(target.read(), feedforward.between(engine, image, own, row, strength, scale))
    assert told == [(done, told[-1][0]) for done in range(1, len(told) + 1)]


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_progress_is_told_from_the_start(machine: Runtime, picture: Picture, kind: str) -> None:
    told: list[tuple[int, int]] = []
    walk = Walk(lambda done, total: told.append((done, total)))
    tiled(picture(90, 70), *network(kind), machine, 32, walk=walk)
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]


def test_little_memory_paints_the_same(
    machine: Runtime, picture: Picture, little_memory: Callable[[int], None]
) -> None:
    (made, row), image, walk = network(), picture(300, 200), Walk()
    wanted = made(image, row)
    little_memory(24_000)
    assert_same(tiled(image, made, row, machine, 500, walk=walk), wanted)
    assert walk.failed > 0


def test_the_work_is_less_than_twice_that_of_a_pass(machine: Runtime, picture: Picture) -> None:
    """Layers before a normalisation are computed again, but not those between, which are most."""
    (made, row), image = network(), picture(512, 512)
    with FlopCounterMode(display=False) as once:
        made(image, row)
    with FlopCounterMode(display=False) as twice:
        tiled(image, made, row, machine, 512)
    assert twice.get_total_flops() < 2 * once.get_total_flops()
