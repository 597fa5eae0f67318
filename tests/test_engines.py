"""Engines: the network's own pictures, sooner; where something is amiss, torch and a word of it."""

import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto import backends, engines, openvino
from impasto.engines import Engine, rehearsal
from impasto.errors import BadInput, Notice
from impasto.networks.normalisation import Norm
from impasto.networks.transformer import EVERY, Transformer
from impasto.runtime import Runtime

FP32 = Runtime(torch.device("cpu"), bf16=False)
BF16 = Runtime(torch.device("cpu"), bf16=True)
INT8 = Runtime(torch.device("cpu"), bf16=False, int8=True)
WIDTH = 0.125
DEVICES = ("cpu", "cuda", "mps")

needs_openvino = pytest.mark.skipif(not openvino.there(), reason="no OpenVINO")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Compiled networks go into a folder of the tests."""
    folder = tmp_path_factory.getbasetemp() / "compiled"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    return folder


def network(norm: Norm = "instance", conditional: tuple[str, ...] = ()) -> Transformer:
    return Transformer(WIDTH, norm, conditional).requires_grad_(False).eval()


def noise(*size: int) -> Tensor:
    return torch.rand(1, 3, *size)


def random_row(painter: Transformer) -> Tensor:
    return painter.neutral()[None] + 0.3 * torch.randn(1, painter.row_size)


def work(height: int, width: int) -> float:
    """What one picture of that size counts."""
    return (height * width / 1e6) ** 2


class Blur(nn.Module):
    """A network whose pictures are easy to tell."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image, 3, 1, 1)


class Pedantic(nn.Module):
    """Python in ``forward`` looks at the size: tracing sees one side of it only."""

    def forward(self, image: Tensor) -> Tensor:
        return image if image.shape[-1] == backends.TRACED[1] else 1 - image


@pytest.fixture(scope="module")
def blurring() -> Engine:
    return Engine(Blur(), FP32, "blur", worth=0)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """What has been converted so far."""
    done: list[nn.Module] = []
    real = openvino.converted

    def converted(module: nn.Module, inputs: list[Tensor]) -> Any:
        done.append(module)
        return real(module, inputs)

    monkeypatch.setattr(openvino, "converted", converted)
    return done


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenVINO that cannot convert, and says so at length."""

    def converted(module: nn.Module, inputs: list[Tensor]) -> Any:
        raise RuntimeError("Check 'false' failed at src/frontend.cpp:53:\nNo such operation.\n")

    monkeypatch.setattr(openvino, "converted", converted)
    monkeypatch.setattr(openvino, "there", lambda: True)


def test_one_thread_gives_a_backend_up_while_another_still_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both go on with torch; the other has said so."""
    monkeypatch.setattr(openvino, "there", lambda: True)
    engine, image = Engine(Blur(), FP32, "blur", worth=0), noise(64, 64)

    def overtaken(*_: object) -> Any:
        engine.backend = None
        raise RuntimeError("no such operation")

    monkeypatch.setattr(backends.OpenVino, "prepared", overtaken)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(engine(image), Blur()(image))


@needs_openvino
@pytest.mark.parametrize("norm", ["instance", "batch", "frn"])
@pytest.mark.parametrize("conditional", [(), EVERY], ids=["own", "conditional"])
def test_the_pictures_of_the_network(norm: Norm, conditional: tuple[str, ...]) -> None:
    """In float32 to less than a hundredth of a level, at a size that halves badly."""
    painter, image = network(norm, conditional), noise(75, 101)
    row = random_row(painter) if conditional else None
    painted = Engine(painter, FP32, "painter", worth=0)(image, row)
    assert painted.shape == image.shape
    assert not painted.requires_grad
    torch.testing.assert_close(painted, painter(image, row), atol=4e-5, rtol=0)


