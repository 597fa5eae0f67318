"""What the methods share that paint in one pass through a transformation network."""

from collections.abc import Sequence

from torch import Tensor

from impasto import weights
from impasto.engines import Engine
from impasto.errors import UnknownName, unknown
from impasto.media.image import resize, scaled


def once(engine: Engine, image: Tensor, row: Tensor | None, scale: float) -> Tensor:
    """The picture painted at 1 / ``scale`` of its size and enlarged: strokes grow with ``scale``.

    image: (B, 3, H, W), [0, 1]; row: (1, row_size)  ->  (B, 3, H, W), [0, 1]
    """
    height, width = image.shape[-2:]
    small = scaled(image, max(1, round(max(height, width) / scale)))
    rows = None if row is None else row.to(image.device).expand(len(image), -1)
    painted = engine(engine.runtime.tensor(small), rows)
    if painted.shape[-2:] == (height, width):
        return painted
    return resize(painted, (height, width)).clamp(0, 1)


def between(
    engine: Engine, image: Tensor, own: Tensor, row: Tensor, strength: float, scale: float = 1.0
) -> Tensor:
    """The picture painted with a row between its ``own``, which gives it back, and the style's.

    What its own row does not give back is added as far as the style is left out: strength 0 is the
    picture itself, by way of two passes instead of one.

    image: (B, 3, H, W), [0, 1]; own, row: (1 or B, row_size)  ->  (B, 3, H, W), [0, 1]
    """
    painted = once(engine, image, own.lerp(row.to(own), strength), scale)
    if strength == 1:
        return painted
    lost = image - once(engine, image, own, scale)
    return (painted + (1 - strength) * lost).clamp(0, 1)


def row_key(header: weights.Header) -> str:
    """What the row of a style is called that was learned for the network with that header."""
    return f"{header.kind}-{header.name}/{header.sha256[:12]}"


def untrained(method: str, style: str, styles: Sequence[str]) -> UnknownName:
    """The error for a style that a method has not learned."""
    how = "--style" if method == "johnson" else "--add"
    error = unknown(f"style of {method}", style, styles)
    return UnknownName(
        f"{error} It paints only what it has learned: impasto train {method} {how} PICTURE; "
        "adain, ghiasi and wct paint any style at once."
    )
