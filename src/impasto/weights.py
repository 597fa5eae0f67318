"""The store of weights: safetensors files that say what they are and notice their own damage.

A file is called ``{kind}-{name}.safetensors`` and lies in the package or in the user's folder.
Its header tells kind, name, config, recipe, licence, source, metrics and the digest of its tensors.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import platformdirs
from safetensors import SafetensorError, safe_open

from impasto.errors import DamagedWeights, MissingWeights, unknown
from impasto.files import replacing, writing

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Published:
    """Weights that somebody published and that can be pulled; sizes in bytes."""

    kind: str
    url: str
    sha256: str  # the first hexadecimal digits, as in torchvision's file names
    license: str
    download_bytes: int
    kept_bytes: int


_seen: ContextVar[set[Path] | None] = ContextVar("seen", default=None)
"""The files read so far, while somebody wants to know."""

PUBLISHED: Mapping[str, Published] = {
    "vgg16": Published(
        kind="encoder",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af",
        license="BSD-3-Clause (torchvision)",
        download_bytes=553_433_881,
        kept_bytes=58_862_000,
    ),
    "vgg19": Published(
        kind="encoder",
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        license="BSD-3-Clause (torchvision)",
        download_bytes=574_673_361,
        kept_bytes=80_101_000,
    ),
}


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself; ``sha256`` is filled in by ``write``."""

    kind: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    license: str = ""
    source: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    sha256: str = ""

    def to_metadata(self) -> dict[str, str]:
        """The header as safetensors keeps it: text to text."""
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Header":
        """The header out of a file; raises ValueError when it is not one of ours."""
        known: dict[str, Any] = {
            f.name: metadata[f.name] for f in fields(cls) if f.name in metadata
        }
        if missing := [key for key in ("kind", "name", "sha256") if key not in known]:
            raise ValueError(f"its header lacks {', '.join(missing)}")
        for key in known.keys() & {"config", "metrics"}:
            known[key] = json.loads(known[key])
            if not isinstance(known[key], dict):
                raise ValueError(f"{key} in its header is not a table")
        return cls(**known)


class Weights(NamedTuple):
    """The content of a weights file."""

    tensors: dict[str, "Tensor"]
    header: Header


@dataclass(frozen=True)
class Entry:
    """One file of the store; ``header`` is None where the file is damaged."""

    kind: str
    name: str
    path: Path
    where: str  # "packaged" or "user"
    bytes: int
    header: Header | None


def user_folder() -> Path:
    """Where pulled and imported weights are kept: ``$IMPASTO_HOME/weights`` if that is set."""
    home = os.environ.get("IMPASTO_HOME")
    base = Path(home).expanduser() if home else platformdirs.user_data_path("impasto", False)
    return base / "weights"


def cache_folder() -> Path:
    """Where downloads lie until they are converted: ``$IMPASTO_CACHE`` if that is set."""
    cache = os.environ.get("IMPASTO_CACHE")
    return Path(cache).expanduser() if cache else platformdirs.user_cache_path("impasto", False)


def folders() -> list[Path]:
    """The folders that are searched, in this order: packaged, then the user's."""
    return [Path(__file__).parent / "assets" / "weights", user_folder()]


def file_name(kind: str, name: str) -> str:
    """The name of the file that holds these weights."""
    return f"{kind}-{name}.safetensors"


def available() -> list[Entry]:
    """Every weights file in the store; of two with the same name the first is the one used."""
    return [_entry(path, where) for path, where in _files()]


def files(*kinds: str) -> list[Path]:
    """All files of those kinds, packaged ones first."""
    return [path for path, _ in _files() if _kind_and_name(path)[0] in kinds]


def names(kind: str) -> list[str]:
    """The names of all weights of a kind, packaged ones first; no file is opened."""
    return list(dict.fromkeys(_kind_and_name(path)[1] for path in files(kind)))


def find(kind: str, name: str) -> Path:
    """The file of these weights.

    Raises MissingWeights, which says how to get them, or UnknownName with the list of that kind.
    """
    wanted = file_name(kind, name)
    for path, _ in _files():
        if path.name == wanted:
            return path
    published = [key for key, item in PUBLISHED.items() if item.kind == kind]
    if name in published:
        raise MissingWeights(
            f"The weights of {kind} {name!r} are not on this machine. "
            f"Get them with: impasto weights pull {name}"
        )
    if known := {*names(kind), *published}:
        raise unknown(kind, name, sorted(known))
    searched = " and ".join(map(str, folders()))
    raise MissingWeights(f"There are no weights of {kind} {name!r} in {searched}.")


def _files() -> Iterator[tuple[Path, str]]:
    for folder, where in zip(folders(), ("packaged", "user"), strict=True):
        for path in sorted(folder.glob("*-*.safetensors")):
            if path.is_file():
                yield path, where


def _entry(path: Path, where: str) -> Entry:
    header = None
    with suppress(DamagedWeights):
        header = read_header(path)
    return Entry(*_kind_and_name(path), path, where, path.stat().st_size, header)


def _kind_and_name(path: Path) -> tuple[str, str]:
    kind, _, name = path.stem.partition("-")
    return kind, name


def digest(tensors: Mapping[str, "Tensor"]) -> str:
    """SHA-256 over the sorted names, types, shapes and bytes of ``tensors``, in hexadecimal."""
    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()


def read_header(path: Path) -> Header:
    """The header alone, without loading or checking the tensors; raises as ``read`` does."""
    with _opened(path, "numpy") as file:
        return _header(path, file.metadata() or {})


def parameters(path: Path) -> int:
    """How many numbers a file holds, without loading them; raises as ``read`` does."""
    with _opened(path, "numpy") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def read_raw(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Tensors and metadata of any safetensors file, unchecked; raises as ``read`` does."""
    with _opened(path, "pt") as file:
        return {key: file.get_tensor(key) for key in sorted(file.keys())}, file.metadata() or {}


def read(path: Path) -> Weights:
    """The content of a weights file, checked against its digest.

    Raises MissingWeights where there is no such file, DamagedWeights where it is truncated, is not
    one of ours, or its content is not what was written.
    """
    tensors, metadata = read_raw(path)
    header = _header(path, metadata)
    if (seen := _seen.get()) is not None:
        seen.add(path)
    if digest(tensors) != header.sha256:
        raise _damaged(path, "its content does not match its sha256")
    return Weights(tensors, header)


@contextmanager
def recorded() -> Iterator[set[Path]]:
    """The files that are read while this is open."""
    paths: set[Path] = set()
    token = _seen.set(paths)
    try:
        yield paths
    finally:
        _seen.reset(token)


def write(path: Path, tensors: Mapping[str, "Tensor"], header: Header) -> None:
    """Write a weights file completely or not at all, with the digest of ``tensors`` in its header.

    Raises BadOutput where the file cannot be written.
    """
    from safetensors.torch import save

    content = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = save(content, replace(header, sha256=digest(content)).to_metadata())
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except FileNotFoundError as error:
        raise MissingWeights(f"There is no weights file {path}.") from error
    except (OSError, SafetensorError) as error:
        raise _damaged(path, f"it is truncated or no safetensors file ({error})") from error


def _header(path: Path, metadata: Mapping[str, str]) -> Header:
    try:
        return Header.from_metadata(metadata)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> DamagedWeights:
    _, name = _kind_and_name(path)
    pull = f"get it again with: impasto weights pull {name}"
    again = pull if name in PUBLISHED else "put a good copy in its place."
    return DamagedWeights(f"{path} is damaged: {reason}. Delete it, or {again}")
