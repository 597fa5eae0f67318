"""The network of one style: where it starts, what it wants, and that it learns it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto import weights
from impasto.config import validate
from impasto.errors import BadInput, BadPicture, UnknownName
from impasto.losses import gram_error
from impasto.media.image import write
from impasto.networks.encoders import TAPS
from impasto.networks.normalisation import Norm
from impasto.networks.painters import GALLERY, ManyStyles
from impasto.networks.transformer import Transformer
from impasto.runtime import Runtime
from impasto.training.data import shown
from impasto.training.johnson import (
    JohnsonRecipe,
    JohnsonTask,
    beginning,
    card,
    unconditional,
    widened,
)
from impasto.training.loop import train

SETTINGS = {
    "kind": "johnson",
    "painting": "gallery/great-wave.jpg",
    "size": 64,
    "width": 0.125,
    "stages": [{"until": 100, "size": 32, "batch": 2, "judge": "compact"}],
    "schedule": {"steps": 4, "lr": 1e-2, "warmup": 2, "log_every": 1, "sheet_minutes": 0},
}

NAMES = {"variation", "content/relu3_1", "content/relu4_1", "consistency"} | {
    f"style/{tap}" for tap in TAPS
}

pytestmark = pytest.mark.usefixtures("compact")


def recipe(**changes: object) -> JohnsonRecipe:
    return validate(JohnsonRecipe, SETTINGS | changes)


def task_of(data: Path, machine: Runtime, **changes: object) -> JohnsonTask:
    return JohnsonTask(recipe(**changes), data, data, machine)


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def varied(styles: int = 2, norm: Norm = "instance") -> ManyStyles:
    """A network of many styles in use, each row of its own, running means included."""
    painter = ManyStyles(styles, 0.125, norm).requires_grad_(False).eval()
    painter.rows += 0.3 * torch.randn_like(painter.rows)
    for name, buffer in painter.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer += 0.2 * torch.rand_like(buffer)
    return painter


# --- where it starts ---


def test_from_nothing_where_there_is_nothing(pictures: Path, machine: Runtime) -> None:
    """Random numbers by the seed."""
    task, again = task_of(pictures, machine), task_of(pictures, machine)
    other = task_of(pictures, machine, schedule=SETTINGS["schedule"] | {"seed": 1})
    assert task.started_from == ""
    assert same(task.module, again.module) and not same(task.module, other.module)


def test_from_the_network_of_many_styles(
    pictures: Path, machine: Runtime, many: ManyStyles
) -> None:
    """As it paints with the mean of its rows."""
    task = task_of(pictures, machine)
    assert task.started_from == "dumoulin-gallery"
    photos = shown(pictures / "photos", 192, 8)
    assert same(task.module, unconditional(many, many.rows[:2].mean(0), photos))


def test_from_its_own_row_where_it_has_one(
    pictures: Path, machine: Runtime, many: ManyStyles
) -> None:
    (pictures / "gallery" / "great-wave.jpg").rename(pictures / "gallery" / "two.jpg")
    task = task_of(pictures, machine, painting="gallery/two.jpg")
    photos = shown(pictures / "photos", 192, 8)
    assert same(task.module, unconditional(many, many.rows[1], photos))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("change", [{"width": 0.5}, {"norm": "frn"}, {"start": False}])
def test_from_nothing_where_the_other_does_not_fit(
    pictures: Path, machine: Runtime, change: dict[str, object]
) -> None:
    assert task_of(pictures, machine, **change).started_from == ""


@pytest.mark.usefixtures("many")
def test_twice_as_wide_it_starts_from_it_too(pictures: Path, machine: Runtime) -> None:
    task = task_of(pictures, machine, width=0.25)
    assert task.started_from == "dumoulin-gallery"
    assert isinstance(task.module, Transformer) and task.module.width == 0.25


@pytest.mark.parametrize("norm", ["instance", "batch", "frn"])
def test_twice_as_wide_it_paints_the_same(norm: Norm, photo: Tensor) -> None:
    """But for what lets the twins part."""
    painter = varied(norm=norm)
    network = unconditional(painter, painter.rows[0], photo).eval()
    wide, apart = widened(network, 0).eval(), widened(network).eval()
    with torch.no_grad():
        assert (wide(photo) - network(photo)).abs().max() < 1e-4
        assert 0 < (apart(photo) - network(photo)).abs().mean() < 0.02


def test_the_beginning_of_a_row() -> None:
    """Its own, else the mean of all styles; the identity is none."""
    painter = ManyStyles(2, 0.125)
    painter.rows.data[:] = torch.tensor([[1.0], [2.0], [9.0]])
    header = weights.Header("dumoulin", GALLERY, {"styles": ["one", "two"]})
    assert beginning(painter, header, "two").unique().tolist() == [2]
    mean = beginning(painter, header, "three")
    assert mean.unique().tolist() == [1.5] and not mean.requires_grad


@pytest.mark.parametrize("norm", ["instance", "batch", "frn"])
def test_one_style_paints_what_many_paint_with_its_row(norm: Norm, photo: Tensor) -> None:
    painter = varied(norm=norm)
    for row in painter.rows:
        network = unconditional(painter, row, photo).eval()
        with torch.no_grad():
            difference = network(photo) - painter.paint(photo, row)
        assert difference.abs().max() < 2e-3


def test_one_style_paints_nearly_the_same_on_several_photos(
    photo: Tensor, painting: Tensor
) -> None:
    """What instance norm takes from each photo is now the mean of all: far less than the style."""
    painter = varied()
    photos = torch.cat([photo, painting[..., :48, :40], photo.flip(1)])
    network = unconditional(painter, painter.rows[0], photos).eval()
    with torch.no_grad():
        wanted, other = (painter.paint(photos, painter.rows[n]) for n in (0, 1))
        error = (network(photos) - wanted).abs().mean()
    assert error < 0.3 * (other - wanted).abs().mean()


def test_all_of_the_one_style_learns_and_nothing_of_the_many(photo: Tensor) -> None:
    painter = varied()
    before = {key: tensor.clone() for key, tensor in painter.state_dict().items()}
    network = unconditional(painter, painter.rows[0], photo)
    assert network.training and network.row_size == 0
    network(photo).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1)
    assert all(torch.equal(painter.state_dict()[key], old) for key, old in before.items())


# --- losses ---


def test_every_error_is_there_and_learns(pictures: Path, machine: Runtime) -> None:
    task = task_of(pictures, machine)
    losses = task.losses(0)
    assert losses.keys() == NAMES
    assert all(loss.isfinite() and loss > 0 and loss.ndim == 0 for loss in losses.values())
    torch.stack([*losses.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.module.parameters())


def test_all_photos_want_the_same_painting(pictures: Path, machine: Runtime) -> None:
    """Photos left as they are have no error of content, and that of their own style."""
    task = task_of(pictures, machine)
    task.module = nn.Identity()
    losses = task.losses(0)
    assert losses["content/relu3_1"] == losses["content/relu4_1"] == 0
    own = task.critics.at(0).grams(task.batches.at(0))
    for tap in TAPS:
        wanted = task.wanted["compact"][tap].expand(2, -1, -1)
        expected = 12 * gram_error(own[tap], wanted).mean()
        torch.testing.assert_close(losses[f"style/{tap}"], expected)


def test_losses_are_a_function_of_the_step(pictures: Path, machine: Runtime) -> None:
    """The loop seeds torch for every step: motion and grain are drawn with it."""
    task, seen = task_of(pictures, machine), []
    for step in (0, 1, 0):
        torch.manual_seed(step)
        seen.append(task.losses(step))
    assert seen[0] == seen[2] != seen[1]


@pytest.mark.parametrize("norm", ["instance", "batch", "frn"])
def test_consistency_is_added_and_changes_nothing_else(
    pictures: Path, machine: Runtime, norm: Norm
) -> None:
    """Without it the losses are the very same numbers; its weight is the recipe's."""
    without, once, twice = (
        task_of(pictures, machine, norm=norm, consistency=weight) for weight in (0, 0.5, 1)
    )
    losses = []
    for task in (without, once, twice):
        torch.manual_seed(0)
        losses.append(task.losses(0))
    assert losses[0].keys() == NAMES - {"consistency"}
    assert all(losses[0][name] == losses[1][name] == losses[2][name] for name in losses[0])
    torch.testing.assert_close(2 * losses[1]["consistency"], losses[2]["consistency"])
    losses[2]["consistency"].backward()
    learned = [p.grad for p in twice.module.parameters() if p.grad is not None]
    assert learned and all(grad.isfinite().all() for grad in learned)
    assert sum(float(grad.abs().sum()) for grad in learned) > 0


