"""Export: what is written paints what the method paints, everywhere, or is not written."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto import methods
from impasto.codes import Code, at
from impasto.errors import BadInput, BadOutput, ImpastoError, UnknownName
from impasto.export import check, model, run
from impasto.export.check import fullest, painted, session
from impasto.export.graphs import GRAPHS, Graph, graph
from impasto.export.layers import Narrow, Norm
from impasto.export.roots import floored, inverse_root, largest
from impasto.export.statistics import at_canvas, by_size, colored, moments
from impasto.moments import moments as exact_moments
from impasto.networks.encoders import Encoder
from impasto.networks.narrow import NarrowConv
from impasto.networks.normalisation import normalisation
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import SIZES, Style
from impasto.stylizer import Stylizer
from impasto.transforms import Whitening, roots, whitened_and_colored

ODD = (37, 50)
STYLE = "style"  # what the small johnson and dumoulin have learned

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in model.PACKAGES), reason="no onnx"
)


@pytest.fixture
def style(encoder: Encoder, painting: Tensor) -> Style:
    return Style.of(painting, encoder, STYLE)


@pytest.fixture
def file(style: Style, tmp_path: Path) -> str:
    path = tmp_path / f"{STYLE}.style.safetensors"
    style.save(path)
    return str(path)


@pytest.fixture
def through_tiny(encoder: Encoder, decoders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run.export`` looks through the tiny encoder."""
    monkeypatch.setattr(run, "load_encoder", lambda name: encoder)
    monkeypatch.setattr(check, "SIZES", ((64, 48), ODD, (35, 33)))


def create(name: str, encoder: Encoder, machine: Runtime) -> Stylizer:
    return methods.get(name).create(encoder, machine, Recipe(method=name))


def pictures(size: tuple[int, int], count: int = 1) -> Tensor:
    """Smooth enough that no eigenvalue is noise."""
    small = torch.rand(count, 3, 9, 9)
    return nn.functional.interpolate(small, size, mode="bilinear")


def drawn(written: Graph, content: Tensor, strength: float, code: Code) -> Tensor:
    written.mixed = strength < 1 or not written.branches
    with torch.no_grad():
        return written(content, torch.tensor(strength), written.tensors(code))  # type: ignore[no-any-return]


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_paint_what_methods_paint(
    name: str, strength: float, encoder: Encoder, machine: Runtime, decoders: None, style: Style
) -> None:
    """A batch of two, of an odd size."""
    method, content = create(name, encoder, machine), pictures(ODD, 2)
    code = method.encode(style)
    result = drawn(graph(method, [STYLE]), content, strength, code)
    assert torch.allclose(result, method.stylize(content, code, strength), atol=1e-3)


@pytest.mark.parametrize("name", GRAPHS)
def test_half_is_nearer_than_bfloat16(
    name: str, encoder: Encoder, machine: Runtime, decoders: None, style: Style
) -> None:
    method, content = create(name, encoder, machine), pictures(ODD)
    code, written = method.encode(style), graph(method, [STYLE], half=True)
    convolutions = [m for m in written.modules() if isinstance(m, nn.Conv2d)]
    assert {conv.weight.dtype for conv in convolutions} == {torch.float16}
    wanted, result = method.stylize(content, code, 0.5), drawn(written, content, 0.5, code)
    rough = create(name, encoder, replace(machine, bf16=True)).stylize(content, code, 0.5)
    assert result.dtype == torch.float32
    assert (result - wanted).abs().mean() < (rough - wanted).abs().mean()


def test_the_method_is_left_as_it_was(
    encoder: Encoder, machine: Runtime, decoders: None, style: Style
) -> None:
    method = create("dumoulin", encoder, machine)
    before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    graph(method, [STYLE], half=True)
    after = method.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("longest", [64, 128, 181, 300, 512, 700, 1024, 3000])
