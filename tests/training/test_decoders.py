"""What all decoders' recipes share: stages, crops, errors, and the decoder that is solved."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.config import validate
from impasto.errors import BadInput, UnknownName
from impasto.media.image import write
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import IMAGENET_STD, TAPS, Encoder, Shape
from impasto.runtime import Runtime
from impasto.training.batches import crops
from impasto.training.decoders import (
    PIXEL_VARIANCE,
    DecoderRecipe,
    pixel_error,
    psnr,
    solved,
)

SETTINGS = {
    "stages": [
        {"until": 10, "size": 32, "batch": 3},
        {"until": 20, "size": 40, "batch": 2},
    ],
    "schedule": {"steps": 20, "lr": 1e-3},
}


@pytest.fixture
def recipe() -> DecoderRecipe:
    return validate(DecoderRecipe, SETTINGS)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three pictures of noise."""
    names = [tmp_path / f"{number}.png" for number in range(3)]
    for path in names:
        write(torch.rand(1, 3, 48, 56), path)
    return names


# --- the recipe ---


@pytest.mark.parametrize(("step", "size"), [(0, 32), (9, 32), (10, 40), (19, 40), (500, 40)])
def test_stages_follow_each_other(recipe: DecoderRecipe, step: int, size: int) -> None:
    """The last one goes on to the end, wherever that is."""
    assert recipe.stage(step).size == size


def test_defaults_are_the_mirror_of_our_own_encoder(recipe: DecoderRecipe) -> None:
    assert (recipe.encoder, recipe.width) == ("compact", 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"stages": []},
        {"stages": [{"until": 1, "size": 16}]},
        {"stages": [{"until": 1, "size": 32, "batch": 0}]},
        {"width": 0},
        {"width": 9},
    ],
)
def test_recipes_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        validate(DecoderRecipe, SETTINGS | change)


def test_misspelt_settings_are_named() -> None:
    with pytest.raises(UnknownName, match=r"'widht'.*Did you mean 'width'"):
        validate(DecoderRecipe, SETTINGS | {"widht": 2})
    with pytest.raises(UnknownName, match=r"'vgg20'.*compact, vgg16, vgg19"):
        validate(DecoderRecipe, SETTINGS | {"encoder": "vgg20"})


# --- crops ---


def test_crops_are_as_the_stage_wants_them(
    recipe: DecoderRecipe, paths: list[Path], machine: Runtime
) -> None:
    for step, shape in ((0, (3, 3, 32, 32)), (15, (2, 3, 40, 40))):
        batch = crops(paths, recipe, step, machine, seed=0)
        assert batch.shape == shape
        assert batch.dtype == torch.float32
        assert 0 <= batch.min() < batch.max() <= 1


def test_crops_are_a_function_of_step_and_seed(
    recipe: DecoderRecipe, paths: list[Path], machine: Runtime
) -> None:
    """A resumed run sees what the unbroken one would have seen; no two pictures are alike."""
    once = [crops(paths, recipe, step, machine, seed=0) for step in range(3)]
    assert torch.equal(crops(paths, recipe, 2, machine, seed=0), once[2])
    assert not torch.equal(crops(paths, recipe, 2, machine, seed=1), once[2])
    assert len({image.numpy().tobytes() for batch in once for image in batch}) == 9


# --- errors ---


def test_no_error_at_the_target() -> None:
    image = torch.rand(2, 3, 8, 8)
    assert pixel_error(image, image) == 0
    assert psnr(image, image).tolist() == [math.inf] * 2


def test_pixel_error_by_hand() -> None:
    """Off by 0.1 everywhere is 0.01 of squares, a sixth of how photos vary."""
    image = torch.rand(2, 3, 8, 8)
    assert pixel_error(image + 0.1, image).item() == pytest.approx(0.01 / PIXEL_VARIANCE, rel=1e-4)
    assert pixel_error(image + 0.1, image).item() == pytest.approx(1 / 6, rel=1e-3)


