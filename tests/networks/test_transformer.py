"""The transformation network: its weights, any size, every picture by its own row, export."""

import warnings
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto.networks.normalisation import Norm
from impasto.networks.transformer import EVERY, EXPANSION, Transformer, layers

NARROW = 0.125
NORMS: tuple[Norm, ...] = get_args(Norm)
SIZES = [(33, 47), (1, 30), (30, 1), (5, 4), (4, 4), (1, 1)]


def network(norm: Norm = "instance", conditional: tuple[str, ...] = EVERY) -> Transformer:
    """A narrow network in use."""
    return Transformer(NARROW, norm, conditional).eval()


def random_rows(network: Transformer, count: int) -> Tensor:
    """Rows about the neutral one."""
    return network.neutral() + 0.3 * torch.randn(count, network.row_size)


def hollow(width: float, conditional: tuple[str, ...] = ()) -> Transformer:
    """A network that takes no memory."""
    with torch.device("meta"):
        return Transformer(width, conditional=conditional)


# --- the network of the papers ---


@pytest.mark.parametrize(("width", "count"), [(1.0, 1_679_235), (0.5, 424_899)])
def test_the_number_of_weights(width: float, count: int) -> None:
    assert sum(weight.numel() for weight in hollow(width).parameters()) == count


def test_the_number_of_weights_by_hand() -> None:
    """Filters and biases of c9s1-32, d64, d128, R128 x 5, u64, u32, c9s1-3; then the norms."""
    filters = 81 * (3 * 32 + 32 * 3) + 9 * (32 * 64 + 64 * 128 + 10 * 128**2 + 128 * 64 + 64 * 32)
    channels = 32 + 64 + 11 * 128 + 64 + 32
    assert filters + (channels + 3) + 2 * channels == 1_679_235


@pytest.mark.parametrize(("conditional", "size"), [(EVERY, 3206), (EXPANSION, 2758), ((), 0)])
def test_the_length_of_a_row(conditional: tuple[str, ...], size: int) -> None:
    """Two numbers for every channel of the conditional layers; Ghiasi et al. count 2758."""
    assert hollow(1.0, conditional).row_size == size


def test_conditional_layers_have_no_scale_of_their_own() -> None:
    own = {name for name, _ in network().norms.named_parameters()}
    assert own == set()
    contraction = {
        name.split(".")[0] for name, _ in network("batch", EXPANSION).norms.named_parameters()
    }
    assert contraction == {"down1", "down2", "down3"}


def test_layers_follow_one_another() -> None:
    table = layers(0.5)
    assert [layer.outputs for layer in table[:-1]] == [layer.inputs for layer in table[1:]]
    assert (table[0].inputs, table[-1].outputs) == (3, 3)


# --- what comes out ---


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_a_picture_of_any_size(norm: Norm, size: tuple[int, int]) -> None:
    painter = network(norm)
    image = torch.rand(2, 3, *size)
    painted = painter(image, random_rows(painter, 2))
    assert (painted.shape, painted.dtype) == (image.shape, torch.float32)
    assert painted.isfinite().all()
    assert painted.min() >= 0
    assert painted.max() <= 1


@given(height=st.integers(5, 40), width=st.integers(5, 40))
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_the_size_stays(height: int, width: int) -> None:
    image = torch.rand(1, 3, height, width)
    assert network(conditional=())(image).shape == image.shape


@torch.no_grad()
def test_wild_rows_stay_in_range() -> None:
    painter = network()
    painted = painter(torch.rand(1, 3, 16, 16), 1e4 * torch.randn(1, painter.row_size))
    assert painted.isfinite().all()
    assert ((painted >= 0) & (painted <= 1)).all()


@torch.no_grad()
def test_a_picture_of_one_color_has_no_frame() -> None:
    painted = network(conditional=())(torch.full((1, 3, 20, 27), 0.4))
    torch.testing.assert_close(painted, painted[:, :, :1, :1].expand_as(painted))


