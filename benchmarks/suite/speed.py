"""Speed: one picture by every method, at sizes from 256 to 2048 px, beside the plain way.

Nothing is loaded within the clock, and the style is encoded before. Ways: ours as it is installed
(and in eager torch, should an engine be the default), OpenVINO where it is installed, plain on the
same networks, and plain on networks of VGG-19's size, which the papers of adain, wct and gatys
used. johnson is timed at the paper's full width too. How ways take turns: ``turns.py``.
"""

import importlib.util
from collections.abc import Iterator

from rows import Cell, Options, Results, looks_through
from suite.passes import FULL_WIDTH
from suite.turns import PATIENCE, compare

SIZES = (256, 512, 1024, 2048)
LARGEST_GATYS, LARGEST_VGG19, LARGEST_GATYS_VGG19 = 1024, 1024, 512
ONE_PASS = ("johnson", "dumoulin", "ghiasi")
LOOKING = ("adain", "wct")


def run(results: Results, options: Options) -> None:
    """Time what is missing."""
    compare(results, groups(options), patience=1.0 if options.quick else PATIENCE)


def groups(options: Options) -> Iterator[list[Cell]]:
    """Cells to be compared with one another."""
    for size in (64,) if options.quick else SIZES:
        for method in ONE_PASS:
            yield from wanted(options, one_pass(method, size))
        for method in LOOKING:
            for strength in (None, 1.0) if method == "wct" else (None,):
                yield from wanted(options, looking(method, size, strength))
        if size <= LARGEST_GATYS:
            yield from wanted(options, gatys(size))


def wanted(options: Options, cells: list[Cell]) -> Iterator[list[Cell]]:
    """The group, if it is asked for."""
    if options.wants(cells[0]):
        yield cells


def one_pass(method: str, size: int) -> list[Cell]:
    """Transformation networks; engines can run them."""
    settings = ("", FULL_WIDTH) if method == "johnson" else ("",)
    return [
        Cell(
            benchmark="speed",
            method=method,
            way=way,
            setting=setting,
            size=size,
            encoder=looks_through(method),
        )
        for setting in settings
        for way in ("ours", *engines(), "plain")
    ]


def looking(method: str, size: int, strength: float | None) -> list[Cell]:
    """Encoders and decoders; at the method's own strength, or at 1, without the photo."""
    ways = [("ours", "compact"), ("plain", "compact")]
    if size <= LARGEST_VGG19:
        ways.append(("plain", "vgg19"))
    return [
        Cell(
            benchmark="speed",
            method=method,
            way=way,
            size=size,
            encoder=encoder,
            strength=strength,
        )
        for way, encoder in ways
    ]


def gatys(size: int) -> list[Cell]:
    """Optimisation, in two qualities, beside as many plain steps on one scale as normal has."""
    ways = [("ours", "compact", "draft"), ("ours", "compact", ""), ("plain", "compact", "")]
    if size <= LARGEST_GATYS_VGG19:
        ways.append(("plain", "vgg19", ""))
    return [
        Cell(
            benchmark="speed",
            method="gatys",
            way=way,
            setting=setting,
            size=size,
            encoder=encoder,
        )
        for way, encoder, setting in ways
    ]


def engines() -> list[str]:
    """Names of the engines besides what is installed: eager torch if that is not it, OpenVINO."""
    from torch import nn

    from impasto.engines import Engine
    from impasto.runtime import runtime

    default = Engine(nn.Identity(), runtime(), "").able
    there = importlib.util.find_spec("openvino") is not None
    return [*(["eager"] if default else []), *(["openvino"] if there else [])]
