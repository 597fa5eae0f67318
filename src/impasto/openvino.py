"""OpenVINO, the extra ``fast``: loaded with care, and only when something is to be compiled."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from impasto.errors import Notice
from impasto.weights import cache_folder

CACHE_BYTES = 200_000_000
"""What compiled networks may take in the user's cache; those unused for longest go first."""


def there() -> bool:
    """Whether it is installed; it is not imported for that."""
    return find_spec("openvino") is not None


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
    loaded = Core()
    loaded.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    return loaded


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


def compiled(model: Any, inputs: Sequence[Tensor], bf16: bool, count: int = 1) -> list[Any]:
    """Requests of the model for inputs of these shapes, on as many threads together as torch has.

    ``count`` of them work at once on a share of the threads each: a picture takes longer then, but
    a thread that others keep waiting holds up one picture only.

    Not for any shape: then OpenVINO does not see which of two layouts costs less, and networks
    whose scales and shifts are inputs take a sixth longer.
    """
    model.reshape({own: list(x.shape) for own, x in zip(model.inputs, inputs, strict=True)})
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY" if count == 1 else "THROUGHPUT",
        "NUM_STREAMS": count,
        "ENABLE_CPU_PINNING": False,  # others work beside us
    }
    if (folder := cache_of_models()) is not None:
        try:
            return _requests(model, {**settings, "CACHE_DIR": str(folder)}, count)
        except Exception:  # a disk that is full, say; what is wrong with the model shows again
            requests = _requests(model, settings, count)
            _say_no_cache(folder, "OpenVINO could not use it")
            return requests
    return _requests(model, settings, count)


def _requests(model: Any, settings: Mapping[str, object], count: int) -> list[Any]:
    network = core().compile_model(model, "CPU", dict(settings))
    return [network.create_infer_request() for _ in range(count)]


def inferred(requests: Sequence[Any], inputs: Sequence[Tensor]) -> Tensor:
    """What the model makes of a batch, as many pictures at once as there are requests.

    inputs: (B, ...) each  ->  (B, ...)
    """
    arrays = [_planes(x) for x in inputs]
    pictures = [[x[i : i + 1] for x in arrays] for i in range(len(arrays[0]))]
    count = len(requests)
    starts = range(0, len(pictures), count)
    done = [_together(requests, pictures[start : start + count]) for start in starts]
    return torch.from_numpy(np.concatenate(done) if len(done) > 1 else done[0])


def _planes(x: Tensor) -> NDArray[np.float32]:
    """Channels first, one after the other where they are not: twice as fast as all at once."""
    array: NDArray[np.float32] = x.float().numpy()
    if array.flags.c_contiguous or array.ndim != 4:
        return np.ascontiguousarray(array)
    planes = np.empty(array.shape, np.float32)
    for index in np.ndindex(array.shape[:2]):
        planes[index] = array[index]
    return planes


def _together(requests: Sequence[Any], pictures: Sequence[Sequence[Any]]) -> NDArray[np.float32]:
    """At most one picture for each request."""
    at_work = requests[: len(pictures)]
    for request, inputs in zip(at_work, pictures, strict=True):
        request.start_async(list(inputs), share_inputs=True)
    for request in at_work:
        request.wait()
    # Copied: the next pictures use the same buffers.
    return np.concatenate([request.get_output_tensor(0).data for request in at_work])


@cache
def cache_of_models() -> Path | None:
    """Where compiled networks are kept, after old ones made room; None where nothing can be.

    It saves a third of the time to compile. Without it work goes on, and a Notice says so once.
    """
    folder = cache_folder() / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):  # permissions alone do not tell
            pass
    except OSError as error:
        _say_no_cache(folder, error.strerror or str(error))
        return None
    with suppress(OSError):  # another process may be making room too
        for path in _too_old(folder):
            path.unlink(missing_ok=True)
    return folder


def _too_old(folder: Path) -> Iterator[Path]:
    room = CACHE_BYTES
    statuses = [(path.stat(), path) for path in folder.glob("*.blob")]
    for status, path in sorted(statuses, key=lambda pair: -pair[0].st_atime):
        room -= status.st_size
        if room < 0:
            yield path


def _say_no_cache(folder: Path, reason: str) -> None:
    text = f"Compiled networks cannot be kept in {folder} ({reason}): each start compiles anew."
    warnings.warn(text, Notice, stacklevel=2)
