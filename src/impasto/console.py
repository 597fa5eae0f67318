"""What the command line shows while it works: lines, bars on a terminal, JSON where asked for."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

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
        yield partial(json_line, lines)
        return
    with ExitStack() as stack:
        yield _Lines(lines, stack)


def json_line(file: TextIO, event: Mapping[str, object]) -> None:
    """In one go: events may come from two threads."""
    file.write(json.dumps(event) + "\n")
    file.flush()


class _Lines:
    """Events as words, steps as a bar, which is there from the first step on."""

    def __init__(self, file: TextIO, stack: ExitStack) -> None:
        self.file, self.stack = file, stack
        self.step: OnEvent | None = None

    def __call__(self, event: Mapping[str, object]) -> None:
        if event["event"] == "step":
            if self.step is None:
                self.step = self.stack.enter_context(_steps())
            self.step(event)
        elif event["event"] == "estimate":
            words = "{method}, {0} x {1} px: about {seconds} s and {peak_mb} MB"
            self._print(words.format(*_pair(event["size"]), **event))
        elif event["event"] == "notice":
            self._print(str(event["text"]))
        elif event["event"] == "done":
            self.stack.close()  # the bar makes way
            self._print(_done(event))

    def _print(self, line: str) -> None:
        print(line, file=self.file, flush=True)


@contextmanager
def _steps() -> Iterator[OnEvent]:
    with _bar(*_counted("{task.description}")) as bar:
        task = bar.add_task("painting")

        def show(event: Mapping[str, object]) -> None:
            done, total = (float(str(event[name])) for name in ("done", "total"))
            bar.update(task, completed=done, total=total)

        yield show


def _counted(text: str) -> "list[ProgressColumn]":
    """What a bar shows of work that is counted."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    count = TextColumn("{task.completed}/{task.total}")
    return [TextColumn(text), BarColumn(), count, TimeRemainingColumn()]


def _done(event: Mapping[str, object]) -> str:
    """The last line, and one more where it is known what the time went into."""
    stopped = "stopped early, " if event["interrupted"] else ""
    words = "{output}: {stopped}{seconds} s (loading {load_seconds} s), {peak_mb} MB"
    if "style_error" in event:
        words += ", style_error {style_error}, content_error {content_error}"
    line = words.format(stopped=stopped, **event)
    timings = event.get("timings")
    if isinstance(timings, Mapping):
        parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in timings.items())
        line += f"\n{sum(timings.values()):.2f} s in all: {parts}"
    return line


def _pair(size: object) -> tuple[object, object]:
    assert isinstance(size, list)
    return size[0], size[1]


def _bar(*columns: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def training_bar() -> Iterator[Callable[["TrainingProgress"], None]]:
    """A bar for a training; for every report a line of losses, with their shares in the sum."""
    from rich.console import Console

    from impasto.training.distributed import first

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    with _bar(*_counted("training")) as bar:
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
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    with _bar(*_counted("comparing")) as bar:
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
    from rich.console import Console
    from rich.table import Table

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
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    with _bar(TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
