"""Networks that repaint in one pass, compiled for the processor where that pays.

OpenVINO (the extra ``fast``) takes nine tenths of the time of torch at 512 px and less than half of
it at 2048 px, where layers outgrow what malloc keeps. Precision is the runtime's, statistics are
float32 either way. To load, convert and compile takes half a second, so a size is left to torch
until so much has been painted at it that this pays; before, OpenVINO is not even imported.
``IMPASTO_ENGINE=torch`` leaves everything to torch.
"""

import ctypes
import math
import os
import sys
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.runtime import Runtime

WORTH = 5.0
"""Squares of megapixels, over all pictures of a size, from which on it is compiled.

70 pictures at 512 px, 5 at 1024 px, one at 1500 px: what is saved grows faster than the picture.
"""

KEPT = 4_000_000
"""Pixels of the sizes that stay compiled, the latest always: buffers take 150 bytes for each."""

SMALLEST = 64
"""Pictures with a shorter side stay with torch: reflection takes room at the deepest layer."""

TRACED, CHECKED = (64, 64), (97, 78)
"""Height and width at which a network is converted, and at which the result is checked."""

TOLERANCE = 0.1
"""Mean error of the check over the deviation of the picture; that of bfloat16 is 0.03 at most."""

Shapes = tuple[tuple[int, ...], ...]

_BUILDING = Lock()
"""One model at a time: to load, trace and convert takes what belongs to the whole process."""

_BUILT: "WeakSet[Engine]" = WeakSet()
"""The engines that have compiled something."""


class Engine:
    """A network in use, called like the module: eager torch, or OpenVINO where that pays.

    What runs when depends on the calls so far alone, so the same work gives the same pictures. The
    weights must not change any more. Should OpenVINO fail, a warning says so, once, and torch goes
    on.
    """

    def __init__(
        self, module: nn.Module, runtime: Runtime, name: str, worth: float = WORTH
    ) -> None:
        self.module, self.runtime, self.name, self.worth = module, runtime, name, worth
        self.able = runtime.device.type == "cpu" and _wanted()
        self._work: defaultdict[tuple[int, ...], float] = defaultdict(float)
        self._model: Any = None
        self._requests: OrderedDict[tuple[Shapes, int], Any] = OrderedDict()
        self._lock = Lock()

    @torch.no_grad()
    def __call__(self, image: Tensor, *others: Tensor | None) -> Tensor:
        """What the module makes of a picture, without gradient.

        image: (B, C, H, W); others: (B, ...), what else it takes, None where it takes nothing
        ->  the module's one tensor, float32
        """
        inputs = [image, *(x for x in others if x is not None)]
        if self._pays(image):
            try:
                with self._lock:  # a request serves one caller
                    pictures = zip(*(torch.split(x, 1) for x in inputs), strict=True)
                    painted = [inferred(self._request(one), one) for one in pictures]
                return torch.cat(painted) if len(painted) > 1 else painted[0]
            except Exception as error:  # its errors are RuntimeErrors, and what tracing raises
                self._give_up(error)
        with self.runtime.autocast():
            return self.module(*inputs).float()  # type: ignore[no-any-return]

    def _pays(self, image: Tensor) -> bool:
        size = tuple(image.shape[-2:])
        self._work[size] += len(image) * (math.prod(size) / 1e6) ** 2
        return self.able and min(size) >= SMALLEST and self._work[size] >= self.worth

    def _request(self, inputs: Sequence[Tensor]) -> Any:
        """The network compiled for inputs of these shapes."""
        key = (tuple(tuple(x.shape) for x in inputs), torch.get_num_threads())
        if key not in self._requests:
            with _BUILDING:
                _BUILT.add(self)
                if self._model is None:
                    self._model = self._converted(inputs)
                self._requests[key] = compiled(self._model, inputs, self.runtime.bf16)
            self._forget()
        self._requests.move_to_end(key)
        return self._requests[key]

    def _converted(self, inputs: Sequence[Tensor]) -> Any:
        """The model, after a look at what it paints, at another size than it was converted at."""
        small = resized(inputs, CHECKED)
        with torch.autocast(self.runtime.device.type, enabled=False):  # the caller may be in one
            model = converted(self.module, resized(inputs, TRACED))
            wanted = self.module(*small)
        painted = inferred(compiled(model, small, self.runtime.bf16), small)
        error = float((painted - wanted).abs().mean())
        if not error <= TOLERANCE * float(wanted.std()) + 1e-3:
            raise RuntimeError(f"it is wrong by {error:.2g}")
        return model

    def _forget(self) -> None:
        while len(self._requests) > 1 and sum(map(area, self._requests)) > KEPT:
            (shapes, _), _ = self._requests.popitem(last=False)
            self._work[shapes[0][-2:]] = 0.0

    def _give_up(self, error: Exception) -> None:
        self.able = False
        self._model = None
        self._requests.clear()
        reason = " ".join(str(error).split())[-160:]
        text = f"OpenVINO cannot run {self.name} ({reason}). It goes on without, only slower."
        warnings.warn(text, stacklevel=4)


