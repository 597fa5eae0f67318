"""Estimates: they grow with the work, and settle the size within bounds."""

import mmap
import subprocess
import sys
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from impasto import cores, estimate, methods, openvino
from impasto.estimate import Pace, fitting, pace, peak_mb, reset_peak
from impasto.job import ENLARGING, settled_cost
from impasto.methods.gatys import Gatys
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime

SPEED = Pace(seconds_per_megapixel=0.2, base_mb=300)


@pytest.fixture
def method(encoder: Encoder, machine: Runtime) -> Gatys:
    return Gatys(encoder, machine)


def test_known_cost(method: Gatys) -> None:
    """512 px: 200 steps at 256 px and 100 at 512 px, all of them on a square."""
    cost = estimate.estimate(method, SPEED, 512, 1.0)
    assert cost.seconds == pytest.approx(0.2 * (200 * 256**2 + 100 * 512**2) / 1e6)
    assert cost.peak_mb == pytest.approx(300 + 512**2 * method.encoder.bytes_per_pixel(False) / 1e6)


def test_a_flat_picture_costs_its_share(method: Gatys) -> None:
    square, flat = (estimate.estimate(method, SPEED, 512, aspect) for aspect in (1.0, 0.25))
    assert flat.seconds == pytest.approx(square.seconds / 4)


def test_own_size_where_it_fits(method: Gatys) -> None:
    assert fitting(method, SPEED, 512, 1.0).size == 512