def test_codes_are_mixed_for_the_canvas(longest: int) -> None:
    code = {f"{size}/part/mean": torch.rand(1, 5) for size in SIZES}
    mixed = at_canvas(by_size(code), torch.empty(1, 3, 20, longest))
    assert torch.allclose(mixed["part_mean"], at(code, longest)["part/mean"], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 24), st.floats(-7, 0), st.sampled_from([0.0, 1e-5, 1e-2]), st.integers(0, 99))
def test_inverse_roots_are_those_by_eigenvalues(
    channels: int, spread: float, floor: float, seed: int
) -> None:
    """Of covariances whose eigenvalues lie down to ``10 ** spread`` of the largest, and zero."""
    torch.manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(1, channels, channels).double())
    values = torch.logspace(0, spread, channels).double()
    values[channels // 2 + 1 :] = 0
    covariance = ((basis * values) @ basis.mT).float()
    nothing = torch.full((1, 1), 1e-6)
    _, wanted = roots(covariance, floor, nothing)
    found = inverse_root(covariance, floor, nothing)
    # The largest eigenvalue, and so the floor, comes out a little too large.
    near = 0.02 if floor else 1e-4
    assert (found - wanted).abs().max() <= near * wanted.abs().max()


def test_the_floor_leaves_what_is_above_it() -> None:
    lifted = floored(torch.diag(torch.tensor([4.0, 1.0, 0.1, 0.0]))[None].double(), nothing(0.5))
    assert torch.allclose(lifted[0], torch.diag(torch.tensor([4.0, 1.0, 0.5, 0.5])).double())


def nothing(value: float) -> Tensor:
    return torch.full((1, 1, 1), value).double()


def test_the_largest_eigenvalue() -> None:
    values = torch.tensor([5.0, 5.0, 1.0, 0.0])
    assert float(largest(torch.diag(values)[None].double())) == pytest.approx(5, rel=0.02)
    assert float(largest(torch.zeros(1, 3, 3).double())) < 1e-50


@pytest.mark.parametrize("content", [torch.full((1, 4, 9, 9), 0.3), torch.zeros(1, 4, 5, 7)])
def test_what_has_one_colour_stays_finite(content: Tensor) -> None:
    code = {"mean": torch.ones(1, 4), "color": torch.eye(4)[None]}
    assert torch.allclose(colored(content, code), torch.ones(()), atol=1e-3)


def test_whitening_shrinks_as_the_method_does() -> None:
    features, whitening = torch.rand(2, 5, 11, 13), Whitening(1e-3, 0.4)
    code = {"mean": torch.rand(1, 5), "color": torch.rand(1, 5, 5)}
    wanted = whitened_and_colored(features, code, whitening=whitening)
    assert torch.allclose(colored(features, code, whitening), wanted, atol=1e-3)


def test_moments_are_those_of_a_style() -> None:
    features = torch.rand(2, 5, 11, 13)
    for own, wanted in zip(moments(features), exact_moments(features), strict=True):
        assert torch.allclose(own, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7), (7, 9)])
@pytest.mark.parametrize("kernel", [3, 9])
def test_narrow_convolutions_at_every_parity(size: tuple[int, int], kernel: int) -> None:
    conv = NarrowConv(4, 3, kernel)
    x = torch.rand(2, 4, size[0] + kernel, size[1] + kernel)
    wanted = nn.functional.conv2d(x, conv.weight, conv.bias)
    assert torch.allclose(Narrow(conv)(x), wanted, atol=1e-5)


@pytest.mark.parametrize("norm", ["instance", "batch", "frn"])
def test_normalisation_keeps_its_formula(norm: str) -> None:
    inner = normalisation(norm, 4, own=True).eval()  # type: ignore[arg-type]
    x = torch.randn(2, 4, 6, 7)
    assert torch.allclose(Norm(inner)(x), inner(x), atol=1e-5)


def test_statistics_of_large_bright_pictures_do_not_overflow() -> None:
    """Two million positions of 60: their sum is a thousand times what float16 holds."""
    x = (60 + torch.randn(1, 1, 1448, 1448)).half()
    inner = normalisation("instance", 1, own=True).requires_grad_(False)
    normal = Norm(inner)(x)
    assert normal.dtype == torch.float16
    assert float(normal.float().std()) == pytest.approx(1, abs=0.01)


