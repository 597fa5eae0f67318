"""The faster way through an encoder is the way through it."""

from collections.abc import Collection

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.networks import frozen
from impasto.networks.encoders import TAPS, Encoder

LAYERS = (("relu3_1",), ("relu1_2", "relu2_1", "relu2_2"), TAPS, ("relu1_1", "relu5_1"))


def seen(
    encoder: Encoder, image: Tensor, taps: Collection[str], faster: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """The features, and the gradient of a loss that hears of all of them."""
    leaf, generator = image.clone().requires_grad_(), torch.Generator().manual_seed(1)
    features = encoder(leaf, taps, frozen=faster)
    weights = [torch.randn(f.shape, generator=generator, dtype=f.dtype) for f in features.values()]
    loss = sum((f * w).sum() for f, w in zip(features.values(), weights, strict=True))
    assert isinstance(loss, Tensor)
    loss.backward()
    assert leaf.grad is not None
    return features, leaf.grad


def noise(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("size", [(64, 48), (67, 45), (33, 18), (17, 31)])
@pytest.mark.parametrize("taps", LAYERS)
def test_features_and_gradient_are_the_same(
    encoder: Encoder, size: tuple[int, int], taps: tuple[str, ...]
) -> None:
    exact = encoder.double().requires_grad_(False)
    wanted, slope = seen(exact, noise(*size), taps, False)
    got, own = seen(exact, noise(*size), taps, True)
    assert list(got) == list(wanted)
    for tap, f in wanted.items():
        torch.testing.assert_close(got[tap], f)
    torch.testing.assert_close(own, slope)


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 3)])
def test_pooling_of_equal_numbers(size: tuple[int, int]) -> None:
    """Of four that are equal it takes the one that torch takes; all zeros are equal, too."""
    generator = torch.Generator().manual_seed(2)
    image = torch.randint(0, 3, (2, 3, *size), generator=generator).bfloat16()
    leaf = image.clone().requires_grad_()
    wanted = F.max_pool2d(leaf, 2, ceil_mode=True)
    slope = torch.randn(wanted.shape, generator=generator).bfloat16()
    wanted.backward(slope)
    columns = frozen._larger(image, 3)
    assert torch.equal(frozen._larger(columns, 2), wanted)
    assert torch.equal(frozen._handed(frozen._handed(slope, columns, 2), image, 3), leaf.grad)


def test_a_tap_that_nobody_uses(encoder: Encoder) -> None:
    exact = encoder.double().requires_grad_(False)
    slopes = []
    for faster in (False, True):
        leaf = noise(40, 40).requires_grad_()
        exact(leaf, TAPS, frozen=faster)["relu2_1"].square().sum().backward()
        slopes.append(leaf.grad)
    torch.testing.assert_close(*slopes)


def test_half_precision_is_as_near_as_before(encoder: Encoder) -> None:
    """Both ways round to bfloat16, and neither is further from the truth."""
    image = noise(64, 64, torch.float32)
    encoder.requires_grad_(False)
    _, exact = seen(encoder, image, TAPS, False)
    off = []
    for faster in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            features, slope = seen(encoder, image, TAPS, faster)
        assert all(f.dtype == torch.bfloat16 for f in features.values())
        assert slope.dtype == torch.float32
        off.append(float((slope - exact).norm() / exact.norm()))
    assert off[1] < 1.2 * off[0] < 0.2


def test_weights_that_change_are_seen(encoder: Encoder) -> None:
    encoder.requires_grad_(False)
    image = noise(32, 32, torch.float32)
    before = encoder(image, TAPS, frozen=True)
    state = {name: 2 * tensor for name, tensor in encoder.state_dict().items()}
    encoder.load_state_dict(state)
    after = encoder(image, TAPS, frozen=True)
    assert not torch.allclose(before["relu1_1"], after["relu1_1"])
    torch.testing.assert_close(after["relu1_1"], encoder(image)["relu1_1"])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (5, 7)])
def test_a_picture_too_small_for_it_goes_the_usual_way(
    encoder: Encoder, size: tuple[int, int]
) -> None:
    encoder.requires_grad_(False)
    image = noise(*size, torch.float32)
    for tap, f in encoder(image).items():
        assert torch.equal(encoder(image, frozen=True)[tap], f)
