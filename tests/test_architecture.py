"""The house: imports go down, importing does nothing, modules stay small, --help is quick."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto

ROOT = Path(impasto.__file__).parent

FLOORS = {
    "impasto": 0,
    "errors": 0,
    "cores": 0,
    "files": 0,
    "overlap": 0,
    "processes": 0,
    "timings": 0,
    "config": 1,
    "recipe": 1,
    "weights": 1,
    "download": 1,
    "storage": 1,
    "media": 1,
    "page": 2,
    "runtime": 2,
    "moments": 2,
    "losses": 2,
    "scales": 2,
    "networks": 2,
    "engines": 2,
    "backends": 2,
    "openvino": 2,
    "quantised": 2,
    "flow": 2,
    "steady": 3,
    "keyframes": 3,
    "style": 3,
    "tiling": 3,
    "codes": 2,
    "stylizer": 3,
    "transforms": 3,
    "feedforward": 3,
    "costs": 3,
    "methods": 4,
    "estimate": 5,
    "large": 5,
    "auto": 5,
    "pipeline": 5,
    "job": 5,
    "regions": 5,
    "sources": 5,
    "painter": 6,
    "fingerprint": 6,
    "film_job": 6,
    "frame_painter": 6,
    "finishing": 6,
    "timelapse": 6,
    "training": 6,
    "evaluate": 6,
    "lens": 6,
    "export": 6,
    "convert": 6,
    "library": 7,
    "commands": 7,
    "console": 7,
    "mix": 7,
    "shell": 7,
    "film": 7,
    "stream": 7,
    "hub": 7,
    "cli": 7,
    "batch": 7,
    "studio": 7,
    "__main__": 8,
}
"""Floor of every module or folder: imports go to lower floors only."""

SAME_FLOOR = {
    ("files", "errors"),  # a file that cannot be written is an error in words
    ("engines", "runtime"),  # precision and threads
    ("engines", "backends"),  # what runs a network
    ("engines", "openvino"),
    ("backends", "openvino"),
    ("backends", "quantised"),
    ("quantised", "openvino"),
    ("backends", "runtime"),
    ("networks", "moments"),  # a prediction looks at them
    ("stylizer", "style"),  # a method encodes a Style
    ("costs", "stylizer"),  # what a picture takes
    ("costs", "tiling"),
    ("stylizer", "tiling"),  # ... and paints in tiles
    ("tiling", "transforms"),  # the same formulas from statistics of tiles
    ("finishing", "frame_painter"),
    ("timelapse", "frame_painter"),  # frames as they are encoded
    ("job", "auto"),  # who does the work
    ("job", "estimate"),  # the estimate comes before the work
    ("job", "large"),  # ... in one piece or in tiles
    ("job", "regions"),  # who paints where
    ("job", "sources"),  # ... and in which style
    ("pipeline", "job"),  # from a Recipe to a job, and to a picture
    ("pipeline", "estimate"),
    ("pipeline", "large"),
    ("pipeline", "sources"),
    ("cli", "shell"),  # parse, and leave in order
    ("cli", "commands"),  # parse, then do
    ("cli", "console"),  # ... and show it
    ("cli", "mix"),
    ("cli", "batch"),
    ("cli", "film"),
    ("batch", "film"),  # films are painted as alone
    ("cli", "stream"),
    ("cli", "studio"),
    ("studio", "film"),  # a film on the easel
    ("film", "commands"),  # how a second Ctrl-C is kept away
    ("mix", "commands"),  # events, and how a picture is saved
}
"""The exceptions: who may import whom on its own floor."""

PARTS = (
    "batch",
    "cli",
    "media",
    "networks",
    "tiling",
    "training",
    "evaluate",
    "lens",
    "export",
    "convert",
    "studio",
)
"""Folders that are one thing in several files; ``methods`` is not: its files are strangers."""

MAX_LINES = 300

MODULES = sorted(ROOT.rglob("*.py"))


def dotted(path: Path) -> str:
    """``media/image.py`` is ``media.image``, ``media/__init__.py`` is ``media``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "impasto"


NAMES = {dotted(path): path for path in MODULES}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Every module of ours that ``path`` imports, anywhere, also inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in full:
            if name.split(".")[0] == "impasto":
                yield owner(name.removeprefix("impasto").removeprefix("."))


def owner(name: str) -> str:
    """The module in which a name lies: ``errors.BadInput`` is in ``errors``."""
    while name and name not in NAMES:
        name = name.rpartition(".")[0]
    return name or "impasto"