def _wanted() -> bool:
    return os.environ.get("IMPASTO_ENGINE") != "torch" and find_spec("openvino") is not None


@cache
def core() -> Any:
    """OpenVINO, loaded once for the process, in a thread of its own.

    When its plugin for processors is loaded, it gives the calling thread another stack for signals,
    and when it is freed it unmaps that stack, whether the thread still uses it or not (seen in
    2026.0 to 2026.4). With two of them that is so, and the next signal, such as the end of a
    worker process, ends this process without a word.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_loaded).result()


def _loaded() -> Any:
    """Without its telemetry, which reports every import and writes into the user's home."""
    missing = sys.modules.setdefault("openvino_telemetry", None) is None  # type: ignore[arg-type]
    try:
        from openvino import Core
    finally:
        if missing:
            sys.modules.pop("openvino_telemetry")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)
    loaded = Core()
    loaded.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    return loaded


def _forked() -> None:
    """What a forked process does: it has none of OpenVINO's threads, and they are waited for.

    So engines go on with torch, and what they have compiled stays when the process ends.
    """
    kept: list[Any] = [core()] if core.cache_info().currsize else []
    for engine in _BUILT:
        engine.able = False
        kept += [engine._model, *engine._requests.values()]
    for thing in kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def converted(module: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """The module as an OpenVINO model whose sizes are open.

    By the front end itself: ``openvino.convert_model`` takes three times as long, writes into the
    user's home and reports home. By tracing: ``torch.export`` takes three seconds.
    """
    core()  # the import, silently
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what becomes constant by tracing; the check is for that
        traced = torch.jit.trace(module, tuple(inputs), check_trace=False)  # type: ignore[no-untyped-call]
    decoder = TorchScriptPythonDecoder(traced)  # the front end does not keep it alive
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))


def compiled(model: Any, inputs: Sequence[Tensor], bf16: bool) -> Any:
    """A request of the model for inputs of these shapes, on as many threads as torch has.

    Not for any shape: then OpenVINO does not see which of two layouts costs less, and networks
    whose scales and shifts are inputs take a sixth longer.
    """
    model.reshape({own: list(x.shape) for own, x in zip(model.inputs, inputs, strict=True)})
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # others work beside us
    }
    return core().compile_model(model, "CPU", settings).create_infer_request()


def inferred(request: Any, inputs: Sequence[Tensor]) -> Tensor:
    """What the model makes of the inputs."""
    arrays = [x.float().contiguous().numpy() for x in inputs]
    return torch.from_numpy(request.infer(arrays, share_inputs=True)[0])


def resized(inputs: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """The inputs with the picture, the first of them, at another size."""
    return [F.interpolate(inputs[0], size, mode="bilinear"), *inputs[1:]]


def area(key: tuple[Shapes, int]) -> int:
    """Pixels of the picture that a request is for."""
    return math.prod(key[0][0][-2:])
