"""The network of many styles: who paints in which style, what the identity wants, and learning."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto.config import validate
from impasto.errors import BadInput, BadPicture, UnknownName
from impasto.losses import gram_error
from impasto.media.image import write
from impasto.networks.painters import ManyStyles
from impasto.runtime import Runtime
from impasto.training import distributed, dumoulin
from impasto.training.dumoulin import DumoulinRecipe, DumoulinTask, card, drawn
from impasto.training.loop import Progress, train
from impasto.training.perceptual import rebuilt, stacked

STYLES = ["starry-night", "great-wave"]

SETTINGS = {
    "kind": "dumoulin",
    "styles": STYLES,
    "size": 64,
    "width": 0.125,
    "stages": [{"until": 100, "size": 32, "batch": 3, "judge": "compact"}],
    "schedule": {"steps": 4, "lr": 1e-2, "warmup": 2, "log_every": 1, "sheet_minutes": 0},
}

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

NAMES = {"variation", "content/relu3_1", "content/relu4_1", "identity", "consistency"} | {
    f"style/{tap}" for tap in TAPS
}

pytestmark = pytest.mark.usefixtures("compact")


def recipe(**changes: object) -> DumoulinRecipe:
    return validate(DumoulinRecipe, SETTINGS | changes)


def task_of(pictures: Path, machine: Runtime, **changes: object) -> DumoulinTask:
    return DumoulinTask(recipe(**changes), pictures, pictures, machine)


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


class Oracle(nn.Module):
    """Returns the photo, or white; remembers what it was asked."""

    def __init__(self, white: bool = False) -> None:
        super().__init__()
        self.white = white
        self.labels: list[int] = []

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        self.photos, self.labels = image, labels.tolist()
        return torch.ones_like(image) if self.white else image


# --- who paints what ---


@given(kinds=st.integers(1, 9), count=st.integers(1, 40), seed=st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_every_style_comes_before_one_comes_again(kinds: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    labels = drawn(kinds, count).tolist()
    assert len(labels) == count
    for start in range(0, count, kinds):
        part = labels[start : start + kinds]
        assert len(set(part)) == len(part) and set(part) <= set(range(kinds))


def test_the_order_is_drawn_anew() -> None:
    assert len({tuple(drawn(5, 5).tolist()) for _ in range(20)}) > 10


def test_a_batch_has_all_styles_and_the_identity(pictures: Path, machine: Runtime) -> None:
    task = task_of(pictures, machine)
    task.module = oracle = Oracle()  # type: ignore[assignment]
    seen = []
    for number in range(6):
        task.losses(number)
        seen.append(oracle.labels)
    assert all(sorted(labels) == [0, 1, 2] for labels in seen)
    assert len(set(map(tuple, seen))) > 1


def test_several_processes_share_the_labels(
    pictures: Path, machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes with batches of one paint each of the three once."""
    stages = [{"until": 9, "size": 32, "batch": 1, "judge": "compact"}]
    task = task_of(pictures, machine, stages=stages)
    task.module = oracle = Oracle()  # type: ignore[assignment]
    monkeypatch.setenv("WORLD_SIZE", "3")
    seen = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        assert distributed.rank() == rank
        torch.manual_seed(7)
        task.losses(0)
        seen += oracle.labels
    assert sorted(seen) == [0, 1, 2]


# --- losses ---


def test_every_error_is_there_and_learns(pictures: Path, machine: Runtime) -> None:
    """All weights have gradients, and the rows of all that were painted."""
    task = task_of(pictures, machine)
    task.module.rows.data += 0.1 * torch.randn_like(task.module.rows)
    losses = task.losses(0)
    assert losses.keys() == NAMES
    assert all(loss.isfinite() and loss > 0 and loss.ndim == 0 for loss in losses.values())
    torch.stack([*losses.values()]).sum().backward()
    for name, weight in task.module.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
    assert task.module.rows.grad is not None
    assert (task.module.rows.grad.abs().sum(1) > 0).all()


def test_a_style_that_was_not_painted_does_not_learn(pictures: Path, machine: Runtime) -> None:
    stages = [{"until": 9, "size": 32, "batch": 1, "judge": "compact"}]
    task = task_of(pictures, machine, stages=stages)
    torch.stack([*task.losses(0).values()]).sum().backward()
    assert task.module.rows.grad is not None
    assert (task.module.rows.grad.abs().sum(1) > 0).sum() == 1


