"""The judge: the figures of controls are known, sides are seen once, sizes do not matter."""

import pytest
import torch
from torch import Tensor

from impasto.errors import BadInput
from impasto.evaluate import pixels
from impasto.evaluate.judge import Judge
from impasto.evaluate.metrics import METRICS
from impasto.losses import content_error, style_error
from impasto.media.image import resize
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.networks.lpips import Lpips
from impasto.runtime import Runtime
from impasto.style import Style

OF_STYLE = [n for n, m in METRICS.items() if m.about == "style" and m.of == "picture"]
OF_CONTENT = [n for n, m in METRICS.items() if m.about == "content"]


class Counting(Encoder):
    """An encoder that counts how often it looks."""

    looked = 0

    def forward(self, image: Tensor, taps: object = TAPS) -> dict[str, Tensor]:
        self.looked += 1
        return super().forward(image, TAPS)


@pytest.fixture
def eyes(encoder: Encoder) -> Counting:
    eyes = Counting(encoder.shape, "tiny").requires_grad_(False)
    eyes.load_state_dict(encoder.state_dict())
    return eyes


@pytest.fixture
def judge(eyes: Counting, machine: Runtime) -> Judge:
    return Judge(eyes, machine)


def test_all_that_is_of_a_picture(judge: Judge, photo: Tensor, painting: Tensor) -> None:
    figures = judge.measure(photo, painting, photo.flip(3))
    assert list(figures) == [name for name, m in METRICS.items() if m.of == "picture"]
    assert figures.pop("lpips") is None
    assert all(value is not None and torch.tensor(value).isfinite() for value in figures.values())


def test_the_photo_itself_has_lost_nothing(judge: Judge, photo: Tensor, painting: Tensor) -> None:
    figures = judge.measure(photo, painting, photo)
    figures.pop("lpips")
    best = {"ssim": 1.0, "edge_ssim": 1.0}
    for name in set(OF_CONTENT) - {"lpips"}:
        assert figures[name] == pytest.approx(best.get(name, 0.0), abs=1e-5), name
    assert all((figures[name] or 0) > 0 for name in OF_STYLE)
    assert figures["blobs"] == 0


def test_the_style_itself_is_all_style(judge: Judge, photo: Tensor, painting: Tensor) -> None:
    figures = judge.measure(photo, painting, painting)
    assert [figures[name] for name in OF_STYLE] == pytest.approx([0.0] * len(OF_STYLE), abs=1e-6)
    assert (figures["content_error"] or 0) > 0.01
    assert (figures["ssim"] or 1) < 0.5


