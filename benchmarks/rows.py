"""Rows: what every benchmark measures, kept line by line, so that finished work is not done again.

``results/MACHINE/machine.json`` tells what the machine is, ``results/MACHINE/BENCHMARK.jsonl`` has
a Row in every line. A Row is a Cell, which says what was done, with when, by which version, and
what came out. A benchmark lists its cells; those that have a row already are passed over.
"""

import importlib.util
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import impasto
from impasto.errors import BadInput
from impasto.files import replacing

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


class Cell(BaseModel):
    """One piece of work; what does not apply is left out. Sizes are long sides in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str
    method: str
    way: str = "ours"
    """``ours``: as the package does it; ``plain``: as it is published, see ``plain.py``; engines by
    name; ``control``: what was not painted, the method ``photo`` or ``style`` itself."""
    setting: str = ""
    """What else was not the default, in words: ``draft``, ``full width``."""
    size: int | None = None
    encoder: str | None = None
    """The network that the method looks through."""
    judge: str | None = None
    """The network that measured."""
    photo: str | None = None
    style: str | None = None
    strength: float | None = None
    """Nothing: the method's own."""
    steps: int | None = None
    """Of an optimisation or a training."""


def looks_through(method: str) -> str | None:
    """The encoder of a method, nothing where it has none."""
    return "compact" if method in ("ghiasi", "adain", "wct", "gatys") else None


class Row(Cell):
    """A Cell with what came out."""

    machine: str
    date: date
    version: str
    figures: Mapping[str, float]
    """By name: ``seconds``, ``peak_mb``, ``style_error``, ``content_error``, ..."""
    series: Mapping[str, tuple[float, ...]] = {}
    """The course of the work, all equally long: ``seconds``, ``style_error``, ..."""

    @property
    def cell(self) -> Cell:
        """What was done, without the outcome."""
        return Cell(**{name: getattr(self, name) for name in Cell.model_fields})


class Machine(BaseModel):
    """What rows were measured on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    processor: str
    cores: int
    """As many threads as torch used."""
    memory_gb: float
    bf16: bool
    """Whether convolutions in bfloat16 are done in hardware."""
    device: str = "cpu"
    """``cpu``, or the name of the GPU."""
    system: str
    python: str
    torch: str
    openvino: str | None = None


@dataclass(frozen=True)
class Options:
    """What somebody asked a benchmark for."""

    methods: tuple[str, ...] = ()
    """Nothing: all of them."""
    sizes: tuple[int, ...] = ()
    """Nothing: those of the benchmark."""
    data: Path | None = None
    """A folder with ``gallery`` and ``teacher``, and ``clips``."""
    quick: bool = False
    """Tiny, only to see that everything works."""

    def wants(self, cell: Cell) -> bool:
        """Whether the cell is one of those asked for; the controls always are."""
        method = not self.methods or cell.method in (*self.methods, "photo", "style")
        return method and (not self.sizes or cell.size in self.sizes)


class Results:
    """The rows of one benchmark on one machine, and the file in which they are kept."""

    def __init__(self, folder: Path, machine: str, benchmark: str, again: bool = False) -> None:
        self.machine, self.again = machine, again
        self.path = folder / machine / f"{benchmark}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            _drop_half_a_line(self.path)
        self._rows = {row.cell: row for row in read(self.path)}

    @property
    def rows(self) -> list[Row]:
        """All that are finished."""
        return list(self._rows.values())

    def missing(self, cells: Iterable[Cell]) -> Iterator[Cell]:
        """The cells that are still to be done, each once; all of them where it is done again."""
        for cell in dict.fromkeys(cells):
            if self.again or cell not in self._rows:
                yield cell

    def add(
        self,
        cell: Cell,
        figures: Mapping[str, float],
        series: Mapping[str, Iterable[float]] | None = None,
    ) -> Row:
        """Keep what came out, in four digits that count, before anything else is done."""
        row = Row(
            **cell.model_dump(),
            machine=self.machine,
            date=datetime.now(UTC).date(),
            version=package_version(),
            figures={name: rounded(value) for name, value in figures.items()},
            series={name: tuple(map(rounded, values)) for name, values in (series or {}).items()},
        )
        replaces = cell in self._rows
        self._rows[cell] = row
        if replaces:
            write(self.path, self.rows)
        else:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(row))
        return row

    def measure(
        self, cells: Iterable[Cell], work: Callable[[Cell], Mapping[str, float] | None]
    ) -> None:
        """Do the work of the cells that are missing; None: it cannot be done here."""
        for cell in self.missing(cells):
            figures = work(cell)
            if figures is not None:
                say(self.add(cell, figures))


def read(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file. Raises BadInput."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [Row.model_validate_json(line) for line in lines]
    except ValueError as error:
        raise BadInput(f"{path} holds something else than rows of a benchmark: {error}") from error


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a file of rows, whole or not at all."""
    with replacing(path) as file:
        file.write("".join(map(_line, rows)).encode())


