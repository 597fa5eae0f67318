"""Commands that paint: ``stylize`` and ``mix``."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import click

from impasto.cli.options import masks_option, recipe_of, styles_option
from impasto.config import flags
from impasto.errors import BadPicture
from impasto.recipe import STARTS, Recipe
from impasto.shell import INTERRUPTED, importing

NO_FLAGS = ("photo", "styles", "masks")
RECIPE_FLAGS = tuple(name for name in Recipe.model_fields if name not in NO_FLAGS)
NOT_IN_MIX = ("method", "size", "strength", "feather")
MIX_FLAGS = tuple(name for name in RECIPE_FLAGS if name not in NOT_IN_MIX)
OUTPUT_HELP = "Where the picture goes [beside the photo]; - is standard output."


@click.command()
@click.argument("photo", type=click.Path(path_type=Path, allow_dash=True))
@styles_option()
@masks_option(
    "Paint what is white in the picture REGION in STYLE; alpha=STYLE: what is opaque in the photo."
)
@click.option("-o", "--output", type=click.Path(path_type=Path, allow_dash=True), help=OUTPUT_HELP)
@flags(Recipe, *RECIPE_FLAGS)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per event on stdout.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Measure the picture, and say where the time went."
)
@click.option(
    "--preview-every",
    type=click.IntRange(1),
    metavar="N",
    help="Write the picture so far to the output every N steps.",
)
@click.option(
    "--timelapse",
    type=click.Path(path_type=Path),
    metavar="FILM",
    help="Write a film of how the picture comes about: .mp4, .gif, .webp and others.",
)
def stylize(
    photo: Path,
    output: Path | None,
    as_json: bool,
    verbose: bool,
    preview_every: int | None,
    timelapse: Path | None,
    **settings: object,
) -> None:
    """Repaint PHOTO (- reads standard input) in one style, or in a mix of several."""
    recipe = recipe_of(_looked_up(settings), photo=str(photo))
    sources = [*(s.source for s in recipe.styles), *(m.style for m in recipe.masks)]
    target = output or _beside(photo, *sources)
    with importing():
        from impasto.commands import stylize_file
        from impasto.console import reporter
        from impasto.timings import recorded

    told = as_json or verbose
    with (
        recorded() if told else nullcontext(),
        reporter(as_json, stdout_taken=str(target) == "-") as on_event,
    ):
        result = stylize_file(recipe, target, on_event, preview_every, timelapse, measured=told)
    if result.interrupted:
        sys.exit(INTERRUPTED)


def _looked_up(settings: Mapping[str, object]) -> Mapping[str, object]:
    """What was given, and of a picture to go on from what it was painted with."""
    if settings["init"] in (None, *STARTS):
        return settings
    from impasto.commands import going_on

    return going_on(settings)


def _beside(photo: Path, *sources: str) -> Path:
    """``cat.jpg`` in the style of starry-night becomes ``cat.starry-night.png``."""
    if str(photo) == "-":
        return Path("-")
    if not photo.name:
        raise BadPicture(f"{str(photo)!r} is no picture but a folder: name a file.")
    names = dict.fromkeys(Path(source).name.split(".")[0] for source in sources)
    return photo.with_name(f"{photo.stem}.{'+'.join(names)}.png")


@click.command()
@click.argument("photo", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-s", "--style", "styles", multiple=True, required=True, help="One to four styles.")
@click.option("-o", "--output", type=click.Path(path_type=Path, allow_dash=True), help=OUTPUT_HELP)
@click.option("--grid", default=5, show_default=True, help="Pictures a row, 2 to 9.")
@click.option("--size", default=256, show_default=True, help="Long side of one picture, pixels.")
@click.option("--strength", type=float, help="The most in the grid, 0 to 1 [1; the method's own].")
@click.option("--method", default="wct", show_default=True, help="Method of style transfer.")
@flags(Recipe, *MIX_FLAGS)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per event on stdout.")
def mix(photo: Path, output: Path | None, grid: int, as_json: bool, **settings: object) -> None:
    """A grid of PHOTO in one picture: between styles, or from the photo to one style."""
    recipe = recipe_of(settings, photo=str(photo))
    target = output or _beside(photo, "mix")
    with importing():
        from impasto.console import reporter
        from impasto.mix import mix_file

    on_stdout = str(target) == "-"
    with reporter(as_json, on_stdout) as on_event:
        done = mix_file(recipe, target, grid, on_event)
        if as_json:
            on_event(done)
    if not as_json:
        words = "{output}: {cells} pictures in {seconds} s (loading {load_seconds} s)"
        click.echo(words.format(**done), err=on_stdout)
