"""Feature transforms: features take a style's statistics, whatever they were, and are decoded."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto.codes import Code, Region, blend, mosaic
from impasto.moments import mean_std, moments
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import Encoder
from impasto.transforms import (
    FULL,
    Transform,
    Whitening,
    adain,
    recolored,
    repainted,
    roots,
    whitened_and_colored,
)

C = 12
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def statistics(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and covariance in double precision.  (1, C, H, W)  ->  (C,), (C, C)"""
    rows = features.double().flatten(2)[0]
    weight = torch.ones_like(rows[:1]) if mask is None else mask.double().flatten(2)[0]
    weight = weight / weight.sum()
    mean = (rows * weight).sum(1, keepdim=True)
    return mean[:, 0], ((rows - mean) * weight) @ (rows - mean).mT


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def code(channels: int = C, seed: int = 0) -> Code:
    """A style of full rank, for every transform; any root of a covariance will do."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "mean": torch.randn(1, channels, generator=generator) + 1,
        "std": torch.rand(1, channels, generator=generator) + 0.1,
        "color": torch.randn(1, channels, channels, generator=generator),
    }


def off(got: Tensor, wanted: Tensor) -> float:
    """Relative error, Frobenius."""
    return float((got - wanted).norm() / wanted.norm())


def assert_scaled(features: Tensor, code: Code, mask: Tensor | None = None) -> None:
    """The features have the code's means and deviations, within 1e-4."""
    mean, covariance = statistics(features, mask)
    assert off(mean, code["mean"][0].double()) < 1e-4
    assert off(covariance.diagonal().sqrt(), code["std"][0].double()) < 1e-4


def assert_colored(features: Tensor, code: Code, mask: Tensor | None = None) -> None:
    """The features have the code's mean and covariance, within 1e-3."""
    mean, covariance = statistics(features, mask)
    color = code["color"][0].double()
    assert off(mean, code["mean"][0].double()) < 1e-3
    assert off(covariance, color @ color.mT) < 1e-3


def span(features: Tensor) -> Tensor:
    """The projector on the directions in which features differ.  (1, C, H, W)  ->  (C, C)"""
    values, vectors = torch.linalg.eigh(statistics(features)[1])
    used = vectors[:, values > 1e-6 * values.max().clamp_min(1e-6)]
    return used @ used.mT


Check = Callable[[Tensor, Code, Tensor | None], None]

every_transform = pytest.mark.parametrize("transform", [adain, whitened_and_colored])
every_check = pytest.mark.parametrize(
    ("transform", "check"), [(adain, assert_scaled), (whitened_and_colored, assert_colored)]
)


# --- what holds for both ---


@every_check
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_statistics_become_those_of_the_code(
    transform: Transform, check: Check, offset: float
) -> None:
    check(transform(noise(1, C, 20, 20) + offset, code(), None), code(), None)


@every_check
def test_masked_statistics_become_those_of_the_code(transform: Transform, check: Check) -> None:
    """Weighted by a soft mask; what lies outside moves along, and counts for nothing."""
    features, mask = noise(1, C, 20, 24) * 2 + 1, torch.rand(1, 1, 20, 24)
    mask[..., :6] = 0
    painted = transform(features, code(), mask)
    check(painted, code(), mask)
    features[..., :6] += 100
    again = transform(features, code(), mask)
    torch.testing.assert_close(again[..., 6:], painted[..., 6:], rtol=1e-3, atol=1e-3)


@every_check
def test_each_picture_of_a_batch_is_changed_alone(transform: Transform, check: Check) -> None:
    pair = torch.cat([noise(1, C, 9, 9), noise(1, C, 9, 9, seed=4) * 7 - 2])
    for part in transform(pair, code(), None).split(1):
        check(part, code(), None)


@every_check
@pytest.mark.parametrize("batch", [1, 2])
def test_large_pictures(transform: Transform, check: Check, batch: int) -> None:
    """Of more positions than are turned into float32 at a time, and not by a round number."""
    features, mask = noise(batch, 4, 131, 131) + 2, torch.rand(1, 1, 131, 131)
    for part in transform(features, code(4), None).split(1):
        check(part, code(4), None)
    for part in transform(features.bfloat16(), code(4), mask).split(1):
        check(part, code(4), mask)


