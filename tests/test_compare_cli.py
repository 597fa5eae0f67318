"""``impasto compare`` and ``impasto evaluate``: what they write and print, and how they leave."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from click.testing import CliRunner, Result

from impasto import methods
from impasto.cli import main
from impasto.evaluate.cells import Row, read_rows
from impasto.evaluate.worker import Painted, Worker
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import Style

HELP = """
import sys
from impasto.cli import main
sys.argv[0] = "impasto"
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "numpy", "PIL", "scipy", "skimage", "jinja2"} & set(sys.modules)
assert not heavy, heavy
"""


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def rows(folder: str = "out") -> list[Row]:
    return read_rows(Path(folder, "rows.jsonl"))


@pytest.fixture
def here(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photo: torch.Tensor,
    painting: torch.Tensor,
    encoder: Encoder,
) -> Path:
    """The working folder: photos, a style; the tiny encoder judges, and nobody paints."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/cat.png", "photos/x/cat.png", "photos/d g.png", "styles/own.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        media.write(painting if "own" in name else photo, path)
    for module in ("compare", "study"):
        monkeypatch.setattr(f"impasto.evaluate.{module}.load_encoder", lambda name: encoder)
    monkeypatch.setattr(Worker, "paint", paint)
    return tmp_path


def paint(worker: Worker, recipe: Recipe, target: Path) -> Painted:
    if recipe.method == "johnson":
        return Painted("unlearned", "johnson has not learned this style.")
    if (recipe.method == "wct" and recipe.seed == 1) or "broken" in recipe.photo:
        return Painted("failed", "no luck")
    pixels = media.scaled(media.read(recipe.photo).pixels, recipe.size or 0)
    media.write(pixels, target, recipe=recipe.embedded())
    return Painted("done", "", pixels.shape[-1], pixels.shape[-2], 1.0, 0.5, 200, 10, 20)


CAT, OWN = "photos/cat.png", "styles/own.png"

# --- compare ---


@pytest.mark.usefixtures("here")
def test_compare() -> None:
    result = run("compare", CAT, "photos/x/cat.png", "-s", OWN, "--methods", "adain", "-o", "out")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == ["cat in own by adain: 0.50 s", "cat-2 in own by adain: 0.50 s"]
    assert lines[-1] == "out/index.html" and Path(lines[-1]).is_file()
    assert any("adain" in line and "2" in line and "0.5" in line for line in lines[2:])
    again = run("compare", CAT, "photos/x/cat.png", "-s", OWN, "--methods", "adain", "-o", "out")
    assert again.exit_code == 0 and "by adain: " not in again.stdout


@pytest.mark.usefixtures("here")
def test_all_methods_and_the_folder_report_unless_told_otherwise() -> None:
    """That some have not learned a style is no failure where all were asked for."""
    result = run("compare", CAT, "-s", OWN)
    assert result.exit_code == 0, result.output
    assert {row.method for row in rows("report")} == {"photo", *methods.names()}
    assert "cat in own by johnson: johnson has not learned this style." in result.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("chosen", "more", "code"),
    [
        ("johnson", (), 1),
        ("adain,johnson", (), 1),
        ("all", (), 0),
        ("adain, all", (), 0),
        ("adain", ("--seed", "1"), 0),
        ("wct", ("--seed", "1"), 1),
        ("all", ("--seed", "1"), 1),
    ],
)
def test_what_was_not_painted_is_in_the_exit_code(
    chosen: str, more: tuple[str, ...], code: int
) -> None:
    for command in (("compare", CAT, "-s", OWN), ("evaluate", "photos", "styles")):
        result = run(*command, "--methods", chosen, *more, "-o", command[0])
        assert result.exit_code == code, result.output
        assert result.stderr == "" and Path(command[0], "index.html").is_file()


@pytest.mark.usefixtures("here")
def test_settings_reach_the_painter() -> None:
    given = ("--strength", "0.25", "--size", "24", "--color", "luma", "--seed", "7")
    result = run("compare", CAT, "-s", OWN, "--methods", "adain", "-o", "out", *given)
    assert result.exit_code == 0, result.output
    (row,) = (row for row in rows() if row.method == "adain")
    written = media.read(Path("out", row.picture))
    assert written.recipe is not None and written.pixels.shape[-2] == 24
    recipe = Recipe.model_validate_json(written.recipe)
    assert (recipe.strength, recipe.color, recipe.seed, recipe.size) == (0.25, "luma", 7, 24)
    assert "cat in own by adain 0.25: " in result.stdout


