"""Contact sheets: pictures in rows and columns, with their names."""

from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.media.image import fit, resize, to_pil, to_tensor

GAP, LINE = 8, 26
"""Space around pictures and height of a line of text, pixels."""

PAPER, INK = (250, 247, 241), (34, 30, 26)


def contact_sheet(
    rows: Iterable[Sequence[Tensor | None]],
    columns: Sequence[str],
    titles: Sequence[str],
    side: int = 256,
) -> Tensor:
    """Pictures of any sizes, each in a square cell.  (1, 3, h, w) each  ->  (1, 3, H, W)

    columns: what stands above them; titles: what stands above each row
    """
    width = GAP + len(columns) * (side + GAP)
    height = LINE + len(titles) * (LINE + side + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    lefts = [GAP + number * (side + GAP) for number in range(len(columns))]
    for left, name in zip(lefts, columns, strict=True):
        draw.text((left, 5), name, INK, font)
    for number, (title, row) in enumerate(zip(titles, rows, strict=True)):
        top = LINE + number * (LINE + side + GAP)
        draw.text((GAP, top + 5), title, INK, font)
        for left, picture in zip(lefts, row, strict=True):
            if picture is not None:
                _paste(sheet, picture, left, top + LINE, side)
    return to_tensor(sheet)


def _paste(sheet: Image.Image, picture: Tensor, left: int, top: int, side: int) -> None:
    height, width = fit(picture.shape[-1], picture.shape[-2], side)
    small = to_pil(resize(picture, (height, width)).clamp(0, 1))
    sheet.paste(small, (left + (side - width) // 2, top + (side - height) // 2))
