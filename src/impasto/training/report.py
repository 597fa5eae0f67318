"""What a training says while it runs: log, TensorBoard where there is one, sheets of samples."""

import json
import math
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from impasto.files import writing
from impasto.media.image import write
from impasto.training import distributed

DOMINANT = 80.0
"""A loss with a larger share than this, in percent, is warned of ..."""

REPORTS = 5
"""... when it has it on average over so many reports."""

SHEETS = 20
"""So many sheets of samples are kept, the newest."""

NAMED = 5
"""So many of the files that cannot be read are named."""


class Progress(BaseModel):
    """What the loop reports every ``log_every`` steps."""

    step: int
    steps: int
    seconds: float
    losses: dict[str, float]
    shares: dict[str, float] = {}
    """What each loss contributes to their sum, percent."""
    unreadable: int = 0
    """Training pictures that were skipped so far."""
    notices: tuple[str, ...] = ()
    """What the user should know, each said once."""


class Journal:
    """The reports of a training; only the first of several processes writes them."""

    def __init__(self, folder: Path) -> None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log = folder, folder / "log.jsonl"
        self.recent: deque[Mapping[str, float]] = deque(maxlen=REPORTS)
        self.told: set[str] = set()
        self.board = board(folder) if distributed.first() else None

    def note(self, row: Mapping[str, Any]) -> None:
        """Append a line to the log.

        Raises BadOutput.
        """
        if distributed.first():
            with writing(self.log), self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def report(self, progress: Progress, unreadable: Collection[str] = ()) -> Progress:
        """The report with shares and notices, written down.

        unreadable: the files that were skipped so far; the last report names them
        """
        parts = shares(progress.losses)
        self.recent.append(parts)
        notices = [self._dominance()]
        if progress.step == progress.steps:
            notices.append(skipped(unreadable))
        full = progress.model_copy(
            update={
                "shares": parts,
                "unreadable": len(unreadable),
                "notices": tuple(filter(None, notices)),
            }
        )
        self.note(full.model_dump(exclude_defaults=True))
        if self.board:
            for name, loss in full.losses.items():
                self.board.add_scalar(f"loss/{name}", loss, full.step)
                self.board.add_scalar(f"share/{name}", parts.get(name, 0.0), full.step)
            self.board.flush()
        return full

    def _dominance(self) -> str:
        """The warning of a loss that leaves nothing to the others, once for each loss."""
        if len(self.recent) < REPORTS or len(self.recent[-1]) < 2:
            return ""
        for name in self.recent[-1]:
            share = sum(parts.get(name, 0.0) for parts in self.recent) / REPORTS
            if share > DOMINANT and name not in self.told:
                self.told.add(name)
                return (
                    f"{name} makes up {share:.0f} % of the loss in the last {REPORTS} reports: "
                    "the others hardly count. Lower its weight, or raise theirs."
                )
        return ""

    def paint(self, images: Tensor, step: int) -> None:
        """Write a sheet of samples, and delete the oldest where there are too many.

        images: (N, 3, H, W)

        Raises BadOutput.
        """
        folder = self.folder / "samples"
        with writing(folder):
            folder.mkdir(exist_ok=True)
        write(sheet(images.float().clamp(0, 1).cpu()), folder / f"step-{step:06}.png")
        for old in sorted(folder.glob("step-*.png"))[:-SHEETS]:
            old.unlink(missing_ok=True)


def shares(losses: Mapping[str, float]) -> dict[str, float]:
    """What each loss contributes to the sum, percent; nothing where that is no number or zero."""
    total = sum(abs(loss) for loss in losses.values())
    if not math.isfinite(total) or total == 0:
        return {}
    return {name: round(100 * abs(loss) / total, 1) for name, loss in losses.items()}


def skipped(names: Collection[str]) -> str:
    """The sentence about files that cannot be read, empty where there are none."""
    if not names:
        return ""
    count = f"{len(names)} training picture{'s' * (len(names) > 1)}"
    shown = sorted(names)[:NAMED]
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return f"Skipped {count} that cannot be read: {', '.join(shown + more)}."


def sheet(images: Tensor) -> Tensor:
    """Pictures side by side in a square, row by row.  (N, 3, H, W)  ->  (1, 3, R H, C W)"""
    count, _, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    white = images.new_ones(rows * columns - count, 3, height, width)
    cells = torch.cat([images, white]).view(rows, columns, 3, height, width)
    return cells.permute(2, 0, 3, 1, 4).reshape(1, 3, rows * height, columns * width)


def board(folder: Path) -> Any:
    """A writer for TensorBoard, or None where that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