def test_overflow_is_found(encoder: Encoder, machine: Runtime, decoders: None) -> None:
    method = create("johnson", encoder, machine)
    written = graph(method, [STYLE], half=True)
    assert 0 < fullest(written, {}) < 0.1
    next(m for m in written.modules() if isinstance(m, nn.Conv2d)).weight.fill_(6e4)
    with pytest.raises(ImpastoError, match="overflow"):
        fullest(written, {})


def test_gatys_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gatys cannot be exported.*adain, dumoulin"):
        run.export("gatys", ["udnie"], tmp_path / "model.onnx")


def test_unknown_methods_are_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'adain'"):
        run.export("adian", [], tmp_path / "model.onnx")


@pytest.mark.parametrize("styles", [[], ["a", "b"]])
def test_johnson_takes_one_style(
    styles: list[str], encoder: Encoder, machine: Runtime, decoders: None
) -> None:
    with pytest.raises(BadInput, match="give -s once"):
        graph(create("johnson", encoder, machine), styles)


def test_the_name_has_to_end_in_onnx(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"name it model\.onnx"):
        run.export("adain", [], tmp_path / "model.pt")


def test_the_folder_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="no folder"):
        run.export("adain", [], tmp_path / "none" / "model.onnx")


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(BadOutput, match="it is a folder"):
        run.export("adain", [], tmp_path / "model.onnx")


def test_two_styles_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'sea'"):
        run.export("adain", ["a/sea.jpg", "b/sea.png"], tmp_path / "model.onnx")


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "find_spec", lambda name: None)
    with pytest.raises(ImpastoError, match=r"onnx, onnxruntime.*'impasto\[export\]'"):
        run.export("adain", [], tmp_path / "model.onnx")


@needs_onnx
@pytest.mark.slow
def test_one_file_paints_every_style(
    through_tiny: None, encoder: Encoder, machine: Runtime, file: str, photo: Tensor, tmp_path: Path
) -> None:
    """At sizes that were not compared, in batches, at strengths on both of its paths."""
    done = run.export("adain", [file], tmp_path / "model.onnx")
    opened = session(done.model.read_bytes())
    method = create("adain", encoder, machine)
    other = method.encode(Style.of(photo, encoder))
    tensors = by_size(other)
    for size, strength in (((40, 64), 1.0), ((51, 33), 0.3), ((51, 33), 0.0)):
        content = pictures(size, 2)
        wanted = method.stylize(content, other, strength)
        assert torch.allclose(painted(opened, content, strength, tensors), wanted, atol=1e-3)
    # Alone it paints the first style; the file of codes says the same.
    code, alone = np.load(done.codes[0]), opened.run(None, {"content": photo.numpy()})[0]
    assert done.codes[0].name == "model.style.npz"
    assert np.array_equal(alone, opened.run(None, {"content": photo.numpy(), **code})[0])
    facts = opened.get_modelmeta().custom_metadata_map
    assert facts["method"] == "adain"
    assert set(json.loads(facts["weights"])) == {"adain-tiny"}
    assert {row["width"] for row in json.loads(facts["compared"])} == {48, 50, 33}


@needs_onnx
@pytest.mark.slow
def test_half_weights_take_half_the_file(through_tiny: None, file: str, tmp_path: Path) -> None:
    whole = run.export("johnson", [file], tmp_path / "whole.onnx")
    half = run.export("johnson", [file], tmp_path / "half.onnx", half=True)
    assert half.model.stat().st_size < 0.8 * whole.model.stat().st_size
    assert half.fullest is not None and 0 < half.fullest < 0.1
    assert whole.inputs == half.inputs == ("content", "strength")


@needs_onnx
@pytest.mark.slow
def test_nothing_is_left_of_what_differs(
    through_tiny: None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "LIMITS", {False: check.Limit(0.0, 0.0)})
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ImpastoError, match="ONNX Runtime differs from torch by"):
        run.export("johnson", [file], folder / "model.onnx")
    assert not list(folder.iterdir())
