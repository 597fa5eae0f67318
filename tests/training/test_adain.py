"""The decoder of AdaIN: what it is told, through whose eyes, and that it learns it."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto import weights
from impasto.config import validate
from impasto.errors import BadInput, MissingWeights
from impasto.media.image import write
from impasto.moments import mean_std
from impasto.networks import encoders
from impasto.networks.encoders import TAPS, Encoder, Shape
from impasto.runtime import Runtime
from impasto.training import teachers
from impasto.training.adain import (
    TAP,
    AdainRecipe,
    AdainTask,
    card,
    mapped,
    recolored,
    style_distance,
)
from impasto.training.batches import crops
from impasto.training.data import held_out
from impasto.training.decoders import PIXEL_VARIANCE, solved
from impasto.training.loop import Progress, train

SETTINGS = {
    "kind": "adain",
    "judge": "encoder",
    "stages": [{"until": 100, "size": 32, "batch": 4}],
    "schedule": {"steps": 6, "lr": 1e-2, "warmup": 2, "log_every": 1},
}

STYLES = {f"style/{tap}" for tap in TAPS[:4]}


@pytest.fixture(autouse=True)
def _compact(encoder: Encoder, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny encoder stands in for the compact one."""
    monkeypatch.setitem(encoders.SHAPES, "compact", encoder.shape)
    path = home / weights.file_name("encoder", "compact")
    weights.write(path, encoder.state_dict(), weights.Header("encoder", "compact"))


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two small teachers of random weights."""
    exact, slim = Shape((5, 6, 7), (2, 2, 1)), Shape((4, 4, 6, 6, 6), (1,) * 5)
    monkeypatch.setattr(teachers, "EXACT", exact)
    monkeypatch.setattr(teachers, "SLIM", slim)
    state = flat_state(Encoder(slim))
    for block, channels in enumerate(slim.channels, 1):
        state[f"conv{block}1_aux.weight"] = torch.randn(9, channels, 1, 1)
        state[f"conv{block}1_aux.bias"] = torch.randn(9)
    save_file(state, tmp_path / teachers.SLIM_FILE)
    save_file(flat_state(Encoder(exact)), tmp_path / teachers.EXACT_FILE)
    return tmp_path


def flat_state(encoder: Encoder) -> dict[str, Tensor]:
    """Keys as the teachers' files have them: ``conv11.weight``."""
    return {
        key.replace("convs.", "conv").replace("_", ""): value.clone()
        for key, value in encoder.state_dict().items()
    }


def store(folder: Path, photo: Tensor, painting: Tensor) -> Path:
    """Photos and paintings, one each to train on; the first of a folder is held out."""
    for name, picture in (("photos", photo), ("paintings", painting)):
        (folder / name).mkdir(parents=True)
        write(picture.flip(2), folder / name / "0.png")
        write(picture, folder / name / "1.png")
    return folder


@pytest.fixture
def data(tmp_path: Path, photo: Tensor, painting: Tensor) -> Path:
    return store(tmp_path / "data", photo, painting)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Black photos and white paintings, which look alike in other colours and other crops."""
    return store(tmp_path / "night", torch.zeros(1, 3, 40, 40), torch.ones(1, 3, 40, 40))


def recipe(**changes: object) -> AdainRecipe:
    return validate(AdainRecipe, SETTINGS | changes)


def task_of(data: Path, machine: Runtime, **changes: object) -> AdainTask:
    return AdainTask(recipe(**changes), data, data, machine)


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# --- losses ---


@pytest.mark.parametrize("judge", ["encoder", "teacher"])
def test_content_style_and_reconstruction(
    data: Path, teacher: Path, machine: Runtime, judge: str
) -> None:
    """Finite, and gradients for every weight of the decoder and for nothing else."""
    task = AdainTask(recipe(judge=judge), data, teacher, machine)
    losses = task.losses(0)
    assert losses.keys() == {"content", "reconstruction"} | STYLES
    assert all(loss.isfinite() and loss > 0 and loss.ndim == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.module.parameters())
    others = [task.encoder, task.finish] + ([task.teachers] if task.teachers else [])
    assert all(p.grad is None for network in others for p in network.parameters())


@pytest.mark.parametrize("name", ["content", "style", "reconstruction"])
@pytest.mark.parametrize("judge", ["encoder", "teacher"])
def test_every_loss_alone_teaches(
    data: Path, teacher: Path, machine: Runtime, judge: str, name: str
) -> None:
    """A loss that has lost its way back to the decoder would go unnoticed beside the others."""
    task = AdainTask(recipe(judge=judge), data, teacher, machine)
    chosen = [loss for key, loss in task.losses(0).items() if key.startswith(name)]
    for loss in chosen:
        gradients = torch.autograd.grad(loss, list(task.module.parameters()), retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("name", ["content", "style", "reconstruction"])
def test_losses_are_weighted(data: Path, machine: Runtime, name: str) -> None:
    once, twice, never = (
        task_of(data, machine, **{name: weight}).losses(2) for weight in (1.0, 2.0, 0.0)
    )
    for key, loss in once.items():
        changed = key.startswith(name)
        torch.testing.assert_close(twice[key], loss * (2 if changed else 1))
        assert never[key] == (0 if changed else loss)


def test_losses_are_a_function_of_the_step(data: Path, machine: Runtime) -> None:
    """The loop seeds torch for every step: colours are changed by it."""
    task, seen = task_of(data, machine), []
    for step in (0, 1, 0):
        torch.manual_seed(step)
        seen.append(task.losses(step))
    assert seen[0] == seen[2]
    assert seen[0]["content"] != seen[1]["content"]


class Oracle(nn.Module):
    """Returns what it was given; remembers what it was asked."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture, self.target = picture, torch.empty(0)

    def forward(self, target: Tensor, size: tuple[int, int]) -> Tensor:
        self.target = target
        return self.picture.expand(-1, -1, *size)


