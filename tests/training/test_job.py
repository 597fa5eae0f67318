"""Between a training and its file: the judgement, the weights with all that is known of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto import weights
from impasto.codes import Region
from impasto.config import validate
from impasto.errors import BadInput, BadOutput
from impasto.losses import content_error, style_error
from impasto.media import image as media
from impasto.media.samples import sample_photo
from impasto.methods.adain import Adain
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import OnStep
from impasto.training import judge
from impasto.training.batches import StagedRecipe
from impasto.training.job import Job, any_style, written

PLAN = {"stages": [{"until": 1, "size": 32}], "schedule": {"steps": 1, "lr": 0.5}}

FIGURES = {f"{c}/{k}_error" for c in ("photo", "painted") for k in ("style", "content")}


@pytest.fixture
def job(pictures: Path, tmp_path: Path, machine: Runtime) -> Job:
    (tmp_path / "run").mkdir()
    return Job({}, pictures, pictures, tmp_path / "run", machine, lambda _: None)


@pytest.fixture
def gallery(pictures: Path, small: None) -> list[Path]:
    """Two paintings; two photos of 24 px are what they are judged with."""
    return judge.gallery_files(pictures / "gallery")


# --- the file ---


class Norm(nn.Module):
    """Weights, and a counter that must stay a number of its kind."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3))
        self.register_buffer("seen", torch.tensor(70_001))


def test_weights_are_written_with_all_that_is_known(tmp_path: Path) -> None:
    recipe, module = validate(StagedRecipe, PLAN), Norm()
    config, metrics = {"width": 0.5, "styles": ["a"]}, {"r2": {"relu1_1": 0.5}}
    trained = written(module, recipe, "adain", "tiny", config, metrics, "# A card")
    trained.save(tmp_path / "adain-tiny.safetensors")
    tensors, header = weights.read(tmp_path / "adain-tiny.safetensors")
    assert trained.card == "# A card"
    assert (header.kind, header.name, header.license) == ("adain", "tiny", "MIT")
    assert dict(header.config) == config and dict(header.metrics) == metrics
    assert StagedRecipe.model_validate_json(header.recipe) == recipe
    assert tensors["weight"].dtype == torch.float16
    torch.testing.assert_close(tensors["weight"].float(), module.weight.data, rtol=1e-3, atol=0)
    assert tensors["seen"] == 70_001 and tensors["seen"].dtype == torch.int64


def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    trained = written(Norm(), validate(StagedRecipe, PLAN), "adain", "tiny", {}, {}, "")
    with pytest.raises(BadOutput, match="file"):
        trained.save(tmp_path / "file" / "adain-tiny.safetensors")


# --- the judgement ---


def square(path: Path | str) -> Tensor:
    """A picture as it is judged: 24 px on its long side."""
    pixels = sample_photo(path) if isinstance(path, str) else media.read(path).pixels
    return media.resize(pixels, media.fit(pixels.shape[-1], pixels.shape[-2], 24))


def test_figures_are_those_of_what_was_painted(
    job: Job, gallery: Sequence[Path], encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: each photo in each style, and the photos as they were."""
    monkeypatch.setattr(judge, "PHOTOS", ("astronaut", "coffee"))
    measured = job.judged(lambda photo, number: photo * (1 - 0.4 * number), gallery, encoder)
    sums = dict.fromkeys(FIGURES, 0.0)
    for photo in map(square, judge.PHOTOS):
        for number, path in enumerate(gallery):
            look = {tap: gram(f) for tap, f in encoder(square(path)).items()}
            for column, picture in (("photo", photo), ("painted", photo * (1 - 0.4 * number))):
                seen = encoder(picture)
                grams = {tap: gram(f) for tap, f in seen.items()}
                content = content_error(seen["relu4_1"], encoder(photo)["relu4_1"])
                sums[f"{column}/style_error"] += float(style_error(grams, look)) / 4
                sums[f"{column}/content_error"] += float(content) / 4
    assert measured == pytest.approx(sums, rel=1e-3, abs=1e-4)
    assert measured["photo/content_error"] == 0 < measured["painted/content_error"]
    json.dumps(measured)  # they go into the header


def test_who_paints_the_painting_is_beyond_reproach(
    job: Job, gallery: Sequence[Path], encoder: Encoder
) -> None:
    """What is asked for by number is the style that is measured."""
    measured = job.judged(lambda _, number: square(gallery[number]), gallery, encoder)
    assert measured["painted/style_error"] < 1e-4 < measured["photo/style_error"]


def test_the_sheet_lies_beside_the_checkpoint(
    job: Job, gallery: Sequence[Path], encoder: Encoder
) -> None:
    """A row for each photo: itself, then every style; at half the size."""
    job.judged(lambda photo, number: torch.full_like(photo, 0.5 * number), gallery, encoder)
    pixels = media.read(job.run / "judged.png").pixels
    assert pixels.shape == (1, 3, 12, 36)
    photo = media.resize(square(judge.PHOTOS[0]), (12, 12))
    torch.testing.assert_close(pixels[..., 1:11, 1:11], photo[..., 1:11, 1:11], atol=0.1, rtol=0)
    assert (pixels[..., 14:22] < 0.02).all() and (pixels[..., 26:] - 0.5).abs().max() < 0.02


def test_eyes_are_asked_for_the_taps_that_count(job: Job, gallery: Sequence[Path]) -> None:
    """Two teachers can be one pair of eyes: nothing else is asked of them."""
    asked = set()

    def eyes(image: Tensor, taps: tuple[str, ...]) -> Mapping[str, Tensor]:
        asked.add(taps)
        return dict.fromkeys(taps, image)

    measured = job.judged(lambda photo, _: 2 * photo, gallery, eyes)
    assert asked == {TAPS, ("relu4_1",)}
    assert measured["painted/content_error"] == pytest.approx(1, rel=1e-3)


def test_paintings_that_are_missing_are_all_named(pictures: Path) -> None:
    assert len(judge.gallery_files(pictures / "gallery")) == 6
    for name in ("udnie", "the-scream"):
        (pictures / "gallery" / f"{name}.jpg").unlink()
    with pytest.raises(BadInput, match=r"No the-scream, udnie \(\.jpg\) in '.*gallery'"):
        judge.gallery_files(pictures / "gallery")


# --- a method that paints any style ---


class Average(Adain):
    """Paints everything in the mean of the style's first features."""

    def paint(
        self, content: Tensor, regions: Sequence[Region], strength: float, on_step: OnStep
    ) -> Tensor:
        return torch.full_like(content, float(regions[0].code["512/finish/mean"].mean()))


def test_any_style_is_painted_by_its_number(
    gallery: Sequence[Path], machine: Runtime, encoder: Encoder, photo: Tensor
) -> None:
    paint = any_style(Average(encoder, nn.ModuleDict(), machine), encoder, gallery)
    for number, path in enumerate(gallery):
        mean = Style.of(path, encoder).at(512)["relu1_1"].mean.mean()
        torch.testing.assert_close(paint(photo, number), torch.full_like(photo, float(mean)))
    assert not torch.equal(paint(photo, 0), paint(photo, 1))
