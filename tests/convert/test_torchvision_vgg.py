"""Published VGG checkpoints become our encoders; nothing here needs the network."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from impasto import weights
from impasto.convert.torchvision_vgg import encoder_from, import_file, pull, sample_photos
from impasto.errors import BadInput, DamagedWeights, MissingWeights, UnknownName
from impasto.networks.encoders import IMAGENET_MEAN, IMAGENET_STD, SHAPES, Encoder

# {number in torchvision's ``features``: channels out}, "M" of its tables being the gaps of three
CONVS = {
    "vgg16": dict(
        zip(
            (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
            (64, 64, 128, 128, 256, 256, 256, *[512] * 6),
            strict=True,
        )
    ),
    "vgg19": dict(
        zip(
            (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
            (64, 64, 128, 128, 256, 256, 256, 256, *[512] * 8),
            strict=True,
        )
    ),
}


def hollow_state(name: str) -> dict[str, Tensor]:
    """A checkpoint of the right shapes that takes no memory."""
    state, width = {"classifier.0.weight": torch.zeros(2, 2)}, 3
    for number, channels in CONVS[name].items():
        state[f"features.{number}.weight"] = torch.zeros(()).expand(channels, width, 3, 3)
        state[f"features.{number}.bias"] = torch.zeros(()).expand(channels)
        width = channels
    return state


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A VGG-19 of the real shapes with He-like random filters."""
    generator = torch.Generator().manual_seed(3)
    result = {}
    for key, value in hollow_state("vgg19").items():
        noise = torch.randn(value.shape, generator=generator)
        result[key] = noise * (2 / value[0].numel()) ** 0.5 if value.ndim == 4 else noise * 0.05
    return result


