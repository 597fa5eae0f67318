"""A recipe from its TOML file to the weights file, on tiny pictures and random teachers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto import weights
from impasto.codes import Region
from impasto.config import read_toml, validate
from impasto.errors import BadInput, MissingWeights, UnknownName
from impasto.losses import content_error, style_error
from impasto.media import image as media
from impasto.media.image import write
from impasto.media.samples import sample_photo
from impasto.methods.adain import Adain
from impasto.moments import gram
from impasto.networks import encoders
from impasto.networks.decoders import load_decoders
from impasto.networks.encoders import SHAPES, TAPS, Encoder, Shape, load_encoder
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import OnStep
from impasto.training import judge
from impasto.training.adain import AdainRecipe
from impasto.training.encoder import EncoderRecipe
from impasto.training.loop import Progress
from impasto.training.run import KINDS, train_recipe
from impasto.training.teachers import EXACT, EXACT_FILE, SLIM, SLIM_FILE, Teachers
from impasto.training.wct import WctRecipe

RECIPES = Path(__file__).parents[2] / "recipes"

JUDGED = ("photo", "painted")

MODELS = {"encoder": EncoderRecipe, "adain": AdainRecipe, "wct": WctRecipe}

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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judgement of 24 pictures at 512 px and of 64 crops, made small."""
    monkeypatch.setattr(judge, "r2", partial(judge.r2, count=2))
    monkeypatch.setattr(judge, "SIZE", 24)
    monkeypatch.setattr(judge, "STYLES", judge.STYLES[:2])
    monkeypatch.setattr(judge, "PHOTOS", judge.PHOTOS[:1])
    monkeypatch.setattr("impasto.methods.gatys.Config.steps", (1,))


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
def test_a_finished_run_is_not_trained_again(data: Path, tmp_path: Path, machine: Runtime) -> None:
    def once() -> dict[str, Tensor]:
        path = train_recipe(
            SETTINGS,
            data=data,
            teacher=data / "teacher",
            run=tmp_path,
            output=None,
            runtime=machine,
        )
        return weights.read(path).tensors

    first, second = once(), once()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def compact(encoder: Encoder, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store, in which the tiny encoder stands in for the compact one."""
    monkeypatch.setitem(encoders.SHAPES, "compact", encoder.shape)
    path = home / weights.file_name("encoder", "compact")
    weights.write(path, encoder.state_dict(), weights.Header("encoder", "compact"))
    return home


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
    assert (tmp_path / "run" / "rebuilt.png").exists()


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


class Wash(Adain):
    """Paints everything in one grey."""

    def paint(
        self, content: Tensor, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Tensor:
        return torch.full_like(content, 0.5)


@pytest.mark.usefixtures("small")
def test_a_method_is_measured_by_its_own_encoder(
    data: Path, tmp_path: Path, machine: Runtime, encoder: Encoder
) -> None:
    """The mean of all, beside that of the photos as they were; the sheet has a row for each."""
    method = Wash(encoder, nn.ModuleDict(), machine)
    sheet = tmp_path / "sheet.png"
    measured = judge.judge_method(method, encoder, data / "gallery", machine, sheet)
    photo = media.resize(sample_photo(judge.PHOTOS[0]), (24, 24))
    grey = torch.full_like(photo, 0.5)
    own, flat = encoder(photo), encoder(grey)
    grams = {tap: gram(f) for tap, f in flat.items()}
    looks = [Style.of(data / "gallery" / f"{name}.jpg", encoder).at(24) for name in judge.STYLES]
    style = sum(
        float(style_error(grams, {tap: m.second for tap, m in look.items()})) for look in looks
    )
    content = float(content_error(flat["relu4_1"], own["relu4_1"]))
    assert measured["painted/style_error"] == pytest.approx(style / len(looks), rel=1e-3)
    assert measured["painted/content_error"] == pytest.approx(content, rel=1e-3)
    assert measured["photo/content_error"] == 0 < measured["photo/style_error"]
    pixels = media.read(sheet).pixels
    assert pixels.shape == (1, 3, 12, 36)
    torch.testing.assert_close(pixels[..., 14:], grey[..., :12, :22], atol=0.01, rtol=0)


def test_every_kind_has_a_model() -> None:
    assert KINDS.keys() == MODELS.keys()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_in_the_tree_are_valid(path: Path) -> None:
    """The stages reach to the end, or go on to it; none begins before the one before it ends."""
    settings = read_toml(path)
    recipe = validate(MODELS[settings["kind"]], settings)
    assert path.stem == f"{recipe.kind}-{getattr(recipe, 'encoder', None) or recipe.name}"
    ends = [stage.until for stage in recipe.stages]
    assert ends == sorted(set(ends))
    assert ends[-1] >= recipe.schedule.steps


def test_mistakes_are_explained(data: Path, tmp_path: Path, machine: Runtime) -> None:
    def attempt(settings: dict[str, object], data: Path, teacher: Path) -> None:
        train_recipe(
            settings, data=data, teacher=teacher, run=tmp_path, output=None, runtime=machine
        )

    with pytest.raises(UnknownName, match="Did you mean 'encoder'"):
        attempt({**SETTINGS, "kind": "encodr"}, data, data / "teacher")
    with pytest.raises(UnknownName, match=r"'sytle'.*Did you mean 'style'"):
        attempt({**DECODERS, "kind": "adain", "sytle": 1}, data, data / "teacher")
    with pytest.raises(MissingWeights, match="--teacher"):
        attempt(SETTINGS, data, data)
    with pytest.raises(BadInput, match="No starry-night"):
        attempt(SETTINGS, tmp_path / "none", data / "teacher")


def test_teachers_have_their_taps(data: Path) -> None:
    teachers = Teachers(data / "teacher")
    features = teachers.features(torch.rand(1, 3, 32, 32), ("relu1_1", "relu1_2", "relu5_1"))
    assert [f.shape[1] for f in features.values()] == [64, 16, 512]
    assert not any(p.requires_grad for p in teachers.parameters())