@needs_openvino
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(height=st.integers(engines.SMALLEST, 200), width=st.integers(engines.SMALLEST, 200))
def test_any_size(blurring: Engine, height: int, width: int) -> None:
    image = noise(height, width)
    torch.testing.assert_close(blurring(image), Blur()(image))


@needs_openvino
def test_one_conversion_for_all_sizes(conversions: list[nn.Module]) -> None:
    engine = Engine(Blur(), FP32, "blur", worth=0)
    for side in (64, 72, 80, 64):
        engine(noise(side, side))
    assert len(conversions) == 1


@needs_openvino
def test_rows_are_inputs() -> None:
    """A row must not become a constant: the next picture is in another style."""
    painter, image = network(conditional=EVERY), noise(64, 64)
    engine = Engine(painter, FP32, "painter", worth=0)
    for row in (random_row(painter), random_row(painter)):
        torch.testing.assert_close(engine(image, row), painter(image, row), atol=4e-5, rtol=0)


@needs_openvino
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_pictures_of_a_batch_are_painted_at_once(count: int, two_threads: None) -> None:
    """Two at a time; each with its own row, in order."""
    painter, images = network(conditional=EVERY), torch.rand(count, 3, 64, 72)
    rows = torch.cat([random_row(painter) for _ in images])
    engine = Engine(painter, FP32, "painter", worth=0)
    torch.testing.assert_close(engine(images, rows), painter(images, rows), atol=4e-5, rtol=0)


@needs_openvino
@pytest.mark.parametrize("norm", ["instance", "batch", "frn"])
def test_bfloat16_errs_no_more_than_torch_does(norm: Norm) -> None:
    painter, image = network(norm), noise(128, 128)
    exact = painter(image)
    with BF16.autocast():
        torch_error = (painter(image) - exact).abs().mean()
    error = (Engine(painter, BF16, "painter", worth=0)(image) - exact).abs().mean()
    assert 0 < error < 1.5 * torch_error


