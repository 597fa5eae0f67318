"""The prediction of rows: what it looks at, what the photo with itself wants, and learning."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.config import validate
from impasto.errors import BadInput, MissingWeights, UnknownName
from impasto.media.image import write
from impasto.moments import TapMoments, moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.painters import AnyStyle
from impasto.networks.predictors import described
from impasto.runtime import Runtime
from impasto.style import looks
from impasto.training.decoders import PIXEL_VARIANCE
from impasto.training.ghiasi import GhiasiRecipe, GhiasiTask, card, joined
from impasto.training.loop import train

SETTINGS = {
    "kind": "ghiasi",
    "size": 32,
    "width": 0.125,
    "stages": [{"until": 100, "size": 32, "batch": 3, "judge": "compact"}],
    "schedule": {"steps": 4, "lr": 1e-2, "warmup": 2, "log_every": 1, "sheet_minutes": 0},
}

NAMES = {"variation", "content/relu3_1", "content/relu4_1", "identity", "consistency"} | {
    f"style/{tap}" for tap in TAPS
}

pytestmark = pytest.mark.usefixtures("compact")


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Black photos and white paintings, which look alike in other colours and other crops."""
    for name, light in (("photos", 0.0), ("paintings", 1.0)):
        (tmp_path / "night" / name).mkdir(parents=True)
        for number in range(2):
            picture = torch.full((1, 3, 40, 40), light)
            write(picture, tmp_path / "night" / name / f"{number}.png")
    return tmp_path / "night"


def recipe(**changes: object) -> GhiasiRecipe:
    return validate(GhiasiRecipe, SETTINGS | changes)


def task_of(data: Path, machine: Runtime, **changes: object) -> GhiasiTask:
    return GhiasiTask(recipe(**changes), data, data, machine)


class Oracle(nn.Module):
    """Returns pictures of so much light; remembers what it was asked."""

    def __init__(self, *light: int) -> None:
        super().__init__()
        self.light = torch.tensor(light).float().reshape(-1, 1, 1, 1)

    def predictor(self, looks: TapMoments | Tensor) -> Tensor:
        self.looks = looks
        return torch.empty(0)

    def head(self, embedding: Tensor) -> Tensor:
        return embedding

    def network(self, image: Tensor, rows: Tensor) -> Tensor:
        return self.light.expand_as(image)


# --- losses ---


def test_every_error_is_there_and_learns(pictures: Path, machine: Runtime) -> None:
    """Network, prediction and head have gradients; the encoder has none."""
    task = task_of(pictures, machine)
    losses = task.losses(0)
    assert losses.keys() == NAMES
    assert all(loss.isfinite() and loss > 0 and loss.ndim == 0 for loss in losses.values())
    torch.stack([*losses.values()]).sum().backward()
    for part in (task.module.network, task.module.predictor, task.module.head):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.module.parameters())
    assert all(p.grad is None for p in task.encoder.parameters())


def test_the_first_photo_is_its_own_style(night: Path, encoder: Encoder, machine: Runtime) -> None:
    """Black for the first and white for the others is what all of them ask for."""
    task = task_of(night, machine)
    task.module = oracle = Oracle(0, 1, 1)  # type: ignore[assignment]
    losses = task.losses(0)
    assert losses["identity"] == losses["variation"] == 0
    assert all(losses[f"style/{tap}"] < 1e-6 for tap in TAPS)
    assert losses["content/relu4_1"] > 0
    expected = looks(encoder, oracle.light.expand(-1, 3, 32, 32))
    assert not isinstance(oracle.looks, Tensor)
    for tap in TAPS:
        torch.testing.assert_close(oracle.looks[tap].mean, expected[tap].mean)
        torch.testing.assert_close(oracle.looks[tap].second, expected[tap].second)


def test_only_the_first_photo_has_to_come_back(night: Path, machine: Runtime) -> None:
    """White for black is an error of 1 in every pixel, counted in one of three."""
    task = task_of(night, machine, identity=6.0)
    task.module = Oracle(1, 1, 1)  # type: ignore[assignment]
    assert task.losses(0)["identity"].item() == pytest.approx(6 / PIXEL_VARIANCE / 3)
    task.module = Oracle(0, 1, 0)  # type: ignore[assignment]
    assert task.losses(0)["identity"] == 0