def dawn(black: int, white: int) -> Tensor:
    """A batch of so many black and so many white pictures."""
    return torch.tensor([0.0] * black + [1.0] * white).reshape(-1, 1, 1, 1).expand(-1, 3, 1, 1)


@pytest.mark.parametrize(("batch", "alone"), [(8, 2), (4, 1), (3, 1)])
def test_a_quarter_of_the_pairs_is_a_photo_with_itself(
    night: Path, encoder: Encoder, machine: Runtime, batch: int, alone: int
) -> None:
    """Their target are the photo's own features; that of the others, the painting's."""
    task = task_of(night, machine, stages=[{"until": 1, "size": 32, "batch": batch}])
    oracle = Oracle(dawn(alone, batch - alone))
    task.module = oracle  # type: ignore[assignment]
    losses = task.losses(0)
    features = encoder(oracle.picture.expand(-1, -1, 32, 32), (TAP,))[TAP]
    torch.testing.assert_close(oracle.target, features, rtol=1e-3, atol=1e-3)
    assert all(loss < 1e-4 for loss in losses.values())


def test_a_photo_that_does_not_come_back(night: Path, machine: Runtime) -> None:
    """White for black is an error of 1 in every pixel, in the first of four pairs only."""
    task = task_of(night, machine, reconstruction=5.0)
    task.module = Oracle(dawn(0, 4))  # type: ignore[assignment]
    losses = task.losses(0)
    assert losses["reconstruction"].item() == pytest.approx(5 / PIXEL_VARIANCE)
    task.module = Oracle(dawn(1, 3).flip(0))  # type: ignore[assignment]
    assert task.losses(0)["content"] > losses["content"] > 0


@pytest.mark.parametrize("step", [0, 1])
def test_the_finish_has_no_part_in_the_training(data: Path, machine: Runtime, step: int) -> None:
    """Judged after it, the decoder would leave all surfaces to the finish."""
    task, other = task_of(data, machine), task_of(data, machine)
    for weight in other.finish.parameters():
        weight.zero_()
    torch.manual_seed(0)
    losses = task.losses(step)
    torch.manual_seed(0)
    assert other.losses(step) == losses


def test_the_finish_is_solved(data: Path, machine: Runtime) -> None:
    """On the first photos, so that a resumed run has the same."""
    task = task_of(data, machine)
    photos = crops(task.photos, task.recipe, 0, machine, task.recipe.schedule.seed)
    assert same(task.finish, solved(task.encoder, photos))


