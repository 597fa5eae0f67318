"""The decoders of WCT: what they are told, in which style, and that they learn it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto import weights
from impasto.config import validate
from impasto.errors import BadInput, MissingWeights
from impasto.media.image import read, write
from impasto.moments import moments
from impasto.networks import encoders
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.training.batches import crops
from impasto.training.data import held_out
from impasto.training.decoders import pixel_error, solved
from impasto.training.loop import Progress, train
from impasto.training.wct import WctRecipe, WctTask, card, reconstruction, transferred

SETTINGS = {
    "kind": "wct",
    "stages": [{"until": 100, "size": 32, "batch": 2}],
    "schedule": {"steps": 6, "lr": 1e-2, "warmup": 2, "log_every": 1},
}

PARTS = {f"{tap}/{part}" for tap in TAPS[1:] for part in ("pixels", "features")}


@pytest.fixture(autouse=True)
def _compact(encoder: Encoder, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny encoder stands in for the compact one."""
    monkeypatch.setitem(encoders.SHAPES, "compact", encoder.shape)
    path = home / weights.file_name("encoder", "compact")
    weights.write(path, encoder.state_dict(), weights.Header("encoder", "compact"))


@pytest.fixture
def data(tmp_path: Path, photo: Tensor, painting: Tensor) -> Path:
    """Photos and paintings, one each to train on; the first of a folder is held out."""
    for name, picture in (("photos", photo), ("paintings", painting)):
        (tmp_path / name).mkdir()
        write(picture.flip(2), tmp_path / name / "0.png")
        write(picture, tmp_path / name / "1.png")
    return tmp_path


def recipe(**changes: object) -> WctRecipe:
    return validate(WctRecipe, SETTINGS | changes)


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# --- losses ---


def test_every_decoder_has_two_errors(data: Path, machine: Runtime) -> None:
    """The one of relu1_1 has none: there is nothing left to learn for it."""
    losses = WctTask(recipe(), data, machine).losses(0)
    assert losses.keys() == PARTS
    assert all(loss.isfinite() and loss > 0 and loss.ndim == 0 for loss in losses.values())


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_errors_of_features_are_weighted(data: Path, machine: Runtime, weight: float) -> None:
    plain, other = (WctTask(recipe(features=w), data, machine).losses(3) for w in (1.0, weight))
    for name, loss in plain.items():
        expected = loss * weight if name.endswith("features") else loss
        torch.testing.assert_close(other[name], expected)


def test_only_decoders_learn(data: Path, machine: Runtime) -> None:
    """All of them and nothing else: the encoder is what they have to follow."""
    task = WctTask(recipe(), data, machine)
    torch.stack(list(task.losses(0).values())).sum().backward()
    for tap in TAPS:
        for p in task.module[tap].parameters():
            learns = p.grad is not None and bool(p.grad.abs().sum() > 0)
            assert learns == p.requires_grad == (tap != "relu1_1")
    assert all(p.grad is None for p in task.encoder.parameters())


def test_losses_are_a_function_of_the_step(data: Path, machine: Runtime) -> None:
    task = WctTask(recipe(), data, machine)
    losses = [task.losses(step)["relu4_1/pixels"] for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]


def test_what_is_measured_on_is_not_trained_on(data: Path, machine: Runtime) -> None:
    task = WctTask(recipe(), data, machine)
    assert [path.name for path in task.paths] == ["1.png", "1.png"]
    assert not set(task.paths) & set(held_out(data / "photos") + held_out(data / "paintings"))


def test_pictures_have_to_be_there(data: Path, machine: Runtime) -> None:
    with pytest.raises(BadInput, match=r"No folder '.*none/photos'"):
        WctTask(recipe(), data / "none", machine)


def test_the_encoder_has_to_be_there(data: Path, machine: Runtime) -> None:
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        WctTask(recipe(encoder="vgg19"), data, machine)


def test_broken_files_are_counted(data: Path, machine: Runtime) -> None:
    (data / "photos" / "1.png").write_bytes(b"no picture")
    task = WctTask(recipe(), data, machine)
    for number in range(6):
        task.losses(number)
    assert task.unreadable == {str(data / "photos" / "1.png")}


# --- features in the style of others ---


def test_the_rest_of_a_batch_takes_the_style_of_the_others() -> None:
    """The third picture that of the first, the fourth that of the second; these two are kept."""
    features = torch.randn(4, 5, 12, 12) * torch.arange(1, 5).reshape(4, 1, 1, 1) + 2
    before = features.clone()
    mixed = transferred(features, 2)
    assert torch.equal(mixed[:2], features[:2]) and torch.equal(features, before)
    got, wanted = moments(mixed[2:]), moments(features[:2])
    torch.testing.assert_close(got.mean, wanted.mean, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(got.covariance(), wanted.covariance(), rtol=1e-2, atol=1e-2)
    assert (mixed[2:] - features[:2]).abs().mean() > 0.5  # the style, not the picture


@pytest.mark.parametrize("plain", [1, 3])
def test_any_part_of_a_batch_can_be_left_plain(plain: int) -> None:
    features = torch.randn(4, 5, 12, 12) * torch.arange(1, 5).reshape(4, 1, 1, 1)
    mixed = transferred(features, plain)
    assert torch.equal(mixed[:plain], features[:plain])
    got, wanted = moments(mixed[plain:]).std(), moments(features[: 4 - plain]).std()
    torch.testing.assert_close(got, wanted, rtol=1e-2, atol=1e-2)


def test_all_plain_is_nothing_done() -> None:
    features = torch.randn(3, 5, 4, 4).bfloat16()
    mixed = transferred(features, 3)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, features.float())


