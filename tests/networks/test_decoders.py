"""Decoders: the mirror of the encoder, any size out, and weights that fit or say why not."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights, MissingWeights, UnknownName
from impasto.networks.decoders import Decoder, load_decoders
from impasto.networks.encoders import SHAPES, TAPS, Encoder, Shape

TINY = Shape((4, 6, 8, 8, 8), (2, 2, 1, 1, 1))


def convs(decoder: nn.Module) -> list[nn.Conv2d]:
    return [module for module in decoder.modules() if isinstance(module, nn.Conv2d)]


def channels(shape: Shape, tap: str, width: float = 1.0) -> list[tuple[int, int]]:
    return [(c.in_channels, c.out_channels) for c in convs(Decoder(shape, tap, width))]


# --- sizes ---


@given(height=st.integers(1, 40), width=st.integers(1, 40), tap=st.sampled_from(TAPS))
@settings(max_examples=30, deadline=None)
def test_the_picture_has_the_size_asked_for(height: int, width: int, tap: str) -> None:
    """Pooling rounds up: what upsampling makes too much is cut off again, level by level."""
    image = torch.rand(2, 3, height, width)
    with torch.no_grad():
        features = Encoder(TINY)(image, (tap,))[tap]
        assert Decoder(TINY, tap)(features, (height, width)).shape == image.shape


@pytest.mark.parametrize("tap", TAPS)
def test_a_single_pixel(tap: str) -> None:
    features = torch.randn(1, TINY.channels[TAPS.index(tap)], 1, 1)
    picture = Decoder(TINY, tap)(features, (1, 1))
    assert picture.shape == (1, 3, 1, 1)
    assert picture.isfinite().all()


def test_what_is_cut_off_is_the_last_row() -> None:
    """A feature keeps its place: were the first row cut, the picture would be shifted."""
    decoder = Decoder(Shape((1, 1), (1, 1)), "relu2_1").requires_grad_(False)
    for conv in convs(decoder):
        conv.weight.zero_()
        conv.weight[:, :, 1, 1] = 1
    column = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    assert decoder(column, (5, 1))[0, 0].flatten().tolist() == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("size", [(16, 16), (13, 7), (1, 9)])
@pytest.mark.parametrize("tap", TAPS)
def test_even_features_make_an_even_picture(tap: str, size: tuple[int, int]) -> None:
    """Padding with zeros would draw a frame."""
    block = TAPS.index(tap)
    side = [math.ceil(length / 2**block) for length in size]
    features = torch.rand(1, TINY.channels[block], 1, 1).expand(-1, -1, *side)
    with torch.no_grad():
        picture = Decoder(TINY, tap)(features, size)
    torch.testing.assert_close(picture, picture[:, :, :1, :1].expand_as(picture))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("tap", TAPS)
def test_a_picture_less_a_share_of_another(tap: str, bf16: bool) -> None:
    """As two decodes give it; nothing is left of a picture less itself."""
    decoder = Decoder(TINY, tap).requires_grad_(False)
    for conv in convs(decoder):
        assert conv.bias is not None
        conv.bias.normal_()
    block = TAPS.index(tap)
    a, b = torch.randn(2, 1, TINY.channels[block], *(math.ceil(s / 2**block) for s in (13, 22)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        got = decoder.less(a, b, 0.3, (13, 22)).float()
        wanted = decoder(a, (13, 22)).float() - 0.3 * decoder(b, (13, 22)).float()
        nothing = decoder.less(a, a.clone(), 1.0, (13, 22))
    scale = float(wanted.std())
    torch.testing.assert_close(got, wanted, rtol=0, atol=(0.1 if bf16 else 1e-5) * scale)
    assert not nothing.any()


# --- the mirror ---


def test_the_mirror_by_hand() -> None:
    assert channels(TINY, "relu1_1") == [(4, 3)]
    assert channels(TINY, "relu2_1") == [(6, 4), (4, 4), (4, 3)]
    assert channels(TINY, "relu4_1") == [(8, 8), (8, 6), (6, 6), (6, 4), (4, 4), (4, 3)]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("tap", TAPS)
def test_every_convolution_has_its_mirror(name: str, tap: str) -> None:
    """What one block of the encoder does, the decoder undoes with as many channels."""
    layers = [(inner, outer) for layer, inner, outer in SHAPES[name].layers() if layer <= tap[4:]]
    expected = [(outer, inner) for inner, outer in reversed(layers)]
    with torch.device("meta"):
        assert channels(SHAPES[name], tap) == expected


def test_width_leaves_both_ends_and_full_size_alone() -> None:
    """Features in and a picture out as before; full size costs the most and gains the least."""
    wide = channels(TINY, "relu4_1", 1.5)
    assert wide == [(8, 12), (12, 9), (9, 9), (9, 4), (4, 4), (4, 3)]
    assert channels(TINY, "relu1_1", 3.0) == [(4, 3)]


@pytest.mark.parametrize("width", [0.3, 0.5, 1.5, 4.0])
@pytest.mark.parametrize("tap", TAPS)
def test_any_width_decodes(tap: str, width: float) -> None:
    features = torch.randn(1, TINY.channels[TAPS.index(tap)], 2, 2)
    side = 2 << TAPS.index(tap)
    assert Decoder(TINY, tap, width)(features, (side, side)).shape == (1, 3, side, side)


def test_the_decoder_of_relu1_1_is_linear() -> None:
    """It is solved instead of trained, which holds for linear maps only."""
    decoder = Decoder(TINY, "relu1_1").requires_grad_(False)
    a, b = torch.randn(2, 1, 4, 6, 5)
    zero = decoder(torch.zeros_like(a), (6, 5))
    together = decoder(a - 2 * b, (6, 5)) - zero
    apart = (decoder(a, (6, 5)) - zero) - 2 * (decoder(b, (6, 5)) - zero)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tap", TAPS)
def test_the_last_layer_has_no_relu(tap: str) -> None:
    """A ReLU there could not learn to darken what it has made black."""
    block = TAPS.index(tap)
    with torch.no_grad():
        picture = Decoder(TINY, tap)(
            torch.rand(4, TINY.channels[block], 3, 3) * 9, (3 << block,) * 2
        )
    assert picture.min() < 0
    assert picture.max() > 1


def test_layers_between_have_one() -> None:
    """Without it the whole decoder would be a single blur."""
    decoder = Decoder(TINY, "relu2_1").requires_grad_(False)
    first = convs(decoder)[0]
    assert first.bias is not None
    first.bias.fill_(-1e6)
    dark = decoder(torch.rand(1, 6, 4, 4), (8, 8))
    assert torch.equal(dark, torch.zeros_like(dark))


def test_upsampling_repeats_pixels() -> None:
    """Nearest, as in both papers: known answer with convolutions that do nothing."""
    decoder = Decoder(Shape((1, 1, 1), (1, 1, 1)), "relu3_1").requires_grad_(False)
    for conv in convs(decoder):
        conv.weight.zero_()
        conv.weight[:, :, 1, 1] = 1
    features = torch.rand(1, 1, 2, 3)
    expected = F.interpolate(features, scale_factor=4, mode="nearest").expand(-1, 3, -1, -1)
    assert torch.equal(decoder(features, (8, 12)), expected)


def test_it_learns_every_weight(photo: Tensor, encoder: Encoder) -> None:
    decoder = Decoder(TINY, "relu4_1")
    decoder(encoder(photo, ("relu4_1",))["relu4_1"], photo.shape[-2:]).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_unknown_tap() -> None:
    with pytest.raises(UnknownName, match=r"Unknown tap 'relu4_2'.*'relu4_1'.*relu5_1"):
        Decoder(TINY, "relu4_2")


# --- loading ---


def store(
    folder: Path, name: str, decoders: nn.ModuleDict, kind: str = "wct", **config: object
) -> Path:
    path = folder / weights.file_name(kind, name)
    half = {key: value.half() for key, value in decoders.state_dict().items()}
    weights.write(path, half, weights.Header(kind, name, config))
    return path


def mirrors(shape: Shape, *taps: str, width: float = 1.0) -> nn.ModuleDict:
    return nn.ModuleDict({tap: Decoder(shape, tap, width) for tap in taps})


@pytest.mark.parametrize("kind", ["adain", "wct"])
def test_missing_decoders_say_how_to_make_them(home: Path, encoder: Encoder, kind: str) -> None:
    with pytest.raises(
        MissingWeights, match=rf"{kind} .*'tiny'.*recipes/{kind}-compact.toml.*tiny"
    ):
        load_decoders(kind, encoder, TAPS)


def test_decoders_of_another_encoder_are_no_help(home: Path, encoder: Encoder) -> None:
    """Nobody asked for a decoder by name: a list of names would be no answer."""
    store(home, "compact", mirrors(TINY, "relu4_1"))
    with pytest.raises(MissingWeights, match=r"'tiny'.*recipes/wct-compact.toml"):
        load_decoders("wct", encoder, ("relu4_1",))


@pytest.mark.parametrize("width", [1.0, 1.5])
def test_what_was_written_is_read(home: Path, encoder: Encoder, width: float) -> None:
    """Frozen, in float32, by tap, as wide as the header says."""
    made = mirrors(TINY, "relu2_1", "relu4_1", width=width)
    store(home, "tiny", made, width=width)
    loaded = load_decoders("wct", encoder, ("relu4_1", "relu2_1"))
    assert set(loaded) == {"relu2_1", "relu4_1"}
    assert not loaded.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.parameters())
    features = torch.rand(1, 8, 2, 2)
    expected, got = (d["relu4_1"](features, (16, 16)) for d in (made, loaded))
    assert (expected - got).norm() < 1e-2 * expected.norm()


def test_a_header_without_width_means_the_mirror(home: Path, encoder: Encoder) -> None:
    store(home, "tiny", mirrors(TINY, "relu3_1"))
    assert convs(load_decoders("wct", encoder, ("relu3_1",)))[0].out_channels == 6


def test_a_tap_is_missing(home: Path, encoder: Encoder) -> None:
    """Found out here, not in the middle of a picture."""
    path = store(home, "tiny", mirrors(TINY, "relu4_1"))
    with pytest.raises(DamagedWeights, match=rf"{path} does not fit the encoder 'tiny'"):
        load_decoders("wct", encoder, ("relu4_1", "relu1_1"))


@pytest.mark.parametrize("width", ["wide", None, [1], {}, -1.0, 2.0, math.nan])
def test_a_width_that_is_none_or_another(home: Path, encoder: Encoder, width: object) -> None:
    """What a header says may be anything."""
    path = store(home, "tiny", mirrors(TINY, "relu4_1"), width=width)
    with pytest.raises(DamagedWeights, match=rf"{path} does not fit the encoder 'tiny'"):
        load_decoders("wct", encoder, ("relu4_1",))


def test_decoders_of_another_shape(home: Path, encoder: Encoder) -> None:
    """Sound in itself, but made for another version of the encoder."""
    path = store(home, "tiny", mirrors(Shape((4, 6, 9, 8, 8), (2, 2, 1, 1, 1)), "relu4_1"))
    with pytest.raises(DamagedWeights, match=rf"{path} does not fit the encoder 'tiny'"):
        load_decoders("wct", encoder, ("relu4_1",))


def test_decoders_with_other_names(home: Path, encoder: Encoder) -> None:
    path = home / weights.file_name("wct", "tiny")
    weights.write(path, {"conv.weight": torch.zeros(3)}, weights.Header("wct", "tiny"))
    with pytest.raises(DamagedWeights, match="does not fit"):
        load_decoders("wct", encoder, TAPS)


def test_decoders_with_a_layer_missing(home: Path, encoder: Encoder) -> None:
    state = mirrors(TINY, "relu4_1").state_dict()
    state.pop("relu4_1.convs.2_1.bias")
    path = home / weights.file_name("wct", "tiny")
    weights.write(path, state, weights.Header("wct", "tiny"))
    with pytest.raises(DamagedWeights, match="does not fit"):
        load_decoders("wct", encoder, ("relu4_1",))


def test_damaged_decoders(home: Path, encoder: Encoder) -> None:
    path = store(home, "tiny", mirrors(TINY, "relu4_1"))
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedWeights, match="sha256"):
        load_decoders("wct", encoder, ("relu4_1",))
