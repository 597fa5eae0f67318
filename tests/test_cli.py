"""The command line as a user meets it: what it writes, what it prints, how it leaves."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from impasto.cli import main
from impasto.film import STABLE
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import ASSETS, Style, gallery

QUICK = ("--size", "40", "--iterations", "2")


def run(*args: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


@pytest.fixture
def photo_file(tmp_path: Path, photo: torch.Tensor) -> Path:
    path = tmp_path / "cat.jpg"
    media.write(photo, path)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_result_lies_beside_the_photo(photo_file: Path) -> None:
    result = run("stylize", photo_file, "-s", "great-wave", *QUICK)
    assert result.exit_code == 0, result.output
    assert files(photo_file.parent) == ["cat.great-wave.png", "cat.jpg"]
    assert "about" in result.stdout and "style_error" in result.stdout


def test_json_is_one_event_a_line(photo_file: Path, tmp_path: Path) -> None:
    result = run("stylize", photo_file, "-s", "udnie", "-o", tmp_path / "x.webp", *QUICK, "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["estimate", "step", "step", "done"]
    wanted = {"output", "method", "size", "seconds", "load_seconds", "peak_mb", "style_error"}
    assert wanted <= set(events[-1])


def test_pipes(photo_file: Path) -> None:
    result = run("stylize", "-", "-s", "udnie", "-o", "-", *QUICK, stdin=photo_file.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert result.stdout_bytes.startswith(b"\x89PNG") and "style_error" in result.stderr
    assert max(media.read(result.stdout_bytes).pixels.shape) == 40


def test_mix_of_two_styles_and_a_style_file(photo_file: Path, tmp_path: Path) -> None:
    style = tmp_path / "own.style.safetensors"
    assert run("styles", "make", photo_file, photo_file, "-o", style).exit_code == 0
    result = run("stylize", photo_file, "-s", f"{style}:0.3", "-s", "udnie:0.7", *QUICK)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cat.own+udnie.png").exists()


def test_masks_alone_and_beside_a_style(photo_file: Path, tmp_path: Path) -> None:
    mask = tmp_path / "sky=blue.png"
    media.write(torch.ones(1, 3, 24, 20), mask)
    arguments = ("--mask", f"{mask}=udnie", "--mask", f"{mask}=the-scream:0.5", "--feather", "3")
    result = run("stylize", photo_file, *arguments, *QUICK)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cat.udnie+the-scream.png").exists()
    result = run("stylize", photo_file, "-s", "udnie", "--mask", f"{mask}=udnie", *QUICK)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cat.udnie.png").exists()


@pytest.fixture
def painting_file(
    tmp_path: Path,
    painting: torch.Tensor,
    encoder: Encoder,
    decoders: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A painting; the tiny encoder looks at it, which has decoders for every method."""
    monkeypatch.setattr("impasto.job.load_encoder", lambda name: encoder)
    media.write(painting, tmp_path / "own.png")
    return tmp_path / "own.png"


def instant(photo: Path, painting: Path, method: str, *args: str) -> Result:
    tiny = ("--method", method, "--encoder", "tiny", "--size", "40")
    return run("stylize", photo, "-s", painting, *tiny, *args)


def test_strengths_of_levels(photo_file: Path, painting_file: Path) -> None:
    given = ("--levels", "2", "--level-strengths", "1,0.5")
    result = instant(photo_file, painting_file, "wct", *given)
    assert result.exit_code == 0, result.output
    written = media.read(photo_file.parent / "cat.own.png").recipe
    assert written is not None
    assert Recipe.model_validate_json(written).level_strengths == (1, 0.5)
    result = instant(photo_file, painting_file, "wct", *given[2:])
    assert result.exit_code == 2 and "5 levels but 2 level strengths" in result.stderr