def test_flat_features_are_finite() -> None:
    """A crop of blue sky, in the style of another."""
    assert transferred(torch.full((2, 5, 4, 4), 3.0), 1).isfinite().all()


class Grey(nn.Module):
    """Paints grey, whatever it is given; remembers what that was."""

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        self.seen = features
        return torch.full((len(features), 3, *size), 0.5)


@pytest.mark.parametrize(
    ("share", "batch", "plain"), [(0.5, 4, 2), (0.25, 4, 3), (0.0, 4, 4), (0.5, 1, 1)]
)
def test_a_share_of_each_batch_is_transferred(
    data: Path, machine: Runtime, share: float, batch: int, plain: int
) -> None:
    """Their pixels are nobody's, so pixels are compared of the others alone."""
    stages = [{"until": 9, "size": 32, "batch": batch}]
    plan = recipe(transferred=share, stages=stages)
    task = WctTask(plan, data, machine)
    task.module = nn.ModuleDict({tap: Grey() for tap in TAPS})
    losses = task.losses(2)
    images = crops(task.paths, plan, 2, machine, plan.schedule.seed)
    for tap, features in task.encoder(images, TAPS[1:]).items():
        seen = task.module[tap].seen
        assert torch.equal(seen[:plain], features[:plain])
        assert torch.equal(seen, transferred(features, plain))
        expected = pixel_error(torch.full_like(images[:plain], 0.5), images[:plain])
        torch.testing.assert_close(losses[f"{tap}/pixels"], expected)
        assert losses[f"{tap}/features"] > 0


@pytest.mark.parametrize("change", [{"transferred": 1}, {"transferred": -0.1}, {"features": -1}])
def test_recipes_that_make_no_sense(change: dict[str, object]) -> None:
    """Somebody has to say what the pixels are."""
    with pytest.raises(BadInput):
        recipe(**change)


# --- learning ---


def test_decoders_learn_a_picture(data: Path, tmp_path: Path, machine: Runtime) -> None:
    """Every loss falls on the crops of one photo and one painting; relu1_1 is kept as solved."""
    settings = recipe(schedule=SETTINGS["schedule"] | {"steps": 60})
    task, first = WctTask(settings, data, machine), WctTask(settings, data, machine)
    decoders = train(task, settings.schedule, tmp_path / "run", machine)
    task.module.load_state_dict(decoders.state_dict())
    with torch.no_grad():
        before, after = (
            {part: sum(float(t.losses(s)[part]) for s in range(100, 104)) for part in PARTS}
            for t in (first, task)
        )
    assert all(after[part] < before[part] for part in PARTS)
    assert sum(after.values()) < 0.5 * sum(before.values())
    assert same(decoders["relu1_1"], first.module["relu1_1"])


class Stop(Exception):
    """Somebody pulls the plug."""


def test_a_resumed_run_is_the_unbroken_one(data: Path, tmp_path: Path, machine: Runtime) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise Stop

    plan = recipe()
    whole = train(WctTask(plan, data, machine), plan.schedule, tmp_path / "a", machine)
    with pytest.raises(Stop):
        train(WctTask(plan, data, machine), plan.schedule, tmp_path / "b", machine, stop)
    torch.manual_seed(999)  # another process has other random numbers
    resumed = train(WctTask(plan, data, machine), plan.schedule, tmp_path / "b", machine)
    assert same(whole, resumed)


def test_the_seed_decides_where_it_begins(data: Path, machine: Runtime) -> None:
    seeds = (0, 0, 1)
    modules = [
        WctTask(recipe(schedule=SETTINGS["schedule"] | {"seed": seed}), data, machine).module
        for seed in seeds
    ]
    assert same(modules[0], modules[1])
    assert not same(modules[0]["relu4_1"], modules[2]["relu4_1"])


# --- what is measured ---


def test_reconstruction_is_measured_on_held_out_photos(
    data: Path, encoder: Encoder, machine: Runtime
) -> None:
    """In dB per tap; the sheet has a row of photos, and one for each decoder."""
    first = solved(encoder, read(held_out(data / "photos")[0]).pixels)
    third = Decoder(encoder.shape, "relu3_1").requires_grad_(False)
    decoders = nn.ModuleDict({"relu1_1": first, "relu3_1": third})
    result = reconstruction(decoders, encoder, data, machine, data / "sheet.png")
    assert set(result) == {"relu1_1", "relu3_1"}
    assert result["relu1_1"] > max(15, result["relu3_1"] + 5)
    assert read(data / "sheet.png").pixels.shape == (1, 3, 3 * 256, 6 * 256)


def test_samples_are_photos_and_what_decoders_make_of_them(data: Path, machine: Runtime) -> None:
    """A row for each photo: itself, then every decoder from relu1_1 on."""
    task = WctTask(recipe(), data, machine)
    task.module = nn.ModuleDict({tap: Grey() for tap in TAPS})
    images = task.samples(task.module).unflatten(0, (6, 6))  # (6, 6, 3, S, S)
    assert torch.equal(images[:, 0], task.shown) and images[:, 0].std() > 0.05
    assert torch.equal(images[:, 1:], torch.full_like(images[:, 1:], 0.5))


def test_the_card_says_what_it_is() -> None:
    text = card(recipe(), {"psnr": {"relu1_1": 41.24, "relu4_1": 22.0}}, 1234)
    for part in ("`compact`", "1,234", "| relu1_1 | 41.2 |", "| relu4_1 | 22.0 |", "MIT"):
        assert part in text