def test_errors_are_those_of_our_losses(
    judge: Judge, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    painted = photo.flip(2)
    seen, style, own = (encoder(p) for p in (painted, resize(painting, (48, 48)), photo))
    grams, wanted = ({tap: gram(f[tap]) for tap in TAPS} for f in (seen, style))
    figures = judge.measure(photo, painting, painted)
    assert figures["style_error"] == pytest.approx(float(style_error(grams, wanted)), rel=1e-4)
    expected = float(content_error(seen["relu4_1"], own["relu4_1"]))
    assert figures["content_error"] == pytest.approx(expected, rel=1e-4)
    assert figures["content_error"] == figures["content_error/relu4_1"]
    taps = sum(figures[f"style_error/{tap}"] or 0 for tap in TAPS)
    assert figures["style_error"] == pytest.approx(taps)


def test_a_style_without_pixels(
    judge: Judge, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    """A Style gives the same errors, and nothing where its pixels would be needed."""
    painting = torch.nn.functional.interpolate(painting, (128, 128), mode="bilinear")
    painted = torch.nn.functional.interpolate(photo, (128, 112), mode="bilinear")
    by_pixels = judge.measure(photo, painting, painted)
    by_moments = judge.measure(photo, Style.of(painting, encoder), painted)
    missing = {"lpips", "feature_distance", "patch_distance", "histogram_distance"}
    assert {name for name, value in by_moments.items() if value is None} == missing
    for name in by_moments.keys() - missing:
        assert by_moments[name] == pytest.approx(by_pixels[name], rel=1e-3, abs=1e-6), name


def test_a_small_style_is_seen_as_the_methods_see_it(
    judge: Judge, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    """Enlarged to the size of what was painted it would be a blur, which nothing comes near to."""
    small = torch.nn.functional.interpolate(painting, (150, 150), mode="bilinear")
    painted = torch.nn.functional.interpolate(photo, (300, 260), mode="bilinear")
    by_pixels = judge.measure(photo, small, painted)
    by_moments = judge.measure(photo, Style.of(small, encoder), painted)
    assert by_pixels["style_error"] == pytest.approx(by_moments["style_error"], rel=1e-3)


def test_a_style_of_another_encoder(judge: Judge, photo: Tensor) -> None:
    with pytest.raises(BadInput, match="was made with the encoder 'compact', not 'tiny'"):
        judge.measure(photo, Style("compact", {}, "night"), photo)


def test_each_side_is_seen_once(
    judge: Judge, eyes: Counting, photo: Tensor, painting: Tensor
) -> None:
    first = judge.measure(photo, painting, photo.flip(3))
    assert eyes.looked == 3  # the photo, the style, the painting
    judge.measure(photo, painting, photo.flip(2))
    assert eyes.looked == 4
    judge.measure(photo, painting.flip(2), photo.flip(2))
    assert eyes.looked == 6
    assert judge.measure(photo, painting, photo.flip(3)) == first
    assert eyes.looked == 7


def test_another_size_is_seen_anew(
    judge: Judge, eyes: Counting, photo: Tensor, painting: Tensor
) -> None:
    judge.measure(photo, painting, photo)
    judge.measure(photo, painting, resize(photo, (24, 20)))
    assert eyes.looked == 6


def test_only_the_last_photos_are_kept(eyes: Counting, machine: Runtime, painting: Tensor) -> None:
    judge = Judge(eyes, machine, photos=2)
    photos = [torch.rand(1, 3, 16, 16) for _ in range(3)]
    for photo in photos:
        judge.measure(photo, painting, photos[0])
    before = eyes.looked
    judge.measure(photos[2], painting, photos[0])
    assert eyes.looked == before + 1  # the painting
    judge.measure(photos[0], painting, photos[0])
    assert eyes.looked == before + 3  # and the forgotten photo


def test_photos_are_brought_to_the_size_of_the_painting(
    judge: Judge, photo: Tensor, painting: Tensor
) -> None:
    painted = resize(photo, (30, 25))
    figures = judge.measure(photo, painting, painted)
    assert figures["ssim"] == pytest.approx(1)
    assert figures["content_error"] == pytest.approx(0, abs=1e-6)


def test_lpips_where_the_network_is_there(
    eyes: Counting, machine: Runtime, photo: Tensor, painting: Tensor
) -> None:
    network = Lpips().requires_grad_(False).eval()
    judge = Judge(eyes, machine, network)
    painted = photo.flip(3)
    figures = judge.measure(photo, painting, painted)
    assert figures["lpips"] == pytest.approx(float(network(painted, photo)), rel=1e-5)
    assert judge.measure(photo, painting, photo)["lpips"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (17, 3)])
def test_tiny_paintings(
    judge: Judge, size: tuple[int, int], photo: Tensor, painting: Tensor
) -> None:
    figures = judge.measure(photo, painting, resize(painting, size))
    assert all(value is None or torch.tensor(value).isfinite() for value in figures.values())


def test_figures_do_not_move(judge: Judge, photo: Tensor, painting: Tensor) -> None:
    """The same picture, the same figures, whatever was drawn in between."""
    first = judge.measure(photo, painting, photo)
    torch.rand(100)
    assert judge.measure(photo.clone(), painting.clone(), photo) == first
    assert pixels.patch_distance(photo, painting) == pixels.patch_distance(photo, painting)
