"""What moves with its photo has no error; what stands still, or paints grain, has a known one."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from impasto.training import consistency
from impasto.training.consistency import GRAIN, Motion, drawn, grained, inconsistency, moved


def motion(turn: complex = 1, shift: complex = 0) -> Motion:
    return Motion(torch.tensor([turn], dtype=torch.cfloat), torch.tensor([shift]).cfloat())


@torch.no_grad()
def mean(paint: Callable[[Tensor], Tensor], photos: Tensor) -> float:
    return float(inconsistency(paint, photos, paint(photos)).mean())


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A film without grain."""
    monkeypatch.setattr(consistency, "GRAIN", 0.0)


@pytest.fixture
def smooth() -> Tensor:
    """(4, 3, 48, 40): waves much longer than a pixel, of light that no cubic carries past white."""
    down, across = torch.meshgrid(torch.arange(48.0), torch.arange(40.0), indexing="ij")
    waves = [torch.sin(a * across + b * down) for a, b in ((0.1, 0.2), (0.25, 0.1), (0.2, 0.2))]
    return (0.5 + 0.3 * torch.stack(waves)).expand(4, -1, -1, -1)


# --- motion ---


def test_whole_pixels_move_exactly(photo: Tensor) -> None:
    """Two to the left, three down; what came in from outside is known to be unknown."""
    there, seen = moved(photo, motion(shift=2 - 3j))
    torch.testing.assert_close(there[..., 3:, :-2], photo[..., :-3, 2:], atol=1e-5, rtol=0)
    expected = torch.zeros_like(seen)
    expected[..., 3:, :-2] = 1
    assert torch.equal(seen, expected)