def test_with_and_without_a_finish(photo_file: Path, painting_file: Path) -> None:
    pictures = []
    for args in ((), ("--finish",), ("--no-finish",)):
        result = instant(photo_file, painting_file, "adain", *args)
        assert result.exit_code == 0, result.output
        pictures.append(media.read(photo_file.parent / "cat.own.png").pixels)
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("-s", "grate-wave"), 2, "Did you mean 'great-wave'"),
        (("-s", "udnie", "--method", "gaty"), 2, "Did you mean 'gatys'"),
        (("-s", "udnie", "--encoder", "vgg18"), 2, "Did you mean 'vgg1"),
        (("-s", "udnie", "--quality", "bset"), 2, "Did you mean 'best'"),
        (("-s", "udnie", "--strenght", "1"), 2, "--strength"),
        (("-s", "udnie", "--strength", "nan"), 2, "finite"),
        (("-s", "udnie", "--strength", "1.5"), 2, "at most 1"),
        (("-s", "udnie:0"), 2, "sum to zero"),
        (("-s", "udnie", "-o", "x.pgn"), 4, "Did you mean '.png'"),
        (("-s", "udnie", "-o", "/nowhere/x.png"), 4, "/nowhere"),
        (("-s", "udnie", "--device", "tpu"), 2, "auto, cpu, cuda, mps"),
        (("-s", "nothing.jpg"), 3, "nothing.jpg"),
        (("-s", "udnie", "--encoder", "vgg19"), 5, "impasto weights pull vgg19"),
        ((), 2, "No style given"),
        (("-s", "udnie", "--method", "gatys", "--levels", "3"), 2, "gatys has no such control"),
        (("-s", "udnie", "--method", "gatys", "--no-finish"), 2, "that have it: adain"),
        (("-s", "udnie", "--levels", "3", "--no-finish"), 2, "all of --finish, --levels"),
        (("-s", "udnie", "--level-strengths", "1,x"), 2, "'level_strengths.1' is 'x'"),
        (("-s", "udnie", "--level-strengths", "1,2"), 2, "at most 1"),
        (("--mask", "sky.png"), 2, "write REGION.png=STYLE"),
        (("--mask", "sky.png=udnie:0"), 2, "must be above 0"),
        (("--mask", "none.png=udnie"), 3, "none.png"),
        (("--mask", "alpha=udnie"), 2, "nothing in this photo is transparent"),
        (("--mask", "alpha=udnie", "--feather", "30"), 2, "at most 20"),
    ],
)
def test_mistakes_get_one_line_and_the_right_exit_code(
    photo_file: Path,
    args: Sequence[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    result = run("stylize", photo_file, *args)
    assert result.exit_code == code and words in result.stderr
    assert "Traceback" not in result.output
    assert files(photo_file.parent) == ["cat.jpg"]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    result = run("stylize", tmp_path / "x.png", "-s", "udnie")
    assert result.exit_code == 3 and "x.png" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert files(tmp_path) == ["x.png"]


def test_damaged_style_is_noticed(photo_file: Path, tmp_path: Path) -> None:
    style = tmp_path / "own.style.safetensors"
    run("styles", "make", photo_file, "-o", style)
    data = bytearray(style.read_bytes())
    data[-7] ^= 1
    style.write_bytes(data)
    result = run("stylize", photo_file, "-s", style, *QUICK)
    assert result.exit_code == 6 and "damaged" in result.stderr


def test_debug_shows_the_traceback(photo_file: Path) -> None:
    code = [sys.executable, "-m", "impasto", "--debug", "stylize", str(photo_file), "-s", "none"]
    result = subprocess.run(code, capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "Traceback" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_writes_the_best_so_far_and_leaves_with_130(
    photo_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    target = tmp_path / "out.png"
    command = [sys.executable, "-m", "impasto", "stylize", str(photo_file), "-s", "udnie"]
    command += ["-o", str(target), "--size", "64", "--iterations", "100000", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "step":
                process.send_signal(number)
                break
        rest = process.stdout.read().splitlines()
        assert process.wait(20) == 130
    assert json.loads(rest[-1])["interrupted"] is True
    assert max(media.header(target)) == 64


def test_styles_are_listed_and_shown() -> None:
    listed = run("styles", "list").stdout
    assert "starry-night" in listed and "Hokusai" in listed
    rows = [json.loads(line) for line in run("styles", "list", "--json").stdout.splitlines()]
    assert len(rows) == 22 and all(row["license"] == "public domain" for row in rows)
    shown = run("styles", "show", "great-wave").stdout
    assert "1831" in shown and "compact" in shown
    assert run("styles", "show", "grate-wave").exit_code == 2


def test_style_file_needs_its_suffix(photo_file: Path, tmp_path: Path) -> None:
    result = run("styles", "make", photo_file, "-o", tmp_path / "own.safetensors")
    assert result.exit_code == 2 and "own.style.safetensors" in result.stderr


def test_swatch_is_a_square_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.methods.gatys.TEXTURE_STEPS", (2, 2))
    result = run("styles", "swatch", "udnie", "-o", tmp_path / "x.png", "--size", "32")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (32, 32)


@pytest.mark.parametrize("method", ["gaty", "adain"])
def test_textures_of_other_methods(tmp_path: Path, method: str) -> None:
    result = run("styles", "swatch", "udnie", "-o", tmp_path / "x.png", "--method", method)
    assert result.exit_code == 2 and "Choose from: gatys, wct" in result.stderr
    assert files(tmp_path) == []


def test_weights_are_listed_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is packaged, weights and styles, and what lies in the user's folder."""
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    listed = run("weights", "list").stdout
    assert "compact" in listed and "impasto weights pull vgg19" in listed
    packaged = len(list(ASSETS.rglob("*.safetensors")))
    result = run("weights", "verify")
    assert result.exit_code == 0 and f"{packaged} of {packaged} files" in result.stdout
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "encoder-own.safetensors").write_bytes(b"no weights")
    result = run("weights", "verify")
    assert result.exit_code == 6 and "encoder-own.safetensors is damaged" in result.stderr
    assert f"{packaged} of {packaged + 1} files" in result.stdout


def test_weights_import_says_what_is_wrong(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "x.pth")
    result = run("weights", "import", tmp_path / "x.pth", "--as", "vgg19")
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert run("weights", "pull", "vgg17").exit_code == 2


def test_train_explains_a_bad_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "x.toml"
    recipe.write_text('kind = "encoder"\n[shedule]\nsteps = 3\n')
    result = run("train", recipe, "--data", tmp_path)
    assert result.exit_code == 2 and "Did you mean 'schedule'" in result.stderr
    recipe.write_text('kind = "encodre"\n')
    assert "Did you mean 'encoder'" in run("train", recipe, "--data", tmp_path).stderr
    assert run("train", tmp_path / "none.toml", "--data", tmp_path).exit_code == 2
    own = run("train", recipe, "--data", tmp_path, "--steps", 5)
    assert own.exit_code == 2 and "has its own" in own.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("stylize", "cat.jpg", "-s", "udnie"),
        ("stylize", "sky.png", "-s", "cat.jpg"),
        ("stylize", "sky.png", "-s", "udnie", "--mask", "cat.jpg=the-scream"),
        ("mix", "cat.jpg", "-s", "udnie", "--size", 16),
        ("styles", "swatch", "cat.jpg"),
    ],
)
def test_what_is_read_is_not_overwritten(
    command: tuple[object, ...], photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo_file.parent)
    Path("sky.png").symlink_to(photo_file)
    before = photo_file.read_bytes()
    for target in ("cat.jpg", "sky.png"):
        result = run(*command, "-o", target)
        assert result.exit_code == 4 and "is read. Name another." in result.stderr
    assert photo_file.read_bytes() == before


def test_a_folder_as_a_style(photo_file: Path) -> None:
    result = run("stylize", photo_file, "-s", photo_file.parent, "-o", photo_file.parent / "x.png")
    assert result.exit_code == 2 and "is a folder, not a style" in result.stderr


def test_a_picture_beyond_all_memory(photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever that is noticed, it is one line and an exit code of its own."""

    def grab(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB")

    monkeypatch.setattr("impasto.commands.prepare", grab)
    result = run("stylize", photo_file, "-s", "udnie", "-o", photo_file.parent / "x.png")
    assert result.exit_code == 7 and "use a smaller --size" in result.stderr


@pytest.mark.parametrize("command", ["video", "stream", "batch"])
def test_help_tells_how_steady_films_are(command: str) -> None:
    assert f"[{STABLE:g}]" in run(command, "--help").output.replace("\n", " ")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("johnson",), "impasto train johnson takes --style PICTURE"),
        (("johnson", "--add", "x.jpg"), "takes --style PICTURE"),
        (("dumoulin", "--style", "x.jpg"), "takes --add PICTURE"),
        (("some.toml", "--style", "x.jpg"), "goes with a method, not with the recipe"),
        (("johnson", "--style", "x.jpg"), "name their folder with --content"),
        (("johnson", "--style", "none.jpg", "--content", "."), "none.jpg"),
    ],
)
def test_training_without_a_recipe_is_explained(args: tuple[str, ...], words: str) -> None:
    result = run("train", *args)
    assert result.exit_code in (2, 3) and words in result.stderr
    assert "Traceback" not in result.output


def test_a_style_is_most_like_itself() -> None:
    rows = [
        json.loads(line)
        for line in run("styles", "like", "udnie", "--json").stdout.split("\n")
        if line
    ]
    assert len(rows) == 5
    assert rows[0] == {"name": "udnie", "distance": 0.0}
    assert 0 < rows[1]["distance"] <= rows[4]["distance"] < 1.5


def test_styles_of_other_encoders_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    known = Style.load(gallery()["udnie"])
    (tmp_path / "styles").mkdir()
    replace(known, encoder="vgg19", name="other").save(
        tmp_path / "styles" / "other.style.safetensors"
    )
    assert "other" in gallery()
    lines = run("styles", "like", "udnie", "--count", "99").stdout.splitlines()
    assert len(lines) == len(gallery()) and not any(line.startswith("other") for line in lines)


def test_a_picture_is_like_some_styles(photo_file: Path) -> None:
    result = run("styles", "like", photo_file, "--count", "2")
    assert result.exit_code == 0, result.output
    heading, *rows = result.stdout.strip().splitlines()
    assert heading.startswith("distance") and len(rows) == 2
