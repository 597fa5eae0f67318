"""Perceptual losses: relative, zero where nothing is wrong, seen by the judge of the stage."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto import weights
from impasto.config import validate
from impasto.errors import BadInput, BadPicture, MissingWeights, UnknownName
from impasto.losses import total_variation
from impasto.media.image import write
from impasto.moments import gram
from impasto.networks import encoders
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.training import perceptual
from impasto.training.decoders import PIXEL_VARIANCE
from impasto.training.perceptual import (
    Critic,
    Critics,
    PerceptualRecipe,
    means,
    measured,
    painted,
    rebuilt,
    sampled,
)

SETTINGS = {
    "stages": [{"until": 100, "size": 32, "batch": 2, "judge": "compact"}],
    "schedule": {"steps": 6, "lr": 1e-2},
    "content": {"relu3_1": 2.0, "relu4_1": 3.0},
    "style": {"relu1_1": 4.0, "relu5_1": 5.0},
    "variation": 6.0,
}

NAMES = {"variation", "content/relu3_1", "content/relu4_1", "style/relu1_1", "style/relu5_1"}


def recipe(**changes: object) -> PerceptualRecipe:
    return validate(PerceptualRecipe, SETTINGS | changes)


@pytest.fixture
def critic(compact: Path) -> Critic:
    return Critic(recipe(), "compact", compact)


class Naked(nn.Module):
    """Eyes that see the pixels themselves, at every tap."""

    def forward(self, image: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        return dict.fromkeys(taps, image)


def naked(**changes: object) -> Critic:
    critic = Critic.__new__(Critic)
    nn.Module.__init__(critic)
    critic.recipe, critic.eyes = recipe(**changes), Naked()
    return critic


# --- losses ---


def test_errors_are_named_and_counted_per_picture(
    critic: Critic, photo: Tensor, painting: Tensor
) -> None:
    photos = torch.cat([photo, photo.flip(3), photo.flip(2)])
    other = torch.cat([photo.flip(1), photo.roll(5, 3), photo])
    wanted = {tap: g.expand(3, -1, -1) for tap, g in critic.grams(painting).items()}
    errors = critic.errors(other, photos, wanted)
    assert errors.keys() == NAMES
    for name, error in errors.items():
        assert error.shape == (3,) and error.isfinite().all() and (error > 0).all()
        alone = [
            critic.errors(other[i : i + 1], photos[i : i + 1], critic.grams(painting))[name]
            for i in range(3)
        ]
        torch.testing.assert_close(error, torch.cat(alone), rtol=1e-3, atol=1e-5)


def test_a_photo_left_as_it_is_has_its_content(
    critic: Critic, photo: Tensor, painting: Tensor
) -> None:
    errors = critic.errors(photo, photo, critic.grams(painting))
    assert errors["content/relu3_1"] == errors["content/relu4_1"] == 0
    assert errors["style/relu1_1"] > 0.01


def test_a_painting_has_its_own_style(critic: Critic, painting: Tensor) -> None:
    """Mirrored too: a Gram matrix does not know where anything is."""
    errors = critic.errors(painting, painting.flip(1), critic.grams(painting))
    assert errors["style/relu1_1"] == errors["style/relu5_1"] == 0
    assert errors["content/relu3_1"] > 0.01


@given(light=st.floats(0.05, 1), height=st.integers(1, 9), width=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_errors_are_relative(light: float, height: int, width: int) -> None:
    """Features twice too large are an error of 1, Gram matrices four times too large one of 9,
    whatever the size of the picture and of its values."""
    critic, photo = naked(), light * (0.1 + torch.rand(1, 3, height, width))
    errors = critic.errors(2 * photo, photo, critic.grams(photo))
    assert errors["content/relu3_1"].item() == pytest.approx(2, rel=1e-3)
    assert errors["content/relu4_1"].item() == pytest.approx(3, rel=1e-3)
    assert errors["style/relu1_1"].item() == pytest.approx(4 * 9, rel=1e-3)
    assert errors["style/relu5_1"].item() == pytest.approx(5 * 9, rel=1e-3)
    torch.testing.assert_close(errors["variation"], 6 * total_variation(2 * photo))


@pytest.mark.parametrize("part", ["content", "style", "variation"])
def test_each_part_has_its_weight(critic: Critic, painting: Tensor, part: str) -> None:
    before = critic.errors(painting, painting.flip(3), critic.grams(painting.flip(1)))
    old = SETTINGS[part]
    new = {tap: 2 * w for tap, w in old.items()} if isinstance(old, dict) else 0.0
    critic.recipe = recipe(**{part: new})
    after = critic.errors(painting, painting.flip(3), critic.grams(painting.flip(1)))
    for name, error in before.items():
        factor = (2 if isinstance(old, dict) else 0) if name.startswith(part) else 1
        torch.testing.assert_close(after[name], factor * error)


def test_only_what_was_painted_learns(critic: Critic, photo: Tensor, painting: Tensor) -> None:
    """Neither the photo nor the eyes that look at it; and every error alone teaches."""
    photo.requires_grad_()
    picture = painting[..., :48, :40].clone().requires_grad_()
    errors = critic.errors(picture, photo, critic.grams(painting))
    for name in NAMES:
        (gradient,) = torch.autograd.grad(errors[name].sum(), picture, retain_graph=True)
        assert gradient.abs().sum() > 0
    torch.stack([*errors.values()]).sum().backward()
    assert photo.grad is None
    assert not any(weight.requires_grad for weight in critic.parameters())
    assert not any(g.requires_grad for g in critic.grams(painting).values())


def test_grams_are_those_of_the_features_at_the_taps_of_the_style(
    critic: Critic, encoder: Encoder, painting: Tensor
) -> None:
    grams = critic.grams(painting)
    assert grams.keys() == {"relu1_1", "relu5_1"}
    for tap, features in encoder(painting, tuple(grams)).items():
        torch.testing.assert_close(grams[tap], gram(features))


# --- judges ---


def test_the_judge_changes_with_the_stage(compact: Path, teacher: Path, machine: Runtime) -> None:
    """At the step that the stage says, which is another batch where a step has several."""
    stages = [
        {"until": 2, "size": 32, "judge": "compact"},
        {"until": 4, "size": 32, "judge": "slim"},
        {"until": 5, "size": 32, "judge": "compact"},
        {"until": 6, "size": 32, "judge": "teacher"},
    ]
    plan = recipe(stages=stages, schedule={"steps": 9, "lr": 1, "accumulate": 2})
    critics = Critics(plan, teacher, machine)
    assert [plan.judge(number) for number in (0, 3, 4, 7, 8, 10, 99)] == [
        *("compact", "compact", "slim", "slim", "compact", "teacher", "teacher")
    ]
    assert critics.of.keys() == {"compact", "slim", "teacher"}
    assert critics.at(0) is critics.at(9) is critics.of["compact"]
    assert critics.at(4) is critics.of["slim"]
    assert critics.last is critics.at(99) is critics.of["teacher"]


def test_a_stage_may_go_without_consistency() -> None:
    stages = [
        {"until": 2, "size": 32, "consistency": 0},
        {"until": 3, "size": 32, "consistency": 2},
        {"until": 9, "size": 32},
    ]
    plan = recipe(stages=stages, consistency=0.25)
    assert [plan.consistent(number) for number in (0, 1, 2, 3, 9)] == [0, 0, 2, 0.25, 0.25]
    assert recipe().consistent(0) > 0


def test_the_teacher_is_exact_as_far_as_it_goes(
    compact: Path, teacher: Path, painting: Tensor
) -> None:
    """Told apart by their channels: 5, 6, 7 of the exact one, then 6, 6 of the slim one."""
    plan = recipe(style=dict.fromkeys(TAPS, 1.0))
    seen = {j: Critic(plan, j, teacher).grams(painting) for j in ("teacher", "slim", "compact")}
    channels = {judge: [len(grams[tap][0]) for tap in TAPS] for judge, grams in seen.items()}
    assert channels["teacher"] == [5, 6, 7, 6, 6]
    assert channels["slim"] == [4, 4, 6, 6, 6]
    assert channels["compact"] == list(encoders.SHAPES["compact"].channels)


def test_left_to_itself_the_best_judge_looks(
    compact: Path, teacher: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher where there is one, else the published network, else our own."""

    def name(folder: Path) -> str:
        return getattr(Critic(recipe(), "auto", folder).eyes, "name", "teacher")

    assert name(teacher) == "teacher"
    assert name(compact) == "compact"
    monkeypatch.setitem(encoders.SHAPES, "vgg19", encoder.shape)
    path = compact / weights.file_name("encoder", "vgg19")
    weights.write(path, encoder.state_dict(), weights.Header("encoder", "vgg19"))
    assert name(compact) == "vgg19"
    assert name(teacher) == "teacher"