def test_every_judge_has_its_own_idea_of_the_painting(
    pictures: Path, teacher: Path, machine: Runtime
) -> None:
    stages = [
        {"until": 1, "size": 32, "batch": 1, "judge": "slim"},
        {"until": 2, "size": 32, "batch": 1, "judge": "teacher"},
    ]
    task = JohnsonTask(recipe(stages=stages), pictures, teacher, machine)
    assert [task.wanted[j]["relu1_1"].shape[1] for j in ("slim", "teacher")] == [4, 5]
    assert all(loss.isfinite() for step in (0, 1) for loss in task.losses(step).values())


# --- learning ---


def total(task: JohnsonTask) -> float:
    """Of some batches that it has not learned from."""
    with torch.no_grad():
        return float(sum(sum(task.losses(number).values()) for number in range(100, 104)))


def test_the_network_learns(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    schedule = SETTINGS["schedule"] | {"steps": 30}
    task = task_of(pictures, machine, schedule=schedule)
    before = total(task)
    network = train(task, recipe(schedule=schedule).schedule, tmp_path / "run", machine)
    task.module.load_state_dict(network.state_dict())
    assert total(task) < 0.7 * before


def test_samples_are_photos_and_paintings_in_turn(pictures: Path, machine: Runtime) -> None:
    class Grey(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.full_like(image, 0.5)

    sheet = task_of(pictures, machine).samples(Grey()).unflatten(0, (4, 2))
    assert sheet.shape == (4, 2, 3, 256, 256)
    assert torch.equal(sheet[:, 0], shown(pictures / "photos", 256, 4))
    assert (sheet[:, 1] == 0.5).all()


# --- a painting, a folder ---


def test_the_painting_is_looked_for_in_the_data_and_elsewhere(
    pictures: Path,
    tmp_path: Path,
    machine: Runtime,
    painting: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(painting, tmp_path / "my own.png")
    monkeypatch.chdir(tmp_path)
    paths = ["gallery/great-wave.jpg", str(tmp_path / "my own.png"), "my own.png"]
    tasks = [task_of(pictures, machine, painting=path) for path in paths]
    assert tasks[0].path == pictures / "gallery" / "great-wave.jpg"
    assert tasks[1].path.samefile(tasks[2].path)
    assert [task.recipe.name for task in tasks] == ["great-wave", "my own", "my own"]
    for tap, g in tasks[1].wanted["compact"].items():
        assert torch.equal(g, tasks[2].wanted["compact"][tap])


def test_any_folder_of_photos_will_do(pictures: Path, machine: Runtime) -> None:
    """It need not have a folder called photos."""
    painting = str(pictures / "gallery" / "great-wave.jpg")
    task = task_of(pictures / "photos", machine, painting=painting)
    assert [str(path) for path in task.photos] == [str(pictures / "photos" / "1.png")]
    assert task.losses(0).keys() == NAMES
    assert len(task.samples(nn.Identity())) == 8


def test_a_painting_of_eight_pixels(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    write(torch.rand(1, 3, 8, 8), tmp_path / "tiny.png")
    task = task_of(pictures, machine, painting=str(tmp_path / "tiny.png"))
    network = train(task, task.recipe.schedule, tmp_path / "run", machine)
    with torch.no_grad():
        assert network(torch.rand(1, 3, 8, 8)).isfinite().all()


def test_what_is_missing_is_named(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    with pytest.raises(BadPicture, match=r"nobody\.jpg"):
        task_of(pictures, machine, painting="nobody.jpg")
    with pytest.raises(BadInput, match=r"No folder '.*none'"):
        task_of(pictures / "none", machine)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"No pictures in '.*empty'"):
        task_of(tmp_path / "empty", machine)
    write(torch.rand(1, 3, 40, 40), tmp_path / "empty" / "a.png")
    with pytest.raises(BadInput, match=r"One picture in '.*empty'"):
        task_of(tmp_path / "empty", machine)


def test_photos_of_which_none_can_be_read(pictures: Path, machine: Runtime) -> None:
    (pictures / "photos" / "1.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="None of the training pictures can be read"):
        task_of(pictures, machine).losses(0)


def test_recipes_that_make_no_sense() -> None:
    with pytest.raises(UnknownName, match=r"'paintings'.*Did you mean 'painting'"):
        recipe(paintings="a.jpg")
    with pytest.raises(BadInput, match="painting"):
        recipe(painting="")
    with pytest.raises(BadInput, match="'painting' is required"):
        validate(JohnsonRecipe, {"kind": "johnson"})


def test_a_painting_is_all_that_has_to_be_said() -> None:
    """The stages are as long as the schedule, or go on to its end."""
    plan = validate(JohnsonRecipe, {"painting": "my.jpg"})
    assert plan.stage(plan.schedule.steps - 1) == plan.stages[-1]
    assert plan.stages[-1].size >= 128 and plan.schedule.steps >= 100


@pytest.mark.parametrize(
    ("start", "text"), [("", "random weights"), ("dumoulin-gallery", "network `dumoulin-gallery`")]
)
def test_the_card_says_what_it_is(start: str, text: str) -> None:
    metrics = {
        f"{column}/{kind}": value
        for column, value in (("photo", 1.5), ("painted", 0.25))
        for kind in ("style_error", "content_error")
    }
    said = card(recipe(), metrics, 1234, start)
    rows = ("| photo | 1.500 | 1.500 |", "| painted | 0.250 | 0.250 |")
    for part in ("`great-wave`", "1,234 photos", "width 0.125", "MIT", text, *rows):
        assert part in said


def test_a_network_for_one_style_has_no_rows(pictures: Path, machine: Runtime) -> None:
    module = task_of(pictures, machine).module
    assert isinstance(module, Transformer) and module.row_size == 0
