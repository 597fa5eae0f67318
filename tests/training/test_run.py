"""A recipe from its TOML file to the weights file, on tiny pictures and random teachers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto import methods, weights
from impasto.config import read_toml, validate
from impasto.errors import BadInput, BadPicture, MissingWeights, UnknownName
from impasto.media import image as media
from impasto.media.image import write
from impasto.networks.decoders import load_decoders
from impasto.networks.encoders import SHAPES, TAPS, Encoder, Shape, load_encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style, gallery, named
from impasto.training import judge, run
from impasto.training.adain import AdainRecipe
from impasto.training.dumoulin import DumoulinRecipe
from impasto.training.encoder import EncoderRecipe
from impasto.training.ghiasi import GhiasiRecipe
from impasto.training.johnson import JohnsonRecipe
from impasto.training.loop import Progress
from impasto.training.row import RowRecipe
from impasto.training.run import KINDS, train_recipe
from impasto.training.teachers import EXACT, EXACT_FILE, SLIM, SLIM_FILE, Teachers
from impasto.training.wct import WctRecipe

RECIPES = Path(__file__).parents[2] / "recipes"

JUDGED = ("photo", "painted")

MODELS = {
    "encoder": EncoderRecipe,
    "adain": AdainRecipe,
    "wct": WctRecipe,
    "johnson": JohnsonRecipe,
    "dumoulin": DumoulinRecipe,
    "ghiasi": GhiasiRecipe,
    "row": RowRecipe,
}

SETTINGS = {
    "kind": "encoder",
    "name": "compact",
    "revive_every": 1,
    "revive_until": 2,
    "stages": [{"until": 2, "size": 32, "batch": 4}],
    "visits": {"pool": 3, "steps": 1, "longest_life": 4},
    "schedule": {"steps": 2, "lr": 1e-3, "log_every": 1},
}

DECODERS = {
    "encoder": "compact",
    "width": 0.5,
    "stages": [{"until": 2, "size": 32, "batch": 4}],
    "schedule": {"steps": 2, "lr": 1e-3, "log_every": 1},
}

PAINTERS = {
    "stages": [{"until": 2, "size": 32, "batch": 2, "judge": "compact"}],
    "schedule": {"steps": 2, "lr": 1e-2, "log_every": 1, "sheet_minutes": 0},
}

PAINTER = {
    "johnson": {"painting": "gallery/great-wave.jpg", "size": 64, "width": 0.125},
    "dumoulin": {"styles": ["great-wave", "starry-night"], "size": 64, "width": 0.125},
    "ghiasi": {"size": 32, "width": 0.125},
    "row": {"painting": "gallery/great-wave.jpg", "size": 64},
}

STORED = {
    "johnson": "johnson-great-wave.safetensors",
    "dumoulin": "dumoulin-gallery.safetensors",
    "ghiasi": "ghiasi-compact.safetensors",
    "row": "great-wave.style.safetensors",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the recipe wants it, with two teachers of random weights."""
    folder = tmp_path_factory.mktemp("data")
    torch.manual_seed(0)
    for name, count in (("photos", 3), ("paintings", 3)):
        (folder / name).mkdir()
        for number in range(count):
            write(torch.rand(1, 3, 40, 48), folder / name / f"{number}.png")
    (folder / "gallery").mkdir()
    for style in judge.STYLES:
        write(torch.rand(1, 3, 40, 40), folder / "gallery" / f"{style}.jpg")
    (folder / "teacher").mkdir()
    save_file(teacher(EXACT), folder / "teacher" / EXACT_FILE)
    slim = teacher(SLIM)
    for block, (mine, theirs) in enumerate(
        zip(SLIM.channels, SHAPES["vgg19"].channels, strict=True), 1
    ):
        slim[f"conv{block}1_aux.weight"] = torch.randn(theirs, mine, 1, 1)
        slim[f"conv{block}1_aux.bias"] = torch.randn(theirs)
    save_file(slim, folder / "teacher" / SLIM_FILE)
    return folder


def teacher(shape: Shape) -> dict[str, Tensor]:
    state = Encoder(shape).state_dict()
    return {
        key.replace("convs.", "conv").replace("_", "", 1): value.contiguous()
        for key, value in state.items()
    }


