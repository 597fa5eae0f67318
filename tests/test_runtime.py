"""Runtime: the device asked for or a clear no, and statistics that stay in float32."""

import typing

import pytest
import torch
from torch import nn

from impasto import cores
from impasto.errors import BadInput, UnknownName
from impasto.recipe import Recipe
from impasto.runtime import DEVICES, ENGINES, PRECISIONS, VARIABLE, Runtime, has_int8, runtime


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_falls_back_to_the_cpu(only_cpu: None) -> None:
    assert runtime().device == torch.device("cpu")


def test_auto_prefers_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime("auto", "fp32").device == torch.device("cuda")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there(only_cpu: None, device: str) -> None:
    """Falling back silently would let somebody wait for hours."""
    with pytest.raises(BadInput, match=f"No device '{device}'.*Choose from: auto, cpu\\."):
        runtime(device)


def test_a_device_that_does_not_exist() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'cuda'\?"):
        runtime("cudda")


def test_an_unknown_precision() -> None:
    """``fp16`` must not silently mean fp32."""
    with pytest.raises(BadInput, match="fp16"):
        runtime("cpu", "fp16")


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("bf16", True)])
def test_precision_is_what_was_asked_for(precision: str, bf16: bool) -> None:
    assert runtime("cpu", precision).bf16 is bf16


@pytest.fixture
def vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies integers, with OpenVINO to do it."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True})
    monkeypatch.setattr("impasto.runtime.find_spec", lambda name: name)


def test_integers(vnni: None) -> None:
    assert runtime("cpu", "int8").int8 and has_int8("cpu", "auto")
    assert not runtime("cpu", "auto").int8


@pytest.mark.usefixtures("vnni")
@pytest.mark.parametrize("engine", ["torch", "compile"])
def test_integers_are_for_openvino(engine: str) -> None:
    assert not has_int8("cpu", engine)
    with pytest.raises(BadInput, match="--precision int8: only OpenVINO"):
        runtime("cpu", "int8", engine)


@pytest.mark.usefixtures("vnni")
def test_integers_without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.runtime.find_spec", lambda name: None)
    assert not has_int8("cpu", "auto")
    with pytest.raises(BadInput, match=r"pip install 'impasto\[fast\]'"):
        runtime("cpu", "int8")


@pytest.mark.usefixtures("vnni")
def test_integers_where_the_processor_is_no_faster_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert not has_int8("cpu", "auto")
    with pytest.raises(BadInput, match=r"VNNI.*--precision auto"):
        runtime("cpu", "int8")


@pytest.mark.parametrize("has", [True, False])
def test_auto_precision_asks_the_processor(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    """Emulated bfloat16 is slower than float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has})
    assert runtime("cpu").bf16 is has
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert runtime("cpu").bf16 is False


@pytest.mark.parametrize(("bf16", "dtype"), [(False, torch.float32), (True, torch.bfloat16)])
def test_autocast(bf16: bool, dtype: torch.dtype) -> None:
    conv, image = nn.Conv2d(3, 2, 1), torch.rand(1, 3, 4, 4)
    machine = Runtime(torch.device("cpu"), bf16)
    with machine.autocast():
        assert conv(image).dtype == dtype
    assert conv(image).dtype == torch.float32


def test_memory_format(machine: Runtime) -> None:
    """Convolutions on the CPU are up to twice as fast with channels last."""
    conv = machine.place(nn.Conv2d(3, 4, 3))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    image = torch.rand(2, 3, 4, 5)
    placed = machine.tensor(image)
    assert placed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(placed, image)


def test_the_names_are_those_of_the_recipe() -> None:
    """Two lists of the same names go stale; this one notices."""
    fields = Recipe.model_fields
    assert typing.get_args(fields["device"].annotation) == DEVICES
    assert typing.get_args(fields["precision"].annotation) == PRECISIONS
    assert typing.get_args(fields["engine"].annotation) == ENGINES


def test_the_environment_says_what_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert runtime("cpu").engine == "auto"
    monkeypatch.setenv(VARIABLE, "torch")
    assert runtime("cpu").engine == "torch"
    assert runtime("cpu", engine="compile").engine == "compile"
    monkeypatch.setenv(VARIABLE, "")
    assert runtime("cpu").engine == "auto"


@pytest.mark.parametrize("by_hand", [True, False])
def test_an_engine_that_does_not_exist(by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "openvin")
    with pytest.raises(UnknownName, match=r"engine 'openvin'.*Did you mean 'openvino'\?"):
        runtime("cpu", engine="openvin" if by_hand else "auto")


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ``auto`` may do without."""
    monkeypatch.setattr("impasto.runtime.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"not installed: pip install 'impasto\[fast\]'"):
        runtime("cpu", engine="openvino")
    assert runtime("cpu").engine == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(BadInput, match="on processors, not on cuda: use --device cpu"):
        runtime("cuda", "fp32", "openvino")


@pytest.mark.parametrize(("granted", "environment", "threads"), [(1, None, 1), (1, "2", 2)])
def test_no_more_threads_than_processors(
    granted: int, environment: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a container grants counts, unless the user has said how many."""
    monkeypatch.delenv(cores.VARIABLE, raising=False)
    if environment:
        monkeypatch.setenv(cores.VARIABLE, environment)
    monkeypatch.setattr(cores, "cores", lambda: granted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runtime("cpu")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