def test_patience_and_memory_bound_the_size(method: Gatys, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = fitting(method, Pace(20.0, 300), 4000, 1.0)
    assert slow.size < 1000 and slow.seconds <= estimate.PATIENCE
    little = psutil.virtual_memory()._replace(available=int(400e6))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    small = fitting(method, SPEED, 4000, 1.0)
    assert small.size < 4000 and small.peak_mb - 300 <= 400 * estimate.MEMORY_SHARE + 1


def test_a_container_has_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds of files is given back when it is needed; without a limit it is the machine."""
    monkeypatch.setattr(cores, "groups", lambda: [tmp_path, tmp_path.parent])
    machine = psutil.virtual_memory()._replace(available=1_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    share = estimate.MEMORY_SHARE
    assert estimate.free() == 1e9 * share
    (tmp_path / "memory.max").write_text("600000000\n")
    (tmp_path / "memory.current").write_text("500000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\nactive_file 50000000\ninactive_file 250000000\n")
    assert estimate.free() == pytest.approx(4e8 * share)
    (tmp_path / "memory.max").write_text("max\n")
    assert estimate.free() == 1e9 * share


def test_what_reading_took_counts_too(method: Gatys) -> None:
    speed = Pace(seconds_per_megapixel=0.2, base_mb=300, peak_mb=5000)
    assert estimate.estimate(method, speed, 512, 1.0).peak_mb == 5000


def test_what_was_held_before_takes_no_room(method: Gatys, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of, but what is free now is free."""
    monkeypatch.setattr(estimate, "free", lambda: 4e9)
    cost = fitting(method, Pace(seconds_per_megapixel=0.2, base_mb=300, peak_mb=19_000), 512, 1.0)
    assert (cost.size, cost.peak_mb) == (512, 19_000)


def test_what_is_enlarged_takes_its_share(method: Gatys) -> None:
    """Painted at 512 px, by 10 megapixels."""
    small, large = (
        settled_cost(Recipe(size=size, stroke_size=1), (800, 1250), method, SPEED)
        for size in (512, 4000)
    )
    assert (small.size, large.size) == (512, 4000)
    seconds, mb = ENLARGING
    assert large.seconds - small.seconds == pytest.approx(seconds * 10.24)
    assert large.peak_mb == pytest.approx(300 + mb * 10.24)


def test_a_pass_in_half_precision_takes_less(encoder: Encoder, decoders: None) -> None:
    """Between the two lies what the operating system was seen to count."""
    peaks = []
    for half in (False, True):
        machine = Runtime(torch.device("cpu"), bf16=half)
        adain = methods.get("adain").create(encoder, machine, Recipe(encoder="tiny"))
        peaks.append(estimate.estimate(adain, Pace(0.2, 0), 512, 1.0).peak_mb)
    assert peaks[1] == pytest.approx(estimate.HALF * peaks[0])


def test_pace_is_measured(method: Gatys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "REHEARSAL", 32)
    measured = pace(method)
    assert measured.seconds_per_megapixel > 0 and 50 < measured.base_mb < 10_000


def test_only_the_passes_are_timed(method: Gatys, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed before the first pass is not part of any; of the passes the fastest counts."""
    now, seen = [0.0], list[torch.Size]()
    seconds = iter((0.5, 0.2, 0.4, 0.3))

    def rehearse(image: torch.Tensor) -> Callable[[], object]:
        now[0] += 100
        seen.append(image.shape)
        return lambda: now.__setitem__(0, now[0] + next(seconds))

    monkeypatch.setattr(method, "rehearse", rehearse)
    monkeypatch.setattr("timeit.repeat", partial(timeit.repeat, timer=lambda: now[0]))
    assert pace(method).seconds_per_megapixel == pytest.approx(0.2 / (256**2 / 1e6))
    assert seen == [(1, 3, 256, 256)]


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [("adain", 512, 128), ("adain", 513, 256), ("adain", None, 256), ("gatys", 512, 256)],
)
def test_a_small_picture_in_one_pass_waits_for_no_rehearsal(
    name: str,
    size: int | None,
    side: int,
    encoder: Encoder,
    decoders: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is painted as soon as it is timed; what takes steps is worth a better look."""
    machine = Runtime(torch.device("cpu"), bf16=False)
    method = methods.get(name).create(encoder, machine, Recipe(encoder="tiny"))
    seen: list[int] = []

    def rehearse(image: torch.Tensor) -> Callable[[], object]:
        return lambda: seen.append(image.shape[-1])

    monkeypatch.setattr(method, "rehearse", rehearse)
    pace(method, size)
    assert seen == [side] * (2 if side == 128 else 4)


def test_the_rehearsal_leaves_random_numbers_alone_or_the_seed_comes_after(
    method: Gatys,
) -> None:
    """A picture must not depend on whether its cost was estimated first."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    pace(method)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), expected)


def test_peak_is_at_least_what_is_held_now() -> None:
    assert peak_mb() >= 0.9 * psutil.Process().memory_info().rss / 1e6


def hold(size: int) -> mmap.mmap:
    """Memory that goes back to the system when it is closed, whatever malloc has kept."""
    held = mmap.mmap(-1, size)
    held.write(b"1" * size)
    return held


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can")
def test_a_peak_can_be_forgotten() -> None:
    """What was held and given back counts until then, and no longer."""
    held = hold(200_000_000)
    reset_peak()
    before = peak_mb()
    held.close()
    assert peak_mb() == pytest.approx(before, abs=20)
    reset_peak()
    forgotten = peak_mb()
    assert forgotten < before - 150
    hold(100_000_000).close()
    assert peak_mb() > forgotten + 80


def test_where_a_peak_cannot_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    before = peak_mb()
    reset_peak()
    assert peak_mb() >= before


def test_elsewhere_the_system_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The two ways agree: both are the most that was held, here of a process that forgot none."""
    monkeypatch.setattr(estimate, "STATUS", tmp_path / "none")
    assert peak_mb() >= 0.9 * psutil.Process().memory_info().rss / 1e6


def test_what_is_on_a_gpu_is_not_in_the_process(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes in tiles when the GPU is full, however much memory the machine has."""
    method, free = Gatys(encoder, Runtime(torch.device("cpu"), bf16=False)), [80e9]
    method.runtime = Runtime(torch.device("cuda"), bf16=False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[0], 80e9))
    size = 8000
    assert method.cost(size, size).peak_bytes > estimate.WHOLE
    whole = estimate.estimate(method, SPEED, size, 1.0)
    assert whole.side is None and whole.peak_mb == SPEED.base_mb
    free[0] = 2e9
    tiled = estimate.estimate(method, SPEED, size, 1.0)
    assert tiled.side is not None and tiled.peak_mb == SPEED.base_mb


PAINTED = """
import sys, torch
from impasto.estimate import peak_mb
from impasto.pipeline import paint, prepare
from impasto.recipe import Recipe
recipe = Recipe(photo="noise", styles=("starry-night",), method=sys.argv[1], size=2048,
                device="cpu", engine="openvino", precision="auto")
job = prepare(recipe, torch.rand(1, 3, 1536, 2048))
paint(job)
assert job.estimate.side is None
print(job.estimate.peak_mb, peak_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted differently")
@pytest.mark.skipif(not openvino.there(), reason="the extra fast is not installed")
@pytest.mark.parametrize("method", ["johnson", "adain"])
def test_the_estimate_is_what_the_system_counts(method: str) -> None:
    """To a fifth, of a whole process that paints three megapixels."""
    command = [sys.executable, "-c", PAINTED, method]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    expected, held = map(float, ran.stdout.split())
    assert 0.8 * held <= expected <= 1.2 * held