def test_a_judge_that_is_not_there(compact: Path) -> None:
    with pytest.raises(MissingWeights, match="--teacher"):
        Critic(recipe(), "teacher", compact)
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        Critic(recipe(), "vgg19", compact)


# --- recipes ---


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"stages": [{"until": 1, "size": 32, "judge": "teecher"}]}, "Did you mean 'teacher'"),
        ({"stages": [{"until": 1, "size": 32, "judges": "slim"}]}, "Did you mean 'judge'"),
        ({"stages": []}, "stages"),
        ({"contents": {}}, "Did you mean 'content'"),
        ({"content": {}}, "content"),
        ({"style": {"relu1_1": -1.0}}, "style"),
        ({"style": {}}, "style"),
        ({"variation": -1}, "variation"),
        ({"consistency": -1}, "consistency"),
        ({"consistensy": 1}, "Did you mean 'consistency'"),
        ({"width": 0}, "width"),
        ({"norm": "instanse"}, "Did you mean 'instance'"),
        ({"schedule": {"steps": 6, "lr": 1e-2, "warm_up": 3}}, "Did you mean 'warmup'"),
    ],
)
def test_recipes_that_make_no_sense(change: dict[str, object], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        recipe(**change)


def test_a_layer_that_no_judge_has(compact: Path, photo: Tensor) -> None:
    critic = Critic(recipe(style={"relu9_1": 1.0}), "compact", compact)
    with pytest.raises(UnknownName, match=r"layer 'relu9_1'\. Did you mean 'relu"):
        critic.grams(photo)


# --- pictures ---


def test_what_did_not_come_back() -> None:
    """White for black is 1 over the variance of photos, in every picture for itself."""
    black, white = torch.zeros(1, 3, 4, 5), torch.ones(1, 3, 4, 5)
    error = rebuilt(torch.cat([white, black, 0.5 * white]), black.expand(3, -1, -1, -1))
    expected = torch.tensor([1, 0, 0.25]) / PIXEL_VARIANCE
    torch.testing.assert_close(error, expected)


@pytest.mark.parametrize(("size", "expected"), [((8, 8), (64, 64)), ((300, 100), (64, 21))])
def test_a_painting_of_any_size(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """Seen at the size that is asked for, in its own proportions."""
    write(torch.rand(1, 3, *size), tmp_path / "a.png")
    pixels = perceptual.painting(tmp_path / "a.png", 64)
    assert pixels.shape == (1, 3, *expected)
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_a_painting_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match=r"none\.jpg"):
        perceptual.painting(tmp_path / "none.jpg", 64)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(BadPicture, match=r"text\.jpg"):
        perceptual.painting(tmp_path / "text.jpg", 64)


def test_samples_go_photo_by_photo() -> None:
    photos = torch.tensor([0.25, 0.75]).reshape(2, 1, 1, 1).expand(-1, 3, 4, 4)
    sheet = sampled(photos, [lambda x: 1 - x, lambda x: (3 * x).bfloat16()])
    assert sheet[:, 0, 0, 0].tolist() == [0.25, 0.75, 0.75, 0.75, 0.25, 1]
    assert sheet.dtype == torch.float32


def test_painted_hands_the_rest_to_the_network(machine: Runtime, photo: Tensor) -> None:
    class Tint(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.light = nn.Parameter(torch.tensor(0.5))

        def forward(self, image: Tensor, colour: Tensor) -> Tensor:
            return image * self.light * colour

    picture = painted(Tint(), machine, photo, torch.tensor([1.0, 0, 2]).reshape(1, 3, 1, 1))
    torch.testing.assert_close(picture[:, 0], photo[:, 0] / 2)
    assert picture[:, 1].sum() == 0 and not picture.requires_grad


def test_means_of_the_batch() -> None:
    assert means({"a": torch.tensor([1.0, 2, 6])}) == {"a": torch.tensor(3.0)}


def test_what_was_measured_is_a_table() -> None:
    columns = {"photo": (1.5, 0.0), "painted": (0.0625, 0.25)}
    kinds = ("style_error", "content_error")
    table = measured(
        {f"{c}/{k}": v for c, vs in columns.items() for k, v in zip(kinds, vs, strict=True)}
    )
    assert table.splitlines()[-2:] == ["| photo | 1.500 | 0.000 |", "| painted | 0.062 | 0.250 |"]
