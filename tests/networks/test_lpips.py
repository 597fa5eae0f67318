"""LPIPS: its shapes, what it computes, and where its weights come from."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights
from impasto.networks.lpips import PARTS, SMALLEST, Lpips, load_lpips, part


@pytest.fixture(scope="module")
def network() -> Lpips:
    torch.manual_seed(1)
    network = Lpips().requires_grad_(False).eval()
    for number in range(5):
        network.get_buffer(f"lin{number}").uniform_(0, 1)
    return network


def reference(state: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Zhang et al. 2018, eq. (1), step by step and position by position.  ->  (B,)"""
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    pair, total = [(2 * x - 1 - shift) / scale for x in (a, b)], torch.zeros(len(a))
    how = {"0": (4, 2), "3": (1, 2), "6": (1, 1), "8": (1, 1), "10": (1, 1)}
    for number, (name, (stride, margin)) in enumerate(how.items()):
        if name in ("3", "6"):
            pair = [F.max_pool2d(x, kernel_size=3, stride=2) for x in pair]
        weight, bias = state[f"features.{name}.weight"], state[f"features.{name}.bias"]
        pair = [F.conv2d(x, weight, bias, stride, margin).relu() for x in pair]
        one, other = (x / x.square().sum(1, keepdim=True).sqrt() for x in pair)
        weighted = state[f"lin{number}"].view(-1, 1, 1) * (one - other) ** 2
        total += weighted.sum(1).mean((1, 2))
    return total


def test_it_computes_what_the_authors_do(network: Lpips) -> None:
    a, b = torch.rand(2, 3, 80, 100), torch.rand(2, 3, 80, 100)
    expected = reference(network.state_dict(), a, b)
    torch.testing.assert_close(network(a, b), expected, rtol=1e-3, atol=1e-5)


def test_shapes_are_those_of_alexnet() -> None:
    """Krizhevsky 2014, as torchvision has it: 2.47 million weights, 64-192-384-256-256."""
    filters, heads = part("alexnet"), part("heads")
    assert sum(shape.numel() for shape in filters.values()) == 2_469_696
    assert tuple(filters["features.0.weight"]) == (64, 3, 11, 11)
    assert tuple(filters["features.3.weight"]) == (192, 64, 5, 5)
    assert [tuple(shape) for shape in heads.values()] == [(64,), (192,), (384,), (256,), (256,)]


@pytest.mark.parametrize(
    ("side", "positions"), [(224, [55, 27, 13, 13, 13]), (64, [15, 7, 3, 3, 3])]
)
def test_positions(network: Lpips, side: int, positions: list[int]) -> None:
    looks = network.looks(torch.rand(1, 3, side, side))
    assert [f.shape[-1] for f in looks] == positions
    assert all(f.norm(dim=1).max() < 1.001 for f in looks)


def test_it_is_a_distance(network: Lpips, photo: Tensor) -> None:
    noise = torch.randn(photo.shape)
    row = [float(network(photo, (photo + s * noise).clamp(0, 1))) for s in (0, 0.05, 0.15, 0.4)]
    assert row[0] == 0
    assert row == sorted(row)
    other = (photo + 0.4 * noise).clamp(0, 1)
    assert float(network(other, photo)) == pytest.approx(row[-1])


@pytest.mark.parametrize("size", [(1, 1), (9, 200), (63, 64)])
def test_small_pictures_are_enlarged(network: Lpips, size: tuple[int, int]) -> None:
    a, b = torch.rand(1, 3, *size), torch.rand(1, 3, *size)
    sides = [max(side, SMALLEST) for side in size]
    larger = [F.interpolate(x, sides, mode="bilinear") for x in (a, b)]
    assert float(network(a, b)) == pytest.approx(float(network(*larger)))


def store(network: Lpips, name: str, **changed: Tensor) -> Path:
    state = {key: network.state_dict()[key] for key in part(name)} | changed
    path = weights.user_folder() / weights.file_name("lpips", name)
    weights.write(path, state, weights.Header("lpips", name))
    return path


def test_loading_what_is_stored(network: Lpips, home: Path) -> None:
    store(network, "alexnet")
    store(network, "heads")
    loaded = load_lpips()
    assert not loaded.training
    for key, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key


def test_without_weights_it_says_what_to_get(network: Lpips, home: Path) -> None:
    """First the one file, then the other."""
    for name in ("alexnet", "heads"):
        with pytest.raises(MissingWeights) as error:
            load_lpips()
        assert PARTS[name].url in str(error.value)
        assert f"impasto weights import {PARTS[name].file} --as lpips" in str(error.value)
        assert "\n" not in str(error.value)
        store(network, name)
    load_lpips()


def test_weights_of_another_shape(network: Lpips, home: Path) -> None:
    store(network, "alexnet")
    store(network, "heads", lin1=torch.ones(128))
    with pytest.raises(DamagedWeights, match=r"lpips-heads\S+ does not hold its learned weights"):
        load_lpips()
