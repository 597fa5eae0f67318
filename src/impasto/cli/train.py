"""The command that learns: ``impasto train``."""

from pathlib import Path

import click

from impasto.errors import BadInput

ONE_STYLE = {"johnson": "style", "dumoulin": "add"}
"""What can be learned without a recipe, and the option that names the picture."""


@click.command()
@click.argument("recipe")
@click.option(
    "--data",
    "--content",
    "data",
    type=click.Path(path_type=Path),
    help="Folder with the training pictures.",
)
@click.option("--style", type=click.Path(path_type=Path), help="Picture for a network of its own.")
@click.option("--add", type=click.Path(path_type=Path), help="Picture for a row of dumoulin.")
@click.option("--teacher", type=click.Path(path_type=Path), help="Folder with the teachers.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="Folder for checkpoints and the log [runs/NAME]; goes on from what is there.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the result goes.")
@click.option("--steps", type=click.IntRange(1), help="How many, without a recipe.")
@click.option("--device", default="auto", help="auto|cpu|cuda|mps")
@click.option("--precision", type=click.Choice(("auto", "fp32", "bf16")), default="auto")
def train(
    recipe: str,
    data: Path | None,
    style: Path | None,
    add: Path | None,
    teacher: Path | None,
    run: Path | None,
    output: Path | None,
    steps: int | None,
    device: str,
    precision: str,
) -> None:
    """Train what RECIPE (a TOML file) describes; stopping and starting again is safe.

    \b
    impasto train johnson --style my.jpg --content PHOTOS   a network for one style
    impasto train dumoulin --add my.jpg --content PHOTOS    a row for it, in minutes
    """
    given = {"style": style, "add": add}
    picture = _picture(recipe, given, steps)
    if data is None:
        raise BadInput("Training needs photos: name their folder with --content (or --data).")
    from impasto.config import read_toml
    from impasto.console import training_bar
    from impasto.runtime import runtime
    from impasto.training.run import learn_style, train_recipe

    teacher, machine = teacher or data / "teacher", runtime(device, precision)
    with training_bar() as on_progress:
        if picture is not None:
            path = learn_style(
                recipe,
                picture,
                data=data,
                teacher=teacher,
                run=run,
                output=output,
                steps=steps,
                runtime=machine,
                on_progress=on_progress,
            )
        else:
            path = train_recipe(
                read_toml(Path(recipe)),
                data=data,
                teacher=teacher,
                run=run or Path("runs") / Path(recipe).stem,
                output=output,
                runtime=machine,
                on_progress=on_progress,
            )
    click.echo(path.with_suffix(".md").read_text(encoding="utf-8"))
    click.echo(path)


def _picture(recipe: str, given: dict[str, Path | None], steps: int | None) -> Path | None:
    """The picture to learn where there is no recipe.

    Raises BadInput for options that do not go together.
    """
    options = {name: path for name, path in given.items() if path is not None}
    wanted = ONE_STYLE.get(recipe)
    if wanted is None and options:
        raise BadInput(
            f"--{next(iter(options))} goes with a method, not with the recipe {recipe!r}: "
            "impasto train johnson --style PICTURE, or impasto train dumoulin --add PICTURE."
        )
    if wanted is None and steps:
        raise BadInput(f"--steps is for johnson and dumoulin; the recipe {recipe!r} has its own.")
    if wanted is None:
        return None
    if options.keys() != {wanted}:
        raise BadInput(f"impasto train {recipe} takes --{wanted} PICTURE, and only that.")
    return options[wanted]