@every_check
def test_each_region_has_its_own_statistics(transform: Transform, check: Check) -> None:
    features, mask = noise(1, C, 12, 20), torch.zeros(1, 1, 12, 20)
    mask[..., :8] = 1
    regions = [Region(code(seed=1), mask), Region(code(seed=2), 1 - mask)]
    painted = mosaic(features, regions, transform)
    check(painted[..., :8], code(seed=1), None)
    check(painted[..., 8:], code(seed=2), None)


@every_check
def test_half_precision_is_computed_in_float32(transform: Transform, check: Check) -> None:
    painted = transform(noise(1, C, 20, 20).bfloat16(), code(), None)
    assert painted.dtype == torch.float32
    check(painted, code(), None)


@every_transform
def test_its_own_statistics_change_nothing(transform: Transform) -> None:
    """Also for the symmetric root: colouring is the way back of whitening, no other rotation."""
    features = noise(1, C, 20, 20) + 1
    mean, std = mean_std(features)
    color, _ = roots(statistics(features)[1][None].float())
    own = {"mean": mean, "std": std, "color": color}
    torch.testing.assert_close(transform(features, own, None), features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (20, 20)])
@pytest.mark.parametrize("value", [0.0, 0.7, 60.0])
@every_transform
def test_flat_features_become_the_mean(
    transform: Transform, size: tuple[int, int], value: float
) -> None:
    """Rounding is all that differs: divided by its own deviation it would be a pattern."""
    features = (noise(1, C, 1, 1).abs() * value).expand(1, C, *size)
    painted = transform(features, code(), None)
    expected = code()["mean"][..., None, None].expand_as(painted)
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-2)


@every_transform
def test_an_empty_mask_gives_no_nan(transform: Transform) -> None:
    """A region may vanish at the size of the features."""
    assert transform(noise(1, C, 4, 4), code(), torch.zeros(1, 1, 4, 4)).isfinite().all()


@every_transform
@given(weight=st.floats(-1, 2))
@settings(max_examples=15, deadline=None)
def test_a_blend_of_codes_is_the_mean_of_outputs(transform: Transform, weight: float) -> None:
    """As both papers mix styles, at the cost of one; beyond both ends too."""
    features, shares = noise(1, C, 9, 9), (1 - weight, weight)
    codes = [code(seed=1), code(seed=2)]
    mixed = blend(codes, shares)
    if transform is adain and (mixed["std"] < 0).any():
        return  # beyond a style deviations end at zero
    parts = [transform(features, c, None) * w for c, w in zip(codes, shares, strict=True)]
    expected = parts[0] + parts[1]
    torch.testing.assert_close(transform(features, mixed, None), expected, rtol=1e-3, atol=1e-4)


# --- adain ---


def test_adain_by_hand() -> None:
    """1 and 3 have mean 2 and deviation 1; with mean 10 and deviation 5 they are 5 and 15."""
    features = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
    wanted = {"mean": torch.tensor([[10.0]]), "std": torch.tensor([[5.0]])}
    painted = adain(features, wanted)
    torch.testing.assert_close(painted.flatten(), torch.tensor([5.0, 15.0]), rtol=1e-4, atol=0)


