"""What a style looks like, from its picture or from what is left of it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.errors import BadPicture, UnknownName
from impasto.evaluate.looks import SIDE, look
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.style import Style

FACTS = {"artist": "Hokusai", "title": "The Great Wave", "licence": "public domain"}


@pytest.fixture
def style(tmp_path: Path, painting: Tensor, encoder: Encoder) -> str:
    path = tmp_path / "wave.style.safetensors"
    Style.of(painting, encoder).with_facts(FACTS).save(path)
    return str(path)


@pytest.mark.parametrize(("side", "shown"), [(64, 64), (700, 512)])
def test_a_picture_is_shown_and_not_enlarged(
    tmp_path: Path, encoder: Encoder, side: int, shown: int
) -> None:
    picture = torch.rand(1, 3, 8, side)
    media.write(picture, tmp_path / "own.png")
    found = look(str(tmp_path / "own.png"), encoder)
    assert found.text == "" and found.pixels is not None
    assert max(found.pixels.shape) == shown
    if side == shown:
        torch.testing.assert_close(found.pixels, picture, atol=0.003, rtol=0)


@pytest.mark.usefixtures("decoders")
def test_statistics_become_a_texture(style: str, encoder: Encoder) -> None:
    """The same one every time, and nobody else's random numbers are touched."""
    before = torch.get_rng_state()
    first, second = look(style, encoder), look(style, encoder)
    assert first.text == "Hokusai, The Great Wave, as a texture made of its statistics"
    assert first.pixels is not None and second.pixels is not None
    assert first.pixels.shape == (1, 3, SIDE, SIDE)
    assert first.pixels.std() > 0
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("home")
def test_without_decoders_there_are_words(style: str, encoder: Encoder) -> None:
    found = look(style, encoder)
    assert (found.pixels, found.text) == (None, "Hokusai, The Great Wave")


@pytest.mark.usefixtures("home")
def test_a_style_of_which_nothing_is_known(
    tmp_path: Path, painting: Tensor, encoder: Encoder
) -> None:
    Style.of(painting, encoder).save(tmp_path / "x.style.safetensors")
    assert look(str(tmp_path / "x.style.safetensors"), encoder).text == ""


def test_what_is_no_style(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'udnie'"):
        look("udnei", encoder)
    with pytest.raises(BadPicture):
        look(str(tmp_path / "none.png"), encoder)