def test_several_processes_recolour_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each its own pictures, with its own part of what is drawn for all."""
    images = torch.rand(8, 3, 4, 4)
    torch.manual_seed(3)
    whole = recolored(images)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, part in enumerate(images.chunk(2)):
        monkeypatch.setenv("RANK", str(rank))
        torch.manual_seed(3)
        assert torch.equal(recolored(part), whole[4 * rank : 4 * rank + 4])


def test_workers_change_nothing(data: Path, machine: Runtime) -> None:
    """Not even the colours, which are drawn beside them."""
    seen = []
    for workers in (0, 1):
        schedule = SETTINGS["schedule"] | {"workers": workers}
        task = task_of(data, machine, schedule=schedule)
        torch.manual_seed(4)
        seen.append(task.losses(0))
    assert seen[0] == seen[1]


def test_broken_files_are_counted(data: Path, machine: Runtime) -> None:
    (data / "paintings" / "2.png").write_bytes(b"no picture")
    task = task_of(data, machine)
    for number in range(6):
        task.losses(number)
    assert task.unreadable == {str(data / "paintings" / "2.png")}


def test_samples_are_photos_in_the_style_of_paintings(
    night: Path, encoder: Encoder, machine: Runtime
) -> None:
    """Photos above, paintings to the left; black photos are to look like white paintings."""
    task = task_of(night, machine)
    oracle = Oracle(torch.ones(9, 3, 1, 1))
    images = task.samples(oracle).unflatten(0, (4, 4))
    assert images.shape[2:] == (3, 128, 128)
    assert (images[0, 1:] == 0).all() and (images[1:, 0] == 1).all()
    wanted = encoder(torch.ones(1, 3, 128, 128), (TAP,))[TAP].expand(9, -1, -1, -1)
    torch.testing.assert_close(oracle.target, wanted, rtol=1e-3, atol=1e-3)


def test_a_batch_of_one(data: Path, machine: Runtime) -> None:
    """The least that a recipe may ask for: the photo with itself."""
    losses = task_of(data, machine, stages=[{"until": 1, "size": 32, "batch": 1}]).losses(0)
    assert all(loss.isfinite() for loss in losses.values())


def test_what_is_measured_on_is_not_trained_on(data: Path, machine: Runtime) -> None:
    task = task_of(data, machine)
    assert [path.name for path in (*task.photos, *task.paintings)] == ["1.png", "1.png"]
    assert not set(task.photos) & set(held_out(data / "photos"))


def test_what_is_missing_is_named(data: Path, machine: Runtime) -> None:
    with pytest.raises(BadInput, match=r"No folder '.*none/photos'"):
        task_of(data / "none", machine)
    with pytest.raises(MissingWeights, match="--teacher"):
        task_of(data, machine, judge="teacher")
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        task_of(data, machine, encoder="vgg19")


@pytest.mark.parametrize("change", [{"style": -1}, {"judge": "nobody"}, {"contents": 1}])
def test_recipes_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        recipe(**change)


# --- statistics ---


@given(size=st.integers(1, 6), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_mapped_statistics_are_those_of_the_mapped_features(size: int, seed: int) -> None:
    """Without the many channels of VGG-19 in every position."""
    torch.manual_seed(seed)
    features, maps = torch.randn(2, 5, size, size) + 0.5, nn.Conv2d(5, 9, 1)
    for got, wanted in zip(mapped(features, maps), mean_std(maps(features)), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)


def test_mapped_statistics_have_gradients_where_nothing_varies() -> None:
    """The root of a variance that rounding has made negative would stop the training."""
    features = torch.full((1, 5, 4, 4), 7.0, requires_grad=True)
    mean, std = mapped(features, nn.Conv2d(5, 9, 1))
    (gradient,) = torch.autograd.grad(mean.sum() + std.sum(), features)
    assert gradient.isfinite().all()
    assert (std < 0.1).all()


def test_style_distance_by_hand() -> None:
    """Squares are summed over channels and averaged over pictures; both parts count."""
    mean, std = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.0], [3.0, 1.0]])
    assert style_distance((mean, std), (mean, std)) == 0
    assert style_distance((mean, std), (torch.zeros(2, 2), std)).item() == 2.5
    assert style_distance((mean, std), (mean, torch.ones(2, 2))).item() == 2
    assert style_distance((mean, std), (torch.zeros(2, 2), torch.ones(2, 2))).item() == 4.5


# --- colours ---


@given(batch=st.integers(1, 5), size=st.integers(1, 9), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_recoloured_pictures_are_pictures(batch: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(batch, 3, size, size + 1)
    before = images.clone()
    other = recolored(images)
    assert other.shape == images.shape
    assert other.dtype == torch.float32
    assert 0 <= other.min() <= other.max() <= 1
    assert torch.equal(images, before)


def test_half_of_the_pictures_are_recoloured() -> None:
    images = torch.rand(400, 3, 4, 4)
    changed = (recolored(images) != images).flatten(1).any(1).float().mean().item()
    assert 0.35 < changed < 0.6


def test_only_colours_change() -> None:
    """Light stays light and dark stays dark in each channel: strokes are what they were."""
    ramp = (
        torch.linspace(0, 1, 50).expand(40, 3, 1, 50) * torch.tensor([1, 0.5, 0.2])[:, None, None]
    )
    assert (recolored(ramp).diff(dim=3) > 0).all()


# --- learning ---


def test_the_decoder_learns(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """On the crops of one photo and one painting."""
    plan = recipe(schedule=SETTINGS["schedule"] | {"steps": 60})
    task = AdainTask(plan, data, data, machine)

    def total() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(sum(sum(task.losses(step).values()) for step in range(100, 104)))

    before = total()
    decoder = train(task, plan.schedule, tmp_path / "run", machine)
    task.module.load_state_dict(decoder.state_dict())
    assert total() < 0.5 * before


class Stop(Exception):
    """Somebody pulls the plug."""


def test_a_resumed_run_is_the_unbroken_one(data: Path, tmp_path: Path, machine: Runtime) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise Stop

    schedule = recipe().schedule
    whole = train(task_of(data, machine), schedule, tmp_path / "a", machine)
    with pytest.raises(Stop):
        train(task_of(data, machine), schedule, tmp_path / "b", machine, stop)
    torch.manual_seed(999)  # another process has other random numbers
    resumed = train(task_of(data, machine), schedule, tmp_path / "b", machine)
    assert same(whole, resumed)


def test_the_card_says_what_it_is() -> None:
    metrics = {
        f"{column}/{kind}": value
        for column, value in (("photo", 1.5), ("painted", 0.25))
        for kind in ("style_error", "content_error")
    }
    text = card(recipe(), metrics, 1234, 56)
    rows = ("| photo | 1.500 | 1.500 |", "| painted | 0.250 | 0.250 |")
    for part in ("`compact`", "1,234 photos", "56 paintings", "MIT", *rows):
        assert part in text
