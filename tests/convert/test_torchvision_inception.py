"""The published Inception-v3 becomes ours; nothing here needs the network."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto import weights
from impasto.convert import torchvision_inception
from impasto.convert.torchvision_inception import import_file, network_from
from impasto.errors import BadInput, DamagedWeights
from impasto.networks.inception import URL, Inception, load_fid, load_inception

BEYOND = {
    "AuxLogits.conv0.conv.weight": torch.zeros(128, 768, 1, 1),
    "AuxLogits.fc.bias": torch.zeros(1000),
    "fc.weight": torch.zeros(1000, 2048),
}
"""Some of what the published file holds besides."""

FIRST = "Conv2d_1a_3x3.conv.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A checkpoint of the real shapes, every tensor with values of its own."""
    torch.manual_seed(4)
    filters = Inception().filters()
    random = {key: torch.rand(tensor.shape) for key, tensor in filters.items()}
    return random | BEYOND | {"Mixed_5b.branch1x1.bn.num_batches_tracked": torch.tensor(7)}


@pytest.fixture(scope="module")
def checkpoint(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "inception.pth"
    torch.save(state, path)
    return path


def hollow(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same shapes, no memory."""
    return {key: torch.zeros(()).expand(tensor.shape) for key, tensor in state.items()}


def test_import_stores_what_is_needed(
    checkpoint: Path, state: dict[str, Tensor], home: Path
) -> None:
    path = import_file(checkpoint)
    assert path == home / "inception-v3.safetensors" == weights.find("inception", "v3")
    tensors, header = weights.read(path)
    assert (header.kind, header.name) == ("inception", "v3")
    assert (header.license, header.source) == ("unknown", "inception.pth")
    assert not any(key.startswith(("AuxLogits", "fc")) for key in tensors)
    assert tensors.keys() == {key for key in state if key not in BEYOND and "tracked" not in key}
    whole, predictor = load_fid().filters(), load_inception().filters()
    assert whole.keys() == tensors.keys()
    assert {key for key in whole if not key.startswith("Mixed_7")} == predictor.keys()
    for key, tensor in tensors.items():
        assert torch.equal(tensor, state[key]), key
        assert torch.equal(whole[key], state[key]), key
        assert key not in predictor or torch.equal(predictor[key], state[key]), key


def test_the_published_file_is_recognised(
    checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torchvision_inception, "SHA256", sha256(checkpoint.read_bytes()).hexdigest()[:8]
    )
    header = weights.read_header(import_file(checkpoint))
    assert header.source == URL
    assert "BSD-3-Clause" in header.license


def test_safetensors_and_our_own_files(
    state: dict[str, Tensor], home: Path, tmp_path: Path
) -> None:
    """A weights file of ours keeps its header."""
    foreign, ours = tmp_path / "foreign.safetensors", tmp_path / "ours.safetensors"
    save_file(state, foreign)
    first = weights.read(import_file(foreign, source="a friend"))
    assert first.header.source == "a friend"
    weights.write(ours, first.tensors, first.header)
    again = weights.read(import_file(ours))
    assert again.header == first.header


def test_half_precision_becomes_float32(state: dict[str, Tensor]) -> None:
    network = network_from({key: tensor.half() for key, tensor in state.items()})
    assert network.get_parameter(FIRST).dtype == torch.float32
    assert torch.equal(network.get_parameter(FIRST), state[FIRST].half().float())


def test_older_checkpoints_count_no_batches(state: dict[str, Tensor]) -> None:
    older = {key: tensor for key, tensor in hollow(state).items() if "tracked" not in key}
    assert not network_from(older).get_parameter(FIRST).any()


def test_says_what_differs(state: dict[str, Tensor]) -> None:
    whole = hollow(state)
    lacking = {key: t for key, t in whole.items() if key != "Mixed_6e.branch_pool.bn.bias"}
    with pytest.raises(BadInput, match=r"it lacks Mixed_6e\.branch_pool\.bn\.bias\. Give torch"):
        network_from(lacking)
    with pytest.raises(BadInput, match=r"it has Mixed_6a\.branch_pool\.conv\.weight besides"):
        network_from({**whole, "Mixed_6a.branch_pool.conv.weight": torch.ones(1)})
    with pytest.raises(BadInput, match=r"is \(32, 1, 3, 3\), expected \(32, 3, 3, 3\)"):
        network_from({**whole, FIRST: torch.ones(32, 1, 3, 3)})
    with pytest.raises(DamagedWeights, match=r"Conv2d_1a_3x3\.conv\.weight holds values"):
        network_from({**whole, FIRST: torch.full((32, 3, 3, 3), torch.inf)})


def test_another_network(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save({"features.0.weight": torch.ones(64, 3, 3, 3)}, path)
    with pytest.raises(BadInput, match=r"vgg16\.pth: this is not Inception-v3: it lacks") as error:
        import_file(path)
    assert str(error.value).endswith(
        "and 468 more. Give torchvision's inception_v3_google-0cc3c7bd.pth."
    )
    assert not home.exists()


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this ran",)


@pytest.mark.parametrize("content", ["empty", "text", "torn", "code"])
def test_unreadable_files(
    content: str, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "inception.pth"
    torch.save({"a": Trap()} if content == "code" else {"a": torch.ones(100)}, path)
    if content != "code":
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"<html>", "torn": whole[:-300]}[content])
    with pytest.raises(DamagedWeights, match="cannot be read") as error:
        import_file(path)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""
    assert not home.exists()


def test_no_file_and_no_state_dict(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        import_file(tmp_path / "no.pth")
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(BadInput, match="holds no state dict"):
        import_file(tmp_path / "list.pth")
