"""Whether a file paints what torch paints: compared in ONNX Runtime, at sizes of every kind."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from impasto.codes import Code
from impasto.errors import ImpastoError
from impasto.export.graphs import Graph
from impasto.export.model import package
from impasto.media.image import resize
from impasto.media.samples import sample_photo
from impasto.stylizer import Stylizer

SIZES = ((192, 256), (181, 257), (333, 250))
"""Height and width of the pictures that are compared."""

STRENGTHS = (1.0, 0.5)

LARGEST_HALF = 65504.0
"""The largest number of float16."""


@dataclass(frozen=True)
class Limit:
    """How far pictures may differ, in 1/255."""

    greatest: float
    mean: float


LIMITS = {False: Limit(1.0, 0.05), True: Limit(32.0, 1.0)}
"""By whether weights are halved. Whitening blows rounding up, so single pixels may be far off."""


@dataclass(frozen=True)
class Comparison:
    """How far a picture painted by ONNX Runtime is from that of torch, in 1/255."""

    height: int
    width: int
    strength: float
    greatest: float
    mean: float

    def row(self) -> dict[str, float]:
        """For the model's metadata."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def session(model: bytes) -> Any:
    """The model in ONNX Runtime, on the processor, on as many threads as torch has."""
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # it would warn of inputs that have a default
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compared(
    method: Stylizer, code: Code, model: bytes, tensors: Mapping[str, Tensor], half: bool = False
) -> list[Comparison]:
    """The model beside the method itself, in torch and float32, at all sizes and strengths.

    tensors: the code as the model takes it

    Raises ImpastoError where they differ by more than they may.
    """
    opened = session(model)
    rows = [
        _compared(method, code, opened, tensors, size, strength)
        for size in SIZES
        for strength in STRENGTHS
    ]
    limit = LIMITS[half]
    for row in rows:
        if not (row.greatest <= limit.greatest and row.mean <= limit.mean):
            raise ImpastoError(
                f"Nothing was written: at {row.width} x {row.height} px and strength "
                f"{row.strength:g} ONNX Runtime differs from torch by {row.greatest:.3g}/255 "
                f"({row.mean:.3g}/255 on average); {limit.greatest:g} ({limit.mean:g}) are allowed."
            )
    return rows


def painted(
    session: Any, content: Tensor, strength: float, tensors: Mapping[str, Tensor]
) -> Tensor:
    """What ONNX Runtime paints.  (B, 3, H, W), [0, 1]  ->  the same"""
    feed = {"content": content, "strength": torch.tensor(strength), **tensors}
    outputs = session.run(None, {name: tensor.float().numpy() for name, tensor in feed.items()})
    return torch.from_numpy(outputs[0])


def _compared(
    method: Stylizer,
    code: Code,
    session: Any,
    tensors: Mapping[str, Tensor],
    size: tuple[int, int],
    strength: float,
) -> Comparison:
    photo = resize(sample_photo("astronaut"), size)
    wanted = method.stylize(photo, code, strength)
    error = (painted(session, photo, strength, tensors) - wanted).abs() * 255
    return Comparison(*size, strength, float(error.max()), float(error.mean()))


@torch.no_grad()
def fullest(
    graph: Graph, tensors: Mapping[str, Tensor], contents: Sequence[Tensor] | None = None
) -> float:
    """The largest number that goes in or out of a convolution, as a share of what float16 holds.

    contents: pictures; by default one that is white but for one black pixel, its negative and noise

    Raises ImpastoError where it is 1 or more.
    """
    seen = [0.0]

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.extend(float(tensor.abs().max()) for tensor in (inputs[0], output))

    graph.mixed = True
    hooks = [m.register_forward_hook(look) for m in graph.modules() if isinstance(m, nn.Conv2d)]
    try:
        for content in _hard() if contents is None else contents:
            graph(content, torch.tensor(0.5), tensors)
            graph(content, torch.tensor(1.0), tensors)
    finally:
        for hook in hooks:
            hook.remove()
    share = max(seen) / LARGEST_HALF
    if not share < 1 or any(value != value for value in seen):
        raise ImpastoError("Nothing was written: these weights overflow in half precision.")
    return share


def _hard() -> list[Tensor]:
    white = torch.ones(1, 3, 64, 64)
    white[:, :, 32, 32] = 0
    noise = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)).round()
    return [white, 1 - white, noise]
