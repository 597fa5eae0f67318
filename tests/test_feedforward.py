"""One pass: at the scale of the strokes, and between the photo and the style."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto.engines import Engine
from impasto.feedforward import between, once, row_key, untrained
from impasto.media.image import resize
from impasto.runtime import Runtime
from impasto.weights import Header

CPU = Runtime(torch.device("cpu"), bf16=False)


class Tint(nn.Module):
    """Paints the picture in the light of its row, or as a negative; remembers what it saw.

    Within [0, 1], as every network does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor, rows: Tensor | None = None) -> Tensor:
        self.seen.append(image)
        return 1 - image if rows is None else (image * rows[:, :, None, None]).clamp(0, 1)


class Plain(nn.Module):
    """Paints everything in the three numbers of its row."""

    def forward(self, image: Tensor, rows: Tensor) -> Tensor:
        return rows[:, :, None, None].expand_as(image)


def engine(network: nn.Module) -> Engine:
    return Engine(network, CPU, "toy")


plain = engine(Plain())


def grey(*values: float) -> Tensor:
    """Rows of three equal numbers.  ->  (N, 3)"""
    return torch.tensor(values)[:, None].expand(-1, 3)


# --- one pass ---


def test_at_scale_one_the_network_sees_the_picture(photo: Tensor) -> None:
    network = Tint()
    assert torch.equal(once(engine(network), photo, None, 1.0), 1 - photo)
    assert torch.equal(network.seen[0], photo)


def test_at_scale_two_it_paints_at_half_the_size(photo: Tensor) -> None:
    """By hand: resized, painted, resized back."""
    network, row = Tint(), torch.tensor([[0.2, 0.5, 1.0]])
    painted = once(engine(network), photo, row, 2.0)
    small = resize(photo, (24, 20))
    assert torch.equal(network.seen[0], small)
    expected = resize(small * torch.tensor([0.2, 0.5, 1.0])[:, None, None], (48, 40))
    torch.testing.assert_close(painted, expected)


@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=st.floats(0.25, 100))
@settings(max_examples=40, deadline=None)
def test_any_scale_gives_the_size_back(height: int, width: int, scale: float) -> None:
    """Strokes larger than the picture are painted on a pixel; smaller ones on a larger picture."""
    network = Tint()
    painted = once(engine(network), torch.rand(1, 3, height, width), None, scale)
    assert painted.shape == (1, 3, height, width)
    assert painted.min() >= 0 and painted.max() <= 1
    assert max(network.seen[0].shape[-2:]) == max(1, round(max(height, width) / scale))


def test_a_row_is_for_all_pictures_or_each_has_its_own(photo: Tensor) -> None:
    photos = torch.cat([photo, photo])
    one, each = grey(0.5), grey(0.5, 0.25)
    torch.testing.assert_close(once(plain, photos, one, 1.0), torch.full_like(photos, 0.5))
    assert once(plain, photos, each, 1.0)[:, 0, 0, 0].tolist() == [0.5, 0.25]


# --- between photo and style ---


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_between_is_even(photo: Tensor, strength: float, scale: float) -> None:
    """Where the network is linear in its row: so much of the one, so much of the other."""
    painted = between(plain, photo, grey(0.3), grey(0.9), strength, scale)
    torch.testing.assert_close(painted, strength * 0.9 + (1 - strength) * photo)


def test_what_the_own_row_does_not_give_back_is_added(photo: Tensor) -> None:
    """Tenth by tenth: a network that makes everything darker still leads to the photo itself."""
    own, row = grey(0.5), grey(0.0)
    network = Tint()
    for strength in (0.1, 0.5, 0.9):
        painted = between(engine(network), photo, own, row, strength, 1.0)
        expected = photo * 0.5 * (1 - strength) + (1 - strength) * 0.5 * photo
        torch.testing.assert_close(painted, expected)
    near = between(engine(network), photo, own, row, 1e-4, 1.0)
    torch.testing.assert_close(near, photo, atol=1e-3, rtol=0)


def test_full_strength_is_one_pass(photo: Tensor) -> None:
    network = Tint()
    painted = between(engine(network), photo, grey(0.1), grey(0.5), 1.0, 1.0)
    torch.testing.assert_close(painted, photo * 0.5)
    assert len(network.seen) == 1


def test_every_picture_has_its_own_way(photo: Tensor) -> None:
    """From its own row to the same style."""
    photos = torch.cat([photo, 1 - photo])
    together = between(plain, photos, grey(0.2, 0.6), grey(0.9), 0.5, 1.0)
    for i, value in enumerate((0.2, 0.6)):
        alone = between(plain, photos[i : i + 1], grey(value), grey(0.9), 0.5, 1.0)
        torch.testing.assert_close(together[i : i + 1], alone)


@given(strength=st.floats(0, 1), own=st.floats(-3, 3), row=st.floats(-3, 3))
@settings(max_examples=40, deadline=None)
def test_it_stays_a_picture(strength: float, own: float, row: float) -> None:
    photo = torch.rand(1, 3, 4, 5)
    painted = between(engine(Tint()), photo, grey(own), grey(row), strength, 1.0)
    assert painted.min() >= 0 and painted.max() <= 1


def test_rows_may_come_in_another_precision(photo: Tensor) -> None:
    """A code is float32, weights are what they are on the machine."""
    row = grey(0.9).double()
    painted = between(plain, photo, grey(0.3), row, 0.5)
    assert painted.dtype == torch.float32


# --- what is said ---


def test_the_key_of_a_row_tells_networks_apart() -> None:
    """Of one name as well: a network that was trained anew has other rows."""
    keys = {
        row_key(Header(kind, name, sha256=sha256))
        for kind in ("dumoulin", "ghiasi")
        for name in ("gallery", "mine")
        for sha256 in ("a" * 64, "b" * 64)
    }
    assert len(keys) == 8 and f"dumoulin-gallery/{'a' * 12}" in keys


@pytest.mark.parametrize(("method", "option"), [("johnson", "--style"), ("dumoulin", "--add")])
def test_a_style_that_was_not_learned(method: str, option: str) -> None:
    """What was given, what there is, what to do."""
    text = str(untrained(method, "stary-night", ["great-wave", "starry-night"]))
    assert f"Unknown style of {method} 'stary-night'. Did you mean 'starry-night'?" in text
    assert "Choose from: great-wave, starry-night." in text
    assert f"impasto train {method} {option} PICTURE" in text
    assert "any style at once" in text
    assert "\n" not in text
