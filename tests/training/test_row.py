"""The row of one more style: nothing else moves, and only its own network takes it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto import weights
from impasto.config import validate
from impasto.errors import BadInput, BadPicture, MissingWeights, UnknownName
from impasto.feedforward import row_key
from impasto.media.image import write
from impasto.methods.dumoulin import Dumoulin
from impasto.networks.encoders import Encoder
from impasto.networks.painters import GALLERY, ManyStyles
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.training.job import Job
from impasto.training.loop import train
from impasto.training.row import RowRecipe, RowTask, card, trained

SETTINGS = {
    "kind": "row",
    "painting": "gallery/great-wave.jpg",
    "size": 64,
    "stages": [{"until": 100, "size": 32, "batch": 2, "judge": "compact"}],
    "schedule": {"steps": 4, "lr": 1e-1, "warmup": 2, "log_every": 1, "sheet_minutes": 0},
}

pytestmark = pytest.mark.usefixtures("compact")


def recipe(**changes: object) -> RowRecipe:
    return validate(RowRecipe, SETTINGS | changes)


def task_of(data: Path, machine: Runtime, **changes: object) -> RowTask:
    return RowTask(recipe(**changes), data, data, machine)


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def store(home: Path, painter: ManyStyles, norm: str = "instance") -> None:
    """Put a network into the store, in place of the one that is there."""
    config = {"width": 0.125, "norm": norm, "styles": ["one", "two"]}
    path = home / weights.file_name("dumoulin", GALLERY)
    weights.write(path, painter.state_dict(), weights.Header("dumoulin", GALLERY, config))


def method(encoder: Encoder, machine: Runtime) -> Dumoulin:
    return Dumoulin.create(encoder, machine, Recipe())


# --- learning ---


def test_nothing_but_the_row_changes(
    pictures: Path, tmp_path: Path, machine: Runtime, many: ManyStyles
) -> None:
    """Bit for bit, in the network that learned and in the averaged one."""
    task = task_of(pictures, machine)
    first = task.module.row.detach().clone()
    module = train(task, task.recipe.schedule, tmp_path / "run", machine)
    assert same(task.module.network, many.network) and same(module.network, many.network)
    assert not torch.equal(task.module.row, first) and not torch.equal(module.row, first)
    assert [name for name, w in task.module.named_parameters() if w.requires_grad] == ["row"]


@pytest.mark.parametrize("norm", ["batch", "frn"])
def test_nothing_but_the_row_changes_with_any_norm(
    pictures: Path, tmp_path: Path, machine: Runtime, compact: Path, norm: str
) -> None:
    """The running means of batch norm are a part of the network that must not run on."""
    painter = ManyStyles(2, 0.125, norm)  # type: ignore[arg-type]
    store(compact, painter, norm)
    task = task_of(pictures, machine)
    module = train(task, task.recipe.schedule, tmp_path / "run", machine)
    assert same(task.module.network, painter.network) and same(module.network, painter.network)


def test_it_starts_in_the_middle_of_the_others(
    pictures: Path, machine: Runtime, many: ManyStyles
) -> None:
    """Or from its own row, where the network has learned it before."""
    assert torch.equal(task_of(pictures, machine).module.row[0], many.rows[:2].mean(0))
    (pictures / "gallery" / "great-wave.jpg").rename(pictures / "one.jpg")
    task = task_of(pictures, machine, painting="one.jpg")
    assert torch.equal(task.module.row[0], many.rows[0])


@pytest.mark.usefixtures("many")
def test_only_the_row_learns(pictures: Path, machine: Runtime) -> None:
    task = task_of(pictures, machine)
    losses = task.losses(0)
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    torch.stack([*losses.values()]).sum().backward()
    assert task.module.row.grad is not None and task.module.row.grad.abs().sum() > 0
    assert all(w.grad is None for w in task.module.network.parameters())


@pytest.mark.usefixtures("many")
def test_the_row_learns(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    schedule = SETTINGS["schedule"] | {"steps": 30}
    task = task_of(pictures, machine, schedule=schedule)

    def total() -> float:
        with torch.no_grad():
            return float(sum(sum(task.losses(number).values()) for number in range(100, 104)))

    before = total()
    module = train(task, task.recipe.schedule, tmp_path / "run", machine)
    task.module.load_state_dict(module.state_dict())
    assert total() < 0.9 * before


def test_a_row_paints_as_it_does_in_the_network(
    pictures: Path, machine: Runtime, many: ManyStyles, photo: Tensor
) -> None:
    task = task_of(pictures, machine)
    photos = torch.cat([photo, photo.flip(2)])
    with torch.no_grad():
        painted = task.module(photos)
        assert torch.equal(painted, many.paint(photos, task.module.row[0]))


# --- the style file ---


@pytest.fixture
def learned(
    pictures: Path, tmp_path: Path, machine: Runtime, many: ManyStyles, small: None
) -> Path:
    """The style file that a training has left."""
    settings = SETTINGS | {"schedule": SETTINGS["schedule"] | {"steps": 2}}
    job = Job(settings, pictures, pictures, tmp_path / "run", machine, lambda _: None)
    path = tmp_path / "great-wave.style.safetensors"
    trained(job).save(path)
    return path


def test_the_method_paints_with_the_row_of_a_style_file(
    learned: Path, encoder: Encoder, machine: Runtime, many: ManyStyles, photo: Tensor
) -> None:
    style, dumoulin = Style.load(learned), method(encoder, machine)
    (row,) = style.learned.values()
    assert Dumoulin.knows(style)
    code = dumoulin.encode(style)
    assert torch.equal(code["row"], row)
    with torch.no_grad():
        assert torch.equal(dumoulin.stylize(photo, code), many.paint(photo, row[0]))
    assert not torch.equal(row[0], many.rows[:2].mean(0))


def test_the_style_file_has_the_moments_for_the_other_methods(
    learned: Path, pictures: Path
) -> None:
    style = Style.load(learned)
    plain = Style.of(pictures / "gallery" / "great-wave.jpg", "compact")
    assert (style.name, style.encoder) == ("great-wave", plain.encoder)
    assert style.moments.keys() == plain.moments.keys()
    for tap, m in plain.moments[128].items():
        torch.testing.assert_close(style.moments[128][tap].mean, m.mean, rtol=2e-3, atol=1e-3)


def test_another_network_does_not_know_the_row(
    learned: Path, compact: Path, encoder: Encoder, machine: Runtime, many: ManyStyles
) -> None:
    """Trained anew, it has the same name and other weights: the row would paint nonsense."""
    many.rows[0, 0] += 1
    store(compact, many)
    style = Style.load(learned)
    assert not Dumoulin.knows(style)
    with pytest.raises(UnknownName, match=r"'great-wave'.*impasto train dumoulin --add PICTURE"):
        method(encoder, machine).encode(style)


def test_a_row_goes_before_the_networks_own(
    learned: Path, encoder: Encoder, machine: Runtime
) -> None:
    """Who learns a style again has asked for another look."""
    style = replace(Style.load(learned), name="one")
    (row,) = style.learned.values()
    assert torch.equal(method(encoder, machine).encode(style)["row"], row)


def test_the_key_names_the_network(learned: Path) -> None:
    header = weights.read_header(weights.find("dumoulin", GALLERY))
    assert [*Style.load(learned).learned] == [row_key(header)]
    assert row_key(header) == f"dumoulin-gallery/{header.sha256[:12]}"


# --- bad input ---


def test_a_checkpoint_of_another_network(
    pictures: Path, tmp_path: Path, machine: Runtime, many: ManyStyles, compact: Path
) -> None:
    """Of the same shape: a row that was learned for the old one is worth nothing in the new."""
    train(task_of(pictures, machine), recipe().schedule, tmp_path / "run", machine)
    many.rows[0, 0] += 1
    many.network.convs["out"].weight += 1  # type: ignore[operator]
    store(compact, many)
    task = task_of(pictures, machine)
    with pytest.raises(BadInput, match="another network"):
        train(task, task.recipe.schedule, tmp_path / "run", machine)


def test_without_a_network_there_is_no_row(pictures: Path, machine: Runtime) -> None:
    with pytest.raises(MissingWeights, match="dumoulin 'gallery'"):
        task_of(pictures, machine)


@pytest.mark.usefixtures("many")
def test_a_painting_of_eight_pixels_and_one_that_is_none(
    pictures: Path, tmp_path: Path, machine: Runtime
) -> None:
    write(torch.rand(1, 3, 8, 8), tmp_path / "tiny.png")
    losses = task_of(pictures, machine, painting=str(tmp_path / "tiny.png")).losses(0)
    assert all(loss.isfinite() for loss in losses.values())
    with pytest.raises(BadPicture, match=r"nobody\.png"):
        task_of(pictures, machine, painting="nobody.png")


def test_a_key_that_is_misspelt() -> None:
    with pytest.raises(UnknownName, match=r"'paint'.*Did you mean 'painting'"):
        recipe(paint="a.jpg")
    with pytest.raises(BadInput, match="'painting' is required"):
        validate(RowRecipe, {})


@pytest.mark.parametrize("change", [{"width": 1.0}, {"norm": "frn"}])
def test_width_and_norm_are_those_of_the_network(change: dict[str, object]) -> None:
    """A setting that does nothing is not to be set."""
    with pytest.raises(BadInput):
        recipe(**change)


def test_the_card_says_what_it_is() -> None:
    metrics = {
        f"{column}/{kind}": value
        for column, value in (("photo", 1.5), ("painted", 0.25))
        for kind in ("style_error", "content_error")
    }
    said = card(recipe(), metrics, 1234)
    rows = ("| photo | 1.500 | 1.500 |", "| painted | 0.250 | 0.250 |")
    for part in ("`great-wave`", "1,234 photos", "`compact`", "dumoulin", *rows):
        assert part in said