def test_the_identity_wants_the_photos_own_style(pictures: Path, machine: Runtime) -> None:
    """A photo given back is right for the identity, and wrong by its style for the others."""
    task = task_of(pictures, machine, consistency=0)
    task.module = oracle = Oracle()  # type: ignore[assignment]
    losses = task.losses(0)
    assert losses["identity"] == losses["content/relu3_1"] == losses["content/relu4_1"] == 0
    critic, wanted = task.critics.at(0), task.wanted["compact"]
    own = critic.grams(oracle.photos)
    for tap in TAPS:
        expected = [
            0.0
            if label == 2
            else float(gram_error(own[tap][i : i + 1], wanted[tap][label : label + 1]))
            for i, label in enumerate(oracle.labels)
        ]
        assert losses[f"style/{tap}"].item() == pytest.approx(12 * sum(expected) / 3, rel=1e-3)


def test_the_wanted_grams_stay_as_they_are(pictures: Path, machine: Runtime) -> None:
    """The photo's own take their place in one batch only."""
    task = task_of(pictures, machine)
    before = {tap: g.clone() for tap, g in task.wanted["compact"].items()}
    for number in range(3):
        task.losses(number)
    assert all(torch.equal(task.wanted["compact"][tap], g) for tap, g in before.items())


def test_only_the_identity_has_to_give_the_photo_back(pictures: Path, machine: Runtime) -> None:
    task = task_of(pictures, machine, identity=3.0, consistency=0)
    task.module = oracle = Oracle(white=True)  # type: ignore[assignment]
    identity = task.losses(0)["identity"]
    errors = rebuilt(torch.ones_like(oracle.photos), oracle.photos)
    expected = 3 * errors[oracle.labels.index(2)] / 3
    torch.testing.assert_close(identity, expected)


def test_consistency_is_added_and_changes_nothing_else(pictures: Path, machine: Runtime) -> None:
    """Without it the losses are the very same numbers."""
    losses = []
    for weight in (0, 0.5):
        torch.manual_seed(0)
        losses.append(task_of(pictures, machine, consistency=weight).losses(0))
    assert losses[1].keys() - losses[0].keys() == {"consistency"}
    assert all(losses[0][name] == losses[1][name] for name in losses[0])


