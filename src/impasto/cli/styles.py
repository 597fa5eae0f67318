"""Commands about styles: ``impasto styles ...``."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from impasto.errors import BadInput


@click.group()
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
    style = make(pictures, encoder, output.name.removesuffix(SUFFIX), output)
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


@styles.command("like")
@click.argument("style")
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--encoder", default="compact", help="Network to look through.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per style.")
def styles_like(style: str, count: int, encoder: str, as_json: bool) -> None:
    """The named styles nearest to STYLE, a picture, name or style file, as ghiasi sees them."""
    from impasto.commands import like

    if not as_json:
        click.echo("distance (1: as far as named styles are from one another on average)")
    for name, distance in like(style, encoder)[:count]:
        row = {"name": name, "distance": round(distance, 3)}
        click.echo(json.dumps(row) if as_json else f"{name:24}{distance:8.3f}")
