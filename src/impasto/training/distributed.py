"""Training by several processes, as ``torchrun`` starts them; nothing changes without it.

Every process draws its own part of a global batch and the gradients are averaged, so N processes
with batches of B learn what one learns with batches of N B.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from impasto.errors import BadInput

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}

Whole = TypeVar("Whole", Tensor, list[Any])


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this is the process that writes files and talks."""
    return rank() == 0


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be one of the processes of a training while the block runs; harmless where already joined.

    To be entered before anything is put on ``device``: every process takes a GPU of its own.
    Raises BadInput where the processes cannot work together.
    """
    if world() == 1 or dist.is_initialized():
        yield
        return
    if device.type not in BACKENDS:
        raise BadInput(f"{world()} processes cannot train on {device.type!r}: use cpu or cuda.")
    if device.type == "cuda":
        _take_gpu()
    dist.init_process_group(BACKENDS[device.type])
    try:
        yield
    finally:
        dist.destroy_process_group()


def _take_gpu() -> None:
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= there:
        raise BadInput(f"Process {local + 1} has no GPU: start at most {there} (--nproc-per-node).")
    torch.cuda.set_device(local)


def mine(whole: Whole) -> Whole:
    """This process's part of what was drawn for the global batch.  (N B, ...)  ->  (B, ...)

    The generators of all processes are in the same state at the start of a step, so what is drawn
    for all of them is the same everywhere.
    """
    count = len(whole) // world()
    return whole[rank() * count : (rank() + 1) * count]


@torch.no_grad()
def average(weights: Sequence[nn.Parameter], losses: Sequence[Tensor]) -> None:
    """Put the means over all processes in the place of gradients and losses, in one message.

    NaN of one process is NaN for all, so all of them skip the same step.
    """
    if world() == 1:
        return
    for weight in weights:
        if weight.grad is None:  # its part of the batch had no use for it
            weight.grad = torch.zeros_like(weight.data)
    tensors = [*(weight.grad for weight in weights if weight.grad is not None), *losses]
    flat = torch.cat([tensor.float().flatten() for tensor in tensors])
    dist.all_reduce(flat)
    means = torch.split(flat / world(), [tensor.numel() for tensor in tensors])
    for tensor, mean in zip(tensors, means, strict=True):
        tensor.copy_(mean.view(tensor.shape))


@torch.no_grad()
def same_start(module: nn.Module) -> None:
    """Give every process the weights and buffers of the first."""
    if world() == 1:
        return
    for tensor in module.state_dict().values():
        copy = tensor.contiguous()
        dist.broadcast(copy, 0)
        tensor.copy_(copy)


def everyones(number: float, device: torch.device) -> list[float]:
    """The numbers that all processes have come with, by rank."""
    if world() == 1:
        return [number]
    own = torch.tensor([number], device=device)
    parts = [torch.empty_like(own) for _ in range(world())]
    dist.all_gather(parts, own)
    return [float(part) for part in parts]
