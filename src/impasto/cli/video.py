"""Commands about films: ``video`` and ``stream``."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from impasto.cli.options import masks_option, recipe_of, styles_option
from impasto.cli.paint import RECIPE_FLAGS
from impasto.config import flags
from impasto.recipe import Recipe
from impasto.shell import INTERRUPTED

STABLE_HELP = "Against flicker: 0 paints frame by frame, 1 keeps all that is in sight [0.35]."

EVERY_HELP = (
    "2 paints every second frame, where those between can be made of their neighbours; 1 all [2]."
)


class Clock(click.ParamType[float]):
    """A time in a film: ``75``, ``1:15`` or ``0:01:15.5``."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds; fails for what is no time."""
        if isinstance(value, float):
            return value
        parts = str(value).split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = [-1.0]
        fits = all(0 <= number < 60 for number in numbers[1:])
        if len(numbers) > 3 or not fits or not 0 <= numbers[0] < 1e6:
            self.fail(f"{str(value)!r} is no time: write seconds, 1:15 or 0:01:15.5.", param, ctx)
        seconds = 0.0
        for number in numbers:
            seconds = 60 * seconds + number
        return seconds


@click.command()
@click.argument("film", metavar="IN", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@styles_option()
@masks_option("Paint what is white in the picture REGION in STYLE, in every frame.")
@click.option("--stable", type=float, help=STABLE_HELP)
@click.option("--every", type=click.IntRange(1, 2), help=EVERY_HELP)
@click.option("--from", "start", type=Clock(), help="Begin here: seconds, 0:10 or 1:02:03.5.")
@click.option("--to", "stop", type=Clock(), help="End before this.")
@click.option("--preview", is_flag=True, help="Write the first painted frame beside OUT at once.")
@flags(Recipe, *RECIPE_FLAGS)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per event on stdout.")
def video(
    film: Path,
    output: Path,
    stable: float | None,
    every: int | None,
    start: float | None,
    stop: float | None,
    preview: bool,
    as_json: bool,
    **settings: object,
) -> None:
    """Repaint the film or animation IN as OUT, with its times, sound and subtitles.

    \b
    OUT ends in .mp4, .m4v, .mov, .mkv, .webm, .gif, .webp, .apng or .png.
    Stopped or killed, the same command goes on where it was.
    """
    recipe = recipe_of(settings, photo=str(film))
    from impasto.console import reporter
    from impasto.film import STABLE, paint_film
    from impasto.keyframes import EVERY
    from impasto.media.video.frames import Span

    steady = STABLE if stable is None else stable
    with reporter(as_json) as on_event:
        last: dict[str, object] = {}

        def show(event: Mapping[str, object]) -> None:
            last.update(event)
            if as_json or event["event"] != "done":
                on_event(event)

        done = paint_film(
            *(recipe, output, show),
            stable=steady,
            every=every or EVERY,
            span=Span(start, stop),
            preview=preview,
        )
    if not as_json:
        click.echo(summary(last))
    if done.interrupted:
        sys.exit(INTERRUPTED)


def summary(figures: dict[str, object]) -> str:
    """The last line for people."""
    stopped = "stopped early, " if figures["interrupted"] else ""
    words = (
        "{output}: {stopped}{frames} frames in {seconds} s, {frames_per_second} a second "
        "(loading {load_seconds} s), {peak_mb} MB"
    )
    return words.format(stopped=stopped, **figures)


@click.command()
@click.argument("width", type=click.IntRange(1, 16384))
@click.argument("height", type=click.IntRange(1, 16384))
@styles_option()
@click.option("--stable", type=float, help=STABLE_HELP)
@flags(Recipe, *(name for name in RECIPE_FLAGS if name != "size"))
def stream(width: int, height: int, stable: float | None, **settings: object) -> None:
    """Repaint raw RGB frames from standard input to standard output, between two ffmpegs.

    \b
    ffmpeg -i in.mp4 -f rawvideo -pix_fmt rgb24 - |
    impasto stream 1280 720 -s starry-night |
    ffmpeg -f rawvideo -pix_fmt rgb24 -s 1280x720 -r 25 -i - out.mp4
    """
    recipe = recipe_of(settings, photo="-", size=max(width, height))
    from impasto.film import STABLE
    from impasto.stream import paint_stream

    def tell(text: str) -> None:
        click.echo(f"impasto: {text}", err=True)

    steady = STABLE if stable is None else stable
    # Not sys.stdin: Python aborts when it ends while a thread still waits for that
    source = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115
    paint_stream(recipe, (height, width), source, sys.stdout.buffer, steady, tell)
