"""Speed of adain and wct at 512 px, without loading, beside the plain way, in one run.

    python benchmarks/instant.py [--size 512] [--repeat 7]

Plain: the same network in eager float32, with torch's own padding. VGG-19: the method on networks
of VGG-19's size (random weights; speed does not depend on them), plain. The best of some passes.
"""

import argparse
import json
import platform
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from impasto.methods.adain import FINISH, TAP, Adain
from impasto.methods.wct import Wct
from impasto.networks import decoders as decoder_module
from impasto.networks import encoders as encoder_module
from impasto.networks.decoders import Decoder, load_decoders
from impasto.networks.encoders import SHAPES, TAPS, Encoder, load_encoder
from impasto.runtime import Runtime, runtime
from impasto.style import Style
from impasto.stylizer import Stylizer

PLAIN = Runtime(torch.device("cpu"), bf16=False)
RESULT = Path("benchmarks/results/instant.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    image = torch.rand(1, 3, args.size, args.size)
    rows = {}
    for method in ("adain", "wct"):
        ours = seconds(compact(method, runtime()), image, args.repeat)
        with plain_padding():
            plain = seconds(compact(method, PLAIN), image, args.repeat)
            vgg19 = seconds(large(method), image, 2)
        rows[method] = {"impasto": ours, "plain": plain, "vgg19": vgg19}
    print_table(rows)
    machine = {"cores": torch.get_num_threads(), "machine": platform.machine()}
    RESULT.write_text(json.dumps({"size": args.size, **machine, "seconds": rows}, indent=1) + "\n")


def compact(method: str, machine: Runtime) -> Stylizer:
    encoder = load_encoder("compact")
    if method == "adain":
        return Adain(encoder, load_decoders("adain", encoder, (TAP, FINISH)), machine)
    return Wct(encoder, load_decoders("wct", encoder, TAPS), machine)


def large(method: str) -> Stylizer:
    """The papers' own networks: no finish, decoders as wide as the encoder."""
    shape = SHAPES["vgg19"]
    decoders = nn.ModuleDict({tap: Decoder(shape, tap) for tap in TAPS})
    encoder = Encoder(shape, "vgg19")
    if method == "adain":
        return Adain(encoder, decoders, PLAIN, finish=False)
    return Wct(encoder, decoders, PLAIN)


@contextmanager
def plain_padding() -> Iterator[None]:
    ours = encoder_module.pad

    def plain(x: Tensor) -> Tensor:
        return F.pad(x, (1, 1, 1, 1), mode="reflect")

    encoder_module.pad = decoder_module.pad = plain
    yield
    encoder_module.pad = decoder_module.pad = ours


def seconds(stylizer: Stylizer, image: Tensor, repeat: int) -> float:
    """One picture at full strength; the style is encoded before."""
    code = stylizer.encode(Style.of(torch.rand(1, 3, 256, 256), stylizer.encoder))
    paint = partial(stylizer.stylize, image, code, 1.0)
    paint()
    return round(min(timeit.repeat(paint, number=1, repeat=repeat)), 4)


def print_table(rows: dict[str, dict[str, float]]) -> None:
    table = Table("method", "impasto, s", "plain, s", "VGG-19, s", "over plain", "over VGG-19")
    for method, row in rows.items():
        ratios = (row["plain"] / row["impasto"], row["vgg19"] / row["impasto"])
        values = (row["impasto"], row["plain"], row["vgg19"])
        table.add_row(method, *(f"{v:.3f}" for v in values), *(f"{r:.1f}" for r in ratios))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