def test_consistency_is_added_and_changes_nothing_else(pictures: Path, machine: Runtime) -> None:
    """Without it the losses are the very same numbers."""
    losses = []
    for weight in (0, 0.5):
        torch.manual_seed(0)
        losses.append(task_of(pictures, machine, consistency=weight).losses(0))
    assert losses[1].keys() - losses[0].keys() == {"consistency"}
    assert all(losses[0][name] == losses[1][name] for name in losses[0])


def test_a_photo_that_comes_back_may_bring_its_grain(pictures: Path, machine: Runtime) -> None:
    """Consistency is asked of the others: here only the first paints anything but grey."""

    class First(Oracle):
        def network(self, image: Tensor, rows: Tensor) -> Tensor:
            return 0.5 + self.light * (image - 0.5)

    found = []
    for light in ((1, 0, 0), (0, 1, 0)):
        task = task_of(pictures, machine)
        task.module = First(*light)  # type: ignore[assignment]
        found.append(float(task.losses(0)["consistency"]))
    assert found[0] < 1e-5 < found[1]


def test_losses_are_a_function_of_the_step(pictures: Path, machine: Runtime) -> None:
    """The loop seeds torch for every step: colours of paintings are changed by it."""
    task, seen = task_of(pictures, machine), []
    for step in (0, 1, 0):
        torch.manual_seed(step)
        seen.append(task.losses(step))
    assert seen[0] == seen[2] != seen[1]


# --- what the prediction looks at ---


def test_inputs_are_in_units_of_many_paintings(pictures: Path, machine: Runtime) -> None:
    """Paintings of the batches lie about the centre, a few spreads away at the most."""
    task = task_of(pictures, machine)
    predictor = task.module.predictor
    paintings = torch.cat([task.styles.at(number) for number in range(10)])
    values = described(looks(task.encoder, paintings)) - predictor.centre
    units = values / predictor.spread
    assert (predictor.spread > 0).all()
    assert units.mean(0).abs().median() < 0.7
    assert 0.4 < units.std(0).median() < 1.6


def test_the_seed_decides_where_it_begins(pictures: Path, machine: Runtime) -> None:
    """Measured inputs included, so that a resumed run looks through the same glasses."""
    one, again = (task_of(pictures, machine).module.state_dict() for _ in range(2))
    assert all(torch.equal(one[key], again[key]) for key in one)


