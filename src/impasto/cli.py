"""The command line: parse, call, print. Nothing heavy is imported before it is needed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from impasto import __version__
from impasto.config import flags, read_toml, validate
from impasto.errors import BadInput, BadPicture, ImpastoError
from impasto.recipe import Recipe
from impasto.shell import INTERRUPTED, Impasto

NO_FLAGS = ("photo", "styles", "masks")
RECIPE_FLAGS = tuple(name for name in Recipe.model_fields if name not in NO_FLAGS)
NOT_IN_MIX = ("method", "size", "strength", "feather")
MIX_FLAGS = tuple(name for name in RECIPE_FLAGS if name not in NOT_IN_MIX)
OUTPUT_HELP = "Where the picture goes [beside the photo]; - is standard output."


@click.group(cls=Impasto, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="impasto")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Cores to use [all].")
def main(threads: int | None, **_: object) -> None:
    """Repaint a picture in the style of another.

    \b
    impasto stylize photo.jpg -s starry-night
    impasto styles list
    """
    if threads:
        import torch

        torch.set_num_threads(threads)


@main.command()
@click.argument("photo", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    metavar="STYLE[:WEIGHT]",
    help="Gallery name, picture or .style.safetensors file; several are mixed.",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="REGION=STYLE[:WEIGHT]",
    help="Paint what is white in the picture REGION in STYLE; alpha=STYLE: what is opaque.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, allow_dash=True), help=OUTPUT_HELP)
@flags(Recipe, *RECIPE_FLAGS)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per event on stdout.")
@click.option(
    "--preview-every",
    type=click.IntRange(1),
    metavar="N",
    help="Write the picture so far to the output every N steps.",
)
def stylize(
    photo: Path,
    output: Path | None,
    as_json: bool,
    preview_every: int | None,
    **settings: object,
) -> None:
    """Repaint PHOTO (- reads standard input) in one style, or in a mix of several."""
    given = {name: value for name, value in settings.items() if value is not None}
    recipe = validate(Recipe, {"photo": str(photo), **given})
    sources = [*(s.source for s in recipe.styles), *(m.style for m in recipe.masks)]
    target = output or _beside(photo, *sources)
    from impasto.commands import stylize_file
    from impasto.console import reporter

    with reporter(as_json, stdout_taken=str(target) == "-") as on_event:
        result = stylize_file(recipe, target, on_event, preview_every)
    if result.interrupted:
        sys.exit(INTERRUPTED)


def _beside(photo: Path, *sources: str) -> Path:
    """``cat.jpg`` in the style of starry-night becomes ``cat.starry-night.png``."""
    if str(photo) == "-":
        return Path("-")
    if not photo.name:
        raise BadPicture(f"{str(photo)!r} is no picture but a folder: name a file.")
    names = dict.fromkeys(Path(source).name.split(".")[0] for source in sources)
    return photo.with_name(f"{photo.stem}.{'+'.join(names)}.png")


@main.command()
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
    given = {name: value for name, value in settings.items() if value is not None}
    recipe = validate(Recipe, {"photo": str(photo), **given})
    target = output or _beside(photo, "mix")
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


@main.group()
def styles() -> None:
    """List, show and make styles."""


@styles.command("list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per style.")
def styles_list(as_json: bool) -> None:
    """The styles that -s knows by name."""
    from impasto.style import about, gallery

    for name, path in gallery().items():
        facts = about(path)
        if as_json:
            click.echo(json.dumps({"name": name, **facts}))
        else:
            click.echo(f"{name:24}{facts.get('artist', ''):26}{facts.get('title', '')}")


@styles.command("show")
@click.argument("name")
def styles_show(name: str) -> None:
    """All that is known of a style: a gallery name or a .style.safetensors file."""
    from impasto.style import open_style

    style = open_style(name)
    rows = {"name": style.name, **style.about, "encoder": style.encoder}
    rows["sizes"] = ", ".join(str(size) for size in style.moments)
    for key, value in rows.items():
        click.echo(f"{key:10} {value}")


@styles.command("make")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--encoder", default="compact", help="Network to look through.")
@click.option("--title", help="Title of the work.")
@click.option("--artist", help="Who painted it.")
def styles_make(
    pictures: Sequence[Path], output: Path, encoder: str, title: str | None, artist: str | None
) -> None:
    """Make a style file from a picture, or from the average of several."""
    from impasto.style import SUFFIX, make

    if not output.name.endswith(SUFFIX):
        raise BadInput(f"A style file ends in {SUFFIX}: name it {output.stem}{SUFFIX}.")
    facts = {"title": title, "artist": artist}
    style = make(pictures, encoder, output.name.removesuffix(SUFFIX))
    style.with_facts({key: value for key, value in facts.items() if value}).save(output)
    click.echo(output)


@styles.command("swatch")
@click.argument("name")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--size", default=256, type=click.IntRange(16, 4096), help="Side, pixels.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Same seed, same texture.")
@click.option("--encoder", default="compact", help="Network to look through.")
@click.option("--method", default="gatys", help="gatys|wct: slow and exact, or instant.")
def styles_swatch(name: str, output: Path, size: int, seed: int, encoder: str, method: str) -> None:
    """A texture made from the moments of a style alone."""
    from impasto.commands import swatch

    swatch(name, output, size, seed, encoder, method)
    click.echo(output)


@main.group("weights")
def weights_group() -> None:
    """List, pull, verify and import weights."""


@weights_group.command("list")
def weights_list() -> None:
    """The weights on this machine, and those that can be pulled."""
    from impasto import weights

    entries = weights.available()
    for entry in entries:
        where = "damaged" if entry.header is None else entry.where
        click.echo(f"{entry.kind:10}{entry.name:12}{entry.bytes / 1e6:8.1f} MB  {where}")
    here = {entry.name for entry in entries}
    for name, item in weights.PUBLISHED.items():
        if name not in here:
            size = f"{item.kept_bytes / 1e6:8.1f} MB"
            click.echo(f"{item.kind:10}{name:12}{size}  impasto weights pull {name}")


@weights_group.command("pull")
@click.argument("name")
def weights_pull(name: str) -> None:
    """Download published weights, keep what is needed of them."""
    from impasto.console import download_bar
    from impasto.convert.torchvision_vgg import pull

    with download_bar(name) as progress:
        path = pull(name, progress=progress)
    click.echo(path)


@weights_group.command("verify")
def weights_verify() -> None:
    """Check every weights file and every named style against its digest."""
    from impasto import weights
    from impasto.style import gallery

    paths = [entry.path for entry in weights.available()] + list(gallery().values())
    failures = []
    for path in paths:
        try:
            weights.read(path)
        except ImpastoError as error:
            failures.append(error)
            click.echo(f"impasto: {error}", err=True)
    click.echo(f"{len(paths) - len(failures)} of {len(paths)} files are sound.")
    if failures:
        sys.exit(failures[0].exit_code)


@weights_group.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, help="vgg16 or vgg19.")
def weights_import(file: Path, name: str) -> None:
    """Take weights from a file that is already here (.pth or .safetensors)."""
    from impasto.convert.torchvision_vgg import import_file

    click.echo(import_file(file, name))


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with the training pictures.",
)
@click.option("--teacher", type=click.Path(path_type=Path), help="Folder with the teachers.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="Folder for checkpoints and the log [runs/NAME]; goes on from what is there.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the weights go.")
@click.option("--device", default="auto", help="auto|cpu|cuda|mps")
@click.option("--precision", default="auto", help="auto|fp32|bf16")
def train(
    recipe: Path,
    data: Path,
    teacher: Path | None,
    run: Path | None,
    output: Path | None,
    device: str,
    precision: str,
) -> None:
    """Train what RECIPE (a TOML file) describes; stopping and starting again is safe."""
    settings = read_toml(recipe)
    from impasto.console import training_bar
    from impasto.runtime import runtime
    from impasto.training.run import train_recipe

    with training_bar() as on_progress:
        path = train_recipe(
            settings,
            data=data,
            teacher=teacher or data / "teacher",
            run=run or Path("runs") / recipe.stem,
            output=output,
            runtime=runtime(device, precision),
            on_progress=on_progress,
        )
    click.echo(path.with_suffix(".md").read_text(encoding="utf-8"))
    click.echo(path)
