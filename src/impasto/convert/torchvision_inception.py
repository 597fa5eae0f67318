"""Inception-v3 as torchvision publishes it, made into the paper's style prediction network.

What lies beyond Mixed_6e is dropped (73 MB of 109), and so is the auxiliary classifier. The
weights are Google's, ported from TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from impasto import weights
from impasto.convert.torchvision_vgg import _load, _some
from impasto.download import file_sha256
from impasto.errors import BadInput, DamagedWeights
from impasto.networks.inception import BLOCKS, STEM, InceptionPredictor
from impasto.weights import Header

FILE = "inception_v3_google-0cc3c7bd.pth"
URL = f"https://download.pytorch.org/models/{FILE}"
SHA256 = "0cc3c7bd"  # its first digits
LICENSE = "BSD-3-Clause (torchvision), Apache-2.0 (Google)"


def import_file(path: Path, *, source: str | None = None) -> Path:
    """Convert a checkpoint that is already here and keep it in the user's folder.

    ``path`` is a state dict (.pth) or safetensors file with torchvision's keys. A weights file of
    ours keeps its header. ``source`` is where the file came from; without it the file is recognised
    by its hash.

    Raises BadInput for a file that is not this network, DamagedWeights for one that cannot be read,
    BadOutput where nothing can be stored.
    """
    state, header = _load(path)
    try:
        predictor = predictor_from(state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    stored = weights.user_folder() / weights.file_name("inception", "v3")
    weights.write(stored, predictor.filters(), header or _new_header(path, source))
    return stored


def predictor_from(state: Mapping[str, Tensor]) -> InceptionPredictor:
    """The network with the filters of a state dict; its linear map is random.

    Raises BadInput that says what differs where ``state`` is not Inception-v3, DamagedWeights
    where it holds values that are not finite.
    """
    predictor = InceptionPredictor()
    own = predictor.filters()
    if differs := _difference(state, own):
        raise BadInput(f"this is not Inception-v3: {differs}. Give torchvision's {FILE}.")
    for key in own:
        if not state[key].isfinite().all():
            raise DamagedWeights(f"{key} holds values that are not finite. Get the file again.")
    predictor.take({key: state[key].float() for key in own})
    return predictor


def _difference(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What keeps ``state`` from holding the filters of the network; empty where nothing does."""
    if missing := [key for key in own if key not in state]:
        return f"it lacks {_some(missing)}"
    if surplus := [key for key in state if _kept(key) and key not in own]:
        return f"it has {_some(surplus)} besides"
    for key, tensor in own.items():
        if state[key].shape != tensor.shape:
            return f"{key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
    return ""


def _kept(key: str) -> bool:
    """Whether a key belongs to a layer as far as Mixed_6e; counters of batches do not matter."""
    layer, _, rest = key.partition(".")
    return layer in (*STEM, *BLOCKS) and not rest.endswith("num_batches_tracked")


def _new_header(path: Path, source: str | None) -> Header:
    if source is None and file_sha256(path).startswith(SHA256):
        source = URL
    return Header(
        kind="inception",
        name="v3",
        license=LICENSE if source else "unknown",
        source=source or path.name,
        note="Inception-v3 as far as Mixed_6e, without the linear map to the embedding",
    )
