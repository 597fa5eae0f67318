"""VGG-16 and VGG-19 as torchvision publishes them, made into our encoders.

Of a checkpoint the convolutions are kept and the classifier is dropped (80 MB of 548). Filters are
rescaled so that their mean activation is 1, as Gatys et al. 2016, section 2, do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import weights
from impasto.download import Progress, download, file_sha256, lock
from impasto.errors import BadInput, DamagedWeights, ImpastoError, unknown
from impasto.media.samples import sample_photo
from impasto.networks.encoders import SHAPES, Encoder, normalise
from impasto.weights import PUBLISHED, Header

SAMPLE_PHOTOS = ("chelsea", "coffee", "astronaut")
PHOTO_SIDE = 256  # pixels


def pull(
    name: str,
    *,
    url: str | None = None,
    sha256_prefix: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download published weights, convert them and keep them in the user's folder.

    ``url`` is a mirror of the same file; ``sha256_prefix`` replaces the published one.

    Raises UnknownName for what cannot be pulled; else as ``download`` and ``import_file``.
    """
    published = PUBLISHED.get(name)
    if published is None:
        raise unknown("published weights", name, PUBLISHED)
    prefix = published.sha256 if sha256_prefix is None else sha256_prefix
    url = url or published.url
    archive = weights.cache_folder() / f"{name}-{prefix}.pth"
    stored = weights.user_folder() / weights.file_name("encoder", name)
    with lock(archive):
        if _sound(stored):  # also where another process pulled it while this one waited
            return stored
        download(url, prefix, archive, progress)
        import_file(archive, name, source=url)
        archive.unlink()
    return stored


def import_file(
    path: Path,
    name: str,
    *,
    source: str | None = None,
    normalise_on: Iterable[Tensor] | None = None,
) -> Path:
    """Convert a checkpoint that is already here and keep it in the user's folder.

    ``path`` is a state dict (.pth) or safetensors file with torchvision's keys or with ours. A
    weights file of ours keeps its header and its values. ``source`` is where the file came from;
    without it the file is recognised by its hash. Every other file is normalised on
    ``normalise_on``, each (B, 3, H, W), RGB in [0, 1]; default: the sample photos.

    Raises UnknownName for another ``name`` than vgg16 and vgg19, BadInput for a file that is not
    this network, DamagedWeights for one that cannot be read, BadOutput where nothing can be stored.
    """
    if name not in PUBLISHED:
        raise unknown("encoder", name, PUBLISHED)
    state, header = load_state(path)
    try:
        encoder = encoder_from(state, name)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    if header is None:
        header = _new_header(path, name, source)
        normalise(encoder, sample_photos() if normalise_on is None else normalise_on)
    stored = weights.user_folder() / weights.file_name("encoder", name)
    weights.write(stored, encoder.state_dict(), header)
    return stored


def encoder_from(state: Mapping[str, Tensor], name: str) -> Encoder:
    """The encoder with the filters of a state dict as they are, not normalised.

    Raises BadInput that says what differs where ``state`` is not the network ``name``,
    DamagedWeights where it holds values that are not finite.
    """
    if differs := _difference(state, name):
        others = [other for other in PUBLISHED if not _difference(state, other)]
        title = _title(name)
        reason = f"this is a {_title(others[0])}, not a {title}" if others else differs
        raise BadInput(f"{reason}. Give the weights of torchvision's {title}.")
    for key in (keys := _keys(state, name)):
        if not state[key].isfinite().all():
            raise DamagedWeights(f"{key} holds values that are not finite. Get the file again.")
    encoder = Encoder(SHAPES[name], name)
    own = {ours: state[theirs].float() for theirs, ours in keys.items()}
    encoder.load_state_dict({**encoder.state_dict(), **own})
    return encoder


def sample_photos() -> Iterator[Tensor]:
    """Three photos of scikit-image, long side 256.  ->  each (1, 3, H, W), RGB in [0, 1]"""
    for photo in SAMPLE_PHOTOS:
        image = sample_photo(photo)
        scale = PHOTO_SIDE / max(image.shape[-2:])
        size = [round(side * scale) for side in image.shape[-2:]]
        yield F.interpolate(image, size, mode="bilinear", antialias=True)


def _torchvision_layers(name: str) -> dict[str, str]:
    """{our layer: ``features.N``}; ReLUs and pools are counted there too."""
    names: dict[str, str] = {}
    number = 0
    for layer, _, _ in SHAPES[name].layers():
        if layer.endswith("_1") and names:
            number += 1  # the pool before this block
        names[layer] = f"features.{number}"
        number += 2  # the convolution and its ReLU
    return names


def _keys(state: Mapping[str, Tensor], name: str) -> dict[str, str]:
    """{key the state should have: key of the Encoder}, for our layout or torchvision's."""
    layers = {f"convs.{ours}": theirs for ours, theirs in _torchvision_layers(name).items()}
    if any(key.startswith("convs.") for key in state):
        layers = {layer: layer for layer in ("conv0", *layers)}
    parts = ("weight", "bias")
    return {f"{theirs}.{p}": f"{ours}.{p}" for ours, theirs in layers.items() for p in parts}


def _difference(state: Mapping[str, Tensor], name: str) -> str:
    """What keeps ``state`` from being the network ``name``; empty where nothing does."""
    keys = _keys(state, name)
    with torch.device("meta"):  # shapes without memory
        own = Encoder(SHAPES[name]).state_dict()
    if missing := [key for key in keys if key not in state]:
        return f"it lacks {some_of(missing)}"
    if surplus := [k for k in state if k not in keys and k.startswith(("features.", "conv"))]:
        return f"it has {some_of(surplus)} besides the layers of a {_title(name)}"
    for theirs, ours in keys.items():
        if state[theirs].shape != own[ours].shape:
            return f"{theirs} is {tuple(state[theirs].shape)}, expected {tuple(own[ours].shape)}"
    return ""


def some_of(names: list[str]) -> str:
    """The first two names, and how many more there are."""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _title(name: str) -> str:
    return f"VGG-{name.removeprefix('vgg')}"


def load_state(path: Path) -> tuple[Mapping[str, Tensor], Header | None]:
    """The tensors of a file, and its header where it is one of our weights files."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    if path.suffix.lower() != ".safetensors":
        return _load_pickle(path), None
    tensors, metadata = weights.read_raw(path)
    return weights.read(path) if "sha256" in metadata else (tensors, None)


def _load_pickle(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever it runs into
        raise DamagedWeights(
            f"{path} cannot be read: it is damaged, or a pickle that would run code. "
            "Give a state dict saved by torch.save, or a .safetensors file."
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise BadInput(f"{path} holds no state dict. Give a mapping of names to tensors.")
    return state


def _new_header(path: Path, name: str, source: str | None) -> Header:
    published = PUBLISHED[name]
    if source is None and file_sha256(path).startswith(published.sha256):
        source = published.url
    return Header(
        kind="encoder",
        name=name,
        config=asdict(SHAPES[name]),
        license=published.license if source else "unknown",
        source=source or path.name,
        note=f"convolutions of {_title(name)}, mean activations scaled to 1 (Gatys et al. 2016)",
    )


def _sound(path: Path) -> bool:
    """Whether these weights are there already, undamaged."""
    try:
        weights.read(path)
    except ImpastoError:
        return False
    return True
