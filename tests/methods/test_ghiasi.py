"""Ghiasi: an embedding for every canvas, straight ways between them, and back to the photo."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto import weights
from impasto.codes import Code, at, blend
from impasto.errors import MissingWeights
from impasto.methods.ghiasi import Ghiasi
from impasto.moments import moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.painters import AnyStyle
from impasto.networks.predictors import EMBEDDING, MomentsPredictor
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style


@pytest.fixture
def painter(home: Path, encoder: Encoder) -> AnyStyle:
    """A network in whose rows the embedding counts, put into the store for the tiny encoder."""
    network = AnyStyle(MomentsPredictor(encoder.shape.channels), 0.125).requires_grad_(False).eval()
    network.head.linear.weight *= 5
    config = {"width": 0.125, "norm": "instance", "predictor": "moments"}
    config |= {"channels": list(encoder.shape.channels)}
    path = home / weights.file_name("ghiasi", "tiny")
    weights.write(path, network.state_dict(), weights.Header("ghiasi", "tiny", config))
    return network


@pytest.fixture
def method(encoder: Encoder, machine: Runtime, painter: AnyStyle) -> Ghiasi:
    return Ghiasi.create(encoder, machine, Recipe(method="ghiasi", encoder="tiny"))


@pytest.fixture
def large(encoder: Encoder, painting: Tensor) -> Style:
    """A painting that looks different at 128 and at 256 pixels."""
    return Style.of(painting.repeat(1, 1, 4, 4), encoder, "coffee")


@pytest.fixture
def other(encoder: Encoder, photo: Tensor) -> Style:
    return Style.of(photo.flip(1), encoder, "astronaut")


def own_code(method: Ghiasi, photo: Tensor) -> Code:
    """The embedding of the photo itself, at its own size."""
    looks = {tap: moments(f) for tap, f in method.encoder(photo, TAPS).items()}
    return {"512/embedding": method.painter.predictor(looks)}


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


# --- embeddings ---


def test_there_is_a_code_for_every_canvas(method: Ghiasi, large: Style) -> None:
    code = method.encode(large)
    assert code.keys() == {f"{size}/embedding" for size in SIZES}
    assert all(tensor.shape == (1, EMBEDDING) for tensor in code.values())
    assert not any(tensor.requires_grad for tensor in code.values())
    for size in (128, 256):
        embedding = method.painter.predictor(large.at(size))
        torch.testing.assert_close(code[f"{size}/embedding"], embedding)
    assert not torch.allclose(code["128/embedding"], code["256/embedding"], rtol=1e-2)
    assert torch.equal(code["512/embedding"], code["1024/embedding"])  # it has no more than 256


def test_a_canvas_takes_the_embedding_for_its_size(
    method: Ghiasi, large: Style, painter: AnyStyle
) -> None:
    """Half way between the sizes in the logarithm, half of each."""
    code = method.encode(large)
    for side, embedding in (
        (128, code["128/embedding"]),
        (181, (code["128/embedding"] + code["256/embedding"]) / 2),
        (256, code["256/embedding"]),
    ):
        picture = torch.rand(1, 3, 8, side)
        expected = painter.paint(picture, painter.head(embedding)[0])
        torch.testing.assert_close(method.stylize(picture, code), expected, atol=1e-3, rtol=1e-3)


def test_a_style_seen_at_half_its_size_has_larger_strokes(method: Ghiasi, large: Style) -> None:
    """Twice the scale: what belongs to 512 px is used at 256 px already."""
    plain, larger = method.encode(large), method.encode(large, 2.0)
    assert larger.keys() == {f"{size // 2}/embedding" for size in SIZES}
    for size in SIZES:
        torch.testing.assert_close(dict(at(larger, size // 2)), dict(at(plain, size)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_between_two_styles_the_way_is_straight(
    method: Ghiasi, large: Style, other: Style, painter: AnyStyle, photo: Tensor, share: float
) -> None:
    """Embeddings and rows of a blend are so much of the one and so much of the other."""
    one, two = method.encode(large), method.encode(other)
    mixed = blend([one, two], [1 - share, share])
    rows = []
    for key in one:
        torch.testing.assert_close(mixed[key], one[key].lerp(two[key], share))
        heads = [painter.head(code[key]) for code in (one, two, mixed)]
        torch.testing.assert_close(heads[2], heads[0].lerp(heads[1], share), atol=1e-5, rtol=1e-4)
        rows.append(heads[2])
    painted = method.stylize(photo, mixed)
    torch.testing.assert_close(painted, painter.paint(photo, rows[0][0]), atol=1e-5, rtol=1e-5)


def test_two_styles_paint_two_pictures(
    method: Ghiasi, large: Style, other: Style, photo: Tensor
) -> None:
    pictures = [method.stylize(photo, method.encode(style)) for style in (large, other)]
    assert far(*pictures) > 0.01


# --- strength ---


def test_strength_leads_from_the_photo_to_the_style(
    method: Ghiasi, large: Style, photo: Tensor
) -> None:
    """Without a jump at its beginning."""
    code = method.encode(large)
    pictures = [method.stylize(photo, code, s) for s in (0, 1e-3, 0.25, 0.5, 0.75, 1)]
    distances = [far(picture, photo) for picture in pictures]
    assert all(a < b for a, b in pairwise(distances))
    assert distances[0] == 0 and distances[1] < 1e-2 * distances[-1]


@pytest.mark.parametrize("strength", [1e-4, 0.25, 0.5])
def test_in_its_own_style_a_photo_moves_straight(
    method: Ghiasi, painter: AnyStyle, photo: Tensor, strength: float
) -> None:
    """There is one row from beginning to end; what is given back of the photo is the rest."""
    code = own_code(method, photo)
    back = painter.paint(photo, painter.head(code["512/embedding"])[0])
    painted = method.stylize(photo, code, strength)
    expected = strength * back + (1 - strength) * photo
    torch.testing.assert_close(painted, expected, atol=1e-4, rtol=1e-4)


def test_half_way_is_the_row_half_way(
    method: Ghiasi, large: Style, painter: AnyStyle, photo: Tensor
) -> None:
    """From the embedding of the photo to that of the style, and half of what it does not give."""
    code = method.encode(large)
    own = painter.head(own_code(method, photo)["512/embedding"])[0]
    row = painter.head(code["128/embedding"])[0]
    expected = painter.paint(photo, (own + row) / 2) + 0.5 * (photo - painter.paint(photo, own))
    painted = method.stylize(photo, code, 0.5)
    torch.testing.assert_close(painted, expected.clamp(0, 1), atol=1e-4, rtol=1e-4)


def test_every_photo_of_a_batch_starts_from_its_own(
    method: Ghiasi, large: Style, photo: Tensor
) -> None:
    photos, code = torch.cat([photo, 1 - photo]), method.encode(large)
    together = method.stylize(photos, code, 0.5)
    for i in range(2):
        alone = method.stylize(photos[i : i + 1], code, 0.5)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-3, rtol=1e-3)


# --- paintings with nothing in them, weights that are not there ---


@pytest.mark.parametrize("size", [(8, 8), (1, 1)])
def test_a_painting_of_few_pixels(
    method: Ghiasi, encoder: Encoder, photo: Tensor, size: tuple[int, int]
) -> None:
    """Flat features have no correlations: rounding must not be taken for any."""
    for picture in (torch.rand(1, 3, *size), torch.zeros(1, 3, *size)):
        code = method.encode(Style.of(picture, encoder))
        assert all(tensor.isfinite().all() for tensor in code.values())
        assert method.stylize(photo, code).isfinite().all()


def test_without_a_network(home: Path, encoder: Encoder, machine: Runtime) -> None:
    with pytest.raises(MissingWeights, match="ghiasi 'tiny'"):
        Ghiasi.create(encoder, machine, Recipe(method="ghiasi", encoder="tiny"))