def test_a_photo_that_comes_back_may_bring_its_grain(
    pictures: Path, machine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consistency is asked of styles only."""
    found = []
    for label in (0, 2):
        task = task_of(pictures, machine)
        task.module = Oracle()  # type: ignore[assignment]
        monkeypatch.setattr(dumoulin, "drawn", lambda _, n, s=label: torch.full((n,), s))
        found.append(float(task.losses(0)["consistency"]))
    assert found[0] > 0 and found[1] == 0


def test_losses_are_a_function_of_the_step(pictures: Path, machine: Runtime) -> None:
    """The loop seeds torch for every step: labels are drawn with it."""
    task, seen = task_of(pictures, machine), []
    for step in (0, 1, 0):
        torch.manual_seed(step)
        seen.append(task.losses(step))
    assert seen[0] == seen[2] != seen[1]


def test_paintings_are_wanted_in_the_order_of_the_recipe(pictures: Path, machine: Runtime) -> None:
    one = task_of(pictures, machine).wanted["compact"]
    other = task_of(pictures, machine, styles=STYLES[::-1]).wanted["compact"]
    for tap in TAPS:
        torch.testing.assert_close(one[tap], other[tap].flip(0))
        assert not torch.allclose(one[tap][0], one[tap][1], rtol=1e-3)


def test_joined_grams() -> None:
    parts = [{"a": torch.full((1, 2, 2), float(n))} for n in range(3)]
    assert stacked(parts)["a"][:, 0, 0].tolist() == [0, 1, 2]


# --- learning ---


def total(task: DumoulinTask) -> float:
    """Of some batches that it has not learned from."""
    torch.manual_seed(0)
    with torch.no_grad():
        return float(sum(sum(task.losses(number).values()) for number in range(100, 104)))


def test_the_network_learns(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    schedule = SETTINGS["schedule"] | {"steps": 30}
    plan = recipe(schedule=schedule)
    task = task_of(pictures, machine, schedule=schedule)
    before = total(task)
    painter = train(task, plan.schedule, tmp_path / "run", machine)
    task.module.load_state_dict(painter.state_dict())
    assert total(task) < 0.7 * before
    assert not torch.allclose(painter.rows[0], painter.rows[1])


class Stop(Exception):
    """Somebody pulls the plug."""


def test_a_resumed_run_is_the_unbroken_one(
    pictures: Path, tmp_path: Path, machine: Runtime
) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise Stop

    schedule = recipe().schedule
    whole = train(task_of(pictures, machine), schedule, tmp_path / "a", machine)
    with pytest.raises(Stop):
        train(task_of(pictures, machine), schedule, tmp_path / "b", machine, stop)
    torch.manual_seed(999)  # another process has other random numbers
    resumed = train(task_of(pictures, machine), schedule, tmp_path / "b", machine)
    assert same(whole, resumed)
    assert not same(whole, task_of(pictures, machine).module)


def test_the_seed_decides_where_it_begins(pictures: Path, machine: Runtime) -> None:
    one, again, other = (
        task_of(pictures, machine, schedule=SETTINGS["schedule"] | {"seed": seed}).module
        for seed in (0, 0, 1)
    )
    assert same(one, again) and not same(one, other)


def test_a_checkpoint_of_other_styles(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    """It says which weights differ."""
    schedule = recipe().schedule
    train(task_of(pictures, machine), schedule, tmp_path, machine)
    with pytest.raises(BadInput, match=r"another network.*rows"):
        train(task_of(pictures, machine, styles=STYLES[:1]), schedule, tmp_path, machine)


def test_samples_are_photos_in_some_of_the_styles(pictures: Path, machine: Runtime) -> None:
    """The photo, then five rows from the first style to the identity."""

    class Numbers(ManyStyles):
        def paint(self, image: Tensor, row: Tensor) -> Tensor:
            return torch.full_like(image, float(row[0]))

    module = Numbers(2, 0.125)
    module.rows.data[:, 0] = torch.tensor([0.25, 0.5, 0.75])
    sheet = task_of(pictures, machine).samples(module).unflatten(0, (4, 6))
    assert sheet.shape == (4, 6, 3, 256, 256)
    assert (sheet[:, 0].flatten(1).std(1) > 0.05).all()
    assert sheet[0, 1:, 0, 0, 0].tolist() == [0.25, 0.25, 0.5, 0.5, 0.75]


# --- bad input ---


def test_a_painting_that_is_missing_is_named(pictures: Path, machine: Runtime) -> None:
    with pytest.raises(BadPicture, match=r"gallery/nobody\.jpg"):
        task_of(pictures, machine, styles=["starry-night", "nobody"])


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "empty" / "photos").mkdir(parents=True)
    return tmp_path / "empty"


def test_folders_without_photos(empty: Path, machine: Runtime) -> None:
    with pytest.raises(BadInput, match=r"No pictures in '.*photos'"):
        task_of(empty, machine)
    (empty / "photos" / "a.txt").write_text("no picture")
    with pytest.raises(BadInput, match=r"No pictures in '.*photos'"):
        task_of(empty, machine)
    with pytest.raises(BadInput, match=r"No folder '.*nowhere/photos'"):
        task_of(empty / "nowhere", machine)


def test_broken_photos_are_counted(pictures: Path, machine: Runtime) -> None:
    (pictures / "photos" / "2.png").write_bytes(b"no picture")
    task = task_of(pictures, machine)
    for number in range(3):
        task.losses(number)
    assert task.unreadable == {str(pictures / "photos" / "2.png")}


def test_a_painting_of_eight_pixels(pictures: Path, machine: Runtime) -> None:
    write(torch.rand(1, 3, 8, 8), pictures / "gallery" / "tiny.jpg")
    losses = task_of(pictures, machine, styles=["tiny"]).losses(0)
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("change", [{"styles": []}, {"size": 63}, {"identity": -1}])
def test_recipes_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=next(iter(change))):
        recipe(**change)


def test_a_key_that_is_misspelt() -> None:
    with pytest.raises(UnknownName, match=r"'identiti'.*Did you mean 'identity'"):
        recipe(identiti=1)


def test_the_card_says_what_it_is() -> None:
    metrics = {
        f"{column}/{kind}": value
        for column, value in (("photo", 1.5), ("painted", 0.25))
        for kind in ("style_error", "content_error")
    }
    text = card(recipe(), metrics, 1234)
    rows = ("| photo | 1.500 | 1.500 |", "| painted | 0.250 | 0.250 |")
    for part in ("2 styles", "starry-night, great-wave", "1,234 photos", "0.125", "MIT", *rows):
        assert part in text
