"""Commands about weights: ``impasto weights ...``."""

import sys
from pathlib import Path

import click

from impasto.errors import ImpastoError


@click.group("weights")
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
@click.option("--as", "name", required=True, help="vgg16, vgg19, inception or lpips.")
def weights_import(file: Path, name: str) -> None:
    """Take weights from a file that is already here (.pth or .safetensors)."""
    from impasto.convert import lpips, torchvision_inception, torchvision_vgg

    others = {"inception": torchvision_inception.import_file, "lpips": lpips.import_file}
    path = others[name](file) if name in others else torchvision_vgg.import_file(file, name)
    click.echo(path)
