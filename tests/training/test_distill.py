"""Distillation: errors with known answers, and paintings in progress that stay paintings."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.config import validate
from impasto.errors import BadInput, MissingWeights
from impasto.losses import style_error
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder, Shape
from impasto.training import checkpoint
from impasto.training import teachers as module
from impasto.training.distill import (
    HINTS,
    Census,
    Student,
    Visits,
    VisitSettings,
    distillation_losses,
    disturb,
    relative_error,
)
from impasto.training.encoder import EncoderRecipe
from impasto.training.optimiser import Optimiser
from impasto.training.teachers import Teachers

CPU = torch.device("cpu")
STAGE = {"until": 10, "size": 32, "batch": 8}
SLIM = Shape((4, 4, 6, 6, 6), (2, 2, 4, 4, 1))


# --- errors ---


def test_relative_error_is_zero_at_the_target() -> None:
    target = torch.randn(2, 3, 4, 5)
    assert relative_error(target, target) == 0


def test_relative_error_is_one_at_the_mean() -> None:
    """Knowing only each channel's mean explains nothing; the channels' own levels are no merit."""
    target = torch.randn(2, 3, 4, 5) + torch.tensor([0.0, 10.0, -5.0]).reshape(1, 3, 1, 1)
    mean = target.mean((0, 2, 3), keepdim=True).expand_as(target)
    assert relative_error(mean, target).item() == pytest.approx(1, rel=1e-4)


def test_relative_error_by_hand() -> None:
    """Target 0, 2, 4 has variance 8/3; off by one everywhere is 1 / (8/3)."""
    target = torch.tensor([0.0, 2.0, 4.0]).reshape(1, 1, 1, 3)
    assert relative_error(target + 1, target).item() == pytest.approx(3 / 8)


@given(scale=st.floats(1e-2, 1e3))
@settings(max_examples=10, deadline=None)
def test_relative_error_does_not_know_units(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 2, 3, 4, 5, generator=generator)
    expected = relative_error(a, b).item()
    assert relative_error(a * scale, b * scale).item() == pytest.approx(expected, rel=1e-3)


def test_relative_error_of_half_precision() -> None:
    target = torch.randn(2, 3, 40, 50)
    error = relative_error((target + 0.1).bfloat16(), target)
    assert error.dtype == torch.float32
    assert error.item() == pytest.approx(0.01, rel=0.1)


def test_relative_error_of_a_dead_target() -> None:
    zeros = torch.zeros(1, 2, 3, 3)
    assert relative_error(zeros, zeros) == 0
    assert relative_error(zeros + 1e-3, zeros).isfinite()


# --- disturbance ---


@given(batch=st.integers(1, 5), size=st.integers(1, 12), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_disturbed_pictures_are_pictures(batch: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(batch, 3, size, size + 1)
    before = images.clone()
    disturbed = disturb(images)
    assert disturbed.shape == images.shape
    assert disturbed.dtype == torch.float32
    assert disturbed.min() >= 0
    assert disturbed.max() <= 1
    assert torch.equal(images, before)


def test_half_of_the_pictures_are_disturbed() -> None:
    """All of them would teach only odd pictures, none of them nothing new."""
    images = torch.rand(400, 3, 4, 4)
    changed = (disturb(images) != images).flatten(1).any(1).float().mean().item()
    assert 0.35 < changed < 0.6


# --- visits ---


@pytest.fixture
def visits() -> Visits:
    return Visits(VisitSettings(pool=4, steps=2, longest_life=40), 16, CPU)


def pictures(seed: int, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_visits_are_pictures(visits: Visits, encoder: Encoder) -> None:
    for turn in range(12):
        image = visits.advance(encoder, pictures(turn), pictures(-turn + 100))
        assert image.shape == (2, 3, 16, 16)
        assert not image.requires_grad
        assert image.isfinite().all()
        assert image.min() >= 0
        assert image.max() <= 1


def test_visits_get_older_and_begin_anew(visits: Visits, encoder: Encoder) -> None:
    """A pool that only ages would show the same overpainted pictures for ever."""
    ages = []
    for turn in range(60):
        visits.advance(encoder, pictures(turn, 4), pictures(turn + 100, 4))
        assert ((visits.age > 0) & (visits.age < 40 + 2)).all()
        ages.append(visits.age.clone())
    older = torch.stack([b - a for a, b in pairwise(ages)])
    assert set(older[older > 0].tolist()) == {2}
    assert (older < 0).sum(0).min() >= 1  # every slot began anew


def test_only_the_chosen_move_on(visits: Visits, encoder: Encoder) -> None:
    visits.advance(encoder, pictures(0, 4), pictures(1, 4))
    visits.life.fill_(1000)
    before, age = visits.image.clone(), visits.age.clone()
    visits.advance(encoder, pictures(2, 1), pictures(3, 1))
    moved = (visits.image != before).flatten(1).any(1)
    assert moved.sum() == 1
    assert torch.equal(visits.age - age, 2.0 * moved)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_what_goes_on_is_where_it_was(encoder: Encoder, tmp_path: Path) -> None:
    """A checkpoint is read onto the processor: each of its tensors finds its place, and learns."""
    network = encoder.to(torch.device("cuda", 0)).requires_grad_(True)
    begun = places(visited(network, tmp_path / "a", None))
    assert places(visited(network, tmp_path / "b", tmp_path / "a")) == begun
    assert {kind for _, kind in begun} == {"cpu", "cuda"}


def visited(network: Encoder, path: Path, begun: Path | None) -> object:
    """The state after a step on the GPU, from a checkpoint where there is one."""
    device = torch.device("cuda", 0)
    optimiser = Optimiser(network.parameters(), 0.0)
    visits = Visits(VisitSettings(pool=4, steps=1), 16, device)
    if begun is not None:
        state = checkpoint.load(begun)
        optimiser.load_state_dict(state["optimiser"])
        visits.load_state_dict(state["task"])
    image = visits.advance(network, pictures(0).to(device), pictures(1).to(device))
    torch.stack([f.square().mean() for f in network(image, TAPS).values()]).sum().backward()
    optimiser.step(1e-3)
    state = {"optimiser": optimiser.state_dict(), "task": visits.state_dict()}
    checkpoint.save(path, dict.fromkeys(checkpoint.KEYS, 0) | state)
    return state


def places(state: object, name: str = "") -> list[tuple[str, str]]:
    """Where each tensor of a state lies."""
    if isinstance(state, Tensor):
        return [(name, state.device.type)]
    inner = state.items() if isinstance(state, dict) else ()
    return [place for key, value in inner for place in places(value, f"{name}/{key}")]


def test_visits_paint(visits: Visits, encoder: Encoder) -> None:
    """They are pictures that optimisation visits: nearer and nearer to their style."""
    visits.advance(encoder, pictures(0, 4) * 0.3, pictures(1, 4))
    visits.life.fill_(1000)
    visits.rate.fill_(0.02)

    def errors() -> Tensor:
        with torch.no_grad():
            seen, wanted = encoder(visits.image), encoder(visits.style)
        grams = {tap: gram(f) for tap, f in seen.items()}
        return style_error(grams, {tap: gram(f) for tap, f in wanted.items()})

    before = errors()
    for turn in range(20):
        visits.advance(encoder, pictures(turn, 4), pictures(turn, 4))
    assert errors().mean() < before.mean()


@pytest.mark.parametrize("change", [{"visits": {"pool": 2}}, {"stages": [STAGE | {"exact": 9}]}])
def test_recipes_that_cannot_be_filled(change: dict[str, object]) -> None:
    """Half a batch of 8 is 4 paintings in progress; no more than 8 can be looked at twice."""
    recipe = {"stages": [STAGE], "schedule": {"steps": 1, "lr": 0.1}}
    assert validate(EncoderRecipe, recipe)
    with pytest.raises(BadInput):
        validate(EncoderRecipe, recipe | change)


def test_state_round_trip(visits: Visits, encoder: Encoder) -> None:
    """Going on from the state equals never having stopped, bit for bit."""
    visits.advance(encoder, pictures(0), pictures(1))
    state = {name: tensor.clone() for name, tensor in visits.state_dict().items()}
    other = Visits(visits.settings, 16, CPU)
    other.load_state_dict(state)
    for turn in range(5):
        painted = []
        for pool in (visits, other):
            torch.manual_seed(turn)
            painted.append(pool.advance(encoder, pictures(turn), pictures(turn + 9)))
        assert torch.equal(*painted)


def test_the_student_learns_again_afterwards(visits: Visits, encoder: Encoder) -> None:
    """Painting needs no gradients of the weights, and must leave none behind."""
    encoder.convs.requires_grad_(True)
    visits.advance(encoder, pictures(0), pictures(1))
    assert all(p.requires_grad and p.grad is None for p in encoder.convs.parameters())
    assert not any(p.requires_grad for p in encoder.conv0.parameters())


# --- teachers ---


def flat_state(encoder: Encoder) -> dict[str, Tensor]:
    """Keys as the teachers' files have them: ``conv11.weight``."""
    return {
        key.replace("convs.", "conv").replace("_", ""): value.clone()
        for key, value in encoder.state_dict().items()
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small teachers with random weights."""
    exact = Shape((5, 6, 7), (2, 2, 1))
    monkeypatch.setattr(module, "EXACT", exact)
    monkeypatch.setattr(module, "SLIM", SLIM)
    slim = flat_state(Encoder(SLIM))
    for block, channels in enumerate(SLIM.channels, 1):
        slim[f"conv{block}1_aux.weight"] = torch.randn(9, channels, 1, 1)
        slim[f"conv{block}1_aux.bias"] = torch.randn(9)
    save_file(flat_state(Encoder(exact)), tmp_path / module.EXACT_FILE)
    save_file(slim, tmp_path / module.SLIM_FILE)
    return tmp_path


def test_teachers_are_read_by_their_keys(folder: Path, photo: Tensor) -> None:
    """The taps come in the channels of VGG-19, layers between them as they are."""
    teachers = Teachers(folder)
    features = teachers.features(photo, (*TAPS, "relu3_2"))
    assert [f.shape[1] for f in features.values()] == [9, 9, 9, 6, 9, 9]
    assert not any(p.requires_grad for p in teachers.parameters())
    assert list(teachers.exact(photo, module.EXACT_TAPS)) == list(module.EXACT_TAPS)


def test_targets_have_no_mean_and_unit_spread(folder: Path, photo: Tensor) -> None:
    teachers = Teachers(folder)
    teachers.measure(photo, TAPS)
    for target in teachers.targets(photo, TAPS).values():
        mean = target.mean((0, 2, 3))
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
        assert target.square().mean().item() == pytest.approx(1, rel=1e-3)


def test_missing_teachers(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="--teacher"):
        Teachers(tmp_path)


@pytest.fixture
def teachers(folder: Path, photo: Tensor) -> Teachers:
    both = Teachers(folder)
    both.measure(photo, TAPS + HINTS)
    return both


def test_distillation_teaches_every_weight(teachers: Teachers, photo: Tensor) -> None:
    """A layer without gradient would stay random for hours before anybody noticed."""
    images = torch.cat([photo, photo.flip(2)])
    student = Student(Encoder(SLIM), teachers)
    losses = distillation_losses(student, teachers, Census(student), images, images[:1])
    exact = {f"exact/{tap}" for tap in module.EXACT_TAPS}
    assert set(losses) == {f"slim/{layer}" for layer in TAPS + HINTS} | exact
    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    learning = {name: p for name, p in student.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learning.values())
    assert all(p.grad is None for p in teachers.parameters())


def test_a_perfect_student_has_no_error(teachers: Teachers, photo: Tensor) -> None:
    """The slim teacher itself, read through its own maps, explains everything."""
    student = Student(teachers.slim, teachers)
    for layer in TAPS + HINTS:
        own, mean, spread = conv(student.to_slim[layer]), teachers.mean[layer], teachers.spread
        weight, bias = torch.eye(own.in_channels)[:, :, None, None], torch.zeros(own.in_channels)
        if layer in teachers.aux:
            weight, bias = conv(teachers.aux[layer]).weight, bias_of(teachers.aux[layer])
        bias = (bias - mean.flatten()) / spread[layer]
        own.load_state_dict({"weight": weight / spread[layer], "bias": bias})
    losses = distillation_losses(student, teachers, Census(student), photo, photo)
    for layer in TAPS + HINTS:
        assert losses[f"slim/{layer}"].item() == pytest.approx(0, abs=1e-6), layer


# --- census ---


def conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    return layer


def bias_of(layer: nn.Module) -> Tensor:
    bias = conv(layer).bias
    assert bias is not None
    return bias


@torch.no_grad()
def counted(student: Student, photo: Tensor) -> Census:
    """A census after one look, in which every living filter has been seen to fire."""
    census = Census(student)
    for bias in (bias_of(layer) for layer in student.encoder.convs.values()):
        bias.fill_(0.1)
    features = student.encoder(photo, student.encoder.layers)
    census.count({layer: f + 1e-6 for layer, f in features.items()})
    return census


def outputs(student: Student, photo: Tensor) -> list[Tensor]:
    features = student.encoder(photo, TAPS + HINTS)
    slim = [student.to_slim[layer](f) for layer, f in features.items()]
    return slim + [student.to_exact[tap](features[tap]) for tap in module.EXACT_TAPS]


def test_the_living_are_left_alone(teachers: Teachers, photo: Tensor) -> None:
    student = Student(Encoder(SLIM), teachers)
    census = counted(student, photo)
    before = [p.clone() for p in student.parameters()]
    assert census.revive() == 0
    assert all(torch.equal(p, b) for p, b in zip(student.parameters(), before, strict=True))


@pytest.mark.parametrize("name", ["1_1", "3_2", "5_1"])
def test_the_dead_begin_anew_without_a_trace(teachers: Teachers, photo: Tensor, name: str) -> None:
    """The filter can learn again, and nothing that anybody reads has changed by it."""
    student = Student(Encoder(SLIM), teachers)
    census = counted(student, photo)
    layer = student.encoder.convs[name]
    with torch.no_grad():
        bias_of(layer)[1] = -1000
    census.fired[f"relu{name}"][1] = False
    before = outputs(student, photo)
    assert census.revive() == 1
    assert bias_of(layer)[1] == 0
    for old, new in zip(before, outputs(student, photo), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)


def test_the_count_begins_anew(teachers: Teachers, photo: Tensor) -> None:
    """Else a filter that dies after its first success would never be found."""
    student = Student(Encoder(SLIM), teachers)
    census = counted(student, photo)
    census.revive()
    assert census.revive() == sum(count * n for count, n in zip(*vars(SLIM).values(), strict=True))


def test_one_success_is_enough(teachers: Teachers, photo: Tensor) -> None:
    """A filter that fires on one picture in many is rare, not dead."""
    census = counted(Student(Encoder(SLIM), teachers), photo)
    census.count({layer: torch.zeros(1, len(f), 2, 2) for layer, f in census.fired.items()})
    assert census.revive() == 0
