"""The way from a Recipe to a written picture, with the packaged encoder and few steps."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.codes import Region
from impasto.errors import BadInput, BadPicture, MissingWeights, OutOfMemory, UnknownName
from impasto.media import color
from impasto.media import image as media
from impasto.media.image import Picture
from impasto.networks.encoders import Encoder
from impasto.painter import Painter
from impasto.pipeline import Interrupted, figures, paint, prepare, run
from impasto.recipe import Recipe
from impasto.sources import read_style
from impasto.style import Style
from impasto.stylizer import Step


@pytest.fixture
def tiny(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything looks through the tiny encoder."""
    monkeypatch.setattr("impasto.job.load_encoder", lambda name: encoder)
    monkeypatch.setattr("impasto.estimate.REHEARSAL", 32)


def recipe(**settings: object) -> Recipe:
    values = {"styles": ("starry-night",), "iterations": 3, "size": 48, **settings}
    return Recipe.model_validate(values)


def test_result_has_the_size_asked_for_and_figures(photo: torch.Tensor) -> None:
    job = prepare(recipe(size=50), photo)
    result = paint(job)
    assert max(result.pixels.shape[-2:]) == 50
    assert float(result.pixels.min()) >= 0 and float(result.pixels.max()) <= 1
    shown = figures(job, result)
    assert shown["size"] == [result.pixels.shape[-1], result.pixels.shape[-2]]
    assert float(str(shown["style_error"])) > 0 and float(str(shown["peak_mb"])) > 50


@pytest.mark.parametrize("color", ["style", "luma"])
def test_a_stopped_job_goes_on_after_its_last_scale(photo: torch.Tensor, color: str) -> None:
    """As if it had never been stopped, by another job of the same Recipe."""
    settings: dict[str, object] = {"size": 600, "method": "gatys", "precision": "fp32"}
    steps: list[Step] = []
    whole = paint(prepare(recipe(**settings, color=color), photo), steps.append)
    ends = [step for step in steps if step.scale_done]
    assert len(ends) > 1 and ends[-1].done == ends[-1].total
    for end in ends:
        rest: list[Step] = []
        again = paint(prepare(recipe(**settings, color=color), photo), rest.append, after=end)
        assert torch.equal(again.pixels, whole.pixels)
        assert [step.done for step in rest] == list(range(end.done + 1, end.total + 1))


@pytest.mark.usefixtures("decoders")
def test_methods_without_scales_begin_anew(photo: torch.Tensor, tiny: None) -> None:
    given = {"x": Picture(photo)}
    settings = {"method": "adain", "encoder": "tiny", "styles": ("x",), "iterations": None}
    job = prepare(recipe(**settings), photo, given)
    end = Step(1, 1, torch.rand(1, 3, 8, 8), scale_done=True)
    assert torch.equal(paint(job, after=end).pixels, paint(job).pixels)


def test_own_size_is_the_default(photo: torch.Tensor) -> None:
    job = prepare(recipe(size=None), photo)
    assert job.photo.shape == photo.shape and job.recipe.size == max(photo.shape[-2:])