def _line(row: Row) -> str:
    return row.model_dump_json(exclude_defaults=True) + "\n"


def _drop_half_a_line(path: Path) -> None:
    """What a run that was killed in the middle of a line has left."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")


def read_machine(folder: Path) -> Machine:
    """What ``machine.json`` of a folder of results says."""
    return Machine.model_validate_json((folder / "machine.json").read_text(encoding="utf-8"))


def machines(results: Path = RESULTS) -> list[Machine]:
    """All machines with results, by name."""
    return [read_machine(path.parent) for path in sorted(results.glob("*/machine.json"))]


def this_machine(name: str | None = None) -> Machine:
    """The machine that we are on, under that name, or one made of its parts and torch's version."""
    import psutil
    import torch

    from impasto.runtime import runtime

    machine = runtime()
    cores, release = torch.get_num_threads(), torch.__version__.partition("+")[0]
    gpu = torch.cuda.get_device_name() if machine.device.type == "cuda" else machine.device.type
    count = "1 core" if cores == 1 else f"{cores} cores"
    parts = (processor(), "" if gpu == "cpu" else gpu, f"{count} torch {release}")
    return Machine(
        name=slug(name or " ".join(parts)),
        processor=processor(),
        cores=cores,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        bf16=machine.bf16,
        device=gpu,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
        openvino=_installed("openvino"),
    )


def keep_machine(results: Path, machine: Machine) -> None:
    """Write ``machine.json``; an engine that is not there today has been there for its rows."""
    path = results / machine.name / "machine.json"
    if machine.openvino is None and path.exists():
        machine = machine.model_copy(update={"openvino": read_machine(path.parent).openvino})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(machine.model_dump_json(indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    """The name of the processor, as the system tells it, and its family.

    Clouds call generations by one name that multiply at half and at full width.
    """
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    if found := re.search(r"^model name\s*:\s*(.+)$", text, re.M):
        family = re.search(r"^cpu family\s*:\s*(\d+)\nmodel\s*:\s*(\d+)$", text, re.M)
        return found[1].strip() + (" family {} model {}".format(*family.groups()) if family else "")
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def slug(text: str) -> str:
    """``AMD EPYC 2 cores`` -> ``amd-epyc-2-cores``"""
    words = re.sub(r"\(r\)|\(tm\)|[^a-z0-9.]+", " ", text.lower())
    return "-".join(words.split())


@cache
def package_version() -> str:
    """The version of the package, with the commit where it is run from its repository."""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = _git("rev-parse", "--short=7", "HEAD")
        changed = "-changed" if _git("diff", "HEAD", "--stat", "--", "src") else ""
        return f"{impasto.__version__}+{commit}{changed}"
    return impasto.__version__


def _git(*args: str) -> str:
    command = ["git", "--no-optional-locks", *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def rounded(value: float) -> float:
    """With five digits that count."""
    return float(f"{value:.5g}")


def say(row: Row) -> None:
    """One line for whoever watches."""
    done = row.cell.model_dump(exclude_defaults=True)
    words = (str(value) for name, value in done.items() if name != "benchmark")
    print(" ".join(words), json.dumps(dict(row.figures)), flush=True)


def _installed(package: str) -> str | None:
    if importlib.util.find_spec(package) is None:
        return None
    with suppress(PackageNotFoundError):
        return version(package)
    return None
