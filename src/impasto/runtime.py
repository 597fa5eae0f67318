"""Where and how to compute: device, precision, engine, memory format, number of threads."""

import ctypes
import os
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

import torch
from torch import Tensor, nn

from impasto import cores
from impasto.errors import BadInput, unknown

Module = TypeVar("Module", bound=nn.Module)

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "int8")
ENGINES = ("auto", "torch", "compile", "openvino")

VARIABLE = "IMPASTO_ENGINE"
"""The environment variable that says what ``auto`` is."""

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Names of glibc's mallopt."""


@dataclass(frozen=True)
class Runtime:
    """A device and the precision of the convolutions on it; statistics are always float32."""

    device: torch.device
    bf16: bool
    engine: str = "auto"
    """What runs networks that paint in one pass, see ``engines``."""
    int8: bool = False
    """Whether convolutions of those may be done in integers, see ``quantised``."""
    callers: int = 1
    """How many threads paint at the same time, each on its share of the processors."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which networks run."""
        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def place(self, module: Module) -> Module:
        """The module on the device, its weights in the memory format that convolutions like."""
        return module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def tensor(self, image: Tensor) -> Tensor:
        """The picture on the device, channels last."""
        return image.to(self.device).contiguous(memory_format=torch.channels_last)


def runtime(device: str = "auto", precision: str = "auto", engine: str = "auto") -> Runtime:
    """The runtime for the names that a user gives.

    Torch computes on no more threads than the process may use processors, unless the environment
    says how many (``OMP_NUM_THREADS``).

    Raises UnknownName for a name that does not exist, BadInput when the device or the engine is not
    there, or cannot do integers.
    """
    chosen = _device(device)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    bf16 = precision == "bf16" or (precision in ("auto", "int8") and _has_bf16(chosen))
    _keep_to_cores()
    if chosen.type == "cpu":
        _keep_memory()
    if chosen.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # float32 is float32: whitening blows up the rest
    engine, int8 = _engine(engine, chosen), precision == "int8"
    if int8 and (reason := _no_int8(chosen, engine)):
        raise BadInput(f"--precision int8: {reason}.")
    return Runtime(chosen, bf16, engine, int8)


def has_int8(device: str, engine: str) -> bool:
    """Whether convolutions in integers are done in hardware, for the names that a user gives."""
    chosen = _device(device)
    return not _no_int8(chosen, _engine(engine, chosen))


def _no_int8(device: torch.device, engine: str) -> str:
    """Why there are no convolutions in integers; empty where there are."""
    if device.type != "cpu" or engine not in ("auto", "openvino"):
        return "only OpenVINO computes so, on processors; use --device cpu and --engine auto"
    if find_spec("openvino") is None:
        return "OpenVINO is not installed: pip install 'impasto[fast]', or use --precision auto"
    able = torch.cpu.get_capabilities()
    if not any(able.get(name, False) for name in ("avx512_vnni", "avx_vnni")):
        return "this processor multiplies no integers of 8 bits (VNNI); use --precision auto"
    return ""


def _engine(name: str, device: torch.device) -> str:
    if name == "auto":
        name = os.environ.get(VARIABLE) or "auto"
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if name == "openvino" and device.type != "cpu":
        raise BadInput(
            f"OpenVINO computes on processors, not on {device.type}: "
            "use --device cpu, or another --engine."
        )
    if name == "openvino" and find_spec("openvino") is None:
        raise BadInput(
            "OpenVINO is not installed: pip install 'impasto[fast]', or use another --engine."
        )
    return name


def _keep_to_cores() -> None:
    """Torch counts the processors that there are, not those that a container grants."""
    if cores.VARIABLE not in os.environ and torch.get_num_threads() > cores.cores():
        torch.set_num_threads(cores.cores())


def _keep_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB, as far as 512 MB in all.

    It would give each layer's output back to the system and have the next one mapped page by page,
    which takes a third of the time of a fast network. All threads share what is kept: else each of
    those that paint a film holds a quarter of a gigabyte that another could use.
    """
    with suppress(OSError, AttributeError):  # not Linux, or another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(TRIM_THRESHOLD, 512 << 20)
        libc.mallopt(ARENA_MAX, 1)


def _device(name: str) -> torch.device:
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    if name == "auto":
        name = next(device for device, there in present.items() if there)
    if not present.get(name, False):
        there = ", ".join(device for device, ok in present.items() if ok)
        raise BadInput(f"No device {name!r} on this machine. Choose from: auto, {there}.")
    return torch.device(name)


def _has_bf16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are done in hardware (elsewhere they are only slower)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return False
