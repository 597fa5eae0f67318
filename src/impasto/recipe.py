"""The Recipe: one piece of work, described completely.

It is the command line's flags, the library's keywords and a text chunk in every picture written,
so a result can be opened again with all its settings, and made again bit for bit on one machine.
"""

import math
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

ColorMode = Literal["style", "luma", "match"]
Quality = Literal["draft", "normal", "best"]


class StyleShare(BaseModel):
    """One style of a mix: a gallery name, a picture or a style file, with its weight."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "StyleShare":
        """Read ``starry-night`` or ``starry-night:0.7``; a colon in a file's name is kept."""
        source, colon, weight = text.rpartition(":")
        try:
            number = float(weight)
        except ValueError:
            return cls(source=text)
        if not colon or not source or not math.isfinite(number):
            return cls(source=text)
        return cls(source=source, weight=number)


def _numbers(value: object) -> object:
    """``1,0.5`` as numbers."""
    return tuple(value.split(",")) if isinstance(value, str) else value


def _base(source: str) -> str:
    """The last part of a path, as text that can be encoded."""
    return PurePath(source).name.encode("utf-8", "replace").decode("utf-8") if source else source


class Recipe(BaseModel):
    """One piece of work. Every field is a flag; ``description`` is its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    photo: str = ""
    styles: tuple[StyleShare, ...] = ()
    method: Annotated[str, Field(description="Method of style transfer.")] = "gatys"
    size: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="Long side of the result, pixels [the photo's own]."),
    ] = None
    strength: Annotated[
        float | None,
        Field(ge=0, le=1, description="0 is the photo, 1 the style's [the method's own]."),
    ] = None
    style_scale: Annotated[
        float, Field(ge=0.5, le=2, description="Size of the strokes: 2 is twice as large.")
    ] = 1.0
    init: Annotated[
        Literal["content", "noise"], Field(description="What the optimisation starts from.")
    ] = "content"
    color: Annotated[
        ColorMode,
        Field(description="Colours of the style, of the photo (luma), or the style's recoloured."),
    ] = "style"
    seed: Annotated[int, Field(ge=0, lt=2**63, description="Same seed, same picture.")] = 0
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Field(description="Where to compute.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Field(description="Precision of the convolutions.")
    ] = "auto"
    encoder: Annotated[str, Field(description="Network to look through.")] = "compact"
    iterations: Annotated[
        int | None, Field(ge=1, le=100_000, description="Steps in all [by quality].")
    ] = None
    quality: Annotated[Quality, Field(description="How long to work on it.")] = "normal"
    optimizer: Annotated[Literal["adam", "lbfgs"], Field(description="What takes the steps.")] = (
        "adam"
    )

    levels: Annotated[int, Field(ge=1, le=5, description="Deepest level, down to relu1_1.")] = 5
    level_strengths: Annotated[
        tuple[float, ...],
        BeforeValidator(_numbers),
        Field(description="Strength at each level, deepest first: 0.5,0.8,1,1,1; 0 leaves it out."),
    ] = ()
    floor: Annotated[
        float, Field(ge=0, le=1, description="Least eigenvalue, as a share of the largest.")
    ] = 1e-5
    shrinkage: Annotated[
        float, Field(ge=0, le=1, description="0 whitens fully, 1 channel by channel.")
    ] = 0.0

    def embedded(self) -> str:
        """The Recipe as JSON for the inside of a picture: files by their names, without folders.

        A name that is no valid text (as some file systems allow) is written with question marks.
        """
        shares = tuple(s.model_copy(update={"source": _base(s.source)}) for s in self.styles)
        return self.model_copy(
            update={"photo": _base(self.photo), "styles": shares}
        ).model_dump_json()

    @field_validator("styles", mode="before")
    @classmethod
    def _parse_styles(cls, value: object) -> object:
        if isinstance(value, str):
            value = (value,)
        if isinstance(value, list | tuple):
            return tuple(StyleShare.parse(v) if isinstance(v, str) else v for v in value)
        return value

    @field_validator("styles")
    @classmethod
    def _check_weights(cls, styles: tuple[StyleShare, ...]) -> tuple[StyleShare, ...]:
        if styles and abs(sum(share.weight for share in styles)) < 1e-8:
            raise ValueError("the weights of the styles sum to zero: raise one of them")
        return styles
