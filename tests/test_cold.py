"""A cold command: what it loads, what it measures, and what it says of its time.

How long it takes is measured elsewhere (docs/engines.md); here is what decides it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

from impasto.media import image as media

HEAVY = (
    *("torch._dynamo", "torch._inductor", "torch.distributed.nn", "sympy", "skimage", "scipy"),
    *("openvino", "onnx", "cv2", "av", "rich", "jinja2", "dbos", "fastapi", "filelock"),
)
"""What one small picture in one pass has no need of."""

PROGRAM = f"""
import atexit, sys
from impasto.cli import main
loaded = lambda: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
atexit.register(loaded)
main()
"""

PARTS = ("start", "reading", "loading", "rehearsal", "painting", "writing", "measuring")


@pytest.fixture
def photo_file(tmp_path: Path, photo: Tensor) -> Path:
    path = tmp_path / "cat.jpg"
    media.write(photo, path)
    return path


def stylize(photo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, with everything that is packaged."""
    command = [sys.executable, "-c", PROGRAM, "stylize", str(photo), "-s", "starry-night", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("method", ["adain", "johnson"])
def test_only_what_is_needed_is_loaded(photo_file: Path, method: str) -> None:
    ran = stylize(photo_file, "--method", method, "--size", "64")
    assert ran.stderr == "[]\n"
    assert photo_file.with_name("cat.starry-night.png").is_file()
    estimate, done = ran.stdout.splitlines()
    assert "about" in estimate and "(loading " in done and "style_error" not in done


def test_where_the_time_went(photo_file: Path) -> None:
    ran = stylize(photo_file, "--method", "adain", "--size", "64", "-v")
    _, done, parts = ran.stdout.splitlines()
    assert "style_error" in done and "content_error" in done
    assert " s in all: start " in parts
    assert all(f"{part} " in parts for part in PARTS)


def test_json_has_all_figures(photo_file: Path) -> None:
    ran = stylize(photo_file, "--method", "adain", "--size", "64", "--json")
    done = json.loads(ran.stdout.splitlines()[-1])
    assert set(PARTS) == set(done["timings"])
    assert done["style_error"] > 0
    spent = done["seconds"] + done["load_seconds"]
    work = done["timings"]["painting"] + done["timings"]["loading"] + done["timings"]["rehearsal"]
    assert work == pytest.approx(spent, abs=0.1)


def test_an_engine_by_its_name(photo_file: Path) -> None:
    """The picture remembers what it was asked for."""
    stylize(photo_file, "--method", "adain", "--size", "64", "--engine", "torch")
    written = media.read(photo_file.with_name("cat.starry-night.png")).recipe
    assert json.loads(written or "")["engine"] == "torch"
