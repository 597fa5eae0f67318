"""Sources: from what a Recipe names, or a caller hands over, to Styles."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from impasto.media import color
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import Style, check_encoder, is_style, open_style

Source = media.Picture | Style
"""What a style comes from: a picture, or its moments."""


def read_styles(
    recipe: Recipe, encoder: Encoder, photo: Tensor, given: Mapping[str, Source]
) -> tuple[dict[str, Style], bool]:
    """The styles of a Recipe by source, and whether colours have to be matched afterwards.

    With the colour mode ``match`` a style picture takes the photo's colours before anything runs.
    A style file has no pixels: then the same kind of map is applied to the result instead.
    What is transparent in a style picture does not count.
    """
    styles, recolor = {}, False
    for name in (*(s.source for s in recipe.styles), *(m.style for m in recipe.masks)):
        if name in styles:
            continue
        source = given[name] if name in given else read_style(name)
        if isinstance(source, Style):
            recolor = recipe.color == "match"
        else:
            pixels, matched = source.pixels, recipe.color == "match"
            pixels = color.match(pixels, photo) if matched else pixels
            # With its suffix: no picture passes for a style of the gallery.
            source = Style.of(pixels, encoder, Path(name).name, mask=source.alpha)
        styles[name] = source
    check_encoder(styles.values(), encoder.name)
    return styles, recolor


def read_style(source: str) -> Source:
    """A Style by gallery name or from a style file, or a picture to make one of."""
    if not is_style(source) and (Path(source).suffix.lower() in media.SUFFIXES or is_file(source)):
        return media.read(source)
    return open_style(source)


def is_file(source: str) -> bool:
    """Whether there is a file of that name; a name too long for one is none."""
    try:
        return Path(source).is_file()
    except OSError:
        return False