def test_size_is_capped_only_where_it_was_not_asked_for(
    photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.estimate.PATIENCE", 1e-9)
    monkeypatch.setattr("impasto.estimate.REHEARSAL", 32)
    own = max(photo.shape[-2:])
    shrunk, whole = prepare(recipe(size=None), photo), prepare(recipe(size=own), photo)
    assert shrunk.estimate.size < own and whole.estimate.size == own
    (notice,) = shrunk.notices
    assert f"instead of the photo's {own} px" in notice and whole.notices == ()


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize(("method", "own"), [("gatys", 0.5), ("adain", 1.0), ("wct", 0.6)])
def test_the_strength_of_the_method_is_written_down(
    photo: torch.Tensor, tiny: None, method: str, own: float
) -> None:
    """What is in the picture must make the same picture when the default has changed."""
    given = {"x": Picture(photo)}
    settings = {"method": method, "encoder": "tiny", "styles": ("x",), "iterations": None}
    assert prepare(recipe(**settings), photo, given).recipe.strength == own
    assert prepare(recipe(**settings, strength=0.1), photo, given).recipe.strength == 0.1


@pytest.mark.parametrize(
    ("method", "field", "value", "having"),
    [
        ("gatys", "levels", 3, "wct"),
        ("gatys", "level_strengths", (1.0,) * 5, "wct"),
        ("wct", "init", "noise", "gatys"),
        ("adain", "iterations", 3, "gatys"),
        ("adain", "floor", 0.1, "wct"),
        ("gatys", "finish", False, "adain"),
        ("wct", "finish", False, "adain"),
    ],
)
def test_controls_of_other_methods_are_refused(
    photo: torch.Tensor, method: str, field: str, value: object, having: str
) -> None:
    """Taken and ignored, a control would look as if it did nothing."""
    flag = f"--{field.replace('_', '-')}"
    words = f"^{flag}: {method} has no such control. Methods that have it: {having}.$"
    given = {"styles": ("udnie",), "method": method, field: value}
    with pytest.raises(BadInput, match=words):
        prepare(Recipe.model_validate(given), photo)


@pytest.mark.usefixtures("decoders")
def test_controls_of_other_methods_at_their_defaults_are_fine(
    photo: torch.Tensor, tiny: None
) -> None:
    """A Recipe read from a picture lists them all."""
    settings = {"method": "adain", "encoder": "tiny", "styles": ("x",), "iterations": None}
    listed = recipe(**settings).model_dump()
    prepare(Recipe.model_validate(listed), photo, {"x": Picture(photo)})


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize("init", ["adain", "wct"])
def test_a_start_by_another_method(photo: torch.Tensor, tiny: None, init: str) -> None:
    """The choice is in the Recipe that is written down, and makes another picture."""
    given = {"x": Picture(photo.flip(3))}
    settings = {"encoder": "tiny", "styles": ("x",), "iterations": 2}
    job = prepare(recipe(**settings, init=init), photo, given)
    assert job.recipe.init == init
    plain = paint(prepare(recipe(**settings, init="content"), photo, given)).pixels
    painted = paint(job).pixels
    assert (painted - plain).abs().mean() > 0.01
    assert torch.equal(paint(job).pixels, painted)


@pytest.mark.usefixtures("decoders")
@pytest.mark.parametrize("settings", [{"method": "gatys", "init": "noise"}, {"method": "adain"}])
def test_codes_can_be_painted_without_encoding_them_again(
    photo: torch.Tensor, tiny: None, settings: dict[str, object]
) -> None:
    """What `paint` does with codes of its own: from the same seed, at any strength."""
    iterations = {"iterations": None} if settings["method"] == "adain" else {}
    asked = recipe(**settings, **iterations, encoder="tiny", styles=("x",), seed=4)
    job = prepare(asked, photo, {"x": Picture(photo.flip(3))})
    regions = [Region(job.stylizer.encode(job.styles[0]))]
    assert torch.equal(run(job, regions, job.recipe.strength), paint(job).pixels)
    assert torch.equal(run(job, regions, 0), job.photo)
    weak = run(job, regions, 0.1)
    assert not torch.equal(weak, paint(job).pixels)
    steps: list[Step] = []
    run(job, regions, 0.1, steps.append)
    assert len(steps) == (3 if job.stylizer.can.steps else 0)


def test_too_large_is_said_in_words(photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    job = prepare(recipe(), photo)
    regions = [Region(job.stylizer.encode(job.styles[0]))]
    errors = (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    for error in errors:
        monkeypatch.setattr(job.stylizer, "stylize", raising(error))
        monkeypatch.setattr(job.stylizer, "stylize_tiles", raising(error))
        with pytest.raises(OutOfMemory, match=r"48 px needs more memory .* use a smaller --size"):
            run(job, regions, 0.5)
    monkeypatch.setattr(job.stylizer, "stylize", raising(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        run(job, regions, 0.5)


def raising(error: Exception) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


def test_strength_zero_is_the_photo(photo: torch.Tensor) -> None:
    result = paint(prepare(recipe(size=None, strength=0), photo))
    assert torch.equal(result.pixels, photo)


def test_same_seed_same_pixels_and_another_seed_differs_from_noise(photo: torch.Tensor) -> None:
    first, again, other = (
        paint(prepare(recipe(init="noise", seed=seed), photo)).pixels for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_luma_keeps_the_colours_of_the_photo(photo: torch.Tensor) -> None:
    grey = photo.mean(1, keepdim=True).expand_as(photo)
    painted = paint(prepare(recipe(color="luma"), grey)).pixels
    assert float((painted - painted.mean(1, keepdim=True)).abs().max()) < 0.02


@pytest.mark.parametrize("style", ["gallery", "picture"])
def test_match_takes_the_palette_of_the_photo(photo: torch.Tensor, style: str) -> None:
    """A gallery style has no pixels to recolour, so the result is recoloured instead."""
    red = photo * torch.tensor([1.0, 0.1, 0.1])[None, :, None, None]
    blue = {"blue": Picture(photo.flip(3) * torch.tensor([0.1, 0.1, 1.0])[None, :, None, None])}
    settings = {"styles": ("blue",)} if style == "picture" else {}
    job = prepare(recipe(color="match", iterations=20, **settings), red, blue)
    mean = paint(job).pixels.mean((0, 2, 3))
    assert float(mean[0]) > 2 * float(mean[2])


def test_mix_of_styles_lies_between(photo: torch.Tensor) -> None:
    def pixels(*styles: str) -> torch.Tensor:
        return paint(prepare(recipe(styles=styles, iterations=10), photo)).pixels

    a, b, mix = pixels("starry-night"), pixels("the-scream"), pixels("starry-night", "the-scream")
    assert float((mix - a).abs().mean()) < float((b - a).abs().mean())


def test_interruption_carries_the_picture_so_far(photo: torch.Tensor) -> None:
    """A loop that calls the library must end with Ctrl-C, and whoever wants the picture has it."""

    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        paint(prepare(recipe(), photo), interrupt)
    assert caught.value.result.interrupted and max(caught.value.result.pixels.shape) == 48


def test_a_level_is_no_picture_yet(photo: torch.Tensor) -> None:
    """What wct has after its deepest level is not the best picture so far."""

    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        paint(prepare(recipe(method="wct", iterations=None), photo), interrupt)
    assert not isinstance(caught.value, Interrupted)


def test_random_numbers_of_the_caller_are_left_alone(photo: torch.Tensor) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    job = prepare(recipe(init="noise"), photo)
    torch.manual_seed(7)
    paint(job)
    assert torch.equal(torch.rand(1), expected)


def test_a_file_called_like_a_style_does_not_hide_it(
    photo: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "udnie").mkdir()
    assert isinstance(read_style("udnie"), Style)


def test_what_is_transparent_in_a_style_does_not_count(photo: torch.Tensor) -> None:
    """Hidden pixels of a cut-out painting have colours too, often black."""
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., :32] = 1
    seen, hidden = photo.new_full((1, 3, 64, 32), 0.7), photo.new_zeros(1, 3, 64, 32)
    half = Style.of(torch.cat([seen, seen], 3))
    picture = torch.cat([seen, hidden], 3)

    def distance(source: Picture) -> float:
        style = prepare(recipe(styles=("x",)), photo, {"x": source}).parts[0].styles[0]
        difference = style.at(64)["relu1_1"].mean - half.at(64)["relu1_1"].mean
        return float(difference.norm())

    assert distance(Picture(picture, alpha)) < 0.3 * distance(Picture(picture))


def test_what_is_transparent_lends_no_colours(photo: torch.Tensor) -> None:
    """To ``match``, either."""
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., :32] = 1
    seen, hidden = torch.rand(1, 3, 64, 32), torch.tensor([1.0, 0, 1]).reshape(1, 3, 1, 1)
    cut = Picture(torch.cat([seen, hidden.expand(1, 3, 64, 32)], 3), alpha)
    matched = color.match(cut.pixels, photo, alpha > 0)
    wanted = color.match(seen, photo)
    torch.testing.assert_close(matched[..., :32], wanted)
    job = prepare(recipe(styles=("x",), color="match"), photo, {"x": cut})
    style = Style.of(matched, job.encoder, mask=alpha)
    got = job.parts[0].styles[0].at(64)["relu1_1"].mean
    torch.testing.assert_close(got, style.at(64)["relu1_1"].mean)


@pytest.mark.parametrize("mode", ["style", "match"])
def test_a_style_of_which_nothing_is_seen(photo: torch.Tensor, mode: str) -> None:
    nothing = Picture(torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    with pytest.raises(BadPicture, match="Nothing is to be seen of the style 'x'"):
        prepare(recipe(styles=("x",), color=mode), photo, {"x": nothing})


def test_no_picture_passes_for_a_style_of_the_gallery(
    photo: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a file that is called just like one."""
    monkeypatch.chdir(tmp_path)
    media.write(torch.rand(1, 3, 64, 64), tmp_path / "udnie.png")
    (tmp_path / "udnie.png").rename("udnie")
    job = prepare(recipe(styles=("./udnie",)), photo)
    assert job.parts[0].styles[0].name == "./udnie"


def test_missing_things_are_named(photo: torch.Tensor) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'starry-night'"):
        prepare(recipe(styles=("stary-night",)), photo)
    with pytest.raises(UnknownName, match=r"Unknown method 'gaty'.*gatys"):
        prepare(recipe(method="gaty"), photo)
    with pytest.raises(UnknownName, match="compact, vgg16, vgg19"):
        prepare(recipe(encoder="resnet"), photo)
    with pytest.raises(BadInput, match="No style given"):
        prepare(recipe(styles=()), photo)
    with pytest.raises(BadPicture, match=r"none\.jpg"):
        read_style("none.jpg")


def test_missing_weights_say_how_to_get_them(
    photo: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match="impasto weights pull vgg19"):
        prepare(recipe(encoder="vgg19"), photo)


def test_style_of_another_encoder_is_refused(photo: torch.Tensor) -> None:
    other = Style("vgg19", {}, "mine")
    with pytest.raises(BadInput, match="styles make PICTURE --encoder compact"):
        prepare(recipe(styles=("mine",)), photo, {"mine": other})


# --- going on from a picture ---


def going_on(photo: torch.Tensor, begun: torch.Tensor, **settings: object) -> list[Step]:
    told = recipe(method="gatys", init="begun.png", precision="fp32", **settings)
    steps: list[Step] = []
    paint(prepare(told, photo, {"begun.png": Picture(begun)}), steps.append)
    return steps


def test_a_larger_picture_goes_on_from_a_smaller_one(photo: torch.Tensor) -> None:
    """As a run at the larger size would have from there: that is what the same look means."""
    settings: dict[str, object] = {"size": 512, "iterations": 6}
    whole: list[Step] = []
    paint(
        prepare(recipe(method="gatys", precision="fp32", **settings), photo),
        whole.append,
    )
    ends = [step for step in whole if step.scale_done]
    assert [max(step.image.shape[-2:]) for step in ends] == [256, 512]
    steps = going_on(photo, ends[0].image, **settings)
    assert torch.equal(steps[-1].image, ends[1].image)
    eight_bits = (ends[0].image * 255).round() / 255
    near = going_on(photo, eight_bits, **settings)[-1].image
    assert (near - ends[1].image).abs().mean() < 0.01


def test_what_is_painted_already_is_not_in_the_estimate(photo: torch.Tensor) -> None:
    told = {"method": "gatys", "size": 512, "iterations": None}
    begun = {"begun.png": Picture(torch.rand(1, 3, 256, 213))}
    whole = prepare(recipe(**told), photo)
    rest = prepare(recipe(**told, init="begun.png"), photo, begun)
    passes = [job.stylizer.cost(512, 427).megapixels for job in (whole, rest)]
    assert passes[1] == pytest.approx(passes[0] * 100 / 115, rel=1e-3)


@pytest.mark.parametrize("size", [(48, 40), (480, 400), (481, 399), (24, 20), (5, 4), (490, 400)])
def test_the_shape_of_the_photo_is_wanted(photo: torch.Tensor, size: tuple[int, int]) -> None:
    steps = going_on(photo, torch.rand(1, 3, *size))
    assert steps[-1].image.shape == photo.shape


@pytest.mark.parametrize("size", [(40, 48), (48, 48), (500, 400), (1, 40)])
def test_another_shape_is_an_error(photo: torch.Tensor, size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=f"{size[1]} x {size[0]} px, another shape.* 40 x 48"):
        going_on(photo, torch.rand(1, 3, *size))


def test_a_picture_that_cannot_be_read(photo: torch.Tensor, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    for path in (broken, tmp_path / "none.png"):
        with pytest.raises(BadPicture, match=path.name):
            prepare(recipe(init=str(path)), photo)
    given = {"a.png": read_style("starry-night")}
    with pytest.raises(BadInput, match=r"a\.png is a style"):
        prepare(recipe(init="a.png"), photo, given)


def test_many_photos_do_not_go_on_from_one_picture(photo: torch.Tensor) -> None:
    painter = Painter(recipe(init="a.png"))
    with pytest.raises(BadInput, match=r"a\.png.* single photo"):
        painter.paint([painter.job(photo)])


@pytest.mark.parametrize(
    ("settings", "by"),
    [
        ({"method": "adain"}, "adain"),
        ({"method": "wct"}, "wct"),
        ({"method": "johnson", "strength": 0.5}, "johnson"),
    ],
)
def test_integers_are_for_networks_that_paint_alone(
    photo: torch.Tensor, settings: dict[str, object], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.runtime._no_int8", lambda device, engine: "")
    words = f"by dumoulin, ghiasi, johnson; this is by {by}"
    with pytest.raises(BadInput, match=words):
        prepare(recipe(iterations=None, precision="int8", **settings), photo)


def test_tiles_are_not_painted_in_integers_and_that_is_told(
    photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.runtime._no_int8", lambda device, engine: "")
    settings = {"method": "johnson", "iterations": None, "precision": "int8", "size": 3000}
    assert not prepare(recipe(**settings), photo).notices
    monkeypatch.setattr("impasto.estimate.WHOLE", 1.0)
    job = prepare(recipe(**settings), torch.zeros(1, 3, 3000, 3000))
    assert job.estimate.side is not None
    assert any("not painted in integers" in text for text in job.notices)
