"""Masks: what is drawn is what is painted, and what is not drawn stays the photo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from impasto import methods
from impasto.codes import blend
from impasto.errors import BadInput, BadPicture
from impasto.job import Job
from impasto.losses import style_error
from impasto.media import color
from impasto.media import image as media
from impasto.media.image import Picture
from impasto.moments import moments
from impasto.networks.encoders import TAPS, Encoder
from impasto.pipeline import measure, paint, prepare, recolored
from impasto.recipe import Recipe
from impasto.regions import REACH, covered, feathered, open_mask, shared, tamed
from impasto.style import Style


@pytest.fixture(autouse=True)
def _tiny(encoder: Encoder, decoders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything looks through the tiny encoder."""
    monkeypatch.setattr("impasto.job.load_encoder", lambda name: encoder)
    monkeypatch.setattr("impasto.estimate.REHEARSAL", 32)


def grey(mask: Tensor) -> Picture:
    """(1, 1, H, W) as a picture"""
    return Picture(mask.expand(-1, 3, -1, -1))


def left(height: int = 48, width: int = 40) -> Tensor:
    """The left half."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., : width // 2] = 1
    return mask


@pytest.fixture
def given(painting: Tensor, encoder: Encoder) -> dict[str, Picture | Style]:
    """Two styles that are far apart, one that the trained methods know, and masks."""
    return {
        "style": Style.of(painting, encoder),
        "A": Picture(painting),
        "B": Picture(1 - painting.flip(1).pow(2)),
        "left": grey(left()),
        "right": grey(1 - left()),
        "all": grey(torch.ones(1, 1, 48, 40)),
        "none": grey(torch.zeros(1, 1, 48, 40)),
    }


def job(photo: Tensor, given: dict[str, Picture | Style], **values: object) -> Job:
    """A job that is quick where it works in steps."""
    recipe = Recipe.model_validate({"encoder": "tiny", "precision": "fp32", **values})
    if recipe.method == "gatys" and recipe.iterations is None:
        recipe = recipe.model_copy(update={"iterations": 4})
    return prepare(recipe, photo, given)


def masks(job: Job) -> list[Tensor]:
    return [part.mask for part in job.parts if part.mask is not None]


def error(pixels: Tensor, mask: Tensor, style: Style, encoder: Encoder) -> float:
    """How far what is under the mask is from a style."""
    seen = {tap: moments(f, mask).second for tap, f in encoder(pixels, TAPS).items()}
    return float(style_error(seen, {tap: m.second for tap, m in style.at(48).items()}))


def test_every_region_follows_its_own_style(
    photo: Tensor, given: dict[str, Picture | Style], encoder: Encoder
) -> None:
    """Not half-way to the other: its statistics are taken inside it alone."""
    both = job(photo, given, masks=["left=A", "right=B"], iterations=60, strength=1)
    pixels = paint(both).pixels
    for own, other in (both.parts, both.parts[::-1]):
        assert own.mask is not None
        reached = error(pixels, own.mask, own.styles[0], encoder)
        assert reached < 0.3 * error(pixels, own.mask, other.styles[0], encoder)
        assert reached < 0.3 * error(photo, own.mask, own.styles[0], encoder)


@pytest.mark.parametrize("method", methods.names())
def test_what_no_mask_covers_is_the_photo(
    photo: Tensor, given: dict[str, Picture | Style], method: str
) -> None:
    """To the last bit, whatever the method makes of it; what is covered changes."""
    partial = job(photo, given, method=method, masks="left=style", feather=2)
    outside = (masks(partial)[0] == 0).expand_as(photo)
    painted = paint(partial).pixels
    assert outside.any() and torch.equal(painted[outside], photo[outside])
    assert (painted - photo)[..., :16].abs().mean() > 0.01


@pytest.mark.parametrize("method", methods.names())
def test_a_mask_of_everything_is_no_mask(
    photo: Tensor, given: dict[str, Picture | Style], method: str
) -> None:
    whole = paint(job(photo, given, method=method, styles="style")).pixels
    masked = paint(job(photo, given, method=method, masks="all=style")).pixels
    assert (whole - masked).abs().max() < 2e-3


def test_the_rest_takes_the_other_styles(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    region, rest = job(photo, given, styles=["A", "B:3"], masks="left=B", feather=0).parts
    assert region.mask is not None and rest.mask is not None
    assert torch.equal(region.mask, left()) and torch.equal(rest.mask, 1 - left())
    assert rest.weights == (1, 3) and region.styles == rest.styles[1:]


def test_nothing_is_left_of_the_rest(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    """A style that paints nowhere would still cost as much as the others."""
    assert len(job(photo, given, styles="A", masks=["left=A", "right=B"], feather=3).parts) == 2


def test_without_masks_there_is_one_part_and_no_mask(
    photo: Tensor, given: dict[str, Picture | Style]
) -> None:
    (part,) = job(photo, given, styles=["A:0.7", "B:0.2"]).parts
    assert part.mask is None and part.weights == (0.7, 0.2)


def test_overlapping_masks_share_by_weight(
    photo: Tensor, given: dict[str, Picture | Style]
) -> None:
    first, second = masks(job(photo, given, masks=["left=A", "all=B:3"], feather=0))
    assert torch.equal(first, left() * 0.25) and torch.equal(second, 1 - left() * 0.25)


def test_styles_in_the_same_mask_are_mixed(
    photo: Tensor, given: dict[str, Picture | Style]
) -> None:
    twice = job(photo, given, method="adain", masks=["left=A", "left=B:3"], feather=0)
    (part,) = twice.parts
    assert part.mask is not None and torch.equal(part.mask, left())
    assert part.weights[1] / part.weights[0] == pytest.approx(3)
    codes = [twice.stylizer.encode(style) for style in part.styles]
    mixed = blend(codes, part.weights)
    torch.testing.assert_close(mixed, blend(codes, (1, 3)))


def test_tiny_weights_are_weights(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    """Only proportions count, and a region with one style has that style."""
    paint(job(photo, given, masks="left=A:1e-20"))


def test_a_mask_of_another_size(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    """It is resized; where that stretches it, someone ought to know."""
    given = {**given, "large": grey(left(96, 80)), "wide": grey(left(40, 80))}
    same = job(photo, given, masks="large=A", feather=0)
    wide = job(photo, given, masks="wide=A", feather=0)
    for other in (same, wide):
        # Resampling overshoots a little beside an edge.
        assert ((masks(other)[0] - left())[..., [*range(17), *range(23, 40)]]).abs().max() < 0.1
    assert same.notices == ()
    assert wide.notices == ("The mask 'wide', 80 x 40, is stretched to the shape of the photo.",)


def test_an_empty_mask_is_left_out(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    empty = job(photo, given, styles="A", masks="none=B")
    assert empty.notices == ("The mask 'none' is empty and left out: white is what it covers.",)
    (part,) = empty.parts
    assert part.mask is None
    assert torch.equal(paint(empty).pixels, paint(job(photo, given, styles="A")).pixels)
    with pytest.raises(BadInput, match="Every mask is empty and there is no other style"):
        job(photo, given, masks="none=B")


def test_transparency_as_the_mask(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    """It has the size of the photo as it came, not of the result."""
    recipe = Recipe.model_validate({"masks": "alpha=A", "feather": 0, "size": 24})
    (mask,) = masks(prepare(recipe, photo, given, alpha=left()))
    assert mask.shape == (1, 1, 24, 20)
    assert mask[..., :8].min() > 0.9 and mask[..., 12:].max() < 0.1
    with pytest.raises(BadInput, match="nothing in this photo is transparent"):
        prepare(recipe, photo, given)


def test_masks_from_files(photo: Tensor, given: dict[str, Picture | Style], tmp_path: Path) -> None:
    """White counts; what is transparent in the mask does not, whatever colour hides there."""
    path = tmp_path / "mask.png"
    media.write(torch.ones_like(photo), path, alpha=left())
    (mask,) = masks(job(photo, given, masks=f"{path}=A", feather=0))
    assert torch.equal(mask, left())
    with pytest.raises(BadPicture, match=r"none\.png"):
        job(photo, given, masks="none.png=A")


def test_black_in_a_jpeg_is_black(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    given = {**given, "dark": grey(torch.full((1, 1, 48, 40), 1 / 255))}
    assert "empty" in job(photo, given, styles="A", masks="dark=B").notices[0]


@pytest.mark.parametrize(
    "mask",
    [
        np.eye(3, dtype=bool),
        np.eye(3),
        torch.eye(3),
        torch.eye(3).bool(),
        torch.eye(3)[None],
        torch.eye(3)[None, None],
        torch.eye(3).expand(3, 3, 3),
    ],
)
def test_masks_of_every_kind(mask: media.AnyPicture) -> None:
    assert torch.equal(open_mask(mask).pixels, torch.eye(3).expand(1, 3, 3, 3))


@pytest.mark.parametrize("mask", [torch.ones(3), torch.ones(()), torch.ones(1, 2, 4, 4)])
def test_what_is_no_mask(mask: Tensor) -> None:
    with pytest.raises(BadPicture, match="A tensor must be"):
        open_mask(mask)


@drawn(
    values=st.lists(st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6), min_size=1),
    weights=st.lists(st.floats(1e-6, 1e6), min_size=20, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_shares_are_what_is_covered(values: list[list[float]], weights: list[float]) -> None:
    """Nothing is painted twice and nothing is forgotten."""
    stack = torch.tensor(values[:20]).view(-1, 1, 2, 3)
    shares = shared(stack, weights[: len(stack)])
    torch.testing.assert_close(shares.sum(0, keepdim=True), covered(stack))
    assert shares.min() >= 0 and shares.max() <= 1 + 1e-6
    assert (shares[stack == 0] == 0).all()


def test_known_shares() -> None:
    """Half of a pixel by one, all of it by another with weight 3: 0.5 : 3."""
    stack = torch.tensor([0.5, 1.0]).view(2, 1, 1, 1)
    assert shared(stack, (1, 3)).flatten().tolist() == pytest.approx([0.5 / 3.5, 3 / 3.5])
    soft = torch.tensor([0.25, 0.25]).view(2, 1, 1, 1)
    assert shared(soft, (1, 1)).flatten().tolist() == pytest.approx([0.25, 0.25])


@pytest.mark.parametrize("percent", [0.5, 2.0, 10.0])
def test_edges_are_softened_by_a_gaussian(percent: float) -> None:
    """Also where it is done on a smaller picture, because sigma is large."""
    mask = torch.zeros(1, 1, 300, 400)
    mask[..., 100:220, 150:300] = 1
    expected = ndimage.gaussian_filter(mask[0, 0].numpy(), percent * 4, mode="nearest")
    soft = feathered(mask, percent)[0, 0]
    assert (soft - torch.from_numpy(expected)).abs().max() < 0.02


def test_edges_as_drawn() -> None:
    assert torch.equal(feathered(left(), 0), left())


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1)])
def test_masks_of_few_pixels(size: tuple[int, int]) -> None:
    assert torch.equal(feathered(torch.ones(1, 1, *size), 20), torch.ones(1, 1, *size))


def test_borders_of_the_picture_are_no_edges() -> None:
    assert (feathered(left(), 2)[..., 0] == 1).all()


def test_halves_with_soft_edges_leave_no_gap(
    photo: Tensor, given: dict[str, Picture | Style]
) -> None:
    parts = masks(job(photo, given, masks=["left=A", "right=B"], feather=5))
    torch.testing.assert_close(sum(parts), torch.ones(1, 1, 48, 40))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((3.0, -1.0), (3.0, -1.0)),
        ((2.0, -1.0), (2.0, -1.0)),
        ((-2.0,), (-2.0,)),
        ((0.3, 0.7), (0.3, 0.7)),
        ((5.0, -4.0), (2.0, -1.0)),
        ((-4.0, 5.0), (-1.0, 2.0)),
        ((5.0, -2.0, -2.0), (2.0, -0.5, -0.5)),
        ((1e300, 1e300), (1e300, 1e300)),
        ((1.0, -0.999999), (2.0, -1.0)),
    ],
)
def test_weights_are_drawn_in(weights: tuple[float, ...], expected: tuple[float, ...]) -> None:
    """Only as far as needed, and not at all where none is needed."""
    assert tamed(weights) == pytest.approx(expected)


@drawn(weights=st.lists(st.floats(-10, 10), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_shares_of_a_mix_stay_within_reach(weights: Sequence[float]) -> None:
    if abs(sum(weights)) < 1e-3:
        return
    taken = tamed(tuple(weights))
    shares = [weight / sum(taken) for weight in taken]
    assert min(shares) >= REACH[0] - 1e-6 and max(shares) <= REACH[1] + 1e-6


def test_weights_too_far_out_are_a_notice(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    far = job(photo, given, styles=["A:5", "B:-4"])
    assert far.parts[0].weights == pytest.approx((2, -1))
    assert far.recipe.styles[0].weight == 5
    (notice,) = far.notices
    assert "Weights 5, -4 lead too far away" in notice and "taken as 2, -1" in notice
    assert job(photo, given, styles=["A:3", "B:-1"]).notices == ()


def test_regions_are_measured_each_against_its_own_style(
    photo: Tensor, given: dict[str, Picture | Style], encoder: Encoder
) -> None:
    """The mean by area; where a mask is everything, the same as without."""
    quarter = torch.zeros(1, 1, 48, 40)
    quarter[..., :10] = 1
    two = job(photo, {**given, "quarter": grey(quarter)}, styles="B", masks="quarter=A", feather=0)
    region, rest = two.parts
    errors = (
        error(photo, quarter, region.styles[0], encoder),
        error(photo, 1 - quarter, rest.styles[0], encoder),
    )
    assert measure(two, photo)[0] == pytest.approx(errors[0] / 4 + errors[1] * 3 / 4, rel=1e-4)
    whole, masked = job(photo, given, styles="A"), job(photo, given, masks="all=A")
    assert measure(whole, photo) == pytest.approx(measure(masked, photo), rel=1e-4)


def test_luma_in_a_region(photo: Tensor, given: dict[str, Picture | Style]) -> None:
    """Colours stay those of the photo inside, and everything stays outside."""
    plain = photo.mean(1, keepdim=True).expand_as(photo).contiguous()
    painted = paint(job(plain, given, masks="left=A", color="luma", feather=0)).pixels
    assert torch.equal(painted[..., 20:], plain[..., 20:])
    assert (painted - painted.mean(1, keepdim=True)).abs().max() < 0.02
    assert (painted - plain).abs().max() > 0.02


def test_match_in_a_region(
    photo: Tensor, given: dict[str, Picture | Style], encoder: Encoder, painting: Tensor
) -> None:
    """A style without pixels: what is painted takes the colours of what it is painted on."""
    given = {**given, "moments": Style.of(painting, encoder)}
    settings = {"masks": "left=moments", "feather": 0, "iterations": 30, "strength": 1}
    matched = paint(job(photo, given, color="match", **settings)).pixels[..., :20]
    free = paint(job(photo, given, **settings)).pixels[..., :20]
    own = photo[..., :20].mean((2, 3))
    assert (matched.mean((2, 3)) - own).abs().max() < 0.03
    assert (free.mean((2, 3)) - own).abs().max() > 0.06


@pytest.mark.parametrize("mode", ["style", "luma", "match"])
def test_colours_are_those_of_the_whole_picture(
    photo: Tensor, given: dict[str, Picture | Style], encoder: Encoder, painting: Tensor, mode: str
) -> None:
    """One map for all that is painted, soft edges less of it; the rest is the photo's own."""
    given = {**given, "moments": Style.of(painting, encoder)}
    asked = job(photo, given, masks="left=moments", color=mode, feather=2)
    painted = torch.rand(1, 3, 48, 40)
    (mask,) = masks(asked)
    inside = (mask > 0).expand_as(photo)
    got = recolored(asked, painted)
    if mode == "match":
        own, aim = (image[inside].view(1, 3, 1, -1) for image in (painted, photo))
        expected = painted[inside].lerp(
            color.match(own, aim).flatten(), mask.expand_as(photo)[inside]
        )
    else:
        expected = (color.luma(painted, photo) if mode == "luma" else painted)[inside]
    torch.testing.assert_close(got[inside], expected)
    assert torch.equal(got[~inside], photo[~inside]) and (~inside).any()


def test_a_recipe_with_masks_paints_the_same_again(
    photo: Tensor, given: dict[str, Picture | Style]
) -> None:
    first = paint(job(photo, given, styles="B", masks=["left=A:2", "all=B"], size=40))
    again = Recipe.model_validate_json(first.recipe.embedded())
    assert torch.equal(paint(prepare(again, photo, given)).pixels, first.pixels)