@given(
    channels=st.integers(1, 6),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    scale=st.floats(0.5, 100),
    offset=st.floats(-10, 10),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_adain_of_any_features(
    channels: int, size: tuple[int, int], scale: float, offset: float, seed: int
) -> None:
    features = noise(1, channels, *size, seed=seed)
    deviation = statistics(features)[1].diagonal().sqrt().float()
    features = features / deviation[:, None, None]  # none nearly flat
    assert_scaled(adain((features + offset) * scale, code(channels, seed)), code(channels, seed))


def test_a_deviation_below_zero_is_none() -> None:
    """Beyond a style: turned upside down, the photo would be its own negative."""
    wanted = {"mean": torch.tensor([[2.0]]), "std": torch.tensor([[-3.0]])}
    assert adain(noise(1, 1, 4, 4), wanted).unique().tolist() == [2]


# --- whitening and colouring ---


@pytest.mark.parametrize("spread", [1.0, 1.5, 2.0])
def test_correlated_features(spread: float) -> None:
    """Deviations of the main axes from 1 down to a hundredth, about a mean as ReLUs have it."""
    axes = torch.linalg.qr(noise(C, C, seed=1)).Q @ torch.diag(torch.logspace(0, -spread, C))
    features = torch.einsum("dc,bchw->bdhw", axes, noise(1, C, 30, 30)) + 3
    assert_colored(whitened_and_colored(features, code()), code())


def test_whitening_and_colouring_by_hand() -> None:
    """A deviation of 2 about 5 becomes one of 3 about 1: 3 and 7 become -2 and 4."""
    features = torch.tensor([3.0, 7.0]).reshape(1, 1, 1, 2)
    wanted = {"mean": torch.tensor([[1.0]]), "color": torch.tensor([[[3.0]]])}
    painted = whitened_and_colored(features, wanted).flatten()
    torch.testing.assert_close(painted, torch.tensor([-2.0, 4.0]))


@given(positions=st.integers(2, C), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_fewer_positions_than_channels(positions: int, seed: int) -> None:
    """A photo with few features has few directions: in those it is the style, elsewhere nothing."""
    features = noise(1, C, 1, positions, seed=seed) + 1
    mean, covariance = statistics(whitened_and_colored(features, code()))
    color = code()["color"][0].double()
    values = torch.linalg.eigvalsh(statistics(features)[1])
    if values[-(positions - 1)] > 1e-4 * values[-1]:  # above the floor
        assert off(covariance, color @ span(features) @ color.mT) < 1e-2
    assert off(mean, code()["mean"][0].double()) < 1e-3


def test_a_flat_part_is_flat_too() -> None:
    """A mask over blue sky; the rest of the photo is anything but."""
    features, mask = noise(1, C, 8, 8) * 5, torch.zeros(1, 1, 8, 8)
    features[..., :4, :] = noise(1, C, 1, 1, seed=1)
    mask[..., :4, :] = 1
    painted = whitened_and_colored(features, code(), mask)[..., :4, :]
    expected = code()["mean"][..., None, None].expand_as(painted)
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-2)


WHITE = {"mean": torch.zeros(1, 2), "color": torch.eye(2)[None]}


def pair(first: float, second: float) -> Tensor:
    """Two independent channels with these deviations about 0.  ->  (1, 2, 2, 2)"""
    signs = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]], [[1.0, -1.0], [1.0, -1.0]]])
    return (signs * torch.tensor([first, second]).reshape(2, 1, 1))[None]


@pytest.mark.parametrize(("floor", "expected"), [(1e-6, 1.0), (0.01, 0.1), (1.0, 0.01)])
def test_the_floor_bounds_the_gain(floor: float, expected: float) -> None:
    """Deviations 10 and 0.1: eigenvalues 100 and 0.01, which count as at least 100 x floor."""
    painted = whitened_and_colored(pair(10, 0.1), WHITE, whitening=Whitening(floor))
    torch.testing.assert_close(painted.abs()[0, :, 0, 0], torch.tensor([1.0, expected]))


def test_by_default_whitening_is_full() -> None:
    features = noise(1, C, 1, 5)  # fewer positions than channels, so that the floor counts
    assert torch.equal(
        whitened_and_colored(features, code()),
        whitened_and_colored(features, code(), whitening=Whitening(floor=1e-5, shrinkage=0)),
    )
    assert Whitening() == FULL


def test_shrinkage_one_whitens_channel_by_channel() -> None:
    """Every channel has variance 1, correlations are left as they were: AdaIN, in fact."""
    mix = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    features = torch.einsum("dc,bchw->bdhw", mix, noise(1, 2, 20, 20)) * 3 + 1
    painted = whitened_and_colored(features, WHITE, whitening=Whitening(shrinkage=1.0))
    expected = adain(features, {"mean": torch.zeros(1, 2), "std": torch.ones(1, 2)})
    torch.testing.assert_close(painted, expected, rtol=1e-3, atol=1e-3)


def test_shrinkage_between_leaves_some_correlation() -> None:
    mix = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    features = torch.einsum("dc,bchw->bdhw", mix, noise(1, 2, 20, 20))
    painted = [
        whitened_and_colored(features, WHITE, whitening=Whitening(shrinkage=s)) for s in QUARTERS
    ]
    left = [statistics(p)[1][0, 1] for p in painted]
    assert left[0].abs() < 1e-4
    assert all(a < b for a, b in pairwise(left))


# --- roots ---


def covariances(count: int, channels: int, rank: int) -> Tensor:
    factors = noise(count, channels, rank)
    return factors @ factors.mT


