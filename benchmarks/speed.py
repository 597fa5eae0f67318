"""Speed of the networks that paint in one pass, and of their training, beside the plain way.

    python benchmarks/speed.py [--size 512] [--repeat 5] [--threads N]

Plain: the same network in eager float32, NCHW, with torch's own padding and instance norm. Every
way has a process of its own, so that neither threads nor settings of one get in the way of another;
they take turns, and the best of some passes counts.
"""

import argparse
import json
import os
import platform
import timeit
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from impasto.engines import Engine
from impasto.losses import content_error, gram_error, total_variation
from impasto.moments import gram
from impasto.networks import encoders, narrow, normalisation, transformer
from impasto.networks.encoders import TAPS, load_encoder
from impasto.networks.transformer import EVERY, Transformer
from impasto.runtime import Runtime, runtime

RESULT = Path("benchmarks/results/speed.json")
NETWORKS = {
    "johnson, full width": (1.0, ()),
    "johnson, half width": (0.5, ()),
    "dumoulin, half width": (0.5, EVERY),
}
TRAINING = "training, half width"
CROP, BATCH = 192, 4
ROW = 3
"""Passes in a row when it is one's turn: the first finds the caches full of the others' work."""

BARS = {"johnson, full width": 0.150, "johnson, half width": 0.060, "dumoulin, half width": 0.060}
BEST = dict.fromkeys(NETWORKS, "engine") | {TRAINING: "eager"}
RATIOS = dict.fromkeys(NETWORKS, 4.5) | {TRAINING: 1.8}

Pass = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    rows = measured(args.size, args.repeat, args.threads)
    print_table(rows)
    save(rows, args)


def measured(size: int, repeat: int, threads: int) -> dict[str, dict[str, float]]:
    """Seconds by work and way; ``start``: what the engine's first picture takes more."""
    ways, context = {}, get_context("spawn")
    for way in ("plain", "eager", "engine"):
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, way, size, threads), daemon=True).start()
        ways[way] = ours
    rows: dict[str, dict[str, float]] = {}
    for name in (*NETWORKS, TRAINING):
        able = {way: pipe for way, pipe in ways.items() if name != TRAINING or way != "engine"}
        first = {way: asked(pipe, name, 1) for way, pipe in able.items()}
        turns = [{way: asked(pipe, name, ROW) for way, pipe in able.items()} for _ in range(repeat)]
        rows[name] = {way: min(turn[way] for turn in turns) for way in able}
        if "engine" in able:
            rows[name]["start"] = first["engine"] - rows[name]["engine"]
    return rows


def asked(pipe: Connection, name: str, times: int) -> float:
    pipe.send((name, times))
    return float(pipe.recv())


def serve(pipe: Connection, way: str, size: int, threads: int) -> None:
    """Run what is asked for, in one way, some times in a row, and say how long the best took."""
    torch.set_num_threads(threads)
    machine = Runtime(torch.device("cpu"), bf16=False) if way == "plain" else runtime("cpu")
    if way == "plain":
        make_plain()
    passes: dict[str, Pass] = {}
    with suppress(EOFError):  # nobody asks any more
        while True:
            name, times = pipe.recv()
            if name not in passes:
                passes[name] = prepared(name, way, size, machine)
            pipe.send(min(timeit.repeat(passes[name], number=1, repeat=times)))


def make_plain() -> None:
    """Networks of this process as one would write them with nothing but torch."""

    def pad(x: Tensor, margin: int = 1) -> Tensor:
        return F.pad(x, (margin,) * 4, mode="reflect")

    def norm(
        self: nn.Module, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        if scale is None or shift is None:
            return F.instance_norm(x, weight=self.scale, bias=self.shift, eps=normalisation.EPS)
        x = F.instance_norm(x, eps=normalisation.EPS)
        return x * scale[:, :, None, None] + shift[:, :, None, None]

    encoders.pad = transformer.pad = pad
    normalisation.InstanceNorm.forward = norm
    narrow.NarrowConv.forward = nn.Conv2d.forward


def prepared(name: str, way: str, size: int, machine: Runtime) -> Pass:
    torch.manual_seed(0)
    if name == TRAINING:
        return training_step(machine, plain=way == "plain")
    width, conditional = NETWORKS[name]
    network = Transformer(width, "instance", conditional).requires_grad_(False).eval()
    row = network.neutral()[None] if conditional else None
    image = torch.rand(1, 3, size, size)
    if way == "plain":
        return torch.no_grad()(lambda: network(image, row))
    worth = 0 if way == "engine" else 1 << 62
    os.environ["IMPASTO_ENGINE"] = "openvino"
    engine = Engine(machine.place(network), machine, name, worth)
    return lambda: engine(machine.tensor(image), row)


def training_step(machine: Runtime, plain: bool) -> Pass:
    """Forward and backward through the network and the compact encoder as its judge."""
    network, judge = Transformer(0.5), load_encoder("compact")
    photos, style = torch.rand(BATCH, 3, CROP, CROP), torch.rand(1, 3, 256, 256)
    if not plain:
        network, judge = machine.place(network), machine.place(judge)
        photos, style = machine.tensor(photos), machine.tensor(style)
    with torch.no_grad(), machine.autocast():
        wanted = {tap: gram(f) for tap, f in judge(style, TAPS).items()}

    def step() -> None:
        with machine.autocast():
            with torch.no_grad():
                own = judge(photos, ("relu4_1",))["relu4_1"]
            painted = network(photos)
            seen = judge(painted, TAPS)
            loss = total_variation(painted) + content_error(seen["relu4_1"], own)
            for tap, target in wanted.items():
                loss = loss + gram_error(gram(seen[tap]), target)
        network.zero_grad(set_to_none=True)
        loss.sum().backward()

    return step


def print_table(rows: dict[str, dict[str, float]]) -> None:
    ways = ("plain", "eager", "engine")
    table = Table("milliseconds", *ways, "start", "bar", "ratio", "bar")
    for name, row in rows.items():
        times = [f"{1e3 * row[way]:.0f}" if way in row else "" for way in (*ways, "start")]
        bar = f"{1e3 * BARS[name]:.0f}" if name in BARS else ""
        table.add_row(name, *times, bar, f"{ratio(name, row):.2f}", f"{RATIOS[name]}")
    Console(width=100).print(table)


def ratio(name: str, row: dict[str, float]) -> float:
    return row["plain"] / row[BEST[name]]


def save(rows: dict[str, dict[str, float]], args: argparse.Namespace) -> None:
    seconds = {n: {way: round(s, 4) for way, s in row.items()} for n, row in rows.items()}
    result: dict[str, Any] = {
        "size": args.size,
        "cores": args.threads,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "openvino": installed("openvino"),
        "training": {"crop": CROP, "batch": BATCH},
        "seconds": seconds,
        "ratio": {name: round(ratio(name, row), 2) for name, row in rows.items()},
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
