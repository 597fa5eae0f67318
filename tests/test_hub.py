"""The hubs' conventions: what goes in comes out in shape, kind and style."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import hub, methods
from impasto.errors import BadInput, BadPicture, UnknownName
from impasto.hub import Hub, HubModule
from impasto.networks.encoders import Encoder
from impasto.style import Style

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _through_tiny(encoder: Encoder, decoders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load_encoder", lambda name: encoder)


@pytest.fixture
def module() -> HubModule:
    return hub.load("adain", "cpu", "fp32")


def last(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1)


def test_a_hub_module_gives_a_tuple_of_what_it_was_given(
    module: HubModule, photo: Tensor, painting: Tensor
) -> None:
    content, style = last(photo), last(painting)
    (as_tensor,) = module(content, style)
    (as_array,) = module(content.numpy(), style.double().numpy())
    assert isinstance(as_tensor, Tensor) and isinstance(as_array, np.ndarray)
    assert as_array.shape == tuple(content.shape) and as_array.dtype == np.float32
    assert np.allclose(as_array, as_tensor.numpy(), atol=1e-5)


def test_it_paints_what_the_method_paints(
    module: HubModule, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    method = module.hub.method
    wanted = method.stylize(photo, method.encode(Style.of(painting, encoder)), 0.6)
    assert torch.allclose(module(last(photo), last(painting), 0.6)[0], last(wanted), atol=1e-5)


def test_one_style_for_all_or_one_for_each(
    module: HubModule, photo: Tensor, painting: Tensor
) -> None:
    both, other = last(torch.cat([photo, photo.flip(3)])), last(painting.flip(1))
    (shared,) = module(both, last(painting))
    (own,) = module(both, torch.cat([last(painting), other]))
    assert torch.allclose(shared[0], own[0], atol=1e-4)
    assert not torch.allclose(shared[1], own[1], atol=0.01)
    with pytest.raises(BadPicture, match="2 pictures in content but 3 in style"):
        module(both, torch.cat([other, other, other]))


@pytest.mark.parametrize(
    "wrong",
    [
        torch.rand(9, 9, 3),
        torch.rand(1, 3, 9, 9),
        torch.ones(1, 9, 9, 3, dtype=torch.uint8),
        torch.empty(0, 9, 9, 3),
        255 * torch.ones(1, 9, 9, 3),
        torch.full((1, 9, 9, 3), torch.nan),
    ],
    ids=["no batch", "channels first", "integers", "empty", "of 255", "nan"],
)
def test_what_is_no_picture_is_refused(module: HubModule, painting: Tensor, wrong: Tensor) -> None:
    with pytest.raises(BadPicture, match="content"):
        module(wrong, last(painting))


def test_a_hub_module_needs_a_method_for_any_style() -> None:
    with pytest.raises(BadInput, match="Choose from: adain, gatys, ghiasi, wct"):
        hub.load("johnson")


def test_a_style_may_be_given_when_loading_or_later(
    encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    loaded, empty = Hub("ghiasi", painting, "cpu", "fp32"), Hub("ghiasi", None, "cpu", "fp32")
    wanted = loaded(photo)
    assert wanted.shape == photo.shape
    assert torch.equal(empty(photo, Style.of(painting, encoder)), wanted)
    assert torch.equal(empty(photo, empty.encode(painting)), wanted)
    assert torch.equal(empty(photo, painting, strength=0), photo)
    with pytest.raises(BadInput, match="No style"):
        empty(photo)


def test_it_is_a_module_like_any_other(photo: Tensor, painting: Tensor) -> None:
    model = Hub("adain", painting, "cpu", "fp32")
    before = model(photo)
    assert torch.equal(model.eval().to(torch.float64)(photo), before)


def test_torch_hub_finds_every_method(photo: Tensor, painting: Tensor) -> None:
    def load(entry: str, **settings: object) -> Hub:
        return torch.hub.load(str(ROOT), entry, source="local", **settings)  # type: ignore[no-untyped-call, no-any-return]

    model = load("adain", style=painting, device="cpu", precision="fp32")
    assert model(photo).shape == photo.shape
    text = (ROOT / "hubconf.py").read_text(encoding="utf-8")
    entries = set(re.findall(r"^def ([a-z]\w*)", text, re.MULTILINE))
    assert entries == {*methods.names(), "hub_module"}
    with pytest.raises(UnknownName, match="styl"):
        load("johnson", style="sunday-paper")


def test_hubconf_depends_on_what_the_package_depends_on() -> None:
    """Under the names that are imported: torch.hub says which of them are missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split("[<>=]", text)[0] for text in project["dependencies"]]
    imported = {"pillow": "PIL", "scikit-image": "skimage"}
    found: dict[str, object] = {"__file__": str(ROOT / "hubconf.py")}
    exec((ROOT / "hubconf.py").read_text(encoding="utf-8"), found)
    assert found["dependencies"] == [imported.get(name, name) for name in names]
