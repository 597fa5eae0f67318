"""The command ``impasto export``."""

from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.argument("method")
@click.option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    help="Gallery name, picture or style file; may be repeated. The first is the file's default.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The .onnx file; codes of styles go beside it as .npz.",
)
@click.option("--half", is_flag=True, help="Weights in float16, statistics in float32.")
@click.option("--encoder", default="compact", show_default=True, help="Network to look through.")
def export(method: str, styles: Sequence[str], output: Path, half: bool, encoder: str) -> None:
    """Write METHOD as an ONNX file that paints at any size, and compare it with torch."""
    from impasto.export.run import export as exported

    done = exported(method, styles, output, encoder, half)
    click.echo(f"inputs: {', '.join(done.inputs)}")
    for row in done.comparisons:
        size = f"{row.width} x {row.height} px, strength {row.strength:g}"
        click.echo(f"{size:30} max {row.greatest:.4f}, mean {row.mean:.5f} of 255 from torch")
    if done.fullest is not None:
        click.echo(f"half precision is filled to {done.fullest:.2%} at most")
    for path in (done.model, *done.codes):
        click.echo(path)