@pytest.mark.usefixtures("here")
def test_what_is_given_twice_is_done_once() -> None:
    result = run("compare", CAT, CAT, "-s", OWN, "-s", OWN, "--methods", "adain", "-o", "out")
    assert result.exit_code == 0 and result.stdout.count("by adain: ") == 1
    assert len(rows()) == 2


MISTAKES = [
    (("-s", OWN, "--methods", "adian"), 2, "Unknown method 'adian'. Did you mean 'adain'?"),
    (("-s", OWN, "--methods", ""), 2, "Choose from: all, johnson"),
    (("-s", OWN, "--methods", "all,x"), 2, "Unknown method 'x'"),
    (("-s", "starry-nigth"), 2, "Did you mean 'starry-night'?"),
    (("-s", OWN, "-s", "none.png"), 3, "none.png"),
    (("-s", "no.png"), 3, "no.png is not a picture"),
    (("-s", "x.style.safetensors"), 3, "no style file"),
    (("-s", "other.style.safetensors"), 2, "was made with the encoder 'tiny', not 'compact'"),
    (("-s", "starry-night", "--encoder", "vgg19"), 5, "impasto weights pull vgg19"),
    (("-s", OWN, "--encoder", "vgg18"), 2, "Did you mean 'vgg1"),
    (("-s", OWN, "--strength", "2"), 2, "'strength' is 2.0"),
    (("-s", OWN, "--size", "0"), 2, "'size' is 0"),
    (("-s", OWN, "--size", "big"), 2, "--size"),
    (("-s", OWN, "--color", "lume"), 2, "Did you mean 'luma'?"),
    (("-s", OWN, "--levels", "3"), 2, "No such option"),
    ((), 2, "--style"),
]


