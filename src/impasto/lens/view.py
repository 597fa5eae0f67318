"""A view: pictures in rows, with the words that a newcomer needs to read them."""

from dataclasses import dataclass

from torch import Tensor

Color = tuple[float, float, float]
"""sRGB in [0, 1]"""


@dataclass(frozen=True)
class Shown:
    """A picture and what is to be said of it."""

    caption: str
    pixels: Tensor
    """(1, 3, H, W), sRGB in [0, 1]"""
    inset: Tensor | None = None
    """(1, 3, h, w), what made the picture, shown small beside the caption: the kernel"""
    exact: bool = False
    """Its squares are to be told apart: shown without loss and never smoothed"""


@dataclass(frozen=True)
class Cell:
    """A number on its color."""

    text: str
    fill: Color

    @property
    def style(self) -> str:
        """The declarations of CSS that show it, in black or white, whichever is read better."""
        red, green, blue = (round(255 * value) for value in self.fill)
        ink = "#16130f" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "#ffffff"
        return f"background: #{red:02x}{green:02x}{blue:02x}; color: {ink}"


@dataclass(frozen=True)
class Table:
    """Numbers in a grid."""

    caption: str
    cells: tuple[tuple[Cell, ...], ...]
    sign: str = ""
    """What stands between it and the table before: ×, ="""


@dataclass(frozen=True)
class Row:
    """Pictures that belong side by side."""

    title: str
    shown: tuple[Shown, ...]
    text: str = ""
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class View:
    """One page of the lens."""

    title: str
    text: str
    """Two sentences: what is to be seen, and how to read it."""
    rows: tuple[Row, ...]
