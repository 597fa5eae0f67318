"""Regions of a method that paints whole pictures only: each style once, mixed in linear light."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from impasto import methods
from impasto.codes import Region
from impasto.media.color import to_linear, to_srgb
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import Can, Cost, OnStep, Step, Stylizer


class Wash(Stylizer):
    """Paints the whole picture in one colour, the value of the code; knows nothing of masks."""

    name, paper, strength, can = "wash", "nobody", 1.0, Can(regions=False)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Sequence[Region], float]] = []

    @classmethod
    def create(cls, encoder: Encoder, machine: Runtime, recipe: Recipe) -> "Wash":
        return cls()

    def encode(self, style: Style, scale: float = 1.0) -> dict[str, Tensor]:
        raise NotImplementedError

    def paint(
        self, content: Tensor, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Tensor:
        self.asked.append((regions, strength))
        painted = content.lerp(regions[0].code["color"].expand_as(content), strength)
        on_step(Step(1, 1, painted))
        return painted

    def cost(self, height: int, width: int) -> Cost:
        raise NotImplementedError

    def rehearse(self, image: Tensor) -> Callable[[], object]:
        raise NotImplementedError


class Patchwork(Wash):
    """The same, but it says that it can do regions."""

    can = Can(regions=True)


def code(value: float) -> dict[str, Tensor]:
    return {"color": torch.full((1, 3, 1, 1), value)}


WHITE, BLACK = code(1.0), code(0.0)


def left(photo: Tensor) -> Tensor:
    mask = torch.zeros(1, 1, *photo.shape[-2:])
    mask[..., : photo.shape[3] // 2] = 1
    return mask


def test_every_region_is_painted_in_its_style(photo: Tensor) -> None:
    mask = left(photo)
    painted = Wash().stylize(photo, [Region(code(0.8), mask), Region(code(0.3), 1 - mask)])
    torch.testing.assert_close(painted, (0.8 * mask + 0.3 * (1 - mask)).expand_as(photo))


def test_what_no_mask_covers_keeps_the_photo(photo: Tensor) -> None:
    painted = Wash().stylize(photo, [Region(WHITE, left(photo))])
    torch.testing.assert_close(painted, photo.lerp(torch.ones(()), left(photo)))


def test_edges_mix_in_linear_light(photo: Tensor) -> None:
    """Half white and half black is sRGB 188: at 128 soft edges would be dark seams."""
    even = torch.full((1, 1, 4, 4), 0.5)
    painted = Wash().stylize(photo, [Region(WHITE, even), Region(BLACK, even)])
    torch.testing.assert_close(painted * 255, torch.full_like(photo, 187.5), atol=0.1, rtol=0)


def test_a_soft_edge_mixes_with_the_photo_in_linear_light(photo: Tensor) -> None:
    painted = Wash().stylize(photo, [Region(WHITE, torch.full((1, 1, 4, 4), 0.25))])
    torch.testing.assert_close(painted, to_srgb(0.75 * to_linear(photo) + 0.25))


def test_each_style_is_painted_once_on_the_whole(photo: Tensor) -> None:
    """The method never sees a mask, and hears how strong it is to be."""
    wash, steps = Wash(), list[Step]()
    regions = [Region(WHITE, left(photo)), Region(BLACK, 1 - left(photo))]
    wash.stylize(photo, regions, 0.25, steps.append)
    assert [[r.mask for r in seen] for seen, _ in wash.asked] == [[None], [None]]
    assert all(
        seen[0].code is own for (seen, _), own in zip(wash.asked, (WHITE, BLACK), strict=True)
    )
    assert [strength for _, strength in wash.asked] == [0.25, 0.25]
    assert len(steps) == 2


def test_the_photo_is_left_alone_and_the_range_is_kept() -> None:
    for value in (0.0, 1.0):
        photo = torch.full((2, 3, 5, 7), value)
        painted = Wash().stylize(photo, [Region(WHITE, torch.rand(1, 1, 9, 3))])
        assert (photo == value).all()
        assert painted.shape == photo.shape
        assert 0 <= painted.min() <= painted.max() <= 1


@pytest.mark.parametrize("method", [Wash, Patchwork])
def test_a_code_alone_is_for_the_whole_picture(method: type[Wash], photo: Tensor) -> None:
    """No mask, no detour: nothing is rounded by a way to linear light and back."""
    stylizer = method()
    painted = stylizer.stylize(photo, code(0.3))
    assert torch.equal(painted, torch.full_like(photo, 0.3))
    assert torch.equal(stylizer.stylize(photo, [Region(code(0.3))]), painted)
    assert len(stylizer.asked) == 2


def test_a_method_that_can_do_regions_gets_them_all_at_once(photo: Tensor) -> None:
    """Statistics under a mask give better edges than finished pictures side by side."""
    patchwork = Patchwork()
    regions = [Region(WHITE, left(photo)), Region(BLACK, 1 - left(photo))]
    patchwork.stylize(photo, regions)
    ((seen, strength),) = patchwork.asked
    assert strength == 1
    assert all(a is b for a, b in zip(seen, regions, strict=True))


def test_strength_zero_paints_nothing(photo: Tensor) -> None:
    wash = Wash()
    painted = wash.stylize(photo, [Region(WHITE, left(photo))], strength=0)
    assert torch.equal(painted, photo)
    assert painted is not photo
    assert wash.asked == []


# --- what is said of a method ---


def test_abilities_in_words() -> None:
    assert Can().words() == ["any style", "masks by statistics"]
    options = frozenset({"level_strengths", "init"})
    little = Can(regions=False, any_style=False, steps=True, options=options)
    assert little.words() == [
        "the styles it has learned",
        "masks mixed in light",
        "previews while it works",
        "--init",
        "--level-strengths",
    ]


@pytest.mark.parametrize("name", methods.names())
def test_every_method_says_what_speaks_for_and_against_it(name: str) -> None:
    """In one line each, beside its paper; and words and deeds agree."""
    method = methods.get(name)
    for line in (method.good, method.bad, method.paper):
        assert 10 < len(line) <= 100 and line == line.strip() and "\n" not in line
    assert method.good.endswith(".") and method.bad.endswith(".")
    assert len({method.good, method.bad}) == 2
    knows = method.knows(Style("compact", {}, "a style that nobody has learned"))
    assert knows == method.can.any_style
    assert method.can.options <= Recipe.model_fields.keys()
