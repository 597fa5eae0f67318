"""A GPU where there is none: tensors that are on CUDA by name, and computed on the processor.

A plugin for pytest (``-p emulated_gpu``), for a run that has nothing else to do. It refuses what a
GPU refuses: tensors of the processor among those of the GPU, and a look at their numbers from numpy
or a pointer. Of speed, memory and rounding it knows nothing. Only the main thread can bring tensors
there; others may compute with them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, ClassVar
from unittest.mock import patch

DEVICE = ctypes.CDLL(os.environ["EMULATED_DEVICE"])  # device.cpp; torch looks for it only once

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import (  # noqa: E402
    TorchDispatchMode,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_leaves, tree_map  # noqa: E402

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)

aten = torch.ops.aten

COPIES = {aten._to_copy.default, aten.copy_.default}
"""What takes tensors of both."""

INDEXED = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
"""What takes indices from the processor too, for a tensor of the GPU."""


class OnGpu(Tensor):
    """A tensor by name on the GPU."""

    data_here: Tensor

    @staticmethod
    def __new__(cls, data: Tensor) -> OnGpu:
        layout = {"strides": data.stride(), "storage_offset": data.storage_offset()}
        self: OnGpu = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, data.shape, **layout, dtype=data.dtype, device=GPU
        )
        self.data_here = data
        return self

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return launched(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.data_here.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as if it had been on the processor."""
        return self.data_here.__reduce_ex__(protocol)


class Graph:
    """A CUDA graph: what was done while it was recorded, done again in the same memory."""

    recording: ClassVar[Graph | None] = None

    def __init__(self) -> None:
        self.steps: list[tuple[Any, Any, Any, Any]] = []

    def replay(self) -> None:
        for func, args, kwargs, before in self.steps:
            for old, new in zip(
                tree_leaves(before), tree_leaves(func(*args, **kwargs)), strict=True
            ):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Stream:
    """One of many, of which none waits."""

    def __init__(self, device: object = None) -> None:
        """They are all alike."""

    def wait_stream(self, other: Stream) -> None:
        """At once."""


@contextmanager
def recorded(graph: Graph, **_: object) -> Iterator[None]:
    Graph.recording = graph
    try:
        yield
    finally:
        Graph.recording = None


def launched(func: Any, args: Any, kwargs: Any) -> Any:
    """An operation on the device that its tensors, or its ``device``, name."""
    there = any(isinstance(x, OnGpu) for x in tree_leaves((args, kwargs)))
    if there and func not in COPIES:
        refused(func, args, kwargs)
    device = kwargs.get("device")
    onto = there if device is None else torch.device(device).type == "cuda"
    if func is aten.copy_.default:
        onto = isinstance(args[0], OnGpu)
    mine, named = tree_map(lambda x: x.data_here if isinstance(x, OnGpu) else x, (args, kwargs))
    if device is not None:
        named = named | {"device": CPU}
    done = func(*mine, **named)
    if Graph.recording is not None:
        Graph.recording.steps.append((func, mine, named, done))
    if not onto:
        return done
    result = tree_map(lambda x: OnGpu(x) if isinstance(x, Tensor) else x, done)
    return return_and_correct_aliasing(func, args, kwargs, result) if there else result


def refused(func: Any, args: Any, kwargs: Any) -> None:
    """Raise RuntimeError for a tensor of the processor among those of the GPU, but for a number."""
    if func in INDEXED:
        indices = tree_leaves(args[1])
        if not isinstance(args[0], OnGpu) and any(isinstance(x, OnGpu) for x in indices):
            raise RuntimeError(f"{func}: a tensor on cpu, indices on cuda")
        args = (args[0], *args[2:])
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    strays = [x for x in given if not isinstance(x, OnGpu)]
    several = func in (aten.cat.default, aten.stack.default)
    for stray in strays if len(strays) < len(given) else ():
        if stray.ndim or several:
            raise RuntimeError(f"{func}: {tuple(stray.shape)} is on cpu, others are on cuda")


class Emulation(TorchDispatchMode):
    """What makes tensors on the GPU out of nothing, or of those on the processor; in one thread."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return launched(func, args, kwargs or {})


@contextmanager
def emulated_gpu() -> Iterator[None]:
    DEVICE.plug_in()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # their class changes
    state = torch.zeros(16, dtype=torch.uint8)
    told: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_bf16_supported": lambda including_emulation=True: True,
        "device_count": lambda: 1,
        "mem_get_info": lambda device=None: (20 << 30, 24 << 30),
        "empty_cache": lambda: None,
        "get_rng_state": lambda device=None: state,
        "set_rng_state": lambda state, device=None: None,
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": Graph,
        "graph": recorded,
    }
    with ExitStack() as stack:
        for name, value in told.items():
            stack.enter_context(patch.object(torch.cuda, name, value))
        stack.enter_context(Emulation())
        yield


def pytest_configure(config: Any) -> None:
    emulation = emulated_gpu()
    emulation.__enter__()
    config.add_cleanup(lambda: emulation.__exit__(None, None, None))
