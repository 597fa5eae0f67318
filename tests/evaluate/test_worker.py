"""The process that paints: what it says of its work, and that nothing that befalls it is fatal."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor

from impasto import weights
from impasto.errors import OutOfMemory
from impasto.evaluate import worker as workers
from impasto.evaluate.worker import Painted, Worker, painted
from impasto.media import image as media
from impasto.methods.adain import Adain
from impasto.networks import encoders
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import Style

# --- in this process, with the tiny networks ---


@pytest.fixture
def folder(
    tmp_path: Path,
    photo: Tensor,
    painting: Tensor,
    encoder: Encoder,
    decoders: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A photo, ``own.png`` and the style ``style``; the store has the tiny encoder too."""
    media.write(photo, tmp_path / "cat.png")
    media.write(painting, tmp_path / "own.png")
    store = tmp_path / "store"
    weights.write(
        store / "encoder-tiny.safetensors", encoder.state_dict(), weights.Header("encoder", "tiny")
    )
    monkeypatch.setattr(weights, "folders", lambda: [store, weights.user_folder()])
    monkeypatch.setitem(encoders.SHAPES, "tiny", encoder.shape)  # type: ignore[index]
    Style.of(painting, encoder).save(tmp_path / "style.style.safetensors")
    return tmp_path


def recipe(folder: Path, method: str = "adain", style: str = "own.png", **more: object) -> Recipe:
    given = {"photo": str(folder / "cat.png"), "styles": ({"source": str(folder / style)},)}
    return Recipe.model_validate({"method": method, "encoder": "tiny", "size": 40, **given, **more})


def size(*names: str) -> tuple[int, int]:
    """Parameters and bytes of weights files."""
    paths = [weights.find(*name.split("-", 1)) for name in names]
    return sum(map(weights.parameters, paths)), sum(path.stat().st_size for path in paths)


def test_a_picture_and_what_it_took(folder: Path) -> None:
    found = painted(recipe(folder, seed=3), folder / "out.png")
    assert (found.outcome, found.reason) == ("done", "")
    assert (found.width, found.height) == media.header(folder / "out.png") == (33, 40)
    assert found.seconds is not None and 0 < found.seconds < workers.QUICK
    assert found.load_seconds is not None and found.load_seconds > 0
    assert found.peak_mb is not None and found.peak_mb > 50
    written = media.read(folder / "out.png").recipe
    assert written is not None and Recipe.model_validate_json(written).seed == 3


def test_weights_are_those_that_paint(folder: Path) -> None:
    """An encoder counts where the method looks through it, not where only a style was made."""
    found = {
        name: painted(recipe(folder, name, "style.style.safetensors"), folder / "out.png")
        for name in ("adain", "wct", "johnson", "dumoulin", "ghiasi")
    }
    counted = {name: (each.parameters, each.file_bytes) for name, each in found.items()}
    assert counted == {
        "adain": size("adain-tiny", "encoder-tiny"),
        "wct": size("wct-tiny", "encoder-tiny"),
        "johnson": size("johnson-style"),
        "dumoulin": size("dumoulin-gallery"),
        "ghiasi": size("ghiasi-tiny", "encoder-tiny"),
    }


def test_of_a_network_for_every_style_one_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass that is timed beforehand is by the first network there is, whichever that is."""
    content = weights.read(weights.find("johnson", "style"))
    first = weights.folders()[0] / "johnson-a.safetensors"
    weights.write(first, content.tensors, weights.Header("johnson", "a", content.header.config))
    found = painted(recipe(folder, "johnson", "style.style.safetensors"), folder / "out.png")
    assert found.parameters == size("johnson-style")[0]


def test_quick_work_is_timed_several_times_and_the_fastest_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((0.5, 0.2, 0.4))
    real = workers.paint
    monkeypatch.setattr(workers, "paint", lambda job: replace(real(job), seconds=next(times)))
    assert painted(recipe(folder), folder / "out.png").seconds == 0.2


def test_slow_work_is_done_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((workers.QUICK,))
    real = workers.paint
    monkeypatch.setattr(workers, "paint", lambda job: replace(real(job), seconds=next(times)))
    assert painted(recipe(folder), folder / "out.png").seconds == workers.QUICK


def test_transparency_is_kept(folder: Path, photo: Tensor) -> None:
    alpha = torch.zeros(1, 1, *photo.shape[-2:])
    alpha[..., :20] = 1
    media.write(photo, folder / "cat.png", alpha=alpha)
    painted(recipe(folder), folder / "out.png")
    found = media.read(folder / "out.png").alpha
    assert found is not None and found[..., :10].min() == 1 and found[..., -10:].max() == 0


@pytest.mark.parametrize("method", ["johnson", "dumoulin"])
def test_what_was_not_learned(folder: Path, method: str) -> None:
    found = painted(recipe(folder, method), folder / "out.png")
    reason = f"{method} has not learned this style; impasto train {method} teaches it."
    assert found == Painted("unlearned", reason)
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("first\nsecond"), "RuntimeError: first"),
        (AssertionError(), "AssertionError"),
        (ZeroDivisionError("\n\n by zero\n"), "ZeroDivisionError: by zero"),
        (OutOfMemory("Too little."), "Too little."),
        (MemoryError(), "There was not enough memory."),
    ],
)
def test_a_method_that_raises(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """Its fault becomes a line; who compares goes on with the next."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Adain, "paint", fail)
    assert painted(recipe(folder), folder / "out.png") == Painted("failed", reason)
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"photo": "none.jpg"}, "none.jpg"),
        ({"style": "none.png"}, "none.png"),
        ({"encoder": "vgg19"}, "impasto weights pull vgg19"),
        ({"method": "adian"}, "Did you mean 'adain'"),
        ({"levels": 2}, "adain has no such control"),
    ],
)
def test_bad_input_is_told(folder: Path, given: dict[str, str], words: str) -> None:
    found = painted(recipe(folder, **given), folder / "out.png")  # type: ignore[arg-type]
    assert found.outcome == "failed" and words in found.reason