def test_the_root_is_a_root() -> None:
    covariance = covariances(3, 6, 20)
    root, inverse = roots(covariance)
    torch.testing.assert_close(root @ root, covariance, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(root, root.mT, rtol=1e-4, atol=1e-5)
    assert (torch.linalg.eigvalsh(root) > 0).all()
    torch.testing.assert_close(root @ inverse, torch.eye(6).expand(3, 6, 6), rtol=0, atol=1e-3)


def test_roots_by_hand() -> None:
    """Eigenvalues 1 and 9 along the diagonals of the plane."""
    root, inverse = roots(torch.tensor([[[5.0, 4.0], [4.0, 5.0]]]))
    torch.testing.assert_close(root, torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]))
    torch.testing.assert_close(inverse, torch.tensor([[[2.0, -1.0], [-1.0, 2.0]]]) / 3)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_roots_of_what_has_no_inverse(rank: int) -> None:
    """Zeros, and what rounding leaves below zero, give neither NaN nor infinity."""
    covariance = covariances(2, 6, rank) - 1e-8 * torch.eye(6)
    root, inverse = roots(covariance, 1e-5)
    assert root.isfinite().all()
    assert inverse.isfinite().all()
    torch.testing.assert_close(root @ root, covariance, rtol=1e-3, atol=1e-3)


def test_the_floor_bounds_the_inverse() -> None:
    _, inverse = roots(torch.diag_embed(torch.tensor([[4.0, 1e-9]])), 0.01)
    torch.testing.assert_close(inverse.diagonal(dim1=1, dim2=2), torch.tensor([[0.5, 5.0]]))


def test_what_is_nothing_is_said_for_each_picture() -> None:
    """Variance of 0.01: of a dark picture it is its texture, of a bright one it is rounding."""
    covariance = torch.diag_embed(torch.full((2, 3), 0.01))
    _, inverse = roots(covariance, 0.0, torch.tensor([[1e-6], [0.04]]))
    expected = torch.tensor([[10.0] * 3, [5.0] * 3])
    torch.testing.assert_close(inverse.diagonal(dim1=1, dim2=2), expected)


# --- repainted ---

TAP = "relu2_1"


@pytest.fixture
def decoder(encoder: Encoder) -> Decoder:
    """Random weights, whose pictures are within the range: nothing is hidden by the clamp."""
    decoder = Decoder(encoder.shape, TAP).requires_grad_(False)
    last = decoder.convs["1_1"]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    last.weight *= 0.02
    last.bias += 0.5
    return decoder


def doubled(features: Tensor, code: Code, mask: Tensor | None) -> Tensor:
    """A transform with a known answer."""
    return features * 2


def kept(features: Tensor, code: Code, mask: Tensor | None) -> Tensor:
    return features


def left(image: Tensor) -> Tensor:
    mask = torch.zeros(1, 1, *image.shape[-2:])
    mask[..., : image.shape[3] // 2] = 1
    return mask


ALL = [Region({})]


@pytest.mark.parametrize("size", [(48, 40), (33, 47), (1, 1), (1, 30)])
@every_transform
def test_strength_zero_is_the_picture(
    encoder: Encoder, decoder: Decoder, transform: Transform, size: tuple[int, int]
) -> None:
    """Not the autoencoder's copy of it, however bad the decoder is."""
    image, own = torch.rand(2, 3, *size), code(6)
    painted = repainted(image, encoder, decoder, TAP, transform, [Region(own)], 0.0)
    torch.testing.assert_close(painted, image, rtol=0, atol=1e-5)


def test_where_nothing_is_covered_the_picture_is_kept(
    encoder: Encoder, decoder: Decoder, photo: Tensor
) -> None:
    nowhere = [Region({}, torch.zeros(1, 1, 5, 5))]
    painted = repainted(photo, encoder, decoder, TAP, doubled, nowhere, 1.0)
    torch.testing.assert_close(painted, photo, rtol=0, atol=1e-5)
    half = repainted(photo, encoder, decoder, TAP, doubled, [Region({}, left(photo))], 1.0)
    torch.testing.assert_close(half[..., 30:], photo[..., 30:], rtol=0, atol=1e-5)
    assert (half - photo)[..., :10].abs().mean() > 0.1


def test_full_strength_is_what_the_decoder_makes_of_the_transform(
    encoder: Encoder, decoder: Decoder, photo: Tensor
) -> None:
    """Nothing of the photo comes past the features, and nothing is decoded twice."""
    calls: list[Tensor] = []
    decoder.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0]))
    painted = repainted(photo, encoder, decoder, TAP, doubled, ALL, 1.0)
    assert len(calls) == 1
    expected = decoder(encoder(photo, (TAP,))[TAP] * 2, photo.shape[-2:])
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-6)
    assert (painted - photo).abs().mean() > 0.1


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_features_that_stay_give_the_copy_mixed_with_the_picture(
    encoder: Encoder, decoder: Decoder, photo: Tensor, strength: float
) -> None:
    """What the decoder loses comes back as far as the style is left out."""
    copy = decoder(encoder(photo, (TAP,))[TAP], photo.shape[-2:])
    painted = repainted(photo, encoder, decoder, TAP, kept, ALL, strength)
    torch.testing.assert_close(painted, photo.lerp(copy, strength), rtol=0, atol=1e-5)


