"""The Recipe: one piece of work, described completely.

It is the command line's flags, the library's keywords and a text chunk in every picture written,
so a result can be opened again with all its settings, and made again bit for bit on one machine.
"""

import math
from collections.abc import Callable
from pathlib import PurePath
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)
from pydantic_core import PydanticCustomError

ColorMode = Literal["style", "luma", "match"]
Quality = Literal["draft", "normal", "best"]

Start = Literal["auto", "content", "noise", "adain", "wct"]

STARTS: tuple[str, ...] = get_args(Start)
"""What an optimisation starts from by name; anything else is a picture."""

OF_THE_LOOK = ("styles", "masks", "feather", "style_scale", "color", "encoder")
"""Settings that make up the look of a picture, whatever the method."""

OF_ONE_RUN = ("photo", "size", "init", "iterations", "device", "precision")
"""Settings that say nothing about the look."""


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


class MaskShare(BaseModel):
    """A part of the photo and the style that paints it; where parts overlap, the weights share."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mask: str
    """A picture, white where the style goes; or ``alpha``, the photo's own transparency."""
    style: str
    weight: Annotated[float, Field(gt=0)] = 1.0

    @classmethod
    def parse(cls, text: str) -> "MaskShare":
        """Read ``sky.png=starry-night`` or ``sky.png=starry-night:0.5``.

        The last equals sign with something on both sides counts: names of masks may have more.
        Raises ValueError when there is none, and for a weight that is not above 0.
        """
        mask, _, style = text[:-1].rpartition("=")
        if not mask:
            raise ValueError(f"{text!r} names no mask and style: write REGION.png=STYLE")
        share = StyleShare.parse(style + text[-1])
        if share.weight <= 0:
            raise ValueError(f"the weight in {text!r} must be above 0")
        return cls(mask=mask, style=share.source, weight=share.weight)


def _parsed(value: object, parse: Callable[[str], BaseModel]) -> object:
    """One text or several as tables; what is a table already stays one."""
    many = (value,) if isinstance(value, str) else value
    if isinstance(many, list | tuple):
        return tuple(parse(one) if isinstance(one, str) else one for one in many)
    return many


def _numbers(value: object) -> object:
    """``1,0.5`` as numbers."""
    return tuple(value.split(",")) if isinstance(value, str) else value


def _text(value: object) -> object:
    """A path as text."""
    return str(value) if isinstance(value, PurePath) else value


def _known(start: str) -> str:
    """A name of ``STARTS`` or of a file; what has no suffix is taken for a name misspelt."""
    if start in STARTS or PurePath(start).suffix:
        return start
    raise PydanticCustomError("literal_error", "neither a start nor a picture")


def _base(source: str) -> str:
    """The last part of a path, as text that can be encoded."""
    return PurePath(source).name.encode("utf-8", "replace").decode("utf-8") if source else source


