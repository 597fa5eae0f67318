"""``impasto export``: a method and styles in, a compared ONNX file and files of codes out."""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto import __version__, methods, weights
from impasto.codes import Code
from impasto.errors import BadInput, BadOutput
from impasto.export.check import Comparison, compared, fullest
from impasto.export.graphs import Graph, check_method, graph
from impasto.export.model import OPSET, model, package, with_defaults, with_facts
from impasto.files import obstacle, replacing
from impasto.media.samples import sample_photo
from impasto.networks.encoders import Encoder, load_encoder
from impasto.recipe import Recipe, StyleShare
from impasto.runtime import Runtime
from impasto.sources import style_of
from impasto.style import SUFFIX, Style
from impasto.stylizer import Stylizer

SUFFIX_ONNX = ".onnx"


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from torch."""

    model: Path
    codes: tuple[Path, ...]
    """A file per style: its tensors by the names of the model's inputs."""
    inputs: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    fullest: float | None
    """See ``check.fullest``; None where weights are not halved."""


def export(
    method: str, styles: Sequence[str], target: Path, encoder: str = "compact", half: bool = False
) -> Exported:
    """Write a method as an ONNX file, and beside it the codes of ``styles``.

    The first style is also the one that the file paints when it is given none. Nothing is written
    unless ONNX Runtime paints what torch paints.

    Raises UnknownName, BadInput for a method that cannot be exported, BadOutput, MissingWeights;
    ImpastoError where packages are missing or pictures differ.
    """
    check_method(method)
    files = _targets(target, styles if method != "johnson" else ())
    package("onnx")
    recipe = Recipe(method=method, styles=tuple(StyleShare(source=style) for style in styles))
    with weights.recorded() as read:
        looked = load_encoder(encoder)
        stylizer = methods.get(method).create(looked, Runtime(torch.device("cpu"), False), recipe)
        known = [style_of(source, looked) for source in styles]
        codes = [stylizer.encode(style) for style in known]
        written = graph(stylizer, [style.name for style in known], half)
        example = codes[0] if codes else stylizer.encode(_any_style(stylizer, looked))
        made = model(written, written.tensors(example), stylizer.strength)
    if codes:
        with_defaults(made, written.tensors(codes[0]))
    share = fullest(written, written.tensors(example)) if half else None
    rows = _checked(stylizer, example, made, written, half)
    with_facts(made, _facts(stylizer, written, styles, read, rows, half))
    _write(target, made, dict(zip(files, map(written.tensors, codes), strict=False)))
    inputs = tuple(value.name for value in made.graph.input)
    return Exported(target, tuple(files), inputs, tuple(rows), share)


def _checked(
    method: Stylizer, code: Code, made: Any, written: Graph, half: bool
) -> list[Comparison]:
    return compared(method, code, made.SerializeToString(), written.tensors(code), half)


def _targets(target: Path, styles: Sequence[str]) -> list[Path]:
    """Where the codes go: ``model.onnx`` and ``udnie`` are ``model.udnie.npz``.

    Raises BadInput, BadOutput.
    """
    if target.suffix != SUFFIX_ONNX:
        raise BadInput(f"An ONNX file ends in {SUFFIX_ONNX}: name it {target.stem}{SUFFIX_ONNX}.")
    if reason := obstacle(target):
        raise BadOutput(f"Cannot write {str(target)!r}: {reason}.")
    names = [_name(style) for style in styles]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise BadInput(f"Two styles are called {twice[0]!r}: give each a name of its own.")
    return [target.with_name(f"{target.stem}.{name}.npz") for name in names]


def _name(source: str) -> str:
    name = Path(source).name
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else Path(name).stem


def _any_style(method: Stylizer, encoder: Encoder) -> Style:
    """One to look at when the user names none."""
    learned = getattr(method, "styles", ())
    return Style.of(sample_photo("coffee"), encoder, learned[0] if learned else "style")


def _facts(
    method: Stylizer,
    written: Graph,
    styles: Sequence[str],
    read: Iterable[Path],
    rows: Sequence[Comparison],
    half: bool,
) -> dict[str, str]:
    """What the file says of itself; texts, lists and tables as JSON."""
    headers = [weights.read_header(path) for path in sorted(read)]
    unused = {"style"} if hasattr(method, "encoder") else {"style", "encoder"}
    parts = [header for header in headers if header.kind not in unused]
    versions = {"impasto": __version__, "torch": torch.__version__, "opset": OPSET}
    versions |= {name: package(name).__version__ for name in ("onnx", "onnxruntime", "onnxscript")}
    return {
        "method": method.name,
        "paper": method.paper,
        "default_style": _name(styles[0]) if styles else "",
        "precision": "float16, statistics in float32" if half else "float32",
        "pictures": "content and stylized: (batch, 3, height, width), RGB, sRGB in [0, 1]",
        "least_side": str(written.smallest),
        "weights": json.dumps({f"{h.kind}-{h.name}": h.sha256 for h in parts}),
        "license": ", ".join(dict.fromkeys(h.license for h in parts if h.license)),
        "versions": json.dumps(versions),
        "compared": json.dumps([row.row() for row in rows]),
    }


def _write(target: Path, made: Any, codes: dict[Path, dict[str, Tensor]]) -> None:
    """All files or none."""
    with ExitStack() as stack:
        for path, tensors in codes.items():
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            np.savez(stack.enter_context(replacing(path)), **arrays)  # type: ignore[arg-type]
        stack.enter_context(replacing(target)).write(made.SerializeToString())
