"""Gram matrices: one order for both, one scale, and what differs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.errors import BadInput
from impasto.lens.gram import gram, shared_units, together
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.style import Style


@pytest.fixture
def styles(photo: Tensor, painting: Tensor, encoder: Encoder) -> tuple[Style, Style]:
    return Style.of(photo, encoder, "one"), Style.of(painting, encoder, "two")


@pytest.mark.usefixtures("decoders")
def test_rows(styles: tuple[Style, Style], encoder: Encoder, machine: Runtime) -> None:
    view = gram(*styles, encoder, machine)
    assert len(view.rows) == 1 + len(TAPS)
    assert [shown.caption for shown in view.rows[0].shown] == ["one", "two"]
    for tap, row in zip(TAPS, view.rows[1:], strict=True):
        captions = [f"one, {tap}", f"two, {tap}", f"The difference, {tap}"]
        assert [shown.caption for shown in row.shown] == captions
        assert len({shown.pixels.shape for shown in row.shown}) == 1
        for shown in row.shown:  # symmetric, as a Gram matrix is
            assert torch.allclose(shown.pixels, shown.pixels.mT, atol=1e-5)


@pytest.mark.usefixtures("home")
def test_without_decoders_there_are_no_textures(
    styles: tuple[Style, Style], encoder: Encoder, machine: Runtime
) -> None:
    assert len(gram(*styles, encoder, machine).rows) == len(TAPS)


@pytest.mark.usefixtures("decoders")
def test_beside_itself(styles: tuple[Style, Style], encoder: Encoder, machine: Runtime) -> None:
    """The same matrix twice, and no difference: white."""
    view = gram(styles[0], styles[0], encoder, machine)
    for row in view.rows[1:]:
        first, second, difference = (shown.pixels for shown in row.shown)
        assert torch.equal(first, second) and difference.min() > 0.9


@pytest.mark.usefixtures("home")
def test_exchanged_only_the_signs_change(
    styles: tuple[Style, Style], encoder: Encoder, machine: Runtime
) -> None:
    """Order and scale belong to the two together."""
    one, two = (gram(*pair, encoder, machine) for pair in (styles, styles[::-1]))
    for there, back in zip(one.rows, two.rows, strict=True):
        assert torch.allclose(there.shown[0].pixels, back.shown[1].pixels, atol=1e-4)
        assert torch.allclose(there.shown[1].pixels, back.shown[0].pixels, atol=1e-4)


@pytest.mark.usefixtures("decoders")
def test_same_seed_same_texture_and_no_side_effect(
    styles: tuple[Style, Style], encoder: Encoder, machine: Runtime
) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (
        gram(*styles, encoder, machine, seed=seed).rows[0].shown[0].pixels for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_encoder(styles: tuple[Style, Style], encoder: Encoder, machine: Runtime) -> None:
    encoder.name = "vgg19"
    with pytest.raises(BadInput, match="'one' was made with the encoder 'tiny', not 'vgg19'"):
        gram(*styles, encoder, machine)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 12), seed=st.integers(0, 99))
def test_an_order_has_every_channel_once(count: int, seed: int) -> None:
    rows = torch.rand(count, 30, generator=torch.Generator().manual_seed(seed))
    assert sorted(together(rows @ rows.mT)) == list(range(count))


def test_channels_that_fire_together_are_neighbours() -> None:
    """Two groups, shuffled: each ends up in one piece."""
    group = torch.tensor([0, 1, 0, 1, 1, 0, 1, 0])
    rows = torch.zeros(8, 60)
    rows[group == 0, :30] = 1
    rows[group == 1, 30:] = 1
    rows += 0.1 * torch.rand(8, 60)
    ordered = group[together(rows @ rows.mT)]
    assert int((ordered.diff() != 0).sum()) == 1


def test_units_make_the_two_together_one() -> None:
    rows = torch.rand(2, 5, 40) * torch.tensor([100, 10, 2, 3, 0.0])[:, None]
    first, second = (r @ r.mT for r in rows)
    one, two, kept = shared_units(first, second)
    assert kept == [0, 1, 2, 3]
    assert torch.allclose((one + two).diagonal() / 2, torch.ones(4))
    ratio = first.diagonal()[:4] / second.diagonal()[:4]
    assert torch.allclose(one.diagonal() / two.diagonal(), ratio)


def test_nothing_fires_at_all() -> None:
    one, two, kept = shared_units(torch.zeros(4, 4), torch.zeros(4, 4))
    assert kept == [0] and one.isfinite().all() and two.isfinite().all()
