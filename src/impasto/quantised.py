"""Networks whose convolutions multiply integers of 8 bits, as OpenVINO runs them.

Processors multiply twice as many of them at a time as of bfloat16. Weights are rounded filter by
filter, what comes in tensor by tensor, between the extremes that an invented picture brings about:
dead leaves, which have the statistics of photos (Lee, Mumford & Huang 2001, "Occlusion models for
natural images"). Everything between convolutions stays as it was.

Differs from what toolkits do: no set of photos has to be there. Ranges found on six photos are no
better (docs/log.md).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto import openvino

SIZE = (480, 704)
"""Height and width of the invented picture."""

LEAVES, LEAST, MOST = 1500, 4.0, 200.0
"""How many discs, and their radii, pixels: the density of radius r falls with its cube."""

LEVELS = 256


def quantised(model: Any, inputs: Sequence[Tensor]) -> Any:
    """A copy of an OpenVINO model with open sizes, its convolutions in integers of 8 bits.

    Transposed convolutions stay: OpenVINO writes what they make of integers in float32.
    inputs: (1, ...) each, the picture first; the others are what the ranges hold for
    """
    copy = _folded(model)
    # By its inputs: what comes in goes through the padding as integers, too
    found = {}
    for convolution in _convolutions(copy):
        output = _padded(convolution)
        found[output.get_node().get_friendly_name(), output.get_index()] = output
    ranges = _ranges(copy, list(found.values()), inputs)
    for output, extremes in zip(found.values(), ranges, strict=True):
        _quantise(output, *extremes)
    for convolution in _convolutions(copy):
        _quantise_weights(convolution)
    copy.validate_nodes_and_infer_types()
    return copy


def _folded(model: Any) -> Any:
    """A copy in which weights that are computed of others are constants."""
    openvino.core()
    from openvino.passes import ConstantFolding, Manager

    copy, passes = model.clone(), Manager()
    # Else sizes would be folded, too, if the model has been compiled for some
    copy.reshape({own: [-1] * own.get_partial_shape().rank.get_length() for own in copy.inputs})
    passes.register_pass(ConstantFolding())
    passes.run_passes(copy)
    return copy


def _convolutions(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]


def _padded(convolution: Any) -> Any:
    """What comes into a convolution, before it is padded."""
    output = convolution.input_value(0)
    while output.get_node().get_type_name() == "Pad":
        output = output.get_node().input_value(0)
    return output


def _ranges(
    model: Any, outputs: Sequence[Any], inputs: Sequence[Tensor]
) -> list[tuple[float, float]]:
    """The least and the greatest that these outputs come to be, in float32."""
    from openvino import Model, opset13

    seen = Model([opset13.result(output) for output in outputs], model.get_parameters())
    given = [leaves(), *inputs[1:]]
    (request,) = openvino.compiled(seen.clone(), given, bf16=False)
    request.infer([x.float().contiguous().numpy() for x in given])
    results = [request.get_output_tensor(i).data for i in range(len(outputs))]
    return [(float(array.min()), float(array.max())) for array in results]


def _quantise(output: Any, least: float, greatest: float) -> None:
    """Round what convolutions and their padding take, to levels one of which is zero."""
    kinds = ("Convolution", "Pad")
    takers = [x for x in output.get_target_inputs() if x.get_node().get_type_name() in kinds]
    bound = max(-least, greatest)
    low = 0.0 if least >= 0 else -bound * LEVELS / (LEVELS - 2)
    rounded = _rounded(output, low, bound, LEVELS)
    for taker in takers:
        taker.replace_source_output(rounded.output(0))


def _quantise_weights(convolution: Any) -> None:
    """Round every filter to as many levels below zero as above."""
    weights = convolution.input_value(1)
    filters = weights.get_node().data  # (out, in, h, w)
    bound = np.abs(filters).max((1, 2, 3), keepdims=True)
    convolution.input(1).replace_source_output(
        _rounded(weights, -bound, bound, LEVELS - 1).output(0)
    )


def _rounded(output: Any, low: Any, high: Any, levels: int) -> Any:
    from openvino import opset13

    ends = [opset13.constant(np.asarray(x, np.float32)) for x in (low, high)]
    return opset13.fake_quantize(output, *ends, *ends, levels)


@cache
def leaves() -> Tensor:
    """Discs that cover one another, the same every time.  ->  (1, 3, H, W), [0, 1]"""
    (height, width), random = SIZE, np.random.default_rng(0)
    picture: NDArray[np.float32] = np.zeros((height, width, 3), np.float32)
    picture[:, : width // 2] = 1  # what shows through is black and white: the range is all used
    share = random.random(LEAVES)
    radii = (share / LEAST**2 + (1 - share) / MOST**2) ** -0.5
    places = random.random((LEAVES, 2)) * (height, width)
    colours = random.normal(random.random((LEAVES, 1)), 0.15, (LEAVES, 3)).clip(0, 1)
    for (y, x), radius, colour in zip(places, radii, colours, strict=True):
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        part = picture[top : int(y + radius) + 1, left : int(x + radius) + 1]
        down, across = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        part[(down - y) ** 2 + (across - x) ** 2 < radius**2] = colour
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()
