"""The command line: parse, call, print. Nothing heavy is imported before it is needed."""

import click

from impasto import __version__
from impasto.cli.batch import batch
from impasto.cli.compare import compare, evaluate
from impasto.cli.export import export
from impasto.cli.lens import lens
from impasto.cli.paint import mix, stylize
from impasto.cli.studio import serve, worker
from impasto.cli.styles import styles
from impasto.cli.train import train
from impasto.cli.video import stream, video
from impasto.cli.weights import weights_group
from impasto.cores import limit_threads
from impasto.shell import Impasto


@click.group(
    cls=Impasto,
    commands=[
        stylize,
        mix,
        video,
        stream,
        batch,
        compare,
        evaluate,
        styles,
        weights_group,
        train,
        lens,
        export,
        serve,
        worker,
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="impasto")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Cores to use [all].")
def main(threads: int | None, **_: object) -> None:
    """Repaint a picture in the style of another.

    \b
    impasto stylize photo.jpg -s starry-night
    impasto styles list
    """
    limit_threads(threads)