@given(zoom=st.floats(0.9, 1.1), angle=st.floats(-0.2, 0.2), x=st.floats(-3, 3), y=st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_a_place_shows_what_the_motion_says(zoom: float, angle: float, x: float, y: float) -> None:
    """Ramps tell their own place: turned about the middle, which cubic leaves nearly straight."""
    down, across = torch.meshgrid(torch.arange(32.0), torch.arange(24.0), indexing="ij")
    ramps = torch.stack([across - 11.5, down - 15.5, across])[None]
    turn = zoom * torch.polar(torch.tensor(1.0), torch.tensor(angle))
    there, seen = moved(ramps, Motion(turn[None], torch.tensor([complex(x, y)])))
    wanted = turn * torch.complex(across - 11.5, down - 15.5) + complex(x, y)
    inner = (wanted.real.abs() < 9.5) & (wanted.imag.abs() < 13.5)  # no mirror within reach
    assert inner.sum() > 50 and (seen[0, 0][inner] == 1).all()
    for result, expected in ((there[0, 0], wanted.real), (there[0, 1], wanted.imag)):
        assert (result - expected)[inner].abs().max() < 0.06


def test_motions_are_small_and_all_different() -> None:
    many = drawn(500)
    assert (many.turn.abs() - 1).abs().max() <= consistency.ZOOM + 1e-6
    assert torch.rad2deg(many.turn.angle()).abs().max() <= consistency.TURN + 1e-4
    for part in (many.shift.real, many.shift.imag):
        assert 0.9 * consistency.SHIFT < part.abs().max() <= consistency.SHIFT
        assert part.mean().abs() < 0.5 and part.unique().numel() > 450


def test_grain_is_different_in_every_picture() -> None:
    photos = torch.full((200, 3, 16, 16), 0.5)
    deviation = (grained(photos) - photos).std((1, 2, 3))
    assert deviation.max() < 1.1 * GRAIN and deviation.unique().numel() == 200
    assert float(deviation.square().mean()) == pytest.approx(GRAIN**2 / 3, rel=0.2)
    assert grained(photos - 0.5).min() >= 0 and grained(photos + 0.5).max() <= 1


def test_several_processes_move_what_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture of the second process as the third of four, grain included."""
    photos = torch.rand(4, 3, 8, 8)
    torch.manual_seed(5)
    whole, grainy = drawn(4), grained(photos)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        torch.manual_seed(5)
        part, mine = drawn(2), slice(2 * rank, 2 * rank + 2)
        assert torch.equal(part.turn, whole.turn[mine])
        assert torch.equal(part.shift, whole.shift[mine])
        assert torch.equal(grained(photos[mine]), grainy[mine])


# --- the error ---


@pytest.mark.usefixtures("clean")
def test_what_moves_with_its_photo_has_no_error(smooth: Tensor) -> None:
    """Point by point, or the same everywhere."""
    blur = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    assert mean(lambda x: x, smooth) < 1e-6
    assert mean(lambda x: 1 - x.flip(1), smooth) < 1e-6
    assert mean(blur, smooth) < 1e-3  # but for the frame


@pytest.mark.usefixtures("clean")
def test_what_stands_still_has_an_error(smooth: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern like dirt on the lens: a quarter of its wave later it is another altogether."""
    pattern = (0.5 + 0.4 * torch.sin(torch.arange(40) * torch.pi / 6)).expand(4, 3, 48, 40)
    for shift, expected in ((3, 2.0), (6, 4.0), (12, 0.0)):
        monkeypatch.setattr(
            consistency,
            "drawn",
            lambda count, s=shift: Motion(
                torch.ones(count, dtype=torch.cfloat), torch.full((count,), complex(s))
            ),
        )
        found = inconsistency(lambda x: pattern, smooth, pattern)
        torch.testing.assert_close(found, torch.full((4,), expected), rtol=0.1, atol=1e-3)


def test_grain_is_to_be_painted_over(smooth: Tensor) -> None:
    """What gives the photo back brings its grain along; what sees none is without error."""
    photos = smooth.repeat(25, 1, 1, 1)
    variance = float(smooth.var((2, 3)).mean())
    assert mean(lambda x: x, photos) == pytest.approx(GRAIN**2 / 3 / variance, rel=0.2)
    flat = nn.AvgPool2d((48, 40))
    assert mean(lambda x: smooth[:1] + 0 * flat(x), smooth.new_zeros(4, 3, 48, 40)) > 0.01
    assert mean(lambda x: flat(x).expand_as(x), photos) < 1  # grey: of the least variance


def test_contrast_is_no_way_out(smooth: Tensor) -> None:
    """Half of it has the same error, and more is no use to what learns."""

    def error(contrast: Tensor) -> Tensor:
        torch.manual_seed(3)
        dirt = torch.rand(smooth.shape, generator=torch.Generator().manual_seed(1))

        def paint(image: Tensor) -> Tensor:
            return 0.5 + contrast * (image + dirt - 1)

        return inconsistency(paint, smooth, paint(smooth)).mean()

    assert float(error(torch.tensor(0.5))) == pytest.approx(float(error(torch.tensor(1.0))), 1e-3)
    contrast = torch.tensor(1.0, requires_grad=True)
    error(contrast).backward()
    assert contrast.grad is not None and contrast.grad > 0


def test_a_grey_painting_is_no_division_by_zero(smooth: Tensor) -> None:
    assert mean(lambda x: torch.full_like(x, 0.5), smooth) < 1e-6


def test_pictures_are_counted_one_by_one(smooth: Tensor) -> None:
    dirt = torch.rand_like(smooth)
    dirt[1] = 0
    error = inconsistency(lambda x: x + dirt, smooth, smooth + dirt)
    assert error.shape == (4,) and error[1] < 0.1 * error[[0, 2, 3]].min()


def test_what_stands_still_is_unlearned(smooth: Tensor) -> None:
    """By both of its paintings."""
    dirt = nn.Parameter(0.2 * torch.randn(3, 48, 40))
    optimiser = torch.optim.Adam([dirt], 0.02)
    before = mean(lambda x: x + dirt, smooth)
    for _ in range(30):
        optimiser.zero_grad()
        error = inconsistency(lambda x: x + dirt, smooth, smooth + dirt)
        error.mean().backward()
        optimiser.step()
    assert mean(lambda x: x + dirt, smooth) < 0.1 * before
