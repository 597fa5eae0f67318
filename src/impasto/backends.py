"""What may run a network in place of eager torch: OpenVINO, torch.compile, CUDA graphs.

Each makes a network ready for inputs of certain shapes, compares what it paints with what torch
paints, and hands out what paints such inputs from then on.
"""

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import openvino
from impasto.errors import Notice
from impasto.quantised import leaves, quantised
from impasto.runtime import Runtime

TRACED, CHECKED = (64, 64), (97, 78)
"""Height and width at which OpenVINO converts a network, and at which the result is checked."""

TOLERANCE = 0.1
"""Mean error of the check over the deviation of the picture; that of bfloat16 is 0.03 at most."""

WARM_UP = 3
"""Passes before a graph is recorded: what torch settles on the first ones is not part of it."""

RECORDED = 4_000_000
"""Pixels of a batch up to which a pass is recorded: larger ones keep the device busy as it is."""

Shapes = tuple[tuple[int, ...], ...]

Painting = Callable[[Sequence[Tensor]], Tensor]
"""The network for inputs of certain shapes: (B, ...) each  ->  its one tensor, float32."""


class Backend(ABC):
    """One network, run by something else than eager torch."""

    title: ClassVar[str]
    """What people know it as."""
    worth: ClassVar[float]
    """How much of a size has to be painted before it is made ready for, see ``work``."""

    def __init__(self, module: nn.Module, runtime: Runtime) -> None:
        self.module, self.runtime = module, runtime

    @classmethod
    def work(cls, pictures: int, pixels: int) -> float:
        """How much a batch of pictures of a size counts."""
        return pictures

    @classmethod
    def shapes(cls, inputs: Sequence[Tensor]) -> Shapes:
        """What has to be alike for inputs to be painted by what is ``prepared`` for others."""
        return tuple(tuple(x.shape) for x in inputs)

    def fixed(self, inputs: Sequence[Tensor]) -> tuple[bytes, ...]:
        """What else of inputs has to be alike, beside their shapes: nothing."""
        return ()

    @abstractmethod
    def prepared(self, inputs: Sequence[Tensor]) -> Painting:
        """What paints inputs of these shapes, and with what is ``fixed``; any thread may call it.

        Raises whatever goes wrong, RuntimeError where it paints something else than torch.
        """

    def _eager(self, inputs: Sequence[Tensor]) -> Tensor:
        with self.runtime.autocast():
            return self.module(*inputs).float()  # type: ignore[no-any-return]


class OpenVino(Backend):
    """OpenVINO on processors: a network is converted once and compiled for every size.

    It takes nine tenths of the time of torch at 512 px and less than half of it at 2048 px, where
    layers outgrow what malloc keeps. To load, convert and compile takes half a second.
    """

    title = "OpenVINO"
    worth = 5.0
    """Squares of megapixels: 70 pictures at 512 px, 5 at 1024 px, one at 1500 px."""

    def __init__(self, module: nn.Module, runtime: Runtime) -> None:
        super().__init__(module, runtime)
        self._model: Any = None

    @classmethod
    def work(cls, pictures: int, pixels: int) -> float:
        """What is saved grows faster than the picture."""
        return pictures * (pixels / 1e6) ** 2

    @classmethod
    def shapes(cls, inputs: Sequence[Tensor]) -> Shapes:
        """Any number of pictures that is larger than that of the threads is alike."""
        count = at_once(len(inputs[0]))
        return tuple((count, *x.shape[1:]) for x in inputs)

    def fixed(self, inputs: Sequence[Tensor]) -> tuple[bytes, ...]:
        """In integers the style: how large features become depends on it."""
        if not self.runtime.int8:
            return ()
        return tuple(x[0].float().numpy().tobytes() for x in inputs[1:])

    def prepared(self, inputs: Sequence[Tensor]) -> Painting:
        """Picture by picture, several at once."""
        one, callers = [x[:1] for x in inputs], self.runtime.callers
        each = at_once(len(inputs[0]))
        with threads_of(callers):  # all of them wait for this
            if self._model is None:
                self._model = self._converted(one)
            model = self._quantised(self._model, one) if self.runtime.int8 else self._model
            requests = self._compiled(model, one, each * callers)
        groups = [requests[start : start + each] for start in range(0, len(requests), each)]
        return shared([partial(openvino.inferred, group) for group in groups])

    def _converted(self, inputs: Sequence[Tensor]) -> Any:
        """The model, after a look at what it paints, at another size than it was converted at."""
        small = resized(inputs, CHECKED)
        with torch.autocast(self.runtime.device.type, enabled=False):  # the caller may be in one
            model = openvino.converted(self.module, resized(inputs, TRACED))
            wanted = self.module(*small)
        check(openvino.inferred(self._compiled(model, small), small), wanted)
        return model

    def _quantised(self, model: Any, inputs: Sequence[Tensor]) -> Any:
        """The model in integers; where that paints something else, the model, and a Notice."""
        integers = quantised(model, inputs)
        seen = resized([leaves(), *inputs[1:]], CHECKED)
        with torch.autocast(self.runtime.device.type, enabled=False):
            wanted = self.module(*seen)
        try:
            check(openvino.inferred(self._compiled(integers, seen), seen), wanted)
        except RuntimeError as error:
            text = f"In integers a network is not itself ({error}): it goes on without them."
            warnings.warn(text, Notice, stacklevel=2)
            return model
        return integers

    def _compiled(self, model: Any, inputs: Sequence[Tensor], count: int = 1) -> list[Any]:
        return openvino.compiled(model, inputs, self.runtime.bf16, count)