def test_looks_of_a_batch_are_those_of_its_pictures(encoder: Encoder, painting: Tensor) -> None:
    paintings = torch.cat([painting, painting.flip(1)])
    together, apart = looks(encoder, paintings), [looks(encoder, p[None]) for p in paintings]
    for tap, m in joined(apart).items():
        torch.testing.assert_close(m.mean, together[tap].mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(m.second, together[tap].second, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(m.mean, moments(encoder(paintings)[tap]).mean)
        assert not m.mean.requires_grad


def test_paintings_are_trained_on_that_are_not_held_out(pictures: Path, machine: Runtime) -> None:
    task = task_of(pictures, machine)
    assert [str(path) for path in task.paintings] == [str(pictures / "paintings" / "1.png")]
    assert [str(path) for path in task.photos] == [str(pictures / "photos" / "1.png")]


def test_the_predictor_of_the_paper_sees_pixels(pictures: Path, machine: Runtime) -> None:
    """The photo itself and the paintings; all of it learns, its first filters included."""
    task = task_of(pictures, machine, predictor="inception")
    oracle = Oracle(0, 1, 1)
    learner, task.module = task.module, oracle  # type: ignore[assignment]
    task.losses(0)
    assert isinstance(oracle.looks, Tensor) and oracle.looks.shape == (3, 3, 32, 32)
    assert torch.equal(oracle.looks[0], task.batches.at(0)[0])
    task.module = learner
    losses = task.losses(0)
    assert losses.keys() == NAMES
    torch.stack([*losses.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())


def test_the_predictor_of_the_paper_sees_crops_of_any_size(
    pictures: Path, machine: Runtime
) -> None:
    """Photos are as large as the stage says, paintings as the recipe says."""
    task = task_of(pictures, machine, predictor="inception", size=48)
    assert task.losses(0).keys() == NAMES


# --- learning ---


def total(task: GhiasiTask) -> float:
    """Of some batches that it has not learned from."""
    torch.manual_seed(0)
    with torch.no_grad():
        return float(sum(sum(task.losses(number).values()) for number in range(100, 104)))


def test_both_networks_learn(pictures: Path, tmp_path: Path, machine: Runtime) -> None:
    schedule = SETTINGS["schedule"] | {"steps": 25}
    task = task_of(pictures, machine, schedule=schedule)
    before, first = total(task), {k: t.clone() for k, t in task.module.state_dict().items()}
    painter = train(task, recipe(schedule=schedule).schedule, tmp_path / "run", machine)
    task.module.load_state_dict(painter.state_dict())
    assert total(task) < 0.7 * before
    after = painter.state_dict()
    for key in ("predictor.centre", "predictor.spread", "head.neutral"):
        assert torch.equal(after[key], first[key])
    for key in ("predictor.hidden.weight", "head.linear.weight", "network.convs.out.weight"):
        assert not torch.equal(after[key], first[key])


def test_samples_are_photos_in_the_style_of_paintings(pictures: Path, machine: Runtime) -> None:
    """The photo, then the same five rows for each."""
    task, rows = task_of(pictures, machine), list[Tensor]()

    class Grey(AnyStyle):
        def paint(self, image: Tensor, row: Tensor) -> Tensor:
            rows.append(row)
            return torch.full_like(image, 0.5)

    sheet = task.samples(Grey(task.module.predictor, 0.125)).unflatten(0, (4, 6))
    assert sheet.shape == (4, 6, 3, 256, 256)
    assert (sheet[:, 0].flatten(1).std(1) > 0.05).all()
    assert (sheet[:, 1:] == 0.5).all()
    assert len(rows) == 5 and all(row.shape == rows[0].shape for row in rows)


# --- bad input ---


def test_what_is_missing_is_named(pictures: Path, machine: Runtime) -> None:
    with pytest.raises(BadInput, match=r"No folder '.*none/photos'"):
        task_of(pictures / "none", machine)
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        task_of(pictures, machine, encoder="vgg19")
    (pictures / "paintings" / "0.png").unlink()
    with pytest.raises(BadInput, match="One picture"):
        task_of(pictures, machine)
    (pictures / "paintings" / "1.png").unlink()
    with pytest.raises(BadInput, match=r"No pictures in '.*paintings'"):
        task_of(pictures, machine)


def test_broken_files_are_counted(pictures: Path, machine: Runtime) -> None:
    broken = {pictures / "paintings" / "2.png", pictures / "photos" / "2.png"}
    for path in broken:
        path.write_bytes(b"no picture")
    task = task_of(pictures, machine)
    for number in range(4):
        task.losses(number)
    assert task.unreadable == set(map(str, broken))


@pytest.mark.parametrize("change", [{"size": 31}, {"closest": 0}, {"closest": 1.1}])
def test_recipes_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=next(iter(change))):
        recipe(**change)


def test_a_batch_needs_a_painting_beside_the_photo_alone() -> None:
    with pytest.raises(BadInput, match="batch"):
        recipe(stages=[{"until": 9, "size": 32, "batch": 1}])


def test_a_key_that_is_misspelt() -> None:
    with pytest.raises(UnknownName, match=r"'closer'.*Did you mean 'closest'"):
        recipe(closer=1)


def test_the_card_says_what_it_is() -> None:
    metrics = {
        f"{column}/{kind}": value
        for column, value in (("photo", 1.5), ("painted", 0.25))
        for kind in ("style_error", "content_error")
    }
    text = " ".join(card(recipe(), metrics, 1234, 56).split())
    rows = ("| photo | 1.500 | 1.500 |", "| painted | 0.250 | 0.250 |")
    parts = ("`compact`", "1,234 photos and 56 paintings", "width 0.125", "MIT", *rows)
    for part in parts:
        assert part in text
    assert "Inception-v3" in card(recipe(predictor="inception"), metrics, 1, 1)
