"""Processors: what the process is bound to, and what control groups grant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from impasto import cores
from impasto.cores import limit_threads


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 processors with control groups of its own."""
    root = tmp_path / "cgroup"
    monkeypatch.setattr(cores, "GROUPS", root)
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cores, "bound", lambda: 16)
    return root


def member(groups: Path, line: str) -> None:
    (groups.parent / "membership").write_text(line + "\n")


def grant(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("3200000 100000", 16),
        ("max 100000", 16),
        ("", 16),
        ("0 0", 16),
    ],
)
def test_version_2(groups: Path, granted: str, expected: int) -> None:
    """Quota and period in microseconds; in a container the group is the root."""
    member(groups, "0::/")
    grant(groups / "cpu.max", granted)
    assert cores.cores() == expected


def test_what_lies_around_a_group_counts(groups: Path) -> None:
    member(groups, "0::/pod/box")
    grant(groups / "pod/box/cpu.max", "800000 100000")
    grant(groups / "pod/cpu.max", "300000 100000")
    assert cores.cores() == 3


def test_what_lies_outside_does_not(groups: Path) -> None:
    """A group may be named as it is called outside of the container."""
    member(groups, "0::/../../outside")
    grant(groups.parent / "cpu.max", "100000 100000")
    assert cores.cores() == 16


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4), ("-1", 16)])
def test_version_1(groups: Path, quota: str, expected: int) -> None:
    member(groups, "4:memory:/box\n1:cpu,cpuacct:/box")
    grant(groups / "cpu/box/cpu.cfs_quota_us", quota)
    grant(groups / "cpu/box/cpu.cfs_period_us", "100000")
    assert cores.cores() == expected


def test_without_control_groups(groups: Path) -> None:
    assert cores.cores() == 16


def test_here() -> None:
    assert 1 <= cores.cores() <= (os.cpu_count() or 1)


def test_a_number_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set stays, unless another number is asked for."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(cores, "cores", lambda: 2)
    monkeypatch.setattr(cores, "bound", lambda: 16)
    monkeypatch.setenv(cores.VARIABLE, "5")
    limit_threads()
    assert os.environ[cores.VARIABLE] == "5"
    limit_threads(3)
    assert os.environ[cores.VARIABLE] == "3"
    monkeypatch.delenv(cores.VARIABLE)
    limit_threads()
    assert os.environ[cores.VARIABLE] == "2"


def test_torch_takes_it_over() -> None:
    """In a process of its own, where torch is loaded afterwards."""
    program = (
        "import sys; from impasto.cores import limit_threads; limit_threads(1)\n"
        "assert 'torch' not in sys.modules\n"
        "import torch; print(torch.get_num_threads())"
    )
    environment = {**os.environ, cores.VARIABLE: "2"}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert ran.stdout.split() == [b"1"]
