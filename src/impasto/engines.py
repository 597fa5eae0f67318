"""Networks that repaint in one pass, run by what does it soonest.

Which that is, ``Runtime.engine`` says. With ``auto`` the first pictures of a size are left to eager
torch, until so much has been painted at it that a backend pays; before, none is even imported.
Precision is the runtime's, statistics are float32 with every one of them.
"""

import ctypes
import math
import os
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import Lock
from weakref import WeakSet

import torch
from torch import Tensor, nn

from impasto import backends, openvino
from impasto.backends import Backend, Painting, Shapes
from impasto.errors import BadInput, Notice
from impasto.runtime import Runtime
from impasto.timings import spent

KEPT = 4_000_000
"""Pixels of the sizes that stay ready, the latest always: buffers take 150 bytes for each."""

SMALLEST = 64
"""Pictures with a shorter side stay with torch: reflection takes room at the deepest layer."""

Key = tuple[Shapes, tuple[bytes, ...], int]
"""Of what a network is ready for: shapes, what has to be alike, number of threads."""

_REHEARSING = ContextVar("rehearsing", default=False)

_BUILDING = Lock()
"""One network at a time: to load, trace and convert takes what belongs to the whole process."""

_BUILT: "WeakSet[Engine]" = WeakSet()
"""The engines that have made something ready."""


@contextmanager
def rehearsal() -> Iterator[None]:
    """While this is open, pictures are left to torch and do not count: they are only timed."""
    token = _REHEARSING.set(True)
    try:
        yield
    finally:
        _REHEARSING.reset(token)


class Engine:
    """A network in use, called like the module: by eager torch, or a backend where that pays.

    What runs when depends on the calls so far alone: the same work gives the same pictures; calls
    of several threads have no order, so a backend runs them all. The weights must not change any
    more. Where a backend fails that nobody asked for, a Notice says so, once, and torch goes on.
    """

    def __init__(
        self, module: nn.Module, runtime: Runtime, name: str, worth: float | None = None
    ) -> None:
        self.module, self.runtime, self.name = module, runtime, name
        kind = backends.chosen(runtime)
        self.backend: Backend | None = None if kind is None else kind(module, runtime)
        self.able = self.backend is not None
        at_once = runtime.engine != "auto" or runtime.int8 or runtime.callers > 1
        own = 0.0 if kind is None or at_once else kind.worth
        self.worth = own if worth is None else worth
        self._work: defaultdict[tuple[int, ...], float] = defaultdict(float)
        self._ready: OrderedDict[Key, Painting] = OrderedDict()
        self._lock = Lock()

    @torch.no_grad()
    def __call__(self, image: Tensor, *others: Tensor | None) -> Tensor:
        """What the module makes of a picture, without gradient.

        image: (B, C, H, W); others: (B, ...), what else it takes, None where it takes nothing
        ->  the module's one tensor, float32

        Raises BadInput where the engine that was asked for cannot run it.
        """
        inputs = [image, *(x for x in others if x is not None)]
        backend = self.backend  # another thread may give it up meanwhile
        if backend is not None and self._pays(backend, image):
            try:
                with self._lock:
                    painting = self._painting(backend, inputs)
                return painting(inputs)
            except (MemoryError, torch.OutOfMemoryError):
                raise  # smaller tiles are the cure for that
            except Exception as error:  # its errors are RuntimeErrors, and what tracing raises
                self._give_up(backend, error)
        with self.runtime.autocast():
            return self.module(*inputs).float()  # type: ignore[no-any-return]

    def _pays(self, backend: Backend, image: Tensor) -> bool:
        if _REHEARSING.get():
            return False
        size = tuple(image.shape[-2:])
        self._work[size] += backend.work(len(image), math.prod(size))
        return self.able and min(size) >= SMALLEST and self._work[size] >= self.worth

    def _painting(self, backend: Backend, inputs: list[Tensor]) -> Painting:
        """The network made ready for such inputs."""
        key = (backend.shapes(inputs), backend.fixed(inputs), torch.get_num_threads())
        if key not in self._ready:
            with _BUILDING, spent("compiling"):
                _watch_forks()
                _BUILT.add(self)
                self._ready[key] = self._prepared(backend, inputs)
            self._forget()
        self._ready.move_to_end(key)
        return self._ready[key]

    def _prepared(self, backend: Backend, inputs: list[Tensor]) -> Painting:
        """To get ready takes more memory than to paint: unless it was asked for, torch goes on."""
        try:
            return backend.prepared(inputs)
        except (MemoryError, torch.OutOfMemoryError) as error:
            if self.runtime.engine != "auto":
                raise
            raise RuntimeError("not enough memory to make it ready") from error

    def _forget(self) -> None:
        while len(self._ready) > 1 and sum(map(area, self._ready)) > KEPT:
            (shapes, *_), _ = self._ready.popitem(last=False)
            self._work[shapes[0][-2:]] = 0.0

    def _give_up(self, backend: Backend, error: Exception) -> None:
        said = str(error).strip().split("\n\n")[0]  # what follows is how to find out more
        reason = " ".join(said.split())[-160:] or type(error).__name__
        failed = f"{backend.title} cannot run {self.name} ({reason})."
        if self.runtime.engine != "auto":
            raise BadInput(f"{failed} Use --engine auto, or another one.") from error
        with self._lock:
            if self.backend is None:
                return  # another thread has said so
            self.able, self.backend = False, None
            self._ready.clear()
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(f"{failed} It goes on without, only slower.", Notice, stacklevel=4)


@cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """What a forked process does: it has none of the threads that are waited for.

    So engines go on with torch, on one thread, and what OpenVINO has made ready stays when the
    process ends.
    """
    torch.set_num_threads(1)  # GNU's OpenMP waits for those of the parent, too
    kept: list[object] = [openvino.core()] if openvino.core.cache_info().currsize else []
    for engine in _BUILT:
        kept += [engine.backend, *engine._ready.values()]
        engine.able = False
    for thing in kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def area(key: Key) -> int:
    """Pixels of the pictures that something was made ready for."""
    shape = key[0][0]
    return shape[0] * math.prod(shape[-2:])