def test_a_style_of_another_encoder(folder: Path, painting: Tensor, encoder: Encoder) -> None:
    encoder.name = "other"
    Style.of(painting, encoder).save(folder / "other.style.safetensors")
    found = painted(recipe(folder, style="other.style.safetensors"), folder / "out.png")
    assert found.outcome == "failed" and "made with the encoder 'other'" in found.reason


def test_a_target_that_cannot_be_written(folder: Path) -> None:
    assert "Cannot write" in painted(recipe(folder), folder / "none" / "out.png").reason


def test_an_interruption_is_no_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Adain, "paint", interrupt)
    with pytest.raises(KeyboardInterrupt):
        painted(recipe(folder), folder / "out.png")


# --- in a process of its own, with the packaged networks ---


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker
    assert processes() == []


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("real")
    for name in ("cat.png", "own.png"):
        media.write(torch.rand(1, 3, 24, 32), folder / name)
    styles = ({"source": str(folder / "own.png")},)
    given = {"photo": str(folder / "cat.png"), "styles": styles, "method": "adain", "size": 32}
    return Recipe.model_validate(given)


def processes() -> list[psutil.Process]:
    """What this process has started and what does not belong to multiprocessing itself."""
    children = psutil.Process().children()
    return [p for p in children if "spawn_main" in " ".join(p.cmdline())]


def once_started(act: Callable[[psutil.Process], None]) -> threading.Thread:
    """Do something to the process as soon as there is one."""

    def wait() -> None:
        end = time.monotonic() + 60
        while not (found := processes()) and time.monotonic() < end:
            time.sleep(0.005)
        act(found[0])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_process_that_dies(worker: Worker, real: Recipe, tmp_path: Path) -> None:
    """The cell has failed, and the next one is painted by another process."""
    killer = once_started(lambda process: process.send_signal(signal.SIGKILL))
    found = worker.paint(real, tmp_path / "out.png")
    killer.join()
    assert found.outcome == "failed" and "process died" in found.reason
    assert processes() == []
    found = worker.paint(real, tmp_path / "out.png")
    assert (found.outcome, found.width, found.height) == ("done", 32, 24)
    assert media.header(tmp_path / "out.png") == (32, 24)


def test_the_next_picture_is_by_the_same_process(
    worker: Worker, real: Recipe, tmp_path: Path
) -> None:
    before = [process.pid for process in processes()]
    failed = worker.paint(real.model_copy(update={"photo": "none"}), tmp_path / "out.png")
    done = worker.paint(real.model_copy(update={"size": 16}), tmp_path / "out.png")
    assert failed.outcome == "failed" and "none" in failed.reason
    assert done.width == 16 and len(before) == 1
    assert [process.pid for process in processes()] == before


def test_ctrl_c_does_not_reach_it(worker: Worker, real: Recipe, tmp_path: Path) -> None:
    """A terminal sends it to every process; the one that was asked decides for all."""
    (process,) = processes()
    process.send_signal(signal.SIGINT)
    assert worker.paint(real, tmp_path / "out.png").outcome == "done"


def test_signals_reach_this_process_as_before(worker: Worker) -> None:
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_its_memory_is_its_own(worker: Worker, real: Recipe, tmp_path: Path) -> None:
    """What this process has held before does not count."""
    here = torch.ones(300_000_000 // 4)
    found = worker.paint(real, tmp_path / "out.png")
    assert found.peak_mb is not None and found.peak_mb > 50
    assert found.peak_mb < psutil.Process().memory_info().rss / 1e6
    assert len(here)


def test_stopped_it_is_gone_and_may_begin_again(worker: Worker) -> None:
    worker.stop()
    assert processes() == []
    worker.stop()


def test_an_error_outside_ends_it_at_once(real: Recipe, tmp_path: Path) -> None:
    """Not when the picture, which may take minutes, is done."""
    endless = real.model_copy(update={"method": "gatys", "iterations": 100_000})
    stopper = once_started(lambda process: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), Worker() as worker:
        worker.paint(endless, tmp_path / "out.png")
    stopper.join()
    # One that was not told yet what to do ends by itself, for nobody tells it any more
    end = time.monotonic() + 5
    while processes() and time.monotonic() < end:
        time.sleep(0.01)
    assert processes() == [] and not (tmp_path / "out.png").exists()
