"""Guided upsampling against what it must give back."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.media.guided import SEEN, enlargements, guided_upsample, steepened
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


def test_strokes_of_their_own_survive_with_edges() -> None:
    """On a photo without anything, the painting is enlarged, and its strokes end more abruptly."""
    flat = torch.full((1, 3, 256, 256), 0.5)
    step = (torch.arange(32) >= 16).float().expand(1, 3, 32, 32) * 0.6 + 0.2
    plain, steep = resize(step, (256, 256)), guided_upsample(step, flat)
    between = [((x > 0.3) & (x < 0.7)).float().mean() for x in (plain, steep)]
    assert between[1] < 0.7 * between[0]
    assert (steep - plain)[..., :120].abs().max() < 0.06
    noise = guided_upsample(torch.rand(1, 3, 16, 16), flat)
    assert noise.std() > 0.1


def test_steepening_moves_colours_and_makes_none() -> None:
    image = resize(torch.rand(1, 3, 9, 7), (64, 51))
    steep = steepened(image, 1.0)
    assert not torch.equal(steep, image)
    for own, found in zip(image[0], steep[0], strict=True):
        assert own.min() - 1e-5 <= found.min() and found.max() <= own.max() + 1e-5
    assert steepened(image, 0.0) is image
    for height, width in ((1, 1), (1, 40), (40, 1)):
        line = image[..., :height, :width]
        assert steepened(line, 1.0) is line
    flat = torch.full((1, 3, 20, 20), 0.3)
    torch.testing.assert_close(steepened(flat, 1.0), flat)


def test_what_is_further_off_than_seen_does_not_matter() -> None:
    """So that tiles are the whole."""
    image = torch.rand(1, 3, 60, 60)
    part = steepened(image[..., 20 - SEEN : 40 + SEEN, 20 - SEEN : 40 + SEEN], 1.0)
    part = part[..., SEEN:-SEEN, SEEN:-SEEN]
    torch.testing.assert_close(part, steepened(image, 1.0)[..., 20:40, 20:40], rtol=0, atol=1e-4)


SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@given(SIZES, SIZES)
@settings(max_examples=50, deadline=None)
def test_enlarging_goes_by_doubling(small: tuple[int, int], large: tuple[int, int]) -> None:
    steps = enlargements(small, large)
    assert steps[-1][0] == large
    longest = [max(small), *(max(size) for size, _ in steps)]
    assert all(b <= 2 * a for a, b in pairwise(longest))
    assert all(0 <= amount <= 1 for _, amount in steps)


def test_range_and_sizes(photo: Tensor) -> None:
    for size in ((1, 1), (7, 200), (97, 45)):
        result = guided_upsample(torch.rand(1, 3, 5, 9), resize(photo, size))
        assert result.shape[-2:] == size
        assert result.min() >= 0
        assert result.max() <= 1
    same = torch.rand(1, 3, 48, 40)
    assert guided_upsample(same, photo) is same
