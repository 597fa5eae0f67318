"""Heat maps: the right way up, in range, and not the same one twice."""

import pytest
import torch
from torch import Tensor

from impasto.lens.activations import activations, heat, receptive_field, telling
from impasto.networks.encoders import SHAPES, TAPS, Encoder


def test_a_row_for_every_tap(photo: Tensor, encoder: Encoder) -> None:
    view = activations(photo, encoder, count=3)
    assert [row.title.split(":")[0] for row in view.rows] == ["The photo", *TAPS]
    for row in view.rows[1:]:
        assert len({shown.caption for shown in row.shown}) == 3
        assert all(shown.pixels.shape == photo.shape for shown in row.shown)
        assert all(0 <= shown.pixels.min() <= shown.pixels.max() <= 1 for shown in row.shown)


def test_no_more_channels_than_there_are(photo: Tensor, encoder: Encoder) -> None:
    view = activations(photo, encoder, count=60)
    assert [len(row.shown) for row in view.rows] == [1, 4, 6, 8, 8, 8]
    assert view.rows[1].text.startswith("4 of 4")


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (17, 16)])
def test_photos_of_any_size(encoder: Encoder, size: tuple[int, int]) -> None:
    photo = torch.rand(1, 3, *size)
    for row in activations(photo, encoder, count=1).rows:
        assert row.shown[0].pixels.shape == photo.shape and row.shown[0].pixels.isfinite().all()


def test_heat_lies_where_it_was_felt() -> None:
    channel = torch.zeros(5, 6)
    channel[0, 4] = 3
    shown = heat(channel, 8, torch.rand(1, 3, 37, 43))
    assert shown.shape == (37, 43) and shown.min() == 0 and shown.max() == 1
    rows, columns = (shown > 0.9).nonzero(as_tuple=True)
    assert rows.max() < 8 and columns.min() >= 32 and columns.max() < 40


def test_heat_is_where_the_light_is(encoder: Encoder) -> None:
    """Through the whole network: a channel that differs there is hot in the same corner."""
    photo = torch.zeros(1, 3, 64, 64)
    photo[:, :, 40:60, 8:24] = 1
    features = encoder(photo, ("relu2_1",))["relu2_1"][0]
    dark = features[:, 8, 24:25].mean(1)  # far from the light
    change = (features - dark[:, None, None]).relu()
    channel = int(change.sum((1, 2)).argmax())
    shown = heat(change[channel], 2, photo) > 0.5
    rows, columns = shown.nonzero(as_tuple=True)
    assert rows.min() >= 36 and rows.max() < 64 and columns.min() >= 4 and columns.max() < 28


def test_silent_channels_come_last() -> None:
    maps = torch.rand(5, 12, 12)
    maps[3] = 0
    assert telling(maps, 5)[-1] == 3
    assert 3 not in telling(maps, 4)


def test_flat_channels_say_nothing() -> None:
    maps = torch.rand(4, 12, 12)
    maps[1] = 7
    assert telling(maps, 4)[-1] == 1


def test_duplicates_are_avoided() -> None:
    """The second best is a copy of the best: others go first."""
    maps = torch.rand(4, 12, 12) * torch.tensor([1, 1, 0.5, 0.5])[:, None, None]
    maps[1] = maps[0] * 0.99
    assert {0, 1} - set(telling(maps, 3))


def test_a_channel_that_hardly_fires_is_not_strong() -> None:
    maps = torch.rand(3, 30, 30)
    maps[2] = 0
    maps[2, 4, 4] = 1e-3
    assert telling(maps, 1) != [2]


def test_all_silent() -> None:
    assert sorted(telling(torch.zeros(3, 4, 4), 3)) == [0, 1, 2]


def test_receptive_fields_of_vgg19() -> None:
    """As counted by hand: 3, then 10, 24, 68, 156."""
    assert [receptive_field(SHAPES["vgg19"], tap) for tap in TAPS] == [3, 10, 24, 68, 156]


def test_receptive_field_is_what_a_value_depends_on(encoder: Encoder) -> None:
    """The gradient of one value reaches as far as is said, and no further."""
    photo = torch.rand(1, 3, 64, 64, requires_grad=True)
    encoder(photo, ("relu3_1",))["relu3_1"][0, :, 8, 8].sum().backward()
    assert photo.grad is not None
    rows = photo.grad[0].abs().sum((0, 2)).nonzero()
    assert int(rows.max() - rows.min()) + 1 <= receptive_field(encoder.shape, "relu3_1")