class Compiled(Backend):
    """torch.compile: kernels of torch's own making, for each size anew."""

    title = "torch.compile"
    worth = 0.0

    def prepared(self, inputs: Sequence[Tensor]) -> Painting:
        """Takes most of a minute on two cores, and a C++ compiler."""

        def painting(inputs: Sequence[Tensor]) -> Tensor:
            with self.runtime.autocast():
                return network(*inputs).float()  # type: ignore[no-any-return]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's parts about one another
            network = torch.compile(self.module, dynamic=False)
            painted = painting(inputs)
        check(painted, self._eager(inputs))
        return shared([painting])


class Graphs(Backend):
    """CUDA graphs: the kernels of a pass, recorded once and then started all together.

    Small pictures spend most of their time on the start of each.
    """

    title = "CUDA graphs"
    worth = 16.0
    """Pictures of a size: films and batches."""

    @classmethod
    def work(cls, pictures: int, pixels: int) -> float:
        """Nothing for large batches."""
        return pictures if pictures * pixels <= RECORDED else 0.0

    def prepared(self, inputs: Sequence[Tensor]) -> Painting:
        """The graph holds memory of its own for every layer."""
        own = [x.clone() for x in inputs]
        side = torch.cuda.Stream(self.runtime.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self.runtime.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._pass(own)
        torch.cuda.current_stream(self.runtime.device).wait_stream(side)
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.runtime.device)
        # Back to this stream, should recording fail; meanwhile others read and write
        with torch.cuda.stream(here), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            painted = self._pass(own)

        def painting(inputs: Sequence[Tensor]) -> Tensor:
            for mine, given in zip(own, inputs, strict=True):
                mine.copy_(given)
            graph.replay()
            return painted.clone()

        check(painting(inputs), self._eager(inputs))
        return shared([painting])

    def _pass(self, inputs: Sequence[Tensor]) -> Tensor:
        """Without autocast's memory of weights it has converted: a graph would not keep them."""
        kind, bf16 = self.runtime.device.type, self.runtime.bf16
        with torch.autocast(kind, torch.bfloat16, enabled=bf16, cache_enabled=False):
            return self.module(*inputs).float()  # type: ignore[no-any-return]


BY_HAND: Mapping[str, type[Backend]] = {"openvino": OpenVino, "compile": Compiled}
"""By what ``--engine`` says."""


def at_once(pictures: int) -> int:
    """How many pictures of a batch OpenVINO works on at the same time."""
    return min(pictures, torch.get_num_threads())


def shared(paintings: Sequence[Painting]) -> Painting:
    """One for all threads: each keeps to one of these, which serve one caller at a time."""
    locks, own, numbers = [threading.Lock() for _ in paintings], threading.local(), count()

    def painting(inputs: Sequence[Tensor]) -> Tensor:
        if not hasattr(own, "index"):
            own.index = next(numbers) % len(paintings)
        with locks[own.index]:
            painted: Tensor = paintings[own.index](inputs)
            return painted

    return painting


@contextmanager
def threads_of(callers: int) -> Iterator[None]:
    """This thread computes on the threads of so many callers, which are waiting for it."""
    own = torch.get_num_threads()
    torch.set_num_threads(own * callers)
    try:
        yield
    finally:
        torch.set_num_threads(own)


def chosen(runtime: Runtime) -> type[Backend] | None:
    """What runs networks there; None: torch does, as it comes."""
    if runtime.engine != "auto":
        return BY_HAND.get(runtime.engine)
    if runtime.device.type == "cuda":
        return Graphs
    return OpenVino if runtime.device.type == "cpu" and openvino.there() else None


def check(painted: Tensor, wanted: Tensor) -> None:
    """Raise RuntimeError where a picture is not the one that is wanted: silent ones are worst."""
    error = float((painted - wanted).abs().mean())
    if not error <= TOLERANCE * float(wanted.std()) + 1e-3:
        raise RuntimeError(f"it is wrong by {error:.2g}")


def resized(inputs: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """The inputs with the picture, the first of them, at another size."""
    return [F.interpolate(inputs[0], size, mode="bilinear"), *inputs[1:]]