def top(name: str) -> str:
    return name.split(".")[0]


def permitted(importer: str, target: str) -> bool:
    above, below = top(importer), top(target)
    if FLOORS[below] < FLOORS[above]:
        return True
    if (importer, target) == ("methods.gatys", "methods"):  # what it starts from, by name
        return True
    same_folder = above == below and above in PARTS
    return same_folder or target == importer or (above, below) in SAME_FLOOR


def by_name(path: Path) -> str:
    return dotted(path)


def test_every_module_has_a_floor() -> None:
    assert {top(name) for name in NAMES} <= FLOORS.keys()


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_imports_go_down(path: Path) -> None:
    importer = dotted(path)
    if importer == "impasto":  # the front of the house shows what is inside
        return
    wrong = [target for target in imported(path) if not permitted(importer, target)]
    assert not wrong, f"{importer} (floor {FLOORS[top(importer)]}) imports {', '.join(wrong)}"


def test_the_rule_is_not_empty() -> None:
    """Were imports not seen, every module would pass."""
    assert "networks.encoders" in set(imported(NAMES["methods.gatys"]))
    assert "errors" in set(imported(NAMES["config"]))
    assert not permitted("moments", "style")
    assert not permitted("methods.gatys", "methods.adain")
    assert not permitted("style", "stylizer")
    assert permitted("training.loop", "training.checkpoint")


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("methods.")])
def test_methods_are_strangers(name: str) -> None:
    """A method that leans on another cannot be read, changed or removed alone."""
    others = [t for t in imported(NAMES[name]) if t.startswith("methods.") and t != name]
    assert not others


def test_no_cycles() -> None:
    """Inside a folder, too, imports have a direction."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for target in set(imported(NAMES[name])) - {name}:
                if name != "impasto" and target != "impasto":
                    visit(target, (*path, name))
            done.add(name)

    for name in NAMES:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_modules_stay_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_LINES, f"{dotted(path)} has {lines} lines: split it"


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_what_is_public_is_explained(path: Path) -> None:
    """Modules, classes, functions and methods without underscore have a docstring."""
    module = tree(path)
    if path.name != "__init__.py":
        assert ast.get_docstring(module), f"{dotted(path)} does not say what it is"
    overloads = {"overload"}
    silent = [
        node.name
        for node in public(module)
        if not ast.get_docstring(node)
        and not overloads & {getattr(d, "id", "") for d in node.decorator_list}
    ]
    assert not silent, f"{dotted(path)}: {', '.join(silent)}"


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(parent: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for node in parent.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_modules_only_define(path: Path) -> None:
    """At the top of a module: docstrings, imports, definitions, constants. No calls, no loops."""
    if path.name == "__main__.py":
        return
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, Definition)
    for node in tree(path).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        assert text or typing or isinstance(node, allowed), f"{dotted(path)}:{node.lineno}"


IMPORT_ALL = f"""
import importlib, os, threading
import numpy, torch, PIL.Image, PIL.ImageFile
def state():
    return (
        threading.active_count(), dict(os.environ), os.getcwd(),
        torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
        torch.random.get_rng_state().sum().item(), numpy.random.get_state()[1].sum(),
        PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
    )
torch.manual_seed(0), numpy.random.seed(0)
before = state()
for name in {sorted(NAMES)!r}:
    if name not in ("impasto", "__main__"):
        importlib.import_module("impasto." + name)
assert state() == before, (before, state())
"""


def python(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=cwd)


def test_importing_everything_does_nothing(tmp_path: Path) -> None:
    """Nothing printed, written, started, seeded or set: a library is a guest."""
    done = python("-c", IMPORT_ALL, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


HELP = """
import sys
from impasto.cli import main
sys.argv[0] = "impasto"
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "numpy", "PIL", "skimage", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("--version",),
        ("stylize", "--help"),
        ("styles", "--help"),
        ("train", "--help"),
        ("serve", "--help"),
    ],
    ids=" ".join,
)
def test_help_does_not_import_torch(args: tuple[str, ...]) -> None:
    done = python("-c", HELP, *args)
    assert done.returncode == 0, done.stderr
    assert "impasto" in done.stdout


def test_help_is_quick() -> None:
    """Best of five: what the machine does beside it is not our doing."""

    def seconds() -> float:
        start = time.perf_counter()
        assert python("-m", "impasto", "--help").returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.3
