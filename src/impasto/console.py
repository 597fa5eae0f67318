"""What the command line shows while it works: lines, bars on a terminal, JSON where asked for."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from impasto.evaluate.cells import Row
    from impasto.training.loop import Progress as TrainingProgress

OnEvent = Callable[[Mapping[str, object]], None]


@contextmanager
def reporter(as_json: bool, stdout_taken: bool = False) -> Iterator[OnEvent]:
    """Something that prints the events of the pipeline.

    Lines go to standard output, or to standard error when the picture itself goes there; bars
    always go to standard error, and only when that is a terminal.
    """
    lines = sys.stderr if stdout_taken else sys.stdout
    if as_json:
        yield lambda event: print(json.dumps(event), file=lines, flush=True)
        return
    with _bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    ) as bar:
        yield _Lines(
            bar, Console(file=lines, highlight=False, soft_wrap=True, markup=False, emoji=False)
        )


class _Lines:
    """Events as words, steps as a bar."""

    def __init__(self, bar: Progress, console: Console) -> None:
        self.bar, self.console = bar, console
        self.task: TaskID | None = None

    def __call__(self, event: Mapping[str, object]) -> None:
        if event["event"] == "step":
            self._step(event)
        elif event["event"] == "estimate":
            self.console.print(
                "{method}, {0} x {1} px: about {seconds} s and {peak_mb} MB".format(
                    *_pair(event["size"]), **event
                )
            )
        elif event["event"] == "notice":
            self.console.print(event["text"])
        elif event["event"] == "done":
            self.bar.stop()
            stopped = "stopped early, " if event["interrupted"] else ""
            self.console.print(
                "{output}: {stopped}{seconds} s (loading {load_seconds} s), {peak_mb} MB, "
                "style_error {style_error}, content_error {content_error}".format(
                    stopped=stopped, **event
                )
            )

    def _step(self, event: Mapping[str, object]) -> None:
        if self.task is None:
            self.task = self.bar.add_task("painting", total=float(str(event["total"])))
        self.bar.update(self.task, completed=float(str(event["done"])))


def _pair(size: object) -> tuple[object, object]:
    assert isinstance(size, list)
    return size[0], size[1]


def _bar(
    *columns: TextColumn | BarColumn | TimeRemainingColumn | DownloadColumn | TransferSpeedColumn,
) -> Progress:
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def training_bar() -> Iterator[Callable[["TrainingProgress"], None]]:
    """A bar for a training; for every report a line of losses, with their shares in the sum."""
    from impasto.training.distributed import first

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    with _bar(
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    ) as bar:
        task = bar.add_task("training", total=None, visible=first())

        def show(progress: "TrainingProgress") -> None:
            bar.update(task, completed=progress.step, total=progress.steps)
            losses = "  ".join(map(partial(_loss, progress), progress.losses))
            left = progress.seconds / progress.step * (progress.steps - progress.step)
            done = f"step {progress.step} of {progress.steps}, {progress.seconds:.0f} s"
            console.print(f"{done}, about {left:.0f} s to go: {losses}")
            for notice in progress.notices:
                console.print(notice)

        yield show


def _loss(progress: "TrainingProgress", name: str) -> str:
    share = progress.shares.get(name)
    return f"{name} {progress.losses[name]:.3f}" + (
        f" ({share:.0f} %)" if share is not None else ""
    )


@contextmanager
def cells_bar(count: int) -> Iterator[Callable[["Row", bool], None]]:
    """A bar over the pictures of a comparison, and a line for each that is new or failed."""
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    with _bar(
        TextColumn("comparing"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    ) as bar:
        task = bar.add_task("comparing", total=count)

        def show(row: "Row", old: bool) -> None:
            bar.advance(task)
            if not old and row.method not in ("photo", "style"):
                told = f"{row.seconds:.2f} s" if row.outcome == "done" else row.reason
                strength = "" if row.strength is None else f" {row.strength:g}"
                console.print(f"{row.photo} in {row.style} by {row.method}{strength}: {told}")

        yield show


def print_means(rows: Sequence["Row"]) -> None:
    """A table of what the methods took and reached on average."""
    table = Table("method", "pictures", "seconds", "loading", "MB", "style_error", "content_error")
    for method in dict.fromkeys(row.method for row in rows):
        done = [row for row in rows if row.method == method and row.outcome == "done"]
        errors = [[row.metrics[name] for row in done] for name in ("style_error", "content_error")]
        times = [[row.seconds for row in done], [row.load_seconds for row in done]]
        columns = [*times, [row.peak_mb for row in done], *errors]
        table.add_row(method, str(len(done)), *map(_mean, columns))
    Console(width=100).print(table)


def _mean(values: Sequence[float | None]) -> str:
    there = [value for value in values if value is not None]
    return f"{sum(there) / len(there):.3g}" if there else "–"


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for a download: told bytes so far and bytes in all (0 where unknown)."""
    with _bar(TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
