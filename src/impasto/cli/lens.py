"""Commands that show what the networks see: ``impasto lens ...``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.lens.view import View
    from impasto.networks.encoders import Encoder

BESIDE = ("great-wave", "starry-night")
"""What a style is compared with by default: the first of them that it is not."""

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _options(*options: Decorator) -> Decorator:
    """Options of one command, after those that all views have."""
    output = click.option(
        "-o",
        "--output",
        default="lens",
        show_default=True,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Where the page and its pictures go.",
    )
    encoder = click.option(
        "--encoder", default="compact", show_default=True, help="Network to look through."
    )

    every: tuple[Decorator, ...] = (output, encoder, *options)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(every):
            command = option(command)
        return command

    return decorate


def _number(name: str, default: int, least: int, most: int | None, help: str) -> Decorator:
    kind = click.IntRange(least, most)
    return click.option(name, default=default, show_default=True, type=kind, help=help)


def _size(default: int) -> Decorator:
    text = "Long side at which pictures are looked at, pixels; none is enlarged."
    return _number("--size", default, 16, 4096, text)


def _channels() -> Decorator:
    return _number("--channels", 6, 1, 64, "How many of each tap.")


def _seed() -> Decorator:
    return _number("--seed", 0, 0, None, "Same seed, same page.")


def _photo() -> Decorator:
    return click.argument("photo", type=click.Path(path_type=Path, allow_dash=True))


@click.group()
def lens() -> None:
    """Show what the networks see: each command writes a page of pictures."""


@lens.command("kernels")
@_photo()
@_options(_size(512))
def lens_kernels(photo: Path, output: Path, encoder: str, size: int) -> None:
    """Kernels on PHOTO: those that people wrote, with one pixel worked out, and learned ones."""
    from impasto.lens.kernels import kernels

    _show("kernels", output, lambda: kernels(_read(photo, size), _load(encoder)))


@lens.command("activations")
@_photo()
@_options(_size(512), _channels())
def lens_activations(photo: Path, output: Path, encoder: str, size: int, channels: int) -> None:
    """Where in PHOTO the channels of each tap light up."""
    from impasto.lens.activations import activations

    _show("activations", output, lambda: activations(_read(photo, size), _load(encoder), channels))


@lens.command("features")
@_options(
    click.option("--tap", "taps", multiple=True, help="Layer; may be repeated [relu1_1..relu5_1]."),
    _channels(),
    _seed(),
)
def lens_features(
    output: Path, encoder: str, taps: Sequence[str], channels: int, seed: int
) -> None:
    """What channels look for: the pictures that excite them most."""
    from impasto.lens.features import features
    from impasto.networks.encoders import TAPS
    from impasto.runtime import runtime

    def view() -> "View":
        with _bar() as on_step:
            wanted = tuple(dict.fromkeys(taps)) or TAPS
            return features(_load(encoder), runtime(), wanted, channels, seed, on_step)

    _show("features", output, view)


@lens.command("reconstruct")
@_photo()
@_options(_size(256), _seed())
def lens_reconstruct(photo: Path, output: Path, encoder: str, size: int, seed: int) -> None:
    """PHOTO rebuilt from what each tap knows: its features alone, and its moments alone."""
    from impasto.lens.reconstruct import reconstruct
    from impasto.runtime import runtime

    def view() -> "View":
        with _bar() as on_step:
            return reconstruct(_read(photo, size), _load(encoder), runtime(), seed, on_step)

    _show("reconstruct", output, view)


@lens.command("gram")
@click.argument("style")
@_options(
    click.option("--beside", metavar="STYLE", help="The other [great-wave, or starry-night]."),
    _size(512),
    _seed(),
)
def lens_gram(
    style: str, beside: str | None, output: Path, encoder: str, size: int, seed: int
) -> None:
    """Gram matrices of STYLE (a gallery name, picture or style file) beside those of another."""
    from impasto.lens.gram import gram
    from impasto.runtime import runtime
    from impasto.sources import style_of

    sources = (style, beside or next(name for name in BESIDE if name != style))

    def view() -> "View":
        network = _load(encoder)
        first, second = (style_of(source, network) for source in sources)
        return gram(first, second, network, runtime(), size, seed)

    _show("gram", output, view)


def _show(name: str, folder: Path, view: Callable[[], "View"]) -> None:
    """Make a view, once it is clear that it can be written, write it and say where it is."""
    from impasto.lens.page import check_folder, write

    check_folder(folder, name)
    click.echo(write(view(), folder, name))


def _load(name: str) -> "Encoder":
    from impasto.networks.encoders import load_encoder

    return load_encoder(name)


def _read(photo: Path, size: int) -> "Tensor":
    """The pixels of a photo, at most ``size`` long; what is transparent lies on white."""
    from impasto.media import image as media

    picture = media.read(sys.stdin.buffer if str(photo) == "-" else photo)
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = pixels * picture.alpha + (1 - picture.alpha)
    return media.scaled(pixels, min(size, max(pixels.shape[-2:])))


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A bar for work that tells steps done and steps in all."""
    from impasto.console import reporter

    with reporter(as_json=False) as on_event:

        def on_step(done: int, total: int) -> None:
            event: dict[str, Any] = {"event": "step", "done": done, "total": total}
            on_event(event)

        yield on_step
