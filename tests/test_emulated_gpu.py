"""Without a GPU: what would run there, on one that is emulated (``emulated/emulated_gpu.py``)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
FILES = ("emulated/test_emulation.py", "test_gpu.py", "test_engines.py", "training/test_distill.py")
"""Where tests are marked ``gpu``."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
    pytest.mark.skipif(sys.platform != "linux", reason="torch is linked otherwise"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler"),
]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device that torch is made to believe in."""
    library, root = tmp_path_factory.mktemp("device") / "device.so", Path(torch.__file__).parent
    libraries = [f"-L{root / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{root / 'lib'}"]
    source = HERE / "emulated" / "device.cpp"
    command = ["g++", "-std=c++20", "-O0", "-shared", "-fPIC", f"-I{root / 'include'}"]
    subprocess.run([*command, source, *libraries, "-o", library], check=True)
    return library


def test_what_is_marked_gpu_passes(device: Path) -> None:
    """No tensor is left on the processor, in no method, in tiles, in graphs, in bfloat16."""
    paths = [str(HERE / "emulated"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "EMULATED_DEVICE": str(device),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "emulated_gpu", "-m", "gpu"]
    run = subprocess.run(
        [*command, "-n", "0", "-rA", *(str(HERE / name) for name in FILES)],
        env=environment,
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=900,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said[-5000:]
    passed = re.findall(r"^PASSED tests/(\S+)::", run.stdout, re.MULTILINE)
    assert {*passed} == {*FILES} and "skipped" not in run.stdout
