"""The view of kernels: the arithmetic adds up, and what was learned is shown as it acts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.lens.convolution import SOBEL_RIGHT, clear_edge, grey_levels
from impasto.lens.kernels import first_responses, kernels, learned_kernels
from impasto.lens.view import Table
from impasto.networks.encoders import TAPS, Encoder


def numbers(table: Table) -> np.ndarray:
    cells = [[int(cell.text.replace("−", "-")) for cell in line] for line in table.cells]
    return np.array(cells)


def test_the_arithmetic_adds_up(photo: Tensor, encoder: Encoder) -> None:
    by_hand = kernels(photo, encoder).rows[0]
    pixels, kernel, products, result = (numbers(table) for table in by_hand.tables)
    assert pixels.shape == kernel.shape == products.shape == (5, 5)
    assert (pixels * kernel == products).all()
    assert f"add up to {products.sum()}".replace("-", "−") in by_hand.tables[3].caption
    assert by_hand.tables[3].caption.endswith(str(result.item()))
    levels = grey_levels(photo)
    assert result == SOBEL_RIGHT(levels)[clear_edge(levels)]


@pytest.mark.parametrize(("grey", "words"), [(0.3, "= 128"), (0.9, "= 128")])
def test_a_photo_without_edges(encoder: Encoder, grey: float, words: str) -> None:
    view = kernels(torch.full((1, 3, 9, 12), grey), encoder)
    assert view.rows[0].tables[3].caption.endswith(f"add up to 0, and 0 ÷ 32 + 128 {words}")


def test_a_pixel_beyond_white_says_so(encoder: Encoder) -> None:
    step = torch.zeros(1, 3, 5, 5)
    step[..., 3:] = 1
    caption = kernels(step, encoder).rows[0].tables[3].caption
    assert caption.endswith("12240 ÷ 32 + 128 ≈ 510, shown as 255")


def test_cells_have_the_color_of_their_number(photo: Tensor, encoder: Encoder) -> None:
    pixels, kernel, *_ = kernels(photo, encoder).rows[0].tables
    for line in pixels.cells:
        for cell in line:
            assert cell.fill == pytest.approx((int(cell.text) / 255,) * 3)
    middle = kernel.cells[2]
    assert middle[1].fill[2] > middle[1].fill[0]  # less is blue
    assert middle[3].fill[0] > middle[3].fill[2]  # more is rust
    assert min(middle[2].fill) > 0.9


def test_every_learned_kernel_is_shown_once(photo: Tensor, encoder: Encoder) -> None:
    learned = kernels(photo, encoder).rows[2]
    assert sorted(shown.caption for shown in learned.shown) == [f"channel {c}" for c in range(4)]
    assert "all 4" in learned.text
    for shown in learned.shown:
        assert shown.pixels.shape == photo.shape and shown.inset is not None
        assert shown.inset.shape[-1] == shown.inset.shape[-2] and shown.inset.shape[-1] % 3 == 0


def test_kernels_as_they_act_on_rgb(encoder: Encoder) -> None:
    """Answers to a picture are those of the kernel drawn, up to scale and a constant."""
    first = learned_kernels(encoder)  # (C, 1, 3, 3, 3)
    image = torch.rand(1, 3, 9, 9)
    drawn = F.conv2d(image, first[:, 0] - 0.5)
    real = first_responses(image, encoder)[:, :, 1:-1, 1:-1]
    for channel in range(4):
        pair = torch.stack([drawn[0, channel].flatten(), real[0, channel].flatten()])
        assert torch.corrcoef(pair)[0, 1] == pytest.approx(1, abs=1e-4)


def test_responses_are_what_relu1_1_cuts(photo: Tensor, encoder: Encoder) -> None:
    expected = encoder(photo, TAPS[:1])["relu1_1"]
    assert torch.allclose(first_responses(photo, encoder).relu(), expected, atol=1e-6)


def test_every_kernel_is_as_strong_as_can_be_shown(encoder: Encoder) -> None:
    shown = learned_kernels(encoder)
    assert torch.allclose((shown - 0.5).abs().amax((1, 2, 3, 4)), torch.tensor(0.5))


def test_the_photo_is_left_as_it_was(photo: Tensor, encoder: Encoder) -> None:
    before = photo.clone()
    kernels(photo, encoder)
    assert torch.equal(before, photo)
