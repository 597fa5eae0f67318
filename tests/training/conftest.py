"""What the tests of networks that paint share: a store, a folder of pictures, a small judgement."""

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto import weights
from impasto.media.image import write
from impasto.networks import encoders
from impasto.networks.encoders import Encoder, Shape
from impasto.networks.painters import GALLERY, ManyStyles
from impasto.training import judge, teachers


@pytest.fixture
def compact(encoder: Encoder, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store, in which the tiny encoder stands in for the compact one."""
    monkeypatch.setitem(encoders.SHAPES, "compact", encoder.shape)
    path = home / weights.file_name("encoder", "compact")
    weights.write(path, encoder.state_dict(), weights.Header("encoder", "compact"))
    return home


@pytest.fixture
def pictures(tmp_path: Path, photo: Tensor, painting: Tensor) -> Path:
    """Photos and paintings, one each to train on (the first is held out), and a gallery."""
    folder = tmp_path / "data"
    for name in ("photos", "paintings", "gallery"):
        (folder / name).mkdir(parents=True)
    for name, picture in (("photos", photo), ("paintings", painting)):
        write(picture.flip(2), folder / name / "0.png")
        write(picture, folder / name / "1.png")
    for number, style in enumerate(judge.STYLES):
        write(painting.roll(number, 1).flip(2 + number % 2), folder / "gallery" / f"{style}.jpg")
    return folder


@pytest.fixture
def many(compact: Path) -> ManyStyles:
    """The store has a narrow network of the styles ``one`` and ``two``, each row of its own."""
    painter = ManyStyles(2, 0.125).requires_grad_(False).eval()
    painter.rows += 0.3 * torch.randn_like(painter.rows)
    config = {"width": 0.125, "norm": "instance", "styles": ["one", "two"]}
    path = compact / weights.file_name("dumoulin", GALLERY)
    weights.write(path, painter.state_dict(), weights.Header("dumoulin", GALLERY, config))
    return painter


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two small teachers of random weights."""
    exact, slim = Shape((5, 6, 7), (2, 2, 1)), Shape((4, 4, 6, 6, 6), (1,) * 5)
    monkeypatch.setattr(teachers, "EXACT", exact)
    monkeypatch.setattr(teachers, "SLIM", slim)
    folder = tmp_path / "teacher"
    folder.mkdir()
    save_file(flat_state(Encoder(slim)), folder / teachers.SLIM_FILE)
    save_file(flat_state(Encoder(exact)), folder / teachers.EXACT_FILE)
    return folder


def flat_state(encoder: Encoder) -> dict[str, Tensor]:
    """Keys as the teachers' files have them: ``conv11.weight``."""
    return {
        key.replace("convs.", "conv").replace("_", ""): value.contiguous()
        for key, value in encoder.state_dict().items()
    }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judgement of 24 pictures at 512 px and of 64 crops, made small."""
    monkeypatch.setattr(judge, "r2", partial(judge.r2, count=2))
    monkeypatch.setattr(judge, "SIZE", 24)
    monkeypatch.setattr(judge, "STYLES", judge.STYLES[:2])
    monkeypatch.setattr(judge, "PHOTOS", judge.PHOTOS[:1])
    monkeypatch.setattr("impasto.methods.gatys.Config.steps", (1,))
