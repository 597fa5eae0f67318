"""``impasto lens``: what it writes, what it prints, how it leaves."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from impasto.cli import main
from impasto.lens.view import Row, Shown, View
from impasto.media import image as media
from impasto.networks.encoders import TAPS, Encoder

HELP = """
import sys
from impasto.cli import main
sys.argv[0] = "impasto"
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "numpy", "PIL", "scipy", "jinja2"} & set(sys.modules)
assert not heavy, heavy
"""

VIEWS = ("kernels", "activations", "features", "reconstruct", "gram")


def run(*args: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["lens", *(str(arg) for arg in args)], input=stdin)


@pytest.fixture
def photo_file(tmp_path: Path, photo: torch.Tensor) -> Path:
    path = tmp_path / "cat.png"
    media.write(photo, path)
    return path


@pytest.mark.parametrize("view", ["kernels", "activations"])
def test_views_of_a_photo(photo_file: Path, tmp_path: Path, view: str) -> None:
    result = run(view, photo_file, "-o", tmp_path / "seen")
    assert result.exit_code == 0, result.output
    page = tmp_path / "seen" / f"{view}.html"
    assert result.output == f"{page}\n"
    assert "Nothing on this page is loaded from elsewhere" in page.read_text()
    assert len(list((tmp_path / "seen" / view).glob("*.png"))) > 20


def test_gram_of_a_name_and_a_picture(photo_file: Path, tmp_path: Path) -> None:
    result = run("gram", "udnie", "--beside", photo_file, "-o", tmp_path, "--size", "128")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "gram").iterdir())
    assert len(names) == 2 + 15 and names[:2] == ["01-udnie.png", "02-cat-png.png"]


@pytest.mark.parametrize(
    ("style", "other"), [("great-wave", "The Starry Night"), ("udnie", "The Great Wave")]
)
def test_a_style_is_never_beside_itself(tmp_path: Path, style: str, other: str) -> None:
    assert run("gram", style, "-o", tmp_path).exit_code == 0
    assert other in (tmp_path / "gram.html").read_text()


def test_size_and_channels(photo_file: Path, tmp_path: Path) -> None:
    options = ("--size", "24", "--channels", "2", "-o", tmp_path)
    assert run("activations", photo_file, *options).exit_code == 0
    pictures = sorted((tmp_path / "activations").iterdir())
    assert len(pictures) == 1 + 5 * 2
    assert media.read(pictures[0]).pixels.shape[-2:] == (24, 20)


def test_photos_are_not_enlarged(photo_file: Path, tmp_path: Path) -> None:
    assert run("activations", photo_file, "--channels", "1", "-o", tmp_path).exit_code == 0
    picture = min((tmp_path / "activations").iterdir())
    assert media.read(picture).pixels.shape[-2:] == (48, 40)


def test_photo_from_standard_input(photo_file: Path, tmp_path: Path) -> None:
    result = run("kernels", "-", "-o", tmp_path, stdin=photo_file.read_bytes())
    assert result.exit_code == 0, result.output


def test_transparent_photos_lie_on_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    media.write(torch.zeros(1, 3, 20, 20), path, alpha=torch.zeros(1, 1, 20, 20))
    assert run("activations", path, "--channels", "1", "-o", tmp_path).exit_code == 0
    assert media.read(min((tmp_path / "activations").iterdir())).pixels.min() == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the two slow views were asked for; they answer with a picture at once."""
    calls: list[tuple[object, ...]] = []

    def answer(*args: object) -> View:
        calls.append(args)
        on_step = args[-1]
        assert callable(on_step)
        on_step(1, 2)
        on_step(2, 2)
        return View("T", "One. Two.", (Row("r", (Shown("a", torch.rand(1, 3, 4, 4)),)),))

    monkeypatch.setattr("impasto.lens.features.features", answer)
    monkeypatch.setattr("impasto.lens.reconstruct.reconstruct", answer)
    return calls


def test_features_are_asked_for(tmp_path: Path, asked: list[tuple[object, ...]]) -> None:
    options = ("--tap", "relu3_1", "--tap", "relu1_2", "--channels", "3", "--seed", "7")
    result = run("features", *options, "-o", tmp_path)
    assert result.output == f"{tmp_path / 'features.html'}\n"
    (encoder, _, taps, count, seed, _), *_ = asked
    assert isinstance(encoder, Encoder) and encoder.name == "compact"
    assert (taps, count, seed) == (("relu3_1", "relu1_2"), 3, 7)
    assert run("features", "-o", tmp_path).exit_code == 0
    assert asked[1][2:5] == (TAPS, 6, 0)


def test_reconstruction_is_asked_for(
    photo_file: Path, tmp_path: Path, asked: list[tuple[object, ...]]
) -> None:
    result = run("reconstruct", photo_file, "--size", "24", "-o", tmp_path)
    assert result.output == f"{tmp_path / 'reconstruct.html'}\n"
    photo, encoder, _, seed, _ = asked[0]
    assert isinstance(photo, torch.Tensor) and photo.shape == (1, 3, 24, 20)
    assert isinstance(encoder, Encoder) and seed == 0


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("kernels", "missing.jpg"), 3, "missing.jpg"),
        (("activations", "PHOTO", "--encoder", "vgg"), 2, "Did you mean 'vgg1"),
        (("activations", "PHOTO", "--size", "3"), 2, "--size"),
        (("gram", "strarry-night"), 2, "Did you mean 'starry-night'?"),
        (("gram", "udnie", "--beside", "missing.jpg"), 3, "missing.jpg"),
        (("gram", "udnie", "--encoder", "nothing"), 2, "Unknown encoder 'nothing'"),
        (("features", "--tap", "relu9_1"), 2, "relu9_1"),
        (("reconstruct", "missing.jpg"), 3, "missing.jpg"),
        (("kernels",), 2, "PHOTO"),
    ],
)
def test_mistakes(
    photo_file: Path, tmp_path: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    out = tmp_path / "seen"
    result = run(*(str(photo_file) if arg == "PHOTO" else arg for arg in args), "-o", out)
    assert result.exit_code == code, result.output
    assert words in result.output and "Traceback" not in result.output
    assert not out.exists()


@pytest.mark.parametrize("view", VIEWS)
def test_output_that_is_a_file(photo_file: Path, tmp_path: Path, view: str) -> None:
    """Known before the work starts."""
    first = {"features": (), "gram": ("udnie",)}.get(view, (photo_file,))
    result = run(view, *first, "-o", photo_file)
    assert result.exit_code == 4, result.output
    assert result.stderr == (
        f"impasto: {photo_file} cannot be a folder: it is a file. Name another with -o.\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.png"]


@pytest.mark.parametrize("args", [(), *((view,) for view in VIEWS)], ids=" ".join)
def test_help_is_light(args: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", HELP, "lens", *args, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "impasto lens" in done.stdout