class Recipe(BaseModel):
    """One piece of work. Every field is a flag; ``description`` is its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    photo: str = ""
    styles: tuple[StyleShare, ...] = ()
    masks: tuple[MaskShare, ...] = ()
    method: Annotated[
        str,
        Field(
            description="johnson, dumoulin, ghiasi, adain, wct or gatys; auto: what suits it, "
            "fast ones first."
        ),
    ] = "auto"
    size: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="Long side of the result, pixels [as it comes in]."),
    ] = None
    strength: Annotated[
        float | None,
        Field(
            ge=0, le=1, description="From 0, the photo, to 1, all of the style [the method's own]."
        ),
    ] = None
    style_scale: Annotated[
        float, Field(ge=0.5, le=2, description="Size of the strokes: 2 is twice as large.")
    ] = 1.0
    stroke_size: Annotated[
        float | None,
        Field(
            gt=0,
            le=8,
            description="Strokes relative to the picture: 1 as at 512 px [as large in pixels].",
        ),
    ] = None
    feather: Annotated[
        float,
        Field(ge=0, le=20, description="How soft edges of masks are, % of the long side."),
    ] = 1.0
    init: Annotated[
        Start | str,
        BeforeValidator(_text),
        AfterValidator(_known),
        Field(
            description="gatys: what it starts from: auto (adain, or else the photo), "
            "content, noise, adain, wct; or a finished picture, to go on from it."
        ),
    ] = "auto"
    color: Annotated[
        ColorMode,
        Field(description="Colours of the style, of the photo (luma), or the style's recoloured."),
    ] = "style"
    seed: Annotated[int, Field(ge=0, lt=2**63, description="Same seed, same picture.")] = 0
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Field(description="Where to compute.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "int8"],
        Field(description="Precision of the convolutions; int8: of networks that OpenVINO runs."),
    ] = "auto"
    engine: Annotated[
        Literal["auto", "torch", "compile", "openvino"],
        Field(description="What runs networks that paint in one pass; auto: the soonest."),
    ] = "auto"
    encoder: Annotated[
        str, Field(description="Network to look through: compact, vgg16 or vgg19.")
    ] = "compact"
    iterations: Annotated[
        int | None, Field(ge=1, le=100_000, description="gatys: steps in all [by quality].")
    ] = None
    quality: Annotated[
        Quality, Field(description="gatys: how long to work on it; best with auto is gatys.")
    ] = "normal"
    optimizer: Annotated[
        Literal["adam", "lbfgs"], Field(description="gatys: what takes the steps.")
    ] = "adam"

    finish: Annotated[bool, Field(description="adain: take the palette of the style, too.")] = True
    levels: Annotated[
        int,
        Field(
            ge=1, le=5, description="wct: how many levels, 5 from the coarsest strokes to colours."
        ),
    ] = 5
    level_strengths: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...],
        BeforeValidator(_numbers),
        Field(
            description="wct: strength at each level, coarsest first: 0.5,0.8,1,1,1; 0 is without."
        ),
    ] = ()
    floor: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="wct: least eigenvalue, as a share of the largest; more is calmer.",
        ),
    ] = 1e-5
    shrinkage: Annotated[
        float,
        Field(
            ge=0, le=1, description="wct: 0 whitens fully, 1 channel by channel, which is calmer."
        ),
    ] = 0.0

    def embedded(self) -> str:
        """The Recipe as JSON for the inside of a picture: files by their names, without folders.

        A name that is no valid text (as some file systems allow) is written with question marks.
        """
        styles = tuple(s.model_copy(update={"source": _base(s.source)}) for s in self.styles)
        masks = tuple(
            m.model_copy(update={"mask": _base(m.mask), "style": _base(m.style)})
            for m in self.masks
        )
        names: dict[str, object] = {"photo": _base(self.photo), "styles": styles, "masks": masks}
        names["init"] = _base(self.init)
        return self.model_copy(update=names).model_dump_json()

    def sources(self) -> list[str]:
        """The photo, styles, masks, a picture to go on from; some may be files, others names."""
        masked = [name for part in self.masks for name in (part.mask, part.style)]
        begun = [] if self.begun is None else [self.begun]
        return [self.photo, *(share.source for share in self.styles), *masked, *begun]

    @property
    def begun(self) -> str | None:
        """The picture that it goes on from, if there is one."""
        return None if self.init in STARTS else self.init

    def look(self) -> dict[str, object]:
        """The settings with which another run of gatys goes on from the picture it made."""
        every = self.model_dump(exclude=set(OF_ONE_RUN))
        if self.method == "gatys":
            return every
        return {name: every[name] for name in OF_THE_LOOK} | {"method": "gatys"}

    @field_validator("styles", mode="before")
    @classmethod
    def _parse_styles(cls, value: object) -> object:
        return _parsed(value, StyleShare.parse)

    @field_validator("masks", mode="before")
    @classmethod
    def _parse_masks(cls, value: object) -> object:
        return _parsed(value, MaskShare.parse)

    @field_validator("styles")
    @classmethod
    def _check_weights(cls, styles: tuple[StyleShare, ...]) -> tuple[StyleShare, ...]:
        if styles and abs(sum(share.weight for share in styles)) < 1e-8:
            raise ValueError("the weights of the styles sum to zero: raise one of them")
        return styles
