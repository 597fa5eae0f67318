"""LPIPS from its two published files: torchvision's AlexNet and the authors' learned weights.

Of AlexNet the convolutions are kept and the classifier is dropped (10 MB of 244).
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from impasto import weights
from impasto.convert.torchvision_vgg import load_state, some_of
from impasto.errors import BadInput, DamagedWeights
from impasto.networks.lpips import PARTS, part
from impasto.weights import Header

LICENSES = {"alexnet": "BSD-3-Clause (torchvision)", "heads": "BSD-2-Clause (Zhang et al.)"}

TAIL = ".model.1.weight"
"""What the authors' names of the learned weights end with."""


def import_file(path: Path, *, source: str | None = None) -> Path:
    """Convert one of the two files, whichever it is, and keep it in the user's folder.

    ``path`` is a state dict (.pth) or safetensors file with the published keys or with ours. A
    weights file of ours keeps its header. ``source`` is where the file came from.

    Raises BadInput for a file that is neither, DamagedWeights for one that cannot be read,
    BadOutput where nothing can be stored.
    """
    state, header = load_state(path)
    try:
        name, tensors = part_from(state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    stored = weights.user_folder() / weights.file_name("lpips", name)
    weights.write(stored, tensors, header or _new_header(path, name, source))
    return stored


def part_from(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Which part of LPIPS a state dict is, and its tensors as we store them.

    Raises BadInput that says what differs where it is none, DamagedWeights where it holds values
    that are not finite.
    """
    name = "heads" if any(key.startswith("lin") for key in state) else "alexnet"
    shapes, published = part(name), PARTS[name]
    given = {_ours(key): tensor for key, tensor in state.items()}
    if missing := [key for key in shapes if key not in given]:
        raise _not_it(name, f"it lacks {some_of(missing)}")
    for key, shape in shapes.items():
        tensor = given[key].flatten() if name == "heads" else given[key]
        if tensor.shape != shape:
            raise _not_it(name, f"{key} is {tuple(tensor.shape)}, expected {tuple(shape)}")
        if not tensor.isfinite().all():
            raise DamagedWeights(
                f"{key} holds values that are not finite. Get {published.file} again."
            )
        given[key] = tensor.float()
    return name, {key: given[key] for key in shapes}


def _ours(key: str) -> str:
    return key.removesuffix(TAIL) if key.startswith("lin") else key


def _not_it(name: str, why: str) -> BadInput:
    return BadInput(f"this is no part of LPIPS with AlexNet: {why}. Give {PARTS[name].url}.")


def _new_header(path: Path, name: str, source: str | None) -> Header:
    return Header(
        kind="lpips",
        name=name,
        license=LICENSES[name] if source else "unknown",
        source=source or path.name,
        note=f"LPIPS version 0.1, AlexNet: {PARTS[name].what} (Zhang et al. 2018)",
    )
