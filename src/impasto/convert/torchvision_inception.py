"""Inception-v3 as torchvision publishes it, made into what ghiasi's network and FID begin with.

Both classifiers are dropped (22 MB of 109). The weights are Google's, ported from TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from impasto import weights
from impasto.convert.torchvision_vgg import load_state, some_of
from impasto.download import file_sha256
from impasto.errors import BadInput, DamagedWeights
from impasto.networks.inception import ALL_BLOCKS, FILE, STEM, URL, Inception
from impasto.weights import Header

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
    state, header = load_state(path)
    try:
        network = network_from(state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    stored = weights.user_folder() / weights.file_name("inception", "v3")
    weights.write(stored, network.filters(), header or _new_header(path, source))
    return stored


def network_from(state: Mapping[str, Tensor]) -> Inception:
    """The network with the filters of a state dict.

    Raises BadInput that says what differs where ``state`` is not Inception-v3, DamagedWeights
    where it holds values that are not finite.
    """
    network = Inception()
    own = network.filters()
    if differs := _difference(state, own):
        raise BadInput(f"this is not Inception-v3: {differs}. Give torchvision's {FILE}.")
    for key in own:
        if not state[key].isfinite().all():
            raise DamagedWeights(f"{key} holds values that are not finite. Get the file again.")
    network.take({key: state[key].float() for key in own})
    return network


def _difference(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What keeps ``state`` from holding the filters of the network; empty where nothing does."""
    if missing := [key for key in own if key not in state]:
        return f"it lacks {some_of(missing)}"
    if surplus := [key for key in state if _kept(key) and key not in own]:
        return f"it has {some_of(surplus)} besides"
    for key, tensor in own.items():
        if state[key].shape != tensor.shape:
            return f"{key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
    return ""


def _kept(key: str) -> bool:
    """Whether a key belongs to a layer that is kept; counters of batches do not matter."""
    layer, _, rest = key.partition(".")
    return layer in (*STEM, *ALL_BLOCKS) and not rest.endswith("num_batches_tracked")


def _new_header(path: Path, source: str | None) -> Header:
    if source is None and file_sha256(path).startswith(SHA256):
        source = URL
    return Header(
        kind="inception",
        name="v3",
        license=LICENSE if source else "unknown",
        source=source or path.name,
        note="Inception-v3 as far as Mixed_7c, without its classifiers",
    )