@pytest.mark.usefixtures("small")
def test_weights_say_how_they_were_made(data: Path, tmp_path: Path, machine: Runtime) -> None:
    path = train_recipe(
        SETTINGS,
        data=data,
        teacher=data / "teacher",
        run=tmp_path / "run",
        output=tmp_path / "encoder-compact.safetensors",
        runtime=machine,
    )
    tensors, header = weights.read(path)
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    assert EncoderRecipe.model_validate_json(header.recipe) == validate(EncoderRecipe, SETTINGS)
    assert set(header.metrics["r2"]) == {"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"}
    assert header.metrics["photo/content_error"] == 0
    card = path.with_suffix(".md").read_text()
    assert "| relu4_1 |" in card and "| encoder |" in card
    assert (tmp_path / "run" / "judged.png").exists()
    Encoder(SHAPES["compact"]).load_state_dict(tensors)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("kind", "taps"), [("adain", ("relu4_1", "relu1_1")), ("wct", TAPS)])
def test_decoders_are_trained_and_found(
    data: Path, tmp_path: Path, machine: Runtime, compact: Path, kind: str, taps: tuple[str, ...]
) -> None:
    """Put into the store they are the method's decoders; the file says how they were made."""
    settings, seen = DECODERS | {"kind": kind}, list[Progress]()
    path = train_recipe(
        settings,
        data=data,
        teacher=data / "teacher",
        run=tmp_path / "run",
        output=compact / weights.file_name(kind, "compact"),
        runtime=machine,
        on_progress=seen.append,
    )
    assert [progress.step for progress in seen] == [1, 2]
    tensors, header = weights.read(path)
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    assert (header.kind, header.name, header.license) == (kind, "compact", "MIT")
    assert dict(header.config) == {"encoder": "compact", "width": 0.5}
    model = MODELS[kind]
    assert model.model_validate_json(header.recipe) == validate(model, settings)
    loaded = load_decoders(kind, load_encoder("compact"), taps)
    assert set(loaded) == set(taps)
    stored = {key: tensor.float() for key, tensor in tensors.items()}
    assert all(torch.equal(stored[key], own) for key, own in loaded.state_dict().items())


def test_the_decoders_of_wct_are_measured(
    data: Path, tmp_path: Path, machine: Runtime, compact: Path
) -> None:
    """Decibels in the header and in the card, pictures beside the weights."""
    path = train_recipe(
        DECODERS | {"kind": "wct"},
        data=data,
        teacher=data / "none",  # nobody is asked
        run=tmp_path / "run",
        output=None,
        runtime=machine,
    )
    assert path == tmp_path / "run" / "run.safetensors"
    measured = weights.read_header(path).metrics["psnr"]
    assert set(measured) == set(TAPS)
    card = path.with_suffix(".md").read_text()
    assert all(f"| {tap} | {measured[tap]:.1f} |" in card for tap in TAPS)
    assert (tmp_path / "run" / "judged.png").exists()