def test_pixel_error_of_half_precision() -> None:
    image = torch.rand(2, 3, 8, 8)
    error = pixel_error((image + 0.1).bfloat16(), image)
    assert error.dtype == torch.float32
    assert error.item() == pytest.approx(1 / 6, rel=0.1)


@pytest.mark.parametrize(("off", "decibel"), [(0.1, 20), (0.01, 40), (1.0, 0)])
def test_psnr_by_hand(off: float, decibel: float) -> None:
    zeros = torch.zeros(1, 3, 8, 8)
    assert psnr(zeros + off, zeros).item() == pytest.approx(decibel, abs=1e-3)


def test_psnr_is_of_each_picture() -> None:
    """Averaged over a batch in squares, one bad picture would hide what the others are worth."""
    zeros = torch.zeros(2, 3, 8, 8)
    other = zeros + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    torch.testing.assert_close(psnr(other, zeros), torch.tensor([20.0, 40.0]))


# --- the decoder that is solved ---


@pytest.fixture
def shifted() -> Encoder:
    """Features that are the colours of the upper left neighbour, above and below their mean."""
    encoder = Encoder(Shape((6, 6, 6, 6, 6), (1,) * 5)).requires_grad_(False)
    conv = encoder.convs["1_1"]
    assert isinstance(conv, nn.Conv2d)
    conv.weight.zero_()
    conv.weight[:3, :, 0, 0], conv.weight[3:, :, 0, 0] = torch.eye(3), -torch.eye(3)
    return encoder


def only_conv(decoder: Decoder) -> nn.Conv2d:
    (conv,) = decoder.convs.values()
    assert isinstance(conv, nn.Conv2d)
    return conv


def rebuilt(decoder: Decoder, encoder: Encoder, images: Tensor) -> Tensor:
    features = encoder(images, TAPS[:1])[TAPS[0]]
    picture: Tensor = decoder(features, (images.shape[-2], images.shape[-1]))
    return picture


def test_the_solution_is_the_known_one(shifted: Encoder) -> None:
    """Back from the lower right neighbour, with ImageNet's deviations, plus its mean colour."""
    images = torch.rand(4, 3, 64, 64)
    decoder = solved(shifted, images, ridge=1e-6)
    weight = only_conv(decoder).weight
    expected = torch.zeros_like(weight)
    deviations = torch.tensor(IMAGENET_STD).diag()
    expected[:, :3, 2, 2], expected[:, 3:, 2, 2] = deviations, -deviations
    torch.testing.assert_close(weight, expected, atol=0.02, rtol=0)
    inside = (..., slice(2, -2), slice(2, -2))
    assert psnr(rebuilt(decoder, shifted, images)[inside], images[inside]).min() > 30


def test_nothing_near_the_solution_is_better(encoder: Encoder, photo: Tensor) -> None:
    """Least squares: every way away from it is up."""
    decoder = solved(encoder, photo, ridge=1e-6)

    def error() -> float:
        return float((rebuilt(decoder, encoder, photo) - photo).double().square().mean())

    least = error()
    assert least < 0.2 * float(photo.var((2, 3)).mean())
    for weight in decoder.parameters():
        for step in (0.02, -0.02):
            way = torch.randn_like(weight) * step
            weight += way
            assert error() > least
            weight -= way


def test_features_that_say_nothing(encoder: Encoder) -> None:
    """Even pictures, dead filters: the ridge gives the mean colour instead of an error."""
    grey = torch.full((1, 3, 8, 8), 0.25)
    flat = rebuilt(solved(encoder, grey), encoder, grey)
    torch.testing.assert_close(flat, grey, atol=1e-3, rtol=0)


def test_the_solution_is_not_trained_any_further(encoder: Encoder, photo: Tensor) -> None:
    """It is a decoder of relu1_1 as any other, but frozen; random numbers do not come into it."""
    decoder = solved(encoder, photo)
    assert decoder.tap == TAPS[0]
    assert not any(p.requires_grad for p in decoder.parameters())
    torch.manual_seed(99)
    again = solved(encoder, photo).state_dict()
    assert all(torch.equal(again[key], own) for key, own in decoder.state_dict().items())
