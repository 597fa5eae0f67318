"""Guided upsampling against what it must give back."""

import torch
from torch import Tensor

from impasto.media.guided import guided_upsample
from impasto.media.image import resize, scaled
from impasto.media.samples import sample_photo


def test_a_colour_map_comes_back_sharp() -> None:
    """Where the painting is the photo in other colours, it is so at full size, edges and all."""
    large = scaled(sample_photo("astronaut"), 256)
    small = resize(large, (64, 64))
    mix = torch.tensor([[0.5, 0.3, 0.1], [0.1, 0.6, 0.2], [0.2, 0.0, 0.4]])
    painted, expected = (torch.einsum("ij,bjhw->bihw", mix, x) + 0.1 for x in (small, large))
    error = (guided_upsample(painted, large) - expected).abs().mean()
    assert error < 0.01
    assert error < 0.4 * (resize(painted, (256, 256)) - expected).abs().mean()


def test_edges_of_the_photo_are_sharper_than_by_resizing() -> None:
    step = (torch.arange(128) >= 64).float().expand(1, 3, 128, 128).contiguous()
    painted = 1 - resize(step, (16, 16))
    guided, plain = guided_upsample(painted, step), resize(painted, (128, 128))
    assert (guided - (1 - step)).abs().mean() < 0.5 * (plain - (1 - step)).abs().mean()


def test_strokes_of_their_own_survive() -> None:
    """On a photo without anything, the painting is only enlarged."""
    flat, painted = torch.full((1, 3, 64, 64), 0.5), torch.rand(1, 3, 16, 16)
    expected = torch.nn.functional.interpolate(painted, (64, 64), mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(guided_upsample(painted, flat), expected, rtol=0, atol=1e-4)


def test_range_and_sizes(photo: Tensor) -> None:
    for size in ((1, 1), (7, 200), (97, 45)):
        result = guided_upsample(torch.rand(1, 3, 5, 9), resize(photo, size))
        assert result.shape[-2:] == size
        assert result.min() >= 0
        assert result.max() <= 1
    same = torch.rand(1, 3, 48, 40)
    assert guided_upsample(same, photo) is same
