"""Impasto as a library: the same kind in, the same kind out."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import BadInput, UnknownName

QUICK = {"iterations": 2, "size": 40}


def test_public_names_are_listed_and_there() -> None:
    assert impasto.__all__ == sorted(impasto.__all__)
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        impasto.nothing  # noqa: B018


def test_import_costs_nothing() -> None:
    code = "import impasto, sys; impasto.Recipe; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_same_kind_in_same_kind_out(photo: torch.Tensor, tmp_path: Path) -> None:
    pixels = (photo[0].permute(1, 2, 0) * 255).byte().numpy()
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "photo.png")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")

    out = impasto.stylize(tmp_path / "photo.png", "starry-night", **QUICK)
    assert isinstance(out, Image.Image) and max(out.size) == 40
    assert isinstance(impasto.stylize(picture, "starry-night", **QUICK), Image.Image)
    out = impasto.stylize(buffer.getvalue(), "starry-night", **QUICK)
    assert isinstance(out, bytes) and out.startswith(b"\x89PNG")
    out = impasto.stylize(pixels, "starry-night", **QUICK)
    assert isinstance(out, np.ndarray) and out.dtype == np.uint8 and out.shape[2] == 3
    out = impasto.stylize(photo[0], "starry-night", **QUICK)
    assert isinstance(out, torch.Tensor) and out.ndim == 3 and max(out.shape) == 40


def test_styles_of_every_kind_and_mixes(photo: torch.Tensor) -> None:
    own = impasto.Style.of(photo.flip(3), name="mine")
    outs = [
        impasto.stylize(photo, style, **QUICK)
        for style in (own, photo.flip(3), [own, "the-scream"], ("great-wave", "the-scream"))
    ]
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2]) and not torch.equal(outs[2], outs[3])


def test_weights_of_a_mix(photo: torch.Tensor) -> None:
    alone = impasto.stylize(photo, "great-wave", **QUICK)
    one = impasto.stylize(photo, ["great-wave", "the-scream"], weights=[1, 0], **QUICK)
    assert float((alone - one).abs().max()) < 1e-3
    with pytest.raises(BadInput, match="2 styles but 1 weight"):
        impasto.stylize(photo, ["great-wave", "the-scream"], weights=[1])


def test_masks_of_every_kind(photo: torch.Tensor, tmp_path: Path) -> None:
    """A file, an array of booleans and a tensor are the same mask; the rest is the photo."""
    height, width = photo.shape[-2:]
    inside = np.zeros((height, width), bool)
    inside[:, : width // 2] = True
    Image.fromarray(inside.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    settings = {"iterations": 2, "feather": 0}
    path = tmp_path / "mask.png"
    masks = (
        f"{path}=udnie:2",
        (path, "udnie"),
        (inside, "udnie", 3),
        (torch.tensor(inside), "udnie"),
    )
    outs = [impasto.stylize(photo, masks=[mask], **settings) for mask in masks]
    assert all(torch.equal(outs[0], out) for out in outs[1:])
    assert torch.equal(outs[0][..., width // 2 :], photo[..., width // 2 :])
    assert not torch.equal(outs[0], photo)
    own = impasto.Style.of(photo.flip(3), name="mine")
    two = impasto.stylize(photo, own, masks=[(inside, photo.flip(2)), (~inside, own)], **settings)
    assert not torch.equal(two, outs[0])


def test_alpha_of_the_photo_as_the_mask(photo: torch.Tensor) -> None:
    pixels = photo[0].permute(1, 2, 0).numpy()
    alpha = np.ones_like(pixels[..., :1])
    alpha[:, 20:] = 0
    out = impasto.stylize(
        np.concatenate([pixels, alpha], 2), masks=[("alpha", "udnie")], iterations=2, feather=0
    )
    assert np.array_equal(out[:, 20:, :3], pixels[:, 20:]) and np.array_equal(out[..., 3:], alpha)
    assert not np.allclose(out[:, :20, :3], pixels[:, :20])


@pytest.mark.parametrize("masks", [[("x.png",)], [3], [("x.png", "udnie", 1, 2)]])
def test_what_is_no_mask(photo: torch.Tensor, masks: list[object]) -> None:
    with pytest.raises(BadInput, match=r"A mask is 'REGION\.png=STYLE'"):
        impasto.stylize(photo, masks=masks)  # type: ignore[call-overload]


def test_notices_are_warnings(photo: torch.Tensor) -> None:
    with pytest.warns(UserWarning, match=r"Weights 5, -4 lead too far away.*taken as 2, -1"):
        impasto.stylize(photo, ["great-wave", "the-scream"], weights=[5, -4], **QUICK)


def test_methods_by_name_with_their_controls(photo: torch.Tensor) -> None:
    """The same seed and settings, the same picture; every control is a keyword."""
    settings = {"method": "adain", "size": 40}
    outs = [
        impasto.stylize(photo, "great-wave", **settings, finish=on) for on in (True, True, False)
    ]
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
    assert torch.equal(impasto.stylize(photo, "great-wave", **settings), outs[0])


def test_bad_settings_are_explained(photo: torch.Tensor) -> None:
    with pytest.raises(UnknownName, match=r"Unknown setting 'strenght'. Did you mean 'strength'"):
        impasto.stylize(photo, "great-wave", strenght=1)
    with pytest.raises(BadInput, match="strength"):
        impasto.stylize(photo, "great-wave", strength=float("nan"))
    with pytest.raises(BadInput, match="No style given"):
        impasto.stylize(photo)
    with pytest.raises(BadInput, match="--levels: gatys has no such control"):
        impasto.stylize(photo, "great-wave", method="gatys", levels=3)


def test_load_gives_a_method(photo: torch.Tensor) -> None:
    method = impasto.load("gatys")
    code = method.encode(impasto.Style.of(photo))
    assert torch.equal(method.stylize(photo, code, strength=0), photo)


def test_all_22_styles_are_packaged() -> None:
    assert len(impasto.styles()) == 22 and "starry-night" in impasto.styles()