@pytest.fixture(scope="module")
def checkpoint(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint in the format of torchvision's files, which are older than torch's zip."""
    path = tmp_path_factory.mktemp("served") / "vgg19.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "weights"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(checkpoint: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(checkpoint.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def plain_vgg(state: dict[str, Tensor], image: Tensor) -> Tensor:
    """The deepest features of a checkpoint, layer by layer.  -> (B, 512, H/16, W/16)"""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    x = (image - mean[:, None, None]) / std[:, None, None]
    previous = 0
    for number in CONVS["vgg19"]:
        if number - previous == 3:
            x = F.max_pool2d(x, 2)
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"])
        x, previous = x.relu(), number
    return x


@torch.no_grad()
def test_pull_stores_a_normalised_encoder(
    server: str, checkpoint: Path, state: dict[str, Tensor], tmp_path: Path
) -> None:
    sha = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    seen: list[tuple[int, int]] = []
    path = pull(
        "vgg19",
        url=f"{server}/vgg19.pth",
        sha256_prefix=sha[:8],
        progress=lambda *each: seen.append(each),
    )
    assert seen[-1] == (checkpoint.stat().st_size,) * 2
    assert path == weights.find("encoder", "vgg19")
    assert left_in(tmp_path / "cache") == set()

    tensors, header = weights.read(path)
    assert (header.kind, header.name, header.source) == ("encoder", "vgg19", f"{server}/vgg19.pth")
    assert header.license.startswith("BSD-3-Clause")
    assert {key: tuple(value) for key, value in header.config.items()} == vars(SHAPES["vgg19"])
    assert {t.dtype for t in tensors.values()} == {torch.float32}

    encoder = Encoder(SHAPES["vgg19"])
    encoder.load_state_dict(tensors)
    photos = list(sample_photos())
    assert [max(p.shape[-2:]) for p in photos] == [256, 256, 256]
    features = [encoder(photo, encoder.layers) for photo in photos]
    for layer in encoder.layers:
        means = torch.stack([f[layer].mean((0, 2, 3)) for f in features]).mean(0)
        assert (((means - 1).abs() < 1e-3) | (means < 1e-4)).all(), layer  # fires, or is dead
        assert (means > 0.5).float().mean() > 0.7  # most do fire
    raw = plain_vgg(state, photos[2])  # the same function, but for one factor for each channel
    torch.testing.assert_close(
        features[2]["relu5_4"] * raw.mean((2, 3), keepdim=True),
        raw * features[2]["relu5_4"].mean((2, 3), keepdim=True),
        rtol=1e-3,
        atol=1e-4,
    )


@torch.no_grad()
def test_encoder_computes_what_the_checkpoint_computes(state: dict[str, Tensor]) -> None:
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(5))
    ours = encoder_from(state, "vgg19")(image, ["relu5_4"])["relu5_4"]
    torch.testing.assert_close(ours, plain_vgg(state, image), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_every_filter_lands_in_its_layer() -> None:
    for name, convs in CONVS.items():
        state = hollow_state(name)
        for place, number in enumerate(convs):
            key = f"features.{number}.bias"
            state[key] = torch.tensor(float(place)).expand(state[key].shape)
        own = encoder_from(state, name).state_dict()
        biases = [own[f"convs.{layer}.bias"][0].item() for layer, _, _ in SHAPES[name].layers()]
        assert biases == list(range(len(convs)))


def test_imports_safetensors_of_either_layout(
    state: dict[str, Tensor], home: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "downloaded.safetensors"
    save_file(state, foreign)
    stored = import_file(foreign, "vgg19", normalise_on=())
    assert stored == home / "encoder-vgg19.safetensors"
    first = weights.read(stored)
    assert (first.header.license, first.header.source) == ("unknown", "downloaded.safetensors")
    assert torch.equal(first.tensors["convs.5_4.weight"], state["features.34.weight"])

    ours = tmp_path / "copy.safetensors"  # a weights file of ours keeps its values and its header
    header = replace(first.header, license="BSD-3-Clause", source="a friend")
    weights.write(ours, first.tensors, header)
    stored.unlink()
    assert weights.read(import_file(ours, "vgg19")).header == header


def test_damaged_weights_of_ours_are_not_imported(tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    weights.write(path, {"a": torch.ones(4)}, weights.Header("encoder", "vgg16"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedWeights):
        import_file(path, "vgg16")


def test_says_which_network_it_is() -> None:
    with pytest.raises(BadInput, match="this is a VGG-16, not a VGG-19"):
        encoder_from(hollow_state("vgg16"), "vgg19")
    with pytest.raises(BadInput, match="this is a VGG-19, not a VGG-16"):
        encoder_from(hollow_state("vgg19"), "vgg16")


def test_says_what_differs() -> None:
    whole = hollow_state("vgg19")
    lacking = {k: v for k, v in whole.items() if k != "features.34.bias"}
    with pytest.raises(BadInput, match=r"it lacks features\.34\.bias\. Give"):
        encoder_from(lacking, "vgg19")
    with pytest.raises(BadInput, match=r"it has features\.1\.weight besides"):
        encoder_from({**whole, "features.1.weight": torch.ones(64)}, "vgg19")
    with pytest.raises(BadInput, match=r"features\.2\.bias is \(32,\), expected \(64,\)"):
        encoder_from({**whole, "features.2.bias": torch.ones(32)}, "vgg19")
    with pytest.raises(BadInput, match=r"lacks features\.0\.weight, features\.0\.bias and 30 more"):
        encoder_from({"layer1.weight": torch.ones(1)}, "vgg19")


def test_values_that_are_not_finite() -> None:
    state = hollow_state("vgg16") | {"features.0.bias": torch.full((64,), float("nan"))}
    with pytest.raises(DamagedWeights, match=r"features\.0\.bias"):
        encoder_from(state, "vgg16")


def test_names_are_checked_first(tmp_path: Path) -> None:
    for work in (partial(pull, "vgg18"), partial(import_file, tmp_path / "no.pth", "vgg18")):
        with pytest.raises(UnknownName, match="Choose from: vgg16, vgg19"):
            work()
    with pytest.raises(BadInput, match="There is no file"):
        import_file(tmp_path / "no.pth", "vgg19")


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this ran",)


@pytest.mark.parametrize("content", ["empty", "text", "torn", "code"])
def test_unreadable_files(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vgg19.pth"
    torch.save({"a": Trap()} if content == "code" else {"a": torch.ones(100)}, path)
    if content != "code":
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"<html>", "torn": whole[:-300]}[content])
    with pytest.raises(DamagedWeights, match="cannot be read") as error:
        import_file(path, "vgg19")
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_not_a_state_dict(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(BadInput, match="holds no state dict"):
        import_file(tmp_path / "list.pth", "vgg19")


def test_refused_pull_stores_nothing(server: str, home: Path) -> None:
    with pytest.raises(MissingWeights, match="404"):
        pull("vgg19", url=f"{server}/other.pth")
    with pytest.raises(DamagedWeights, match="not dcbb9e9d"):
        pull("vgg19", url=f"{server}/vgg19.pth")
    assert not home.exists()
    assert left_in(weights.cache_folder()) == set()