class Standard(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.instance_norm(image)


@needs_openvino
def test_statistics_are_float32() -> None:
    """Of 2^16 values far from zero: sums in bfloat16 would stop growing at 256."""
    image = 40 + torch.rand(1, 3, 256, 256) * 20
    painted = Engine(Standard(), BF16, "standard", worth=0)(image)
    assert painted.mean((2, 3)).abs().max() < 1e-2
    assert (painted.std((2, 3)) - 1).abs().max() < 1e-2


@needs_openvino
def test_autocast_around_it_changes_nothing() -> None:
    """Nor what is traced in it: precision is the engine's own affair."""
    painter, image = network(), noise(64, 64)
    with BF16.autocast():
        painted = Engine(painter, FP32, "painter", worth=0)(image)
    torch.testing.assert_close(painted, painter(image), atol=4e-5, rtol=0)


@needs_openvino
def test_a_picture_stays_what_it_was(blurring: Engine) -> None:
    """Buffers of the engine are used again, results are not in them."""
    first = blurring(noise(64, 64))
    kept = first.clone()
    blurring(noise(64, 64))
    assert torch.equal(first, kept)


@needs_openvino
def test_several_threads_may_call(blurring: Engine) -> None:
    images = [noise(64, 64) for _ in range(8)]
    painted: dict[int, Tensor] = {}

    def paint(index: int) -> None:
        painted[index] = blurring(images[index])

    threads = [threading.Thread(target=paint, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, image in enumerate(images):
        torch.testing.assert_close(painted[index], Blur()(image))


@needs_openvino
def test_callers_paint_side_by_side(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on one thread, by a request of its own; more callers than there are take turns."""
    compiled = counted(monkeypatch)
    engine = Engine(Blur(), replace(FP32, callers=2), "blur")
    painted: list[tuple[Tensor, Tensor]] = []
    used: list[tuple[int, int]] = []
    real = openvino._together

    def together(requests: Any, pictures: Any) -> Any:
        used.append((threading.get_ident(), *map(id, requests)))
        return real(requests, pictures)

    monkeypatch.setattr(openvino, "_together", together)

    def paint() -> None:
        torch.set_num_threads(1)
        for _ in range(4):
            image = noise(64, 64)
            painted.append((image, engine(image)))

    threads = [threading.Thread(target=paint) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(painted) == 12
    for image, one in painted:
        torch.testing.assert_close(one, Blur()(image))
    assert compiled() == 2  # and once to check what was converted
    own = {thread.ident for thread in threads}
    requests = [{request for one, request in used[1:] if one == thread} for thread in own]
    assert [len(each) for each in requests] == [1, 1, 1]
    assert len(set.union(*requests)) == 2
    ((key, _),) = engine._ready.items()
    assert key[-1] == 1


@needs_openvino
def test_what_several_call_compiles_at_once(conversions: list[nn.Module]) -> None:
    """Which of them comes first is not known, so what paints may not depend on it."""
    Engine(Blur(), replace(FP32, callers=2), "blur")(noise(64, 64))
    assert len(conversions) == 1


@needs_openvino
def test_as_many_threads_as_torch(two_threads: None) -> None:
    model = openvino.converted(Blur(), [noise(64, 64)])
    for count in (2, 1):
        torch.set_num_threads(count)
        (request,) = openvino.compiled(model, [noise(64, 64)], bf16=False)
        assert request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == count


@needs_openvino
def test_threads_may_change_later(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = counted(monkeypatch)
    engine = Engine(Blur(), FP32, "blur", worth=0)
    engine(noise(64, 64))
    before = compiled()
    torch.set_num_threads(1)
    engine(noise(64, 64))
    assert compiled() == before + 1


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often something has been compiled so far."""
    real, calls = openvino.compiled, []

    def compiled(model: Any, inputs: list[Tensor], bf16: bool, count: int = 1) -> Any:
        calls.append(inputs)
        return real(model, inputs, bf16, count)

    monkeypatch.setattr(openvino, "compiled", compiled)
    return lambda: len(calls)


@needs_openvino
def test_compiling_waits_until_it_pays(conversions: list[nn.Module]) -> None:
    """Of every size the first pictures are left to torch."""
    engine = Engine(Blur(), FP32, "blur", worth=3 * work(64, 64))
    engine(noise(64, 64)), engine(noise(64, 64)), engine(noise(64, 65)), engine(noise(64, 65))
    assert conversions == []
    engine(noise(64, 64))
    assert len(conversions) == 1


@needs_openvino
def test_a_large_picture_pays_at_once(conversions: list[nn.Module]) -> None:
    Engine(Blur(), FP32, "blur", worth=work(100, 100))(noise(100, 100))
    assert len(conversions) == 1


@needs_openvino
def test_a_batch_counts_all_its_pictures(conversions: list[nn.Module]) -> None:
    Engine(Blur(), FP32, "blur", worth=4 * work(64, 64))(torch.rand(4, 3, 64, 64))
    assert len(conversions) == 1


def test_one_small_picture_needs_no_compiler(broken: None) -> None:
    """A command that paints one picture does not wait for it, and hears nothing of it."""
    image = noise(128, 128)
    assert torch.equal(Engine(Blur(), FP32, "blur")(image), Blur()(image))


def test_the_smallest_pictures_stay_with_torch(broken: None) -> None:
    painter, image = network(), noise(3, 63)
    assert torch.equal(Engine(painter, FP32, "painter", worth=0)(image), painter(image))


@needs_openvino
def test_few_sizes_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their buffers are memory; what is forgotten has to earn its place again."""
    compiled = counted(monkeypatch)
    monkeypatch.setattr(engines, "KEPT", 2 * 64 * 64)
    engine = Engine(Blur(), FP32, "blur", worth=2 * work(64, 64))

    def paint(width: int, times: int) -> int:
        before = compiled()
        for _ in range(times):
            engine(noise(64, width))
        return compiled() - before

    assert paint(64, 2) == 2  # the check, and the size itself
    assert paint(65, 2) == 1  # together they are too many: 64 goes
    assert paint(64, 1) == 0
    assert paint(65, 1) == 0
    assert paint(64, 1) == 1


def test_without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "there", lambda: False)
    painter, image = network(), noise(64, 64)
    painted = Engine(painter, BF16, "painter", worth=0)(image)
    with BF16.autocast():
        assert torch.equal(painted, painter(image))


def test_it_can_be_switched_off(broken: None) -> None:
    image = noise(64, 64)
    plain = replace(FP32, engine="torch")
    assert torch.equal(Engine(Blur(), plain, "blur", worth=0)(image), Blur()(image))


def test_by_itself_only_where_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "there", lambda: True)
    kinds = {name: backends.chosen(Runtime(torch.device(name), False)) for name in DEVICES}
    assert kinds == {"cpu": backends.OpenVino, "cuda": backends.Graphs, "mps": None}


def test_one_picture_on_a_gpu_waits_for_nothing() -> None:
    """16 pictures of a size are a film or a batch; large ones, or many at once, gain nothing."""
    assert backends.Graphs.work(1, 512 * 512) < backends.Graphs.worth
    assert 2 * backends.Graphs.work(8, 512 * 512) >= backends.Graphs.worth
    assert backends.Graphs.work(1, 4000 * 3000) == backends.Graphs.work(8, 1000 * 1000) == 0


@needs_openvino
def test_asked_for_it_runs_from_the_first_picture(conversions: list[nn.Module]) -> None:
    engine, image = Engine(Blur(), replace(FP32, engine="openvino"), "blur"), noise(64, 64)
    torch.testing.assert_close(engine(image), Blur()(image))
    assert len(conversions) == 1


@pytest.mark.usefixtures("broken")
def test_asked_for_a_failure_is_an_error() -> None:
    engine = Engine(Blur(), replace(FP32, engine="openvino"), "blur")
    with pytest.raises(BadInput, match=r"OpenVINO cannot run blur .*No such op.*--engine auto"):
        engine(noise(64, 64))


@pytest.mark.usefixtures("broken")
def test_what_is_only_timed_is_left_to_torch() -> None:
    """To compile for the size of a rehearsal would take longer than it."""
    engine, image = Engine(Blur(), replace(FP32, engine="openvino"), "blur"), noise(64, 64)
    with rehearsal():
        assert torch.equal(engine(image), Blur()(image))
    with pytest.raises(BadInput):
        engine(image)


def test_want_of_memory_is_no_fault_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are the cure, so whoever cuts them has to hear of it."""

    def converted(module: nn.Module, inputs: list[Tensor]) -> Any:
        raise MemoryError

    monkeypatch.setattr(openvino, "converted", converted)
    engine = Engine(Blur(), replace(FP32, engine="openvino"), "blur")
    with pytest.raises(MemoryError):
        engine(noise(64, 64))
    assert engine.able


@needs_openvino
def test_where_memory_is_too_little_to_get_ready_torch_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody asked for the engine, and a picture by torch takes less."""

    def converted(module: nn.Module, inputs: list[Tensor]) -> Any:
        raise MemoryError

    monkeypatch.setattr(openvino, "converted", converted)
    engine, image = Engine(Blur(), FP32, "blur", worth=0), noise(64, 64)
    with pytest.warns(Notice, match="not enough memory to make it ready.*goes on without"):
        assert torch.equal(engine(image), Blur()(image))
    assert not engine.able


class Stretched(nn.Module):
    """Something that torch.compile has little to do with."""

    def forward(self, image: Tensor, row: Tensor) -> Tensor:
        return (image * row[:, :, None, None]).sigmoid()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="no C++ compiler")
def test_torch_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of the network, of a batch at once."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    engine = Engine(Stretched(), replace(FP32, engine="compile"), "stretched")
    images, rows = torch.rand(2, 3, 64, 72), torch.rand(2, 3)
    for _ in range(2):
        torch.testing.assert_close(engine(images, rows), Stretched()(images, rows))
    assert len(engine._ready) == 1


def test_torch_compile_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(module: nn.Module, dynamic: bool) -> Any:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compile)
    engine = Engine(Blur(), replace(FP32, engine="compile"), "blur")
    with pytest.raises(BadInput, match=r"torch\.compile cannot run blur .*No working C"):
        engine(noise(64, 64))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("bf16", [False, True])
def test_graphs_paint_the_pictures_of_the_network(bf16: bool) -> None:
    """Other pictures in other rows than it was recorded with; a picture stays what it was."""
    machine = Runtime(torch.device("cuda"), bf16)
    painter = machine.place(network(conditional=EVERY))
    engine = Engine(painter, machine, "painter", worth=0)
    images = [machine.tensor(noise(75, 101)) for _ in range(3)]
    rows = [random_row(painter.cpu()).cuda() for _ in images]
    painter.cuda()
    painted = [engine(image, row) for image, row in zip(images, rows, strict=True)]
    for one, image, row in zip(painted, images, rows, strict=True):
        with machine.autocast():
            torch.testing.assert_close(one, painter(image, row).float(), atol=1e-3, rtol=0)
    assert engine.able


@needs_openvino
def test_compiled_networks_are_kept(tmp_path: Path) -> None:
    """For the next process, in the user's cache; the same picture comes of it."""
    for _ in range(2):
        run("paint()", IMPASTO_CACHE=str(tmp_path))
        (blobs := sorted(tmp_path.glob("openvino/*.blob")))
    assert len(blobs) == 2  # the check, and the size itself


@needs_openvino
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works all the same, and says so once."""
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    openvino.cache_of_models.cache_clear()
    image = noise(64, 64)
    with pytest.warns(Notice, match="cannot be kept in .*cache.*compiles anew") as said:
        for _ in range(2):
            engine = Engine(Blur(), FP32, "blur", worth=0)
            torch.testing.assert_close(engine(image), Blur()(image))
    openvino.cache_of_models.cache_clear()
    assert len(said) == 1 and engine.able


@needs_openvino
def test_a_cache_that_fails_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason to give up what works without."""
    real = openvino._requests

    def requests(model: Any, settings: dict[str, object], count: int) -> Any:
        if "CACHE_DIR" in settings:
            raise RuntimeError("No space left on device")
        return real(model, settings, count)

    monkeypatch.setattr(openvino, "_requests", requests)
    with pytest.warns(Notice, match="cannot be kept"):
        assert Engine(Blur(), FP32, "blur", worth=0)(noise(64, 64)).shape == (1, 3, 64, 64)


def test_old_networks_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "CACHE_BYTES", 25)
    for age, name in enumerate(("new", "old", "older")):
        path = tmp_path / f"{name}.blob"
        path.write_bytes(bytes(10))
        os.utime(path, (1000 - age, 1000 - age))
    assert [path.name for path in openvino._too_old(tmp_path)] == ["older.blob"]


def test_failure_is_said_once_in_one_line(broken: None) -> None:
    engine, image = Engine(Blur(), FP32, "blur", worth=0), noise(64, 64)
    with pytest.warns(Notice, match="cannot run blur .*No such operation") as said:
        painted = engine(image)
    assert torch.equal(painted, Blur()(image))
    assert "\n" not in str(said[0].message)
    assert said[0].filename == __file__
    assert torch.equal(engine(image), Blur()(image))


@needs_openvino
def test_failure_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, image = Engine(Blur(), FP32, "blur", worth=0), noise(64, 64)
    engine(image)

    def together(requests: Any, pictures: Any) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(openvino, "_together", together)
    with pytest.warns(UserWarning, match="out of memory"):
        assert torch.equal(engine(image), Blur()(image))


@needs_openvino
def test_what_cannot_be_traced_is_noticed() -> None:
    """Silently wrong pictures would be the worst."""
    image = noise(64, 128)
    with pytest.warns(UserWarning, match="wrong by"):
        painted = Engine(Pedantic(), FP32, "pedantic", worth=0)(image)
    assert torch.equal(painted, 1 - image)


@needs_openvino
def test_integers_paint_nearly_the_same_at_once() -> None:
    """Asked for, they pay from the first picture; ranges are found for every style anew."""
    painter, image = network(conditional=EVERY), backends.leaves()[..., :96, :128]
    engine = Engine(painter, INT8, "painter")
    for row in (painter.neutral()[None], 2 * painter.neutral()[None]):
        wanted = painter(image, row)
        error = float((engine(image, row) - wanted).abs().mean())
        assert 0 < error < backends.TOLERANCE * float(wanted.std())
    assert len(engine._ready) == 2
    engine(image, row)
    assert len(engine._ready) == 2


@needs_openvino
def test_without_integers_where_they_paint_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    painter, image = network(), noise(64, 80)
    monkeypatch.setattr(
        backends, "quantised", lambda model, inputs: openvino.converted(Blur(), inputs)
    )
    with pytest.warns(Notice, match="In integers .* wrong by"):
        painted = Engine(painter, INT8, "painter")(image)
    torch.testing.assert_close(painted, painter(image), atol=4e-5, rtol=0)


PRELUDE = """
import gc, os, signal, subprocess, sys, threading
import torch
from torch import nn
from impasto.engines import Engine
from impasto.runtime import Runtime

def paint(width=64):
    engine = Engine(nn.AvgPool2d(3, 1, 1), Runtime(torch.device("cpu"), bf16=False), "blur", 0)
    assert engine(torch.rand(1, 3, 64, width)).shape == (1, 3, 64, width)
    assert engine.able
    return engine
"""


def run(program: str, **environment: str) -> None:
    """A process of its own, for what would take this one along."""
    strict = [
        "-W",
        "error",
        "-W",
        "ignore::DeprecationWarning",
    ]  # newer Pythons advise against fork
    command = [sys.executable, *strict, "-c", PRELUDE + program]
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=100)


@needs_openvino
def test_nobody_is_told(tmp_path: Path) -> None:
    """OpenVINO keeps a file of its use at home when it is first imported, and sends it."""
    run("paint()", HOME=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == []


@needs_openvino
def test_signals_arrive_after_engines_are_gone() -> None:
    """Handled on a stack that OpenVINO gives a thread and takes away."""
    run(
        "signal.signal(signal.SIGCHLD, lambda *_: None)\n"
        "engines = [paint(), paint(72)]\n"
        "while engines: engines.pop(0)\n"
        "thread = threading.Thread(target=paint)\n"
        "thread.start(); thread.join(); gc.collect()\n"
        "for _ in range(3): subprocess.run(['true'], check=True)"
    )


@needs_openvino
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_paints_and_ends() -> None:
    """Without the threads of OpenVINO, for which it would wait."""
    run(
        "engine, image = paint(), torch.rand(1, 3, 64, 64)\n"
        "painted = engine(image)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    torch.testing.assert_close(engine(image), painted)\n"
        "    assert not engine.able\n"
        "    sys.exit()\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "assert torch.equal(engine(image), painted)"
    )


@needs_openvino
def test_engines_may_be_built_at_once() -> None:
    run(
        "threads = [threading.Thread(target=paint, args=(64 + 8 * n,)) for n in range(4)]\n"
        "threading.excepthook = lambda _: os._exit(1)\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()"
    )


@needs_openvino
def test_random_numbers_are_left_alone() -> None:
    state = torch.random.get_rng_state()
    image = torch.zeros(1, 3, 64, 64)
    with warnings.catch_warnings():
        Engine(Blur(), FP32, "blur", worth=0)(image)
    assert torch.equal(torch.random.get_rng_state(), state)
