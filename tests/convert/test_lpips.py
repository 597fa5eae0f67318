"""The two published files become LPIPS; nothing here needs the network."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto import weights
from impasto.convert.lpips import import_file, part_from
from impasto.errors import BadInput, DamagedWeights
from impasto.networks.lpips import load_lpips

CONVS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
"""{number: (channels out, channels in, side of the filters)}, as torchvision publishes them."""


@pytest.fixture(scope="module")
def alexnet() -> dict[str, Tensor]:
    """A checkpoint of torchvision's shapes; of the classifier a little."""
    torch.manual_seed(4)
    state = {"classifier.1.weight": torch.zeros(2, 9216), "classifier.6.bias": torch.zeros(1000)}
    for number, (outputs, inputs, side) in CONVS.items():
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, side, side) / 10
        state[f"features.{number}.bias"] = torch.randn(outputs) / 10
    return state


@pytest.fixture(scope="module")
def heads() -> dict[str, Tensor]:
    """The authors' file: five maps of 1 x 1."""
    return {
        f"lin{number}.model.1.weight": torch.rand(1, outputs, 1, 1)
        for number, (outputs, _, _) in enumerate(CONVS.values())
    }


def test_both_files_make_the_network(
    alexnet: dict[str, Tensor], heads: dict[str, Tensor], tmp_path: Path, home: Path
) -> None:
    """Every filter and every learned weight lands in its place, and nothing else is kept."""
    stored = []
    for name, state in (("alex.pth", heads), ("alexnet-owt-7be5be79.pth", alexnet)):
        torch.save(state, tmp_path / name)
        stored.append(import_file(tmp_path / name))
    assert [path.name for path in stored] == [
        "lpips-heads.safetensors",
        "lpips-alexnet.safetensors",
    ]
    assert all(path.parent == home for path in stored)
    own = load_lpips().state_dict()
    theirs = {key.removesuffix(".model.1.weight"): t.flatten() for key, t in heads.items()}
    theirs |= {key: tensor for key, tensor in alexnet.items() if key.startswith("features")}
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[key], tensor) for key, tensor in theirs.items())


def test_headers_say_where_it_comes_from(
    heads: dict[str, Tensor], tmp_path: Path, home: Path
) -> None:
    save_file(heads, tmp_path / "foreign.safetensors")
    header = weights.read_header(import_file(tmp_path / "foreign.safetensors"))
    assert (header.kind, header.name, header.license) == ("lpips", "heads", "unknown")
    assert header.source == "foreign.safetensors"
    known = import_file(tmp_path / "foreign.safetensors", source="https://example.org")
    first = weights.read(known)
    assert first.header.license.startswith("BSD-2-Clause")
    weights.write(tmp_path / "ours.safetensors", first.tensors, first.header)
    assert weights.read(import_file(tmp_path / "ours.safetensors")).header == first.header


def test_half_precision_becomes_float32(heads: dict[str, Tensor]) -> None:
    name, tensors = part_from({key: tensor.half() for key, tensor in heads.items()})
    assert name == "heads"
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_the_learned_weights_for_another_network(heads: dict[str, Tensor]) -> None:
    """The authors' file for VGG has the same names."""
    vgg = {**heads, "lin1.model.1.weight": torch.rand(1, 128, 1, 1)}
    with pytest.raises(BadInput, match=r"lin1 is \(128,\), expected \(192,\)\. Give http\S+alex"):
        part_from(vgg)


def test_says_what_differs(alexnet: dict[str, Tensor], tmp_path: Path, home: Path) -> None:
    lacking = {key: t for key, t in alexnet.items() if key != "features.10.bias"}
    with pytest.raises(BadInput, match=r"no part of LPIPS.*it lacks features\.10\.bias\. Give"):
        part_from(lacking)
    broken = {**alexnet, "features.3.bias": torch.full((192,), torch.nan)}
    with pytest.raises(DamagedWeights, match=r"features\.3\.bias holds values that are not"):
        part_from(broken)
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match=r"other\.pth: this is no part of LPIPS") as error:
        import_file(tmp_path / "other.pth")
    assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match="There is no file"):
        import_file(tmp_path / "no.pth")
    assert not home.exists()
