"""Encoders: any size in, the layers asked for out, and nothing more than that is computed."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, ImpastoError, MissingWeights, UnknownName
from impasto.networks.encoders import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    SHAPES,
    TAPS,
    Encoder,
    Shape,
    load_encoder,
    normalise,
)

TINY = Shape((4, 6, 8, 8, 8), (2, 2, 1, 1, 1))


def test_layers_of_vgg19() -> None:
    """Published weights are put in by these names and shapes."""
    layers = SHAPES["vgg19"].layers()
    assert len(layers) == 16
    assert layers[0] == ("1_1", 3, 64)
    assert layers[2] == ("2_1", 64, 128)
    assert layers[-1] == ("5_4", 512, 512)


def test_the_compact_encoder_has_the_five_taps() -> None:
    layers = [f"relu{name}" for name, _, _ in SHAPES["compact"].layers()]
    assert set(TAPS) <= set(layers)
    assert layers[-1] == "relu5_1"  # what lies beyond would be weights for nothing


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_every_size_has_features(height: int, width: int) -> None:
    """Odd sides lose a row in the usual pooling, and a pixel cannot be reflected."""
    encoder = Encoder(TINY)
    features = encoder(torch.rand(1, 3, height, width))
    for block, tap in enumerate(TAPS):
        size = math.ceil(height / 2**block), math.ceil(width / 2**block)
        assert features[tap].shape == (1, TINY.channels[block], *size)


def test_features_come_in_order_of_depth(encoder: Encoder, photo: Tensor) -> None:
    features = encoder(photo, ["relu4_1", "relu1_2", "relu2_1"])
    assert list(features) == ["relu1_2", "relu2_1", "relu4_1"]


def test_which_taps_are_read_does_not_change_them(encoder: Encoder, photo: Tensor) -> None:
    alone = encoder(photo, ["relu3_1"])["relu3_1"]
    assert torch.equal(alone, encoder(photo, encoder.layers)["relu3_1"])


def test_layers_beyond_the_last_tap_are_not_run(encoder: Encoder, photo: Tensor) -> None:
    """The deep layers are most of the work: a shallow tap must not pay for them."""
    ran: list[str] = []
    for name, conv in encoder.convs.items():
        conv.register_forward_hook(lambda *_, name=name: ran.append(name))
    encoder(photo, ["relu2_1"])
    assert ran == ["1_1", "1_2", "2_1"]
    ran.clear()
    assert encoder(photo, []) == {}
    assert ran == []


def test_taps_may_be_a_generator(encoder: Encoder, photo: Tensor) -> None:
    """A generator is used up by the check of its names, were they not kept."""
    assert list(encoder(photo, (tap for tap in TAPS[:2]))) == list(TAPS[:2])


def test_unknown_tap(encoder: Encoder, photo: Tensor) -> None:
    with pytest.raises(UnknownName, match=r"Unknown layer 'relu4_4'.*'relu4_1'.*relu5_1"):
        encoder(photo, ["relu1_1", "relu4_4"])


def test_it_normalises_for_itself(encoder: Encoder) -> None:
    """The mean colour of ImageNet becomes 0, one deviation more becomes 1."""
    mean = torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1)
    torch.testing.assert_close(encoder.conv0(mean), torch.zeros(1, 3, 1, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(encoder.conv0(mean + std), torch.ones(1, 3, 1, 1))


def test_the_colour_space_is_never_learned() -> None:
    encoder = Encoder(TINY)
    assert not any(p.requires_grad for p in encoder.conv0.parameters())
    assert all(p.requires_grad for p in encoder.convs.parameters())


@pytest.mark.parametrize("size", [(16, 16), (13, 7), (1, 9)])
def test_a_constant_picture_has_constant_features(encoder: Encoder, size: tuple[int, int]) -> None:
    """Padding with zeros would draw a frame, and optimisation would paint it."""
    colour = torch.tensor([0.9, 0.2, 0.4]).reshape(1, 3, 1, 1)
    for f in encoder(colour.expand(1, 3, *size), encoder.layers).values():
        torch.testing.assert_close(f, f[:, :, :1, :1].expand_as(f), rtol=1e-4, atol=1e-5)


def test_pictures_of_a_batch_do_not_meet(encoder: Encoder, photo: Tensor) -> None:
    both = encoder(torch.cat([photo, photo.flip(3)]))
    for tap, f in encoder(photo).items():
        torch.testing.assert_close(both[tap][:1], f)


@pytest.mark.parametrize(("half", "expected"), [(False, 15), (True, 9)])
def test_bytes_per_pixel_by_hand(half: bool, expected: int) -> None:
    """One channel: padded input, output, activation; and three bytes more at a tap."""
    assert Encoder(Shape((1,), (1,))).bytes_per_pixel(half) == expected


def test_pooled_layers_cost_a_quarter() -> None:
    one, two = Encoder(Shape((8,), (1,))), Encoder(Shape((8, 8), (1, 1)))
    assert two.bytes_per_pixel(False) == 1.25 * one.bytes_per_pixel(False)


# --- normalisation ---


def means(encoder: Encoder, images: list[Tensor]) -> dict[str, Tensor]:
    each = [encoder(image, encoder.layers) for image in images]
    return {
        layer: torch.stack([f[layer].mean((0, 2, 3)) for f in each]).mean(0)
        for layer in encoder.layers
    }


def test_normalise_makes_every_mean_one(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    """Gatys et al. 2016, section 2; over all pictures together, whatever their sizes."""
    images = [photo, painting]
    alive = {layer: mean > 1e-4 for layer, mean in means(encoder, images).items()}
    normalise(encoder, iter(images))
    for layer, mean in means(encoder, images).items():
        torch.testing.assert_close(mean[alive[layer]], torch.ones(int(alive[layer].sum())))


def test_normalise_keeps_the_function(encoder: Encoder, photo: Tensor) -> None:
    """Every feature is divided by its own mean and by nothing else, at every depth."""
    before, mean = encoder(photo, encoder.layers), means(encoder, [photo])
    normalise(encoder, [photo])
    for layer, f in encoder(photo, encoder.layers).items():
        scale = torch.where(mean[layer] > 1e-4, mean[layer], 1.0)[None, :, None, None]
        torch.testing.assert_close(f * scale, before[layer], rtol=1e-3, atol=1e-4)


def test_normalise_leaves_dead_filters_alone(encoder: Encoder, photo: Tensor) -> None:
    """Dividing by a mean of zero would fill the network with NaN."""
    conv = encoder.convs["2_1"]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    conv.bias[2] = -1000
    normalise(encoder, [photo])
    assert conv.bias[2] == -1000
    assert all(p.isfinite().all() for p in encoder.parameters())


def test_normalise_by_layer(encoder: Encoder, photo: Tensor) -> None:
    """One factor for all filters of a layer: the mean is 1, the shares of the filters are kept."""
    before = means(encoder, [photo])
    normalise(encoder, [photo], filters=False)
    for layer, mean in means(encoder, [photo]).items():
        assert mean.mean().item() == pytest.approx(1, rel=1e-4)
        torch.testing.assert_close(mean, before[layer] / before[layer].mean(), rtol=1e-3, atol=1e-4)


# --- loading ---


def store(folder: Path, name: str, encoder: Encoder) -> Path:
    path = folder / f"encoder-{name}.safetensors"
    half = {key: value.half() for key, value in encoder.state_dict().items()}
    weights.write(path, half, weights.Header("encoder", name))
    return path


def test_load_unknown_encoder() -> None:
    with pytest.raises(UnknownName, match=r"'vgg20'.*Did you mean 'vgg1\d'.*compact, vgg16, vgg19"):
        load_encoder("vgg20")


def test_load_missing_encoder_says_how_to_get_it(home: Path) -> None:
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        load_encoder("vgg19")


def test_load_gives_a_frozen_float32_network(home: Path, photo: Tensor) -> None:
    """Files hold half precision; gradients of weights would double the memory for nothing."""
    made = Encoder(SHAPES["compact"])
    store(home, "compact", made)
    encoder = load_encoder("compact")
    assert encoder.name == "compact"
    assert not encoder.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in encoder.parameters())
    expected, got = made(photo)["relu3_1"], encoder(photo)["relu3_1"]
    assert (expected - got).norm() < 1e-2 * expected.norm()


def test_load_damaged_encoder(home: Path) -> None:
    path = store(home, "compact", Encoder(SHAPES["compact"]))
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedWeights, match="sha256"):
        load_encoder("compact")


def test_load_weights_of_another_shape(home: Path) -> None:
    """A file of another version of the network is sound in itself: one line, no traceback."""
    store(home, "compact", Encoder(TINY))
    with pytest.raises(ImpastoError):
        load_encoder("compact")
