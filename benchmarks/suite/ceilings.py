"""Ceilings: what the processor can do at most, and how near to that every method comes.

Most is what one convolution of 3 x 3 (128 to 128 channels, 256 px, channels last) reaches in
bfloat16 and in float32, and a copy of a large tensor. Methods paint 512 px in eager torch, gatys
takes one step there; torch counts their operations. A profile then divides the time: convolutions
and products of matrices, all other kernels (which read and write memory), and what is left (Python
and torch's own way to the kernels). On one thread seconds are those of the processor, so that other
work on the machine disturbs less.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from rows import Cell, Options, Results
from suite.passes import FULL_WIDTH, our_pass
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from impasto.methods.gatys import Gatys
from impasto.networks.encoders import load_encoder
from impasto.runtime import runtime

SIZE, CHANNELS, MEGABYTES = 256, 128, 256
METHODS = (("johnson", ""), ("johnson", FULL_WIDTH), *((m, "") for m in ("dumoulin", "ghiasi")))
METHODS += (("adain", ""), ("wct", ""), ("gatys", "one step"))
PRODUCTS = ("convolution", "mm", "addmm", "bmm", "baddbmm", "linear", "dot")
"""Names of kernels, without what torch adds to them, that do what is counted."""

TIMES = 10


def run(results: Results, options: Options) -> None:
    """Measure what is missing."""
    os.environ["IMPASTO_ENGINE"] = "torch"
    runtime()  # which keeps memory, as it does for everything that is painted
    results.measure(filter(options.wants, cells(options.quick)), measured)


def cells(quick: bool) -> Iterator[Cell]:
    """The ceilings by name, then the methods."""
    for way in ("bf16", "fp32", "copy"):
        yield Cell(benchmark="ceilings", method="photo", way=way, size=32 if quick else SIZE)
    for method, setting in METHODS:
        size = 64 if quick else 512
        yield Cell(benchmark="ceilings", method=method, setting=setting, size=size)


def measured(cell: Cell) -> Mapping[str, float]:
    """GFLOP/s or GB/s of a ceiling; seconds of a method, and what they go to."""
    if cell.way == "copy":
        return {"gb_s": copied(cell)}
    if cell.way != "ours":
        return {"gflop_s": convolved(cell)}
    work = step(cell) if cell.method == "gatys" else our_pass(cell, picture(cell))
    work()
    with FlopCounterMode(display=False) as counter:
        work()
    gflop, seconds = counter.get_total_flops() / 1e9, best(work)
    return {"gflop": gflop, "seconds": seconds, "gflop_s": gflop / seconds, **shares(work)}


def picture(cell: Cell) -> torch.Tensor:
    return torch.rand(1, 3, cell.size or 512, cell.size or 512)


def step(cell: Cell) -> Callable[[], object]:
    """One step of an optimisation; all steps of a size do the same work."""
    return Gatys(load_encoder("compact"), runtime()).rehearse(picture(cell))


def convolved(cell: Cell) -> float:
    """GFLOP/s of a convolution."""
    dtype = torch.bfloat16 if cell.way == "bf16" else torch.float32
    size = cell.size or SIZE
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).requires_grad_(False)
    layer = layer.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.rand(1, CHANNELS, size, size, dtype=dtype).to(memory_format=torch.channels_last)
    return 2 * 9 * CHANNELS**2 * size**2 / 1e9 / best(lambda: layer(x))


def copied(cell: Cell) -> float:
    """GB/s, read and written, from memory to memory."""
    source = torch.ones((1 if (cell.size or 0) < SIZE else MEGABYTES) * 2**18)
    target = torch.empty_like(source)
    return 2 * source.nbytes / 1e9 / best(lambda: target.copy_(source))


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times = []
    for _ in range(TIMES):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Shares of the time in products, in other kernels, and between kernels."""
    found = []
    for _ in range(TIMES):  # the fastest, for other work on the machine is in them
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            work()
        averages = seen.key_averages()
        parts = {"products": 0.0, "memory": 0.0, "between": 0.0}
        for event in averages:
            parts[part(event.key)] += event.self_cpu_time_total
        found.append(parts)
    fastest = min(found, key=lambda parts: sum(parts.values()))
    return {name: value / sum(fastest.values()) for name, value in fastest.items()}


def part(kernel: str) -> str:
    """Of which part a kernel is; views do nothing, and whatever is not aten's is around kernels."""
    library, _, name = kernel.rpartition("::")
    name = name.removeprefix("mkldnn_").removesuffix("_").removesuffix("_backward")
    if library != "aten" or name in ("view", "select", "slice", "as_strided", "permute", "detach"):
        return "between"
    return "products" if name in PRODUCTS else "memory"
