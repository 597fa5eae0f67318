"""Two calling conventions of others: torch.hub's (``hubconf.py``) and that of TF-Hub's module.

The arbitrary-stylization module on TF-Hub (Ghiasi et al. 2017, arXiv:1705.06830) is called as
``hub_module(content, style)[0]`` with channels last; here it is ``hub.load()``.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from impasto import methods
from impasto.codes import Code
from impasto.errors import BadInput, BadPicture
from impasto.media import image as media
from impasto.networks.encoders import Encoder, load_encoder
from impasto.recipe import Recipe, StyleShare
from impasto.runtime import runtime
from impasto.sources import style_of
from impasto.style import Style
from impasto.stylizer import Image, Stylizer

AnyStyle = str | Style | media.AnyPicture
"""A gallery name, a style file, a Style, or a picture of any kind, see ``media.open_any``."""

Array = NDArray[Any] | Tensor


class Hub(nn.Module):
    """A method as torch.hub hands it out: content, and style unless there is one, to a picture.

    Where it computes is settled when it is loaded; pictures may lie on any device.
    """

    def __init__(
        self,
        method: str,
        style: AnyStyle | None = None,
        device: str = "auto",
        precision: str = "auto",
        encoder: str = "compact",
    ) -> None:
        """Raises UnknownName, MissingWeights, and BadPicture or BadInput for the style."""
        super().__init__()
        shares = (StyleShare(source=style),) if isinstance(style, str) else ()
        network = load_encoder(encoder)
        kind = methods.get(method)
        # Not registered as parts: to move the weights alone would part them from their runtime.
        self._parts: tuple[Encoder, Stylizer] = (
            network,
            kind.create(network, runtime(device, precision), Recipe(styles=shares)),
        )
        self._code = None if style is None else self.encode(style)

    @property
    def method(self) -> Stylizer:
        """The method itself."""
        return self._parts[1]

    def encode(self, style: AnyStyle) -> Code:
        """What the method needs of a style, to be kept for many pictures.

        Raises as ``__init__`` does.
        """
        encoder, method = self._parts
        given = style if isinstance(style, str | Style) else media.open_any(style)
        return method.encode(style_of(given, encoder))

    def forward(
        self, content: Image, style: AnyStyle | Code | None = None, strength: float | None = None
    ) -> Image:
        """The content in a style.  (B, 3, H, W), float32, [0, 1]  ->  the same

        style: also what ``encode`` made; by default that of ``__init__``
        strength: from 0, the content itself, to 1; by default the method's own

        Raises BadInput where there is no style or the content is no such tensor; BadPicture.
        """
        if style is None:
            if self._code is None:
                raise BadInput("No style: give one here, or with style=... when loading.")
            style = self._code
        code = style if isinstance(style, dict) else self.encode(style)  # type: ignore[arg-type]
        return self.method.stylize(content, code, strength)


def load(
    method: str = "ghiasi", device: str = "auto", precision: str = "auto", encoder: str = "compact"
) -> "HubModule":
    """A ``hub_module`` as on TF-Hub, by any method that paints any style.

    Raises UnknownName, MissingWeights, and BadInput for a method that has to learn its styles.
    """
    if not methods.get(method).can.any_style:
        able = [name for name in methods.names() if methods.get(name).can.any_style]
        raise BadInput(
            f"{method} paints only what it has learned, and a hub module any style. "
            f"Choose from: {', '.join(able)}."
        )
    return HubModule(Hub(method, None, device, precision, encoder))


class HubModule:
    """``hub_module(content, style)[0]`` is the content in the style."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def __call__(self, content: Any, style: Any, strength: float | None = None) -> tuple[Array]:
        """Pictures in styles, of which there is one for all or one for each.

        content: (B, H, W, 3), floats in [0, 1], a torch tensor or whatever numpy takes for an
        array; style: (1 or B, h, w, 3)  ->  one (B, H, W, 3), float32: a tensor for a tensor on the
        same device, else an array

        Raises BadPicture for anything else.
        """
        pictures, looks = _channels_first(content, "content"), _channels_first(style, "style")
        if len(looks) not in (1, len(pictures)):
            raise BadPicture(
                f"{len(pictures)} pictures in content but {len(looks)} in style: give one for all "
                "or one for each."
            )
        codes = [self.hub.encode(look[None]) for look in looks]
        groups = torch.split(pictures, len(pictures) // len(codes))
        painted = torch.cat(
            [self.hub(group, code, strength) for group, code in zip(groups, codes, strict=True)]
        ).permute(0, 2, 3, 1)  # (B, H, W, 3)
        if isinstance(content, Tensor):
            return (painted.to(content.device),)
        return (np.ascontiguousarray(painted.cpu().numpy()),)


def _channels_first(pictures: Any, name: str) -> Tensor:
    """(B, H, W, 3)  ->  (B, 3, H, W), float32, on the CPU"""
    given = pictures.detach().cpu() if isinstance(pictures, Tensor) else np.asarray(pictures)
    shape, floats = tuple(given.shape), "float" in str(given.dtype)
    if len(shape) != 4 or shape[3] != 3 or 0 in shape or not floats:
        raise BadPicture(
            f"{name} is floats (B, H, W, 3) in [0, 1], not {shape} of {given.dtype}: divide "
            "integers by 255, and give a single picture as picture[None]."
        )
    values = torch.as_tensor(given).float()
    low, high = (float(limit) for limit in values.aminmax())
    if not (low >= -0.01 and high <= 1.01):  # NaN is neither
        raise BadPicture(f"{name} must hold values in [0, 1], not {low:g} to {high:g}.")
    return values.clamp(0, 1).permute(0, 3, 1, 2).contiguous()
