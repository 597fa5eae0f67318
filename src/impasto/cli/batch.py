"""The command for many photos: ``batch``."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.cli.options import masks_option, recipe_of, styles_option
from impasto.cli.paint import RECIPE_FLAGS
from impasto.config import flags, parse_shard
from impasto.console import json_line
from impasto.recipe import Recipe
from impasto.shell import importing

if TYPE_CHECKING:
    from impasto.batch.items import Place

FAILED = 1

OnEvent = Callable[[Mapping[str, object]], None]


@click.command()
@click.argument("inputs", nargs=-1, metavar="IN...")
@click.argument("output", metavar="OUT_DIR")
@styles_option()
@masks_option("alpha=STYLE: what is opaque in each photo; or a picture, the same for all.")
@click.option("-r", "--recursive", is_flag=True, help="Photos in folders inside IN too.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "jpg", "webp", "keep"]),
    default="png",
    show_default=True,
    help="Of the pictures; keep: that of each photo.",
)
@click.option(
    "--file-quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of JPEG and WebP files.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processes that paint [one for each core, as far as memory allows; 1 with a GPU].",
)
@click.option(
    "--stable",
    type=click.FloatRange(0, 1),
    help="Of films: 0 paints frame by frame, 1 keeps all that is in sight [0.35].",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="auto",
    metavar="[ADDRESS]",
    help="Paint on a Ray cluster: one that runs, or ray://HOST:PORT; none: a local one.",
)
@click.option("--shard", default="1/1", metavar="I/N", help="The I-th of N parts of the photos.")
@click.option("--watch", is_flag=True, help="Go on with photos that appear, until Ctrl-C.")
@flags(Recipe, *RECIPE_FLAGS)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per event on stdout.")
def batch(
    inputs: Sequence[str],
    output: str,
    recursive: bool,
    kind: str,
    file_quality: int,
    workers: int | None,
    stable: float | None,
    ray: str | None,
    shard: str,
    watch: bool,
    as_json: bool,
    **settings: object,
) -> None:
    """Repaint the photos and films of a folder, or several photos, into the folder OUT_DIR.

    IN and OUT_DIR may lie in a bucket: s3://BUCKET/FOLDER.
    What is finished is not painted again: run the same command again to go on.
    """
    if not inputs:
        raise click.UsageError(f"Only {output} is named: write what to paint, and then OUT_DIR.")
    recipe = recipe_of(settings)
    with importing():
        from impasto.batch.run import Order
        from impasto.batch.run import batch as painted
        from impasto.film import STABLE

    order = Order(
        *([_place(text) for text in inputs], _place(output), recipe, recursive, kind),
        file_quality=file_quality,
        stable=STABLE if stable is None else stable,
        workers=workers,
        ray=ray,
        shard=parse_shard(shard),
        watch=watch,
    )
    with _reporter(as_json) as on_event:
        tally = painted(order, on_event)
    if tally.failed:
        sys.exit(FAILED)


def _place(text: str) -> "Place":
    from impasto.storage import PATIENT, Storage, is_url

    return Storage(text, PATIENT) if is_url(text) else Path(text)


@contextmanager
def _reporter(as_json: bool) -> Iterator[OnEvent]:
    """Events as JSON; or a bar on the terminal, and a line for what failed and for the end."""
    out = sys.stdout  # whoever talks on it later
    if as_json:
        yield partial(json_line, out)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    errors = Console(stderr=True)
    columns = TextColumn("painting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    lines = Console(file=out, highlight=False, soft_wrap=True, markup=False, emoji=False)
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("painting", total=None)

        def show(event: Mapping[str, object]) -> None:
            if event["event"] == "plan":
                bar.update(task, total=float(str(event["todo"])), completed=0)
            elif event["event"] == "item":
                bar.advance(task)
            if words := _words(event):
                lines.print(words)

        yield show


def _words(event: Mapping[str, object]) -> str:
    """What people are told of an event; nothing of a photo that went well."""
    if event["event"] == "notice":
        return str(event["text"])
    if event["event"] == "item" and event["outcome"] == "failed":
        return "{name}: {reason}".format_map(event)
    if event["event"] == "plan" and event["kept"]:
        return "{kept} of {items} are finished, {todo} to be painted".format_map(event)
    if event["event"] == "done":
        return "{output}: {done} painted, {kept} kept, {failed} failed, {seconds} s".format_map(
            event
        )
    return ""