@torch.no_grad()
def test_half_precision_inside_float32_outside() -> None:
    painter = network()
    image, rows = torch.rand(1, 3, 24, 24), random_rows(painter, 1)
    with torch.autocast("cpu", torch.bfloat16):
        painted = painter(image, rows)
    assert painted.dtype == torch.float32
    assert (painted - painter(image, rows)).abs().mean() < 0.02


# --- rows ---


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_every_picture_of_a_batch_by_its_own_row(norm: Norm) -> None:
    painter = network(norm)
    images, rows = torch.rand(3, 3, 18, 22), random_rows(painter, 3)
    alone = [painter(images[i : i + 1], rows[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(painter(images, rows), torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert (alone[0] - painter(images[:1], rows[1:2])).abs().max() > 0.01


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_the_neutral_row_is_a_scale_of_one_and_no_shift(norm: Norm) -> None:
    """All layers but the last, which in the network without rows has no norm."""
    given_rows, own = network(norm, EVERY[:-1]), network(norm, ())
    own.convs.load_state_dict(given_rows.convs.state_dict())
    image = torch.rand(1, 3, 20, 17)
    torch.testing.assert_close(given_rows(image, given_rows.neutral()[None]), own(image))


@torch.no_grad()
def test_every_number_of_a_row_is_used_once() -> None:
    slots = sorted(network().slots.values())
    assert [start for start, _ in slots] == [
        sum(2 * channels for _, channels in slots[:i]) for i in range(len(slots))
    ]


@torch.no_grad()
def test_scales_come_before_shifts() -> None:
    """The last layer normalised to nothing and shifted by three: a picture of one known color."""
    painter = network()
    row = painter.neutral()[None]
    start, channels = painter.slots["out"]
    row[:, start : start + channels] = 0
    row[:, start + channels : start + 2 * channels] = 3
    painted = painter(torch.rand(1, 3, 16, 16), row)
    torch.testing.assert_close(painted, torch.full_like(painted, 3).sigmoid())


def test_rows_are_needed() -> None:
    with pytest.raises(ValueError, match="needs rows"):
        network(conditional=EXPANSION)(torch.rand(1, 3, 16, 16))


# --- learning ---


@pytest.mark.parametrize("conditional", [EVERY, EXPANSION, ()], ids=["every", "expansion", "none"])
@pytest.mark.parametrize("norm", NORMS)
def test_gradients_reach_everything(norm: Norm, conditional: tuple[str, ...]) -> None:
    """No weight is without use, but biases that the norm behind them takes away again."""
    painter = network(norm, conditional).train()
    rows = random_rows(painter, 2).requires_grad_()
    painted = painter(torch.rand(2, 3, 21, 19), rows)
    (painted - torch.rand_like(painted)).square().sum().backward()
    gradients = {name: weight.grad for name, weight in painter.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    still = [n for n, g in gradients.items() if g is not None and not g.any()]
    assert [name for name in still if not name.endswith("bias")] == []
    if conditional:
        assert rows.grad is not None
        assert rows.grad.ne(0).float().mean() > 0.9


# --- export ---


class Exported(nn.Module):
    """The network as programs that cannot run Python keep it."""

    def __init__(self, painter: Transformer, how: str, *inputs: Tensor) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about itself
            traced = how == "trace"
            self.run = (
                torch.jit.trace(painter, inputs)
                if traced
                else torch.export.export(painter, inputs).module()
            )

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(*inputs)  # type: ignore[no-any-return]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("how", ["trace", "export"])
@torch.no_grad()
def test_exported_it_gives_the_same_numbers(how: str, norm: Norm) -> None:
    painter = network(norm, EXPANSION)
    inputs = torch.rand(2, 3, 19, 25), random_rows(painter, 2)
    exported = Exported(painter, how, *inputs)
    others = torch.rand(2, 3, 19, 25), random_rows(painter, 2)
    for pair in (inputs, others):
        torch.testing.assert_close(exported(*pair), painter(*pair), rtol=1e-4, atol=1e-5)
