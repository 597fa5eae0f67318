"""On a GPU, real or emulated: every method paints what it paints on a processor, in float32."""

from typing import Any

import pytest
import torch
from torch import Tensor

from impasto import methods
from impasto.codes import Region
from impasto.media.samples import sample_photo
from impasto.networks.encoders import load_encoder
from impasto.pipeline import figures, paint, prepare
from impasto.recipe import Recipe
from impasto.runtime import runtime
from impasto.style import open_style
from impasto.stylizer import Stylizer
from impasto.tiling.raster import Raster

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]

every_method = pytest.mark.parametrize("name", methods.names())
STYLE = "starry-night"


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return sample_photo("chelsea")[..., :203, :221].contiguous()


def made(name: str, device: str) -> Stylizer:
    recipe = Recipe(method=name, iterations=6, quality="draft")
    return methods.get(name).create(load_encoder("compact"), runtime(device, "fp32"), recipe)


def close(got: Tensor, wanted: Tensor) -> None:
    """But for one number in a thousand: what is optimised goes its own way from there."""
    assert got.device == wanted.device
    error = (got - wanted).abs().flatten()
    assert float(error.mean()) < 1 / 255
    assert float(error.quantile(0.999)) < 16 / 255


@every_method
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_picture(name: str, strength: float, photo: Tensor) -> None:
    done = []
    for device in ("cpu", "cuda"):
        method = made(name, device)
        done.append(method.stylize(photo, method.encode(open_style(STYLE)), strength))
    close(done[1], done[0])


@every_method
@pytest.mark.parametrize("tiled", [False, True])
def test_parts_of_a_picture(name: str, tiled: bool, photo: Tensor) -> None:
    ramp, done = torch.linspace(0, 1, 221).expand(1, 1, 203, 221), []
    for device in ("cpu", "cuda"):
        method = made(name, device)
        code = method.encode(open_style(STYLE))
        regions = [Region(code, ramp * 0.5), Region(code, 0.5 - ramp * 0.5)]
        if tiled:
            target = Raster.empty((203, 221), torch.float32)
            method.stylize_tiles(Raster(photo), target, regions, 1.0, 128, lambda step: None)
            done.append(target.levels)
        else:
            done.append(method.stylize(photo, regions, 1.0))
    close(done[1], done[0])


@every_method
def test_a_recipe_and_its_figures(name: str, photo: Tensor) -> None:
    settings: dict[str, Any] = {"iterations": 6} if name == "gatys" else {}
    told = Recipe(
        photo="chelsea",
        styles=(STYLE,),  # type: ignore[arg-type]
        method=name,
        device="cuda",
        **settings,
    )
    job = prepare(told, photo)
    result = paint(job)
    assert result.pixels.device.type == "cpu" and result.pixels.isfinite().all()
    assert figures(job, result)["style_error"]