def test_a_soft_mask_is_a_strength(encoder: Encoder, decoder: Decoder, photo: Tensor) -> None:
    """Of a transform that looks at no statistics."""
    soft = [Region({}, torch.full((1, 1, 3, 3), 0.5))]
    by_mask = repainted(photo, encoder, decoder, TAP, doubled, soft, 0.8)
    by_strength = repainted(photo, encoder, decoder, TAP, doubled, ALL, 0.4)
    torch.testing.assert_close(by_mask, by_strength, rtol=0, atol=1e-5)


def test_what_is_too_bright_or_too_dark_is_cut_off(encoder: Encoder, photo: Tensor) -> None:
    decoder = Decoder(encoder.shape, TAP).requires_grad_(False)
    painted = repainted(photo, encoder, decoder, TAP, doubled, ALL, 1.0)
    assert (painted.min(), painted.max()) == (0, 1)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_statistics_are_no_matter_of_half_precision(
    encoder: Encoder, decoder: Decoder, photo: Tensor, strength: float
) -> None:
    """Only the networks run in it: covariances would not survive it."""
    seen: list[bool] = []

    def look(features: Tensor, code: Code, mask: Tensor | None) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return features.float()

    with torch.autocast("cpu", torch.bfloat16):
        painted = repainted(photo, encoder, decoder, TAP, look, ALL, strength)
    assert seen == [False]
    assert painted.dtype == torch.float32


def test_the_picture_is_left_alone(encoder: Encoder, decoder: Decoder, photo: Tensor) -> None:
    before = photo.clone()
    repainted(photo, encoder, decoder, TAP, doubled, ALL, 0.5).zero_()
    assert torch.equal(photo, before)


# --- recoloured ---


@pytest.mark.parametrize("strength", [0.4, 1.0])
@pytest.mark.parametrize("whitening", [FULL, Whitening(0.01, 0.3)])
@pytest.mark.parametrize("size", [(20, 24), (19, 24)])
@pytest.mark.parametrize("masked", [False, True])
def test_recoloured_is_repainted(
    encoder: Encoder, strength: float, whitening: Whitening, size: tuple[int, int], masked: bool
) -> None:
    """At the first tap, only sooner; each picture of a batch by its own statistics."""
    decoder = Decoder(encoder.shape, "relu1_1").requires_grad_(False)
    images = torch.rand(2, 3, *size) * torch.tensor([1, 0.5])[:, None, None, None]
    style = moments(encoder(torch.rand(1, 3, 9, 9), ("relu1_1",))["relu1_1"])
    wanted = {"mean": style.mean, "color": roots(style.covariance())[0]}
    regions = [Region(wanted, torch.rand(1, 1, *size) if masked else None)]
    transform = partial(whitened_and_colored, whitening=whitening)
    expected = repainted(images, encoder, decoder, "relu1_1", transform, regions, strength)
    got = recolored(images, encoder, decoder, regions, strength, whitening)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    assert (got - images).abs().mean() > 0.01


def test_rounding_does_not_shift_colours(encoder: Encoder) -> None:
    """Weights in bfloat16 paint what float32 does, in the mean, however large they are."""
    decoder = Decoder(encoder.shape, "relu1_1").requires_grad_(False)
    image = 0.5 + 0.01 * torch.rand(1, 3, 32, 32)
    regions = [Region({"mean": torch.ones(1, 4), "color": 0.1 * torch.eye(4)[None]})]
    (conv,) = decoder.convs.values()
    conv.bias.fill_(0.5)
    conv.weight *= 0.1
    exact = recolored(image, encoder, decoder, regions, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = recolored(image, encoder, decoder, regions, 1.0)
    assert exact.min() > 0 and exact.max() < 1
    torch.testing.assert_close(rough.mean((2, 3)), exact.mean((2, 3)), atol=5e-3, rtol=0)
