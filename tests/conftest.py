"""What the tests share: a tiny encoder with random weights, a small photo, a small painting.

No test needs trained weights: the suite holds the code to its word, not the weights.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto import storage, weights
from impasto.networks.decoders import Decoder
from impasto.networks.encoders import TAPS, Encoder, Shape
from impasto.networks.painters import GALLERY, AnyStyle, ManyStyles
from impasto.networks.predictors import MomentsPredictor
from impasto.networks.transformer import Transformer
from impasto.runtime import Runtime

TINY = Shape((4, 6, 8, 8, 8), (2, 2, 1, 1, 1))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Networks this small gain nothing from a second one, and lose much where cores are busy."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """A suite started in the background of a shell ignores it, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def encoder() -> Encoder:
    """A new encoder with random weights and biases, the same ones every time."""
    torch.manual_seed(1)
    network = Encoder(TINY, "tiny").requires_grad_(False).eval()
    for conv in network.convs.values():
        assert isinstance(conv.bias, Tensor)
        conv.bias.normal_(std=0.1)
    return network


@pytest.fixture(scope="session")
def _decoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with random decoders for the tiny encoder, and small random painters."""
    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("tiny")
    for kind, taps in (("adain", ("relu4_1", "relu1_1")), ("wct", TAPS)):
        decoders = nn.ModuleDict({tap: Decoder(TINY, tap) for tap in taps})
        path = folder / "weights" / weights.file_name(kind, "tiny")
        path.parent.mkdir(exist_ok=True)
        weights.write(path, decoders.state_dict(), weights.Header(kind, "tiny"))
    small = {"width": 0.125, "norm": "instance"}
    painters = {
        ("johnson", "style"): (Transformer(0.125), small),
        ("dumoulin", GALLERY): (ManyStyles(1, 0.125), small | {"styles": ["style"]}),
        ("ghiasi", "tiny"): (
            AnyStyle(MomentsPredictor(TINY.channels), 0.125),
            small | {"predictor": "moments", "channels": TINY.channels},
        ),
    }
    for (kind, name), (painter, config) in painters.items():
        path = folder / "weights" / weights.file_name(kind, name)
        weights.write(path, painter.state_dict(), weights.Header(kind, name, config))
    return folder


@pytest.fixture
def decoders(_decoders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store knows the tiny encoder's decoders and the small painters, and nothing else."""
    monkeypatch.setenv("IMPASTO_HOME", str(_decoders))
    monkeypatch.setattr(weights, "folders", lambda: [_decoders / "none", weights.user_folder()])


@pytest.fixture
def machine() -> Runtime:
    """The plain runtime: CPU, float32."""
    return Runtime(torch.device("cpu"), bf16=False)


@pytest.fixture(scope="session")
def _astronaut() -> Tensor:
    return _sample("astronaut")[:, :, :480, 60:460]


@pytest.fixture(scope="session")
def _coffee() -> Tensor:
    return _sample("coffee")[:, :, :, 100:500]


@pytest.fixture
def photo(_astronaut: Tensor) -> Tensor:
    """(1, 3, 48, 40), RGB in [0, 1]"""
    return _shrink(_astronaut, (48, 40))


@pytest.fixture
def painting(_coffee: Tensor) -> Tensor:
    """(1, 3, 64, 64), RGB in [0, 1]; other colours and other edges than the photo"""
    return _shrink(_coffee, (64, 64))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of weights; nothing is packaged."""
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(weights, "folders", lambda: [tmp_path / "none", weights.user_folder()])
    return tmp_path / "home" / "weights"


def _sample(name: str) -> Tensor:
    from skimage import data

    picture: Callable[[], object] = getattr(data, name)
    return torch.tensor(picture()).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)


def _shrink(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", antialias=True).clamp(0, 1)


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[str]:
    """The address of a server that speaks S3."""
    pytest.importorskip("moto", reason="moto[server] is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture
def s3(_s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a folder in a new bucket."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in {**keys, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": _s3_server}.items():
        monkeypatch.setenv(name, value)
    storage._bucket.cache_clear()
    name = f"photos-{time.time_ns()}"
    with urlopen(Request(f"{_s3_server}/{name}", method="PUT")) as answer:
        assert answer.status == 200
    yield f"s3://{name}/shoot 1"
    storage._bucket.cache_clear()


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two, whatever this machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