@pytest.mark.usefixtures("small")
def test_the_decoder_of_adain_is_judged_by_what_it_paints(
    data: Path, tmp_path: Path, machine: Runtime, compact: Path
) -> None:
    """Errors in the header and in the card, pictures beside the weights."""
    path = train_recipe(
        DECODERS | {"kind": "adain"},
        data=data,
        teacher=data / "teacher",
        run=tmp_path / "run",
        output=None,
        runtime=machine,
    )
    measured = weights.read_header(path).metrics
    assert set(measured) == {f"{c}/{k}_error" for c in JUDGED for k in ("style", "content")}
    assert measured["photo/content_error"] == 0 < measured["painted/content_error"]
    card = path.with_suffix(".md").read_text()
    for column in JUDGED:
        style, content = (measured[f"{column}/{kind}_error"] for kind in ("style", "content"))
        assert f"| {column} | {style:.3f} | {content:.3f} |" in card
    assert media.header(tmp_path / "run" / "judged.png") == (3 * 24 // 2, 24 // 2)


# --- networks that paint in one pass ---


def painter(kind: str, **changes: object) -> dict[str, Any]:
    return {**PAINTERS, **PAINTER[kind], "kind": kind, **changes}


def attempt(
    settings: dict[str, Any], data: Path, folder: Path, machine: Runtime, output: Path | None = None
) -> Path:
    return train_recipe(
        settings, data=data, teacher=data / "teacher", run=folder, output=output, runtime=machine
    )


def paint(kind: str, path: Path, data: Path, machine: Runtime, photo: Tensor) -> Tensor:
    """What the method that finds the file makes of a photo in the style of the great wave."""
    encoder = load_encoder("compact")
    method = methods.get("dumoulin" if kind == "row" else kind)
    stylizer = method.create(encoder, machine, Recipe(encoder="compact"))
    made = Style.of(data / "gallery" / "great-wave.jpg", encoder, "great-wave")
    style = Style.load(path) if kind == "row" else made
    assert method.knows(style)
    return stylizer.stylize(photo, stylizer.encode(style))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", PAINTER)
def test_what_was_trained_is_found_and_paints(
    data: Path,
    tmp_path: Path,
    machine: Runtime,
    compact: Path,
    photo: Tensor,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    """From the recipe to a picture; the card tells the figures of the judgement."""
    if kind == "row":
        request.getfixturevalue("many")
    seen, plan = list[Progress](), painter(kind)
    path = train_recipe(
        plan,
        data=data,
        teacher=data / "none",  # nobody is asked
        run=tmp_path / "run",
        output=compact / STORED[kind],
        runtime=machine,
        on_progress=seen.append,
    )
    assert [progress.step for progress in seen] == [1, 2]
    painted = paint(kind, path, data, machine, photo)
    assert painted.shape == photo.shape and painted.isfinite().all()
    assert (painted - photo).abs().mean() > 1e-2
    card = path.with_suffix(".md").read_text()
    columns = 2 if kind in ("johnson", "row") else 3
    assert media.header(tmp_path / "run" / "judged.png") == (columns * 24 // 2, 24 // 2)
    assert f"]({path.stem}.jpg)" in card and max(media.header(path.with_suffix(".jpg"))) <= 1200
    header = weights.read_header(path)
    if kind == "row":
        assert header.kind == "style" and "| painted |" in card
        return
    assert set(header.metrics) == {f"{c}/{k}_error" for c in JUDGED for k in ("style", "content")}
    assert header.metrics["photo/content_error"] == 0 < header.metrics["painted/content_error"]
    for column in JUDGED:
        style, content = (header.metrics[f"{column}/{k}_error"] for k in ("style", "content"))
        assert f"| {column} | {style:.3f} | {content:.3f} |" in card
    model = MODELS[kind]
    assert model.model_validate_json(header.recipe) == validate(model, plan)
    assert header.config["width"] == 0.125 and header.config["norm"] == "instance"
    assert all(t.dtype == torch.float16 for t in weights.read(path).tensors.values())


@pytest.mark.usefixtures("small", "compact")
def test_a_finished_run_is_not_trained_again(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """Its file is written again, with what the checkpoint holds."""
    first = weights.read(attempt(painter("johnson"), data, tmp_path, machine)).tensors
    log = (tmp_path / "log.jsonl").read_text()
    second = weights.read(attempt(painter("johnson"), data, tmp_path, machine)).tensors
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert (tmp_path / "log.jsonl").read_text() == log


@pytest.mark.usefixtures("small", "many")
def test_a_network_says_what_it_started_from(data: Path, tmp_path: Path, machine: Runtime) -> None:
    path = attempt(painter("johnson"), data, tmp_path, machine)
    assert weights.read_header(path).config["judge"] == "compact"
    assert "from the network `dumoulin-gallery`" in path.with_suffix(".md").read_text()


@pytest.mark.usefixtures("small", "many")
def test_the_source_is_true(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """In the header too, which is what `weights list` and other people read."""
    path = attempt(painter("johnson"), data, tmp_path, machine)
    assert "random weights" not in weights.read_header(path).source


@pytest.mark.usefixtures("small", "many")
def test_the_row_of_a_painting_of_eight_pixels(
    data: Path, tmp_path: Path, machine: Runtime, photo: Tensor
) -> None:
    """There is little in it, and so the moments of the smallest size are there alone."""
    write(torch.rand(1, 3, 8, 8), tmp_path / "great-wave.png")
    settings = painter("row", painting=str(tmp_path / "great-wave.png"))
    path = attempt(settings, data, tmp_path / "run", machine, tmp_path / STORED["row"])
    assert list(Style.load(path).moments) == [128]
    assert paint("row", path, data, machine, photo).isfinite().all()


@pytest.mark.usefixtures("small", "compact")
def test_a_few_styles_are_judged_in_those(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """A recipe may leave out styles that others are judged with."""
    path = attempt(painter("dumoulin", styles=["great-wave"]), data, tmp_path, machine)
    assert "in 1 of its styles" in path.with_suffix(".md").read_text()


@pytest.mark.usefixtures("small", "many")
def test_a_row_that_is_left_in_the_run_is_a_style_file(
    data: Path, tmp_path: Path, machine: Runtime
) -> None:
    path = attempt(painter("row"), data, tmp_path / "run", machine)
    assert path.name.endswith(".style.safetensors")


def test_what_is_missing_is_said_at_once(
    data: Path, tmp_path: Path, machine: Runtime, compact: Path
) -> None:
    """Before anything is trained: not a step of it has been logged."""
    with pytest.raises(BadPicture, match=r"nobody\.jpg"):
        attempt(painter("johnson", painting="nobody.jpg"), data, tmp_path, machine)
    with pytest.raises(BadPicture, match=r"nobody\.jpg"):
        attempt(painter("dumoulin", styles=["nobody"]), data, tmp_path, machine)
    with pytest.raises(MissingWeights, match="dumoulin 'gallery'"):
        attempt(painter("row"), data, tmp_path, machine)
    with pytest.raises(BadInput, match="none"):
        attempt(painter("dumoulin"), tmp_path / "none", tmp_path, machine)
    with pytest.raises(BadInput, match="No starry-night"):
        attempt(painter("ghiasi"), tmp_path / "none", tmp_path, machine)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"No pictures in '.*empty'"):
        attempt(painter("johnson"), tmp_path / "empty", tmp_path, machine)
    assert not (tmp_path / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("kind", "key", "meant"),
    [
        ("johnson", "paintng", "painting"),
        ("dumoulin", "style_s", "styles"),
        ("ghiasi", "closeset", "closest"),
        ("row", "schedul", "schedule"),
    ],
)
def test_a_misspelt_setting_is_guessed(
    data: Path, tmp_path: Path, machine: Runtime, kind: str, key: str, meant: str
) -> None:
    with pytest.raises(UnknownName, match=f"'{key}'.*Did you mean '{meant}'"):
        attempt(painter(kind, **{key: 1}), data, tmp_path, machine)


# --- a style without a recipe ---


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned without a recipe, on tiny pictures."""

    def tiny(settings: dict[str, Any], **rest: Any) -> Path:
        small = {"size": 64, "width": 0.125} if settings["kind"] == "johnson" else {"size": 64}
        steps = settings["schedule"]["steps"]
        schedule = PAINTERS["schedule"] | {"steps": steps}
        return train_recipe({**settings, **PAINTERS, **small, "schedule": schedule}, **rest)

    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "train_recipe", tiny)


def learned(
    method: str, picture: Path, data: Path, machine: Runtime, output: Path | None = None
) -> Path:
    return run.learn_style(
        method,
        picture,
        data=data,
        teacher=data / "none",
        run=None,
        output=output,
        steps=2,
        runtime=machine,
    )


@pytest.mark.usefixtures("small", "many", "quick")
@pytest.mark.parametrize("method", ["johnson", "dumoulin"])
def test_a_picture_becomes_a_style_with_a_name(
    data: Path, tmp_path: Path, machine: Runtime, compact: Path, photo: Tensor, method: str
) -> None:
    """Which the method finds without being told of any file."""
    write(torch.rand(1, 3, 40, 40), tmp_path / "my own.png")
    path = learned(method, tmp_path / "my own.png", data, machine)
    folders = {"johnson": compact, "dumoulin": compact.parent / "styles"}
    assert path.parent == folders[method] and path.with_suffix(".md").exists()
    style = named("my own")
    stylizer = methods.get(method).create(
        load_encoder("compact"), machine, Recipe(encoder="compact")
    )
    assert stylizer.knows(style)
    assert stylizer.stylize(photo, stylizer.encode(style)).isfinite().all()


@pytest.mark.usefixtures("small", "compact", "quick")
def test_another_picture_of_that_name_begins_anew(
    data: Path, tmp_path: Path, machine: Runtime
) -> None:
    """And the same one goes on: its run is finished, and nothing is trained."""
    runs = tmp_path / "cache" / "runs"
    for number, (light, expected) in enumerate(((0.2, 1), (0.2, 1), (0.7, 2))):
        picture = tmp_path / str(number) / "mine.png"
        picture.parent.mkdir()
        write(torch.full((1, 3, 40, 40), light), picture)
        learned("johnson", picture, data, machine)
        assert len(list(runs.iterdir())) == expected
    assert all(
        len((folder / "log.jsonl").read_text().split("\n")) == 3 for folder in runs.iterdir()
    )


@pytest.mark.usefixtures("small", "compact", "quick")
def test_the_style_of_that_name_is_that_of_the_last_picture(
    data: Path, tmp_path: Path, machine: Runtime
) -> None:
    """For the other methods too, which take its moments."""
    for light in (0.2, 0.7):
        write(torch.full((1, 3, 40, 40), light), tmp_path / "mine.png")
        learned("johnson", tmp_path / "mine.png", data, machine)
    expected = Style.of(tmp_path / "mine.png", "compact").moments[128]["relu1_1"].mean
    mean = named("mine").moments[128]["relu1_1"].mean
    torch.testing.assert_close(mean, expected, rtol=2e-3, atol=1e-3)


@pytest.mark.usefixtures("small", "compact", "quick")
def test_another_place_for_a_network(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """Then it is a file like any other, and no style is put beside the user's own."""
    write(torch.rand(1, 3, 40, 40), tmp_path / "mine.png")
    target = tmp_path / "new" / "johnson-mine.safetensors"
    assert learned("johnson", tmp_path / "mine.png", data, machine, target) == target
    assert weights.read_header(target).name == "mine"
    assert "mine" not in gallery()


@pytest.mark.usefixtures("compact", "quick")
def test_a_picture_that_cannot_become_a_style(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """Names of the gallery keep their meaning; a row needs a network."""
    with pytest.raises(BadInput, match=r"'starry-night' is a style of the gallery.*another name"):
        learned("johnson", data / "gallery" / "starry-night.jpg", data, machine)
    with pytest.raises(BadPicture, match=r"nobody\.jpg"):
        learned("johnson", tmp_path / "nobody.jpg", data, machine)
    write(torch.rand(1, 3, 40, 40), tmp_path / "mine.png")
    with pytest.raises(MissingWeights, match="dumoulin 'gallery'"):
        learned("dumoulin", tmp_path / "mine.png", data, machine)


# --- kinds and recipes ---


def test_every_kind_has_a_model() -> None:
    assert KINDS.keys() == MODELS.keys()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_in_the_tree_are_valid(path: Path) -> None:
    """The stages reach to the end, or go on to it; none begins before the one before it ends."""
    settings = read_toml(path)
    recipe = validate(MODELS[settings["kind"]], settings)
    given = (getattr(recipe, key, "") for key in ("name", "encoder"))
    assert path.stem in {recipe.kind, *(f"{recipe.kind}-{name}" for name in given)}
    ends = [stage.until for stage in recipe.stages]
    assert ends == sorted(set(ends))
    assert ends[-1] >= recipe.schedule.steps


def test_mistakes_are_explained(data: Path, tmp_path: Path, machine: Runtime) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'encoder'"):
        attempt({**SETTINGS, "kind": "encodr"}, data, tmp_path, machine)
    with pytest.raises(UnknownName, match=r"'sytle'.*Did you mean 'style'"):
        attempt({**DECODERS, "kind": "adain", "sytle": 1}, data, tmp_path, machine)
    with pytest.raises(MissingWeights, match="--teacher"):
        train_recipe(SETTINGS, data=data, teacher=data, run=tmp_path, output=None, runtime=machine)
    with pytest.raises(BadInput, match="No starry-night"):
        attempt(SETTINGS, tmp_path / "none", tmp_path, machine)


def test_teachers_have_their_taps(data: Path) -> None:
    teachers = Teachers(data / "teacher")
    features = teachers.features(torch.rand(1, 3, 32, 32), ("relu1_1", "relu1_2", "relu5_1"))
    assert [f.shape[1] for f in features.values()] == [64, 16, 512]
    assert not any(p.requires_grad for p in teachers.parameters())
