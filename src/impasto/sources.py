"""Sources: from what a Recipe names, or a caller hands over, to Styles."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from impasto.errors import BadInput
from impasto.files import is_file
from impasto.media import color
from impasto.media import image as media
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.style import Style, check_encoder, check_visible, is_style, open_style

Source = media.Picture | Style
"""What a style comes from: a picture, or its moments."""

ASPECT = 0.02
"""Share by which the shape of a picture to go on from may differ from the photo's."""


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
            pixels = _matched(source, photo, name) if recipe.color == "match" else source.pixels
            source = Style.of(pixels, encoder, _called(name), mask=source.alpha)
        styles[name] = source
    check_encoder(styles.values(), encoder.name)
    return styles, recolor


def _matched(style: media.Picture, photo: Tensor, name: str) -> Tensor:
    check_visible(style.alpha, name)
    return color.match(style.pixels, photo, None if style.alpha is None else style.alpha > 0)


def read_begun(recipe: Recipe, photo: Tensor, given: Mapping[str, Source]) -> Tensor | None:
    """The picture from which the Recipe goes on, where it names one.  ->  (1, 3, h, w)

    Raises BadPicture when it is none, BadInput when its shape is not that of the photo.
    """
    name = recipe.begun
    if name is None:
        return None
    source = given[name] if name in given else media.read(name)
    if isinstance(source, Style):
        raise BadInput(f"--init {name} is a style: name a picture that was painted of the photo.")
    (height, width), (own, across) = source.pixels.shape[-2:], photo.shape[-2:]
    wanted = media.fit(across, own, max(height, width))
    if any(abs(a - b) > max(1, ASPECT * b) for a, b in zip((height, width), wanted, strict=True)):
        text = f"{width} x {height} px, another shape than the photo's {across} x {own}"
        raise BadInput(f"--init {name} is {text}: name a picture that was painted of this photo.")
    return source.pixels


def read_style(source: str) -> Source:
    """A Style by gallery name or from a style file, or a picture to make one of."""
    if not is_style(source) and (Path(source).suffix.lower() in media.SUFFIXES or is_file(source)):
        return media.read(source)
    return open_style(source)


def style_of(source: str | Source, encoder: Encoder) -> Style:
    """The Style of whatever names or holds one, as that encoder sees it.

    Raises what ``read_style``, ``Style.of`` and ``check_encoder`` raise.
    """
    found = read_style(source) if isinstance(source, str) else source
    if not isinstance(found, Style):
        name = _called(source) if isinstance(source, str) else "style"
        return Style.of(found.pixels, encoder, name, mask=found.alpha)
    check_encoder([found], encoder.name)
    return found


def _called(name: str) -> str:
    """What the style of that picture is called: like none of the gallery, whatever its file is.

    With its suffix, or else with its folder.
    """
    return Path(name).name if Path(name).suffix else name
