"""Networks in integers: nearly the pictures of the network, though every convolution is rounded."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto import openvino
from impasto.backends import TOLERANCE
from impasto.networks.transformer import EVERY, Transformer
from impasto.quantised import LEVELS, SIZE, leaves, quantised

pytestmark = pytest.mark.skipif(not openvino.there(), reason="no OpenVINO")

WIDTH = 0.25


@pytest.fixture(scope="module")
def painter() -> Transformer:
    """Every layer conditional, as the network of many styles is."""
    torch.manual_seed(0)
    return Transformer(WIDTH, conditional=EVERY).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def row(painter: Transformer) -> Tensor:
    return painter.neutral()[None]


@pytest.fixture(scope="module")
def model(painter: Transformer, row: Tensor) -> Any:
    return openvino.converted(painter, [torch.rand(1, 3, 64, 64), row])


def painted(model: Any, *inputs: Tensor) -> Tensor:
    return openvino.inferred(openvino.compiled(model.clone(), inputs, bf16=False), inputs)


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize("size", [(64, 64), (97, 130)])
def test_nearly_the_pictures_of_the_network(
    painter: Transformer, model: Any, row: Tensor, size: tuple[int, int]
) -> None:
    """At any size, though ranges are found at one."""
    image = torch.nn.functional.interpolate(leaves(), size, mode="bilinear")
    wanted = painter(image, row)
    error = (painted(quantised(model, [image, row]), image, row) - wanted).abs().mean()
    assert 0 < float(error) < TOLERANCE * float(wanted.std())  # trained ones stay below a third


def test_every_convolution_takes_integers(model: Any, row: Tensor) -> None:
    """Weights as many levels below zero as above; what comes in may have one level more."""
    rounded = quantised(model, [leaves(), row])
    convolutions = [x for x in rounded.get_ordered_ops() if x.get_type_name() == "Convolution"]
    assert len(convolutions) == kinds(model).count("Convolution") > 10
    for convolution, port in itertools.product(convolutions, (0, 1)):
        node = convolution.input_value(port).get_node()
        while node.get_type_name() == "Pad":
            node = node.input_value(0).get_node()
        assert node.get_type_name() == "FakeQuantize"
        assert node.get_attributes()["levels"] == LEVELS - port


def test_the_model_itself_stays_as_it_is(painter: Transformer, model: Any, row: Tensor) -> None:
    quantised(model, [leaves(), row])
    assert "FakeQuantize" not in kinds(model)
    image = torch.rand(1, 3, 64, 80)
    torch.testing.assert_close(painted(model, image, row), painter(image, row), atol=4e-5, rtol=0)


def test_ranges_are_those_of_the_style(painter: Transformer, model: Any, row: Tensor) -> None:
    """A style whose features are ten times as large would be cut off in the ranges of another."""
    large, image = 10 * row, leaves()[..., :128, :128]
    wanted = painter(image, large)
    own, other = (painted(quantised(model, [image, r]), image, large) for r in (large, row))
    assert float((own - wanted).abs().mean()) < 0.3 * float((other - wanted).abs().mean())


def test_leaves() -> None:
    """The same every time, all of the range, discs of many sizes: neighbours are mostly alike."""
    picture = leaves()
    assert picture.shape == (1, 3, *SIZE)
    assert picture.min() == 0 and picture.max() == 1
    assert torch.equal(picture, leaves.__wrapped__())
    steps = picture.diff(dim=3).abs().amax(1)
    assert 0.01 < float((steps > 0.05).float().mean()) < 0.3
