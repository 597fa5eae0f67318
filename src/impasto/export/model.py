"""From a graph to an ONNX model: captured with open sizes, two paths in one file, defaults, facts.

A picture at full strength takes one pass through a network, any other takes two, so such methods
are captured twice, and the operator ``If`` chooses by the strength that is given.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.export.graphs import Graph

PACKAGES = ("onnx", "onnxruntime", "onnxscript")

OPSET = 18

OUTPUT = "stylized"

OPEN = ("batch", "height", "width")
"""What the axes of pictures are called whose sizes are open."""

CAPTURED_AT = (2, 3, 65, 97)
"""Odd at every layer, so that everything that odd sizes need is captured; 1 would stay 1."""

Model = Any
"""An ``onnx.ModelProto``."""


def package(name: str) -> Any:
    """One of the packages that export needs.

    Raises ImpastoError, which says what to install, where one of them is missing.
    """
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ImpastoError(
            f"Export needs {', '.join(missing)}: install with pip install 'impasto[export]'"
        )
    return import_module(name)


def model(graph: Graph, code: Mapping[str, Tensor], strength: float) -> Model:
    """The graph as an ONNX model; ``strength`` is what it takes when it is given none.

    code: an example of the tensors of a style, see ``Graph.tensors``
    """
    graph.mixed = True
    paths = [_captured(graph, code)]
    if graph.branches:
        graph.mixed = False
        paths.append(_captured(graph, code))
    made = _joined(*paths) if graph.branches else paths[0]
    for value in (made.graph.input[0], made.graph.output[0]):
        for axis, name in zip((0, 2, 3), OPEN, strict=True):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    with_defaults(made, {"strength": torch.tensor(strength)})
    package("onnx").checker.check_model(made)
    return made


def with_defaults(model: Model, tensors: Mapping[str, Tensor]) -> None:
    """Give inputs a value that they have when the caller gives none, in place."""
    for name, tensor in tensors.items():
        array = tensor.detach().numpy()
        model.graph.initializer.append(package("onnx").numpy_helper.from_array(array, name))


def with_facts(model: Model, facts: Mapping[str, str]) -> None:
    """Put texts into the model's metadata, in place."""
    package("onnx").helper.set_model_props(model, {**facts})


def _captured(graph: Graph, code: Mapping[str, Tensor]) -> Model:
    """One path of the graph."""
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    shapes = {"content": dynamic, "strength": {}, "code": {name: {} for name in code}}
    inputs = (torch.rand(CAPTURED_AT), torch.tensor(0.5), dict(code))
    with _quiet(), torch.no_grad():
        program = torch.export.export(
            graph,
            inputs,
            dynamic_shapes=shapes,
            prefer_deferred_runtime_asserts_over_guards=True,  # sizes are compared afterwards
        )
        made = torch.onnx.export(
            program,
            input_names=["content", "strength", *code],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert made is not None
    return _bare(made.model_proto)


def _bare(model: Model) -> Model:
    """Without what torch notes at every node: types, and where in which file it was called."""
    graph = model.graph
    del graph.value_info[:]
    noted = (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer)
    for part in noted:
        del part.metadata_props[:]
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Torch speaks of operators that nobody asked for, and of what it will not do any more."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _joined(mixed: Model, full: Model) -> Model:
    """One model that takes the path ``full`` where strength is 1, and ``mixed`` elsewhere."""
    helper = package("onnx").helper
    kept: dict[bytes, Any] = {}
    branches = [_branch(m.graph, f"{p}/", kept) for p, m in (("mixed", mixed), ("full", full))]
    one = package("onnx").numpy_helper.from_array(torch.tensor(1.0).numpy(), "one")
    nodes = [
        helper.make_node("Less", ["strength", "one"], ["mixes"]),
        helper.make_node(
            "If", ["mixes"], [OUTPUT], then_branch=branches[0], else_branch=branches[1]
        ),
    ]
    inputs, outputs = list(mixed.graph.input), list(mixed.graph.output)
    graph = helper.make_graph(nodes, "impasto", inputs, outputs, [*kept.values(), one])
    return helper.make_model(
        graph, opset_imports=list(mixed.opset_import), ir_version=mixed.ir_version
    )


def _branch(graph: Any, prefix: str, kept: dict[bytes, Any]) -> Any:
    """A graph for ``If``: names of its own, but weights that both have lie in ``kept``, once."""
    onnx = package("onnx")
    names = {"": "", **{value.name: value.name for value in graph.input}}
    for tensor in graph.initializer:
        content = onnx.TensorProto.FromString(tensor.SerializeToString())
        content.name = ""
        key = content.SerializeToString(deterministic=True)
        if key not in kept:
            content.name = f"{prefix}{tensor.name}"
            kept[key] = content
        names[tensor.name] = kept[key].name
    branch = onnx.GraphProto(name=prefix.strip("/"))
    for node in graph.node:
        own = branch.node.add()
        own.CopyFrom(node)
        own.name = f"{prefix}{node.name}"
        names.update({name: f"{prefix}{name}" for name in node.output if name})
        own.input[:] = [names[name] for name in node.input]
        own.output[:] = [names[name] for name in node.output]
    output = branch.output.add()
    output.CopyFrom(graph.output[0])
    output.name = names[output.name]
    return branch