@pytest.mark.parametrize(("args", "code", "words"), MISTAKES)
def test_mistakes_of_compare(
    here: Path,
    encoder: Encoder,
    painting: torch.Tensor,
    args: tuple[str, ...],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, and nothing is written."""
    monkeypatch.setenv("IMPASTO_HOME", str(here / "home"))
    Path("no.png").write_text("no picture")
    if "other.style.safetensors" in args:
        Style.of(painting, encoder).save(Path("other.style.safetensors"))
    result = run("compare", CAT, *args, "-o", "out")
    assert result.exit_code == code, result.output
    assert words in result.stderr and "Traceback" not in result.output
    assert not Path("out").exists() and result.stdout == ""


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("given", ["none.png", "no.png", "photos", "empty.jpg"])
def test_photos_that_are_none(given: str) -> None:
    Path("no.png").write_text("no picture")
    Path("empty.jpg").touch()
    for args in ((), ("--size", "40")):
        result = run("compare", CAT, given, "-s", OWN, "-o", "out", *args)
        assert result.exit_code == 3, result.output
        assert given in result.stderr and len(result.stderr.splitlines()) == 1
        assert not Path("out").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("output", [CAT, f"{CAT}/deeper", "/proc/report"])
def test_outputs_that_are_none(output: str) -> None:
    for command in (("compare", CAT, "-s", OWN), ("evaluate", "photos", "styles")):
        result = run(*command, "--methods", "adain", "-o", output)
        assert result.exit_code == 4, result.output
        assert output in result.stderr and len(result.stderr.splitlines()) == 1


# --- evaluate ---


@pytest.mark.usefixtures("here")
def test_evaluate() -> None:
    result = run("evaluate", "photos", "styles", "--methods", "adain", "-o", "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.count(" in own by adain: 0.50 s") == 3
    assert result.stdout.splitlines()[-1] == "out/index.html"
    assert [row.method for row in rows()] == ["photo"] * 3 + ["style"] * 3 + ["adain"] * 3
    assert {row.photo for row in rows()} == {"cat", "cat-2", "d g"}


@pytest.mark.usefixtures("here")
def test_results_lie_in_the_working_folder_unless_told_otherwise() -> None:
    """Also where that is the folder of photos; twice, for what is painted is no photo."""
    for _ in range(2):
        result = run("evaluate", ".", "styles", "--methods", "adain")
        assert result.exit_code == 0, result.output
        assert len(rows("results")) == 3 * 4


@pytest.mark.usefixtures("here")
def test_strengths() -> None:
    given = ("--methods", "adain,wct", "--strengths", "0,0.50,0.5,1", "-o", "out")
    result = run("evaluate", "photos", "styles", *given)
    assert result.exit_code == 0, result.output
    found = [(row.method, row.strength) for row in rows() if row.photo == "cat"]
    assert found == [("photo", None), ("style", None)] + [
        (method, strength) for method in ("adain", "wct") for strength in (0, 0.5, 1)
    ]
    assert "cat in own by wct 0.5: " in result.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("given", ["", ",", "x", "0.5;1", "0.5,,1", "2", "-0.1", "nan", "inf"])
def test_strengths_that_are_none(given: str) -> None:
    result = run("evaluate", "photos", "styles", "--strengths", given, "-o", "out")
    assert result.exit_code == 2 and "numbers from 0 to 1" in result.stderr
    assert not Path("out").exists()


@pytest.mark.usefixtures("here")
def test_shards() -> None:
    for number in (1, 2):
        shard = ("--shard", f"{number}/2", "-o", "out")
        result = run("evaluate", "photos", "styles", "--methods", "adain", *shard)
        assert result.exit_code == 0, result.output
    files = sorted(path.name for path in Path("out").glob("*.jsonl"))
    assert files == ["rows-1-of-2.jsonl", "rows-2-of-2.jsonl"]
    photos = [{row.photo for row in read_rows(Path("out", name))} for name in files]
    assert photos[0] | photos[1] == {"cat", "cat-2", "d g"} and not photos[0] & photos[1]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("none", "styles"), "No folder 'none'"),
        (("photos", "none"), "No folder 'none'"),
        (("photos", OWN), "give one with styles in it"),
        (("photos", "styles", "--shard", "3/2"), "such as 2/4"),
        (("photos", "styles", "--methods", "adian"), "Did you mean 'adain'"),
        (("photos", "styles", "--strength", "1"), "--strengths"),
        (("photos",), "STYLES"),
    ],
)
def test_mistakes_of_evaluate(args: tuple[str, ...], words: str) -> None:
    result = run("evaluate", *args, "-o", "out")
    assert result.exit_code == 2, result.output
    assert words in result.stderr and "Traceback" not in result.output
    assert not Path("out").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("size", [(), ("--size", "40")])
def test_one_broken_photo_is_told_and_the_others_are_painted(size: tuple[str, ...]) -> None:
    Path("photos/broken.png").write_text("no picture")
    result = run("evaluate", "photos", "styles", "--methods", "johnson,all", "-o", "out", *size)
    assert [row.outcome for row in rows() if row.photo == "broken"][:2] == ["failed"] * 2
    assert len([row for row in rows() if row.method == "photo" and row.outcome == "done"]) == 3
    assert Path("out/index.html").is_file() and result.exit_code == 1


@pytest.mark.parametrize("command", ["compare", "evaluate"])
def test_help_is_light(command: str) -> None:
    given = [sys.executable, "-c", HELP, command, "--help"]
    done = subprocess.run(given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--methods" in done.stdout


# --- the real command, interrupted and killed ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    torch.manual_seed(0)
    for name in ("cat.png", "own.png"):
        media.write(torch.rand(1, 3, 24, 32), folder / name)
    return folder


COMMAND = [sys.executable, "-m", "impasto", "compare", "cat.png", "-s", "own.png", "-o", "out"]


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts the command, as a shell would, in a group of its own; ends what is left of it."""
    begun: list[subprocess.Popen[str]] = []

    def start(methods: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [*COMMAND, "--methods", methods]
        process = subprocess.Popen(
            command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def painter(process: subprocess.Popen[str], seconds: float = 60) -> psutil.Process:
    """The process that paints for a command, as soon as there is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child in psutil.Process(process.pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                return child
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def test_ctrl_c_and_kill_and_the_end(
    folder: Path, begin: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Three times the same command: what one has finished the next has not to do."""
    first = begin("adain,wct")
    child = painter(first)
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does it: to all, even while they start
    out, error = first.communicate(timeout=60)
    assert (first.returncode, error.strip()) == (130, "impasto: interrupted."), out
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
    assert [row.method for row in read_rows(folder / "out" / "rows.jsonl")] == ["photo"]
    assert not (folder / "out" / "index.html").exists()

    second = begin("adain,wct")
    child = painter(second)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate(timeout=60)
    gone, left = psutil.wait_procs([child], timeout=20)
    assert gone and not left, "the painter goes on without anybody who wants its pictures"

    third = begin("adain")
    out, error = third.communicate(timeout=120)
    assert (third.returncode, error) == (0, ""), out
    done = read_rows(folder / "out" / "rows.jsonl")
    assert [row.method for row in done] == ["photo", "adain"]
    assert (folder / "out" / "index.html").is_file()
    assert not list(folder.rglob(".*"))
    assert done[1].seconds and done[1].load_seconds and done[1].peak_mb and done[1].parameters
