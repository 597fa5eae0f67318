"""Gram matrices: what a network remembers of a style, beside what it remembers of another."""

import torch
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from torch import Tensor

from impasto.errors import MissingWeights
from impasto.lens.colormap import diverging, enlarged, peak, sequential
from impasto.lens.view import Row, Shown, View
from impasto.methods.wct import texture
from impasto.networks.encoders import Encoder
from impasto.runtime import Runtime
from impasto.style import Style, check_encoder

SWATCH = 320
"""Side of a texture, pixels."""

SILENT = 0.01
"""Strength below which a channel counts as silent, as a share of the strongest's."""


def gram(
    first: Style, second: Style, encoder: Encoder, machine: Runtime, size: int = 512, seed: int = 0
) -> View:
    """The Gram matrices of two styles at every tap, and what is different.

    size: long side at which the paintings are looked at, pixels

    Raises BadInput for a style that was made with another encoder.
    """
    check_encoder([first, second], encoder.name)
    looks = [{tap: m.second[0] for tap, m in style.at(size).items()} for style in (first, second)]
    names = (_title(first), _title(second))
    rows = (_row(tap, looks[0][tap], looks[1][tap], names) for tap in looks[0])
    return View(
        "Gram matrices",
        "A network keeps the style of a painting as tables, one for each depth of looking, and "
        "every square says how much two of its channels light up in the same places: the brighter, "
        "the more. The channels stand in the same order for both paintings, so compare squares in "
        f"the same place, or look at the difference: rust is more in {names[0]}, blue more in "
        f"{names[1]}.",
        (*_swatches((first, second), encoder, machine, seed), *rows),
    )


def _title(style: Style) -> str:
    return style.about.get("title", style.name)


def _swatches(
    styles: tuple[Style, Style], encoder: Encoder, machine: Runtime, seed: int
) -> tuple[Row, ...]:
    """Textures from the moments alone; none where the encoder has no decoders for it."""
    shown = []
    for style in styles:
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            try:
                pixels = texture(encoder, machine, style, SWATCH)
            except MissingWeights:
                return ()
        shown.append(Shown(_title(style), pixels.float().cpu()))
    text = "Painted from noise by wct, which was given these tables and nothing else."
    return (Row("What the tables remember", tuple(shown), text),)


def _row(tap: str, first: Tensor, second: Tensor, names: tuple[str, str]) -> Row:
    """first, second: (C, C)"""
    one, two, kept = shared_units(first, second)
    order = together((one + two) / 2)
    one, two = one[order][:, order], two[order][:, order]
    most, difference = peak(torch.stack([one, two])), one - two
    return Row(
        f"{tap}: {len(kept)} × {len(kept)} pairs of channels",
        (
            # Square roots: small amounts are most of it.
            _matrix(f"{names[0]}, {tap}", sequential((one / most).clamp_min(0).sqrt())),
            _matrix(f"{names[1]}, {tap}", sequential((two / most).clamp_min(0).sqrt())),
            _matrix(f"The difference, {tap}", diverging(difference / peak(difference))),
        ),
        _silent(len(first) - len(kept)),
    )


def _silent(count: int) -> str:
    if not count:
        return ""
    subject = "One more channel finds" if count == 1 else f"{count} more channels find"
    return f"{subject} nothing in either painting."


def _matrix(caption: str, colors: Tensor) -> Shown:
    return Shown(caption, enlarged(colors, 512), exact=True)


def shared_units(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Both matrices with every channel counted in units of its strength in the two together.

    Without it a few strong channels are all that can be seen. Silent channels are left out; the
    last thing returned are the channels that are kept.

    first, second: (C, C)  ->  (K, K), (K, K)
    """
    strength = ((first.diagonal() + second.diagonal()) / 2).clamp_min(0).sqrt()  # (C,)
    kept = (strength > SILENT * strength.amax()).nonzero()[:, 0].tolist() or [0]
    units = strength[kept].clamp_min(1e-12)
    units = units[:, None] * units[None]
    return first[kept][:, kept] / units, second[kept][:, kept] / units, kept


def together(matrix: Tensor) -> list[int]:
    """An order of channels in which those that fire together are neighbours.

    matrix: (C, C), Gram matrix

    Leaves of a hierarchical clustering (average linkage), in the order in which neighbours are
    nearest: Bar-Joseph, Gifford & Jaakkola 2001.
    """
    if len(matrix) < 3:
        return list(range(len(matrix)))
    scale = matrix.diagonal().clamp_min(1e-12).sqrt()
    distance = (1 - matrix / scale[:, None] / scale[None]).clamp(0, 2)  # (C, C)
    distance = (distance + distance.mT) / 2
    distance.fill_diagonal_(0)
    pairs = squareform(distance.double().cpu().numpy(), checks=False)
    tree = hierarchy.linkage(pairs, "average", optimal_ordering=True)
    order: list[int] = hierarchy.leaves_list(tree).tolist()
    return order
