"""Folders of pictures."""

import os
from collections.abc import Collection
from pathlib import Path


def listed(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Every file below a folder whose name ends so, in capitals or not, sorted; none is opened."""
    wanted = tuple(suffixes)
    paths = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(wanted)
    ]
    return sorted(paths, key=lambda path: path.parts)
