"""Metrics of features: by hand where features are made up, and on a tiny encoder."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.evaluate.perception import (
    POSITIONS,
    cfsd,
    content_errors,
    feature_distance,
    mean_std_loss,
    similarities,
    style_errors,
)
from impasto.moments import moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.style import looks


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- per tap ---


def test_style_errors_by_hand() -> None:
    """Features doubled make Gram matrices four times as large: |4G - G|^2 / |G|^2 = 9."""
    target = {tap: moments(noise(1, 3, 5, 5)) for tap in TAPS}
    given = {tap: moments(noise(1, 3, 5, 5) * (2 if tap == "relu2_1" else 1)) for tap in TAPS}
    errors = style_errors(given, target)
    assert list(errors) == list(TAPS)
    assert errors == pytest.approx({tap: 9 * (tap == "relu2_1") for tap in TAPS}, abs=1e-5)


def test_content_errors_by_hand() -> None:
    target = {tap: noise(1, 3, 5, 5) for tap in TAPS}
    given = {tap: f * number for number, (tap, f) in enumerate(target.items())}
    errors = content_errors(given, target)
    assert list(errors.values()) == pytest.approx([1, 0, 1, 4, 9], abs=1e-6)


# --- means and deviations ---


def test_mean_std_loss_by_hand() -> None:
    """Huang & Belongie 2017, eq. (13): norms of vectors over channels, of four layers."""
    ones = torch.tensor([[1.0, -1.0]]).reshape(1, 1, 1, 2)  # mean 0, deviation 1
    target = {tap: moments(torch.cat([ones, ones], 1)) for tap in TAPS}
    moved = torch.cat([ones * 4 + 3, ones * 5 + 4], 1)  # means 3 and 4, deviations 4 and 5
    loss = mean_std_loss({tap: moments(moved) for tap in TAPS}, target)
    assert loss == pytest.approx(4 * (5 + 5))  # |(3, 4)| and |(3, 4)| in each


def test_mean_std_loss_leaves_relu5_1_out() -> None:
    target = {tap: moments(noise(1, 3, 5, 5)) for tap in TAPS}
    given = {**target, "relu5_1": moments(noise(1, 3, 5, 5, seed=1))}
    assert mean_std_loss(target, target) == 0
    assert mean_std_loss(given, target) == 0


# --- the distribution of features ---


def test_feature_distance_does_not_know_places() -> None:
    target = {tap: noise(1, 4, 12, 10) for tap in TAPS}
    moved = {tap: f.flatten(2)[..., torch.randperm(120)].view_as(f) for tap, f in target.items()}
    assert feature_distance(moved, target) == pytest.approx(0, abs=1e-7)
    assert feature_distance({tap: f.repeat(1, 1, 2, 3) for tap, f in target.items()}, target) < 0.01


def test_feature_distance_of_larger_features() -> None:
    """|2x - x| / (|2x| + |x|) at one tap of two."""
    target = {tap: noise(1, 4, 12, 10) for tap in TAPS[:2]}
    given = {**target, "relu1_1": 2 * target["relu1_1"]}
    assert feature_distance(given, target) == pytest.approx(1 / 6)
    assert feature_distance(target, given) == pytest.approx(1 / 6)


def test_feature_distance_sees_what_moments_do_not() -> None:
    """Two values and a continuum of the same mean and deviation."""
    line = torch.linspace(-(3**0.5), 3**0.5, 1000)
    two = torch.ones(1000)
    two[::2] = -1
    spread, split = (moments(x.view(1, 1, 1, -1)) for x in (line, two))
    torch.testing.assert_close(spread.second, split.second, rtol=0.01, atol=0.01)
    pair = ({"relu1_1": x.view(1, 1, 1, -1)} for x in (line, two))
    assert feature_distance(*pair) > 0.2


# --- structure ---


def test_similarities_by_hand() -> None:
    """Three places, two of them alike in all but length: cosines 1, 1 and 0, at 0.1."""
    features = torch.tensor([[1.0, 5.0, 0.0], [0.0, 0.0, 2.0]]).reshape(1, 2, 1, 3)
    near, far = (math.exp(c / 0.1) for c in (1, 0))
    rows = similarities(features).exp()
    assert rows[0].tolist() == pytest.approx([x / (2 * near + far) for x in (near, near, far)])
    assert rows[2].tolist() == pytest.approx([x / (2 * far + near) for x in (far, far, near)])


def test_cfsd_by_hand() -> None:
    """Two places alike in the photo, different in the painting: mean divergence of the rows."""
    photo = torch.ones(1, 2, 1, 2)
    painted = torch.eye(2).reshape(1, 2, 1, 2)
    same, other = (math.exp(c / 0.1) / (math.exp(10) + 1) for c in (1, 0))
    expected = 0.5 * math.log(0.5 / same) + 0.5 * math.log(0.5 / other)
    assert cfsd(painted, photo) == pytest.approx(expected, rel=1e-4)
    assert cfsd(photo, painted) == pytest.approx(
        same * math.log(same / 0.5) + other * math.log(other / 0.5), rel=1e-4
    )


def test_cfsd_does_not_know_the_scale_of_features() -> None:
    features = noise(1, 8, 9, 7)
    assert cfsd(features, features) == pytest.approx(0, abs=1e-6)
    assert cfsd(7 * features, features) == pytest.approx(0, abs=1e-6)


def test_cfsd_grows_with_what_is_moved() -> None:
    features = noise(1, 8, 12, 12).pow(4)
    row = []
    for rows in (0, 2, 6, 12):
        moved = features.clone()
        moved[:, :, :rows] = noise(1, 8, rows, 12, seed=1).pow(4)
        row.append(cfsd(moved, features))
    assert row == sorted(row)
    assert row[-1] > 2 * row[1] > 0


@pytest.mark.parametrize(
    ("size", "positions"), [((1, 1), 1), ((5, 4), 20), ((64, 64), 1024), ((50, 100), 16 * 32)]
)
def test_positions_are_bounded(size: tuple[int, int], positions: int) -> None:
    assert similarities(noise(1, 4, *size)).shape == (positions, positions)
    assert positions <= POSITIONS**2


def test_large_features_are_averaged() -> None:
    features = noise(1, 4, 16, 32)
    larger = F.interpolate(features, scale_factor=4)
    assert cfsd(larger, features) == pytest.approx(0, abs=1e-6)


def test_one_position_has_no_structure() -> None:
    assert cfsd(noise(1, 4, 1, 1), noise(1, 4, 1, 1, seed=1)) == 0


# --- on an encoder ---


@torch.no_grad()
def test_pictures_of_one_pixel_and_of_one_colour(encoder: Encoder) -> None:
    for picture in (torch.full((1, 3, 1, 1), 0.5), torch.zeros(1, 3, 33, 20)):
        features, seen = encoder(picture), looks(encoder, picture)
        assert sum(style_errors(seen, seen).values()) == 0
        assert sum(content_errors(features, features).values()) == 0
        assert mean_std_loss(seen, seen) == 0
        assert feature_distance(features, features) == 0
        assert cfsd(features["relu3_1"], features["relu3_1"]) == pytest.approx(0, abs=1e-6)


@torch.no_grad()
def test_a_mirrored_photo_keeps_its_style_and_loses_its_content(
    encoder: Encoder, photo: Tensor
) -> None:
    """A photo half as bright is the other way round."""

    def figures(picture: Tensor) -> tuple[float, float, float, float, float]:
        features, target = encoder(picture), encoder(photo)
        seen, wanted = looks(encoder, picture), looks(encoder, photo)
        return (
            sum(style_errors(seen, wanted).values()),
            mean_std_loss(seen, wanted),
            feature_distance(features, target),
            content_errors(features, target)["relu4_1"],
            cfsd(features["relu3_1"], target["relu3_1"]),
        )

    mirrored, dim = figures(photo.flip(3)), figures(photo / 2)
    assert all(m < d for m, d in zip(mirrored[:3], dim[:3], strict=True))
    assert mirrored[4] > dim[4]
