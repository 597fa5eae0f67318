"""What the region of a picture is optimised towards."""

from torch import Tensor

from impasto.codes import Region, at
from impasto.networks.encoders import TAPS, Encoder
from impasto.tiling.encode import cells
from impasto.tiling.gradient import Look


def look_of(region: Region, encoder: Encoder, photo: Tensor, weight: float) -> Look:
    """The Gram matrices of a region at the size of the photo; it counts as much as it covers.

    photo: (B, 3, H, W); weight: of the style in the whole picture
    """
    code = at(region.code, max(photo.shape[-2:]))
    grams = {tap: code[tap].to(photo.device) for tap in TAPS}
    if region.mask is None:
        return Look(grams, weight)
    size = (photo.shape[-2], photo.shape[-1])
    masks = {tap: region.mask_like(cells(encoder, size, tap, photo.device)) for tap in TAPS}
    share = float(region.mask.mean())
    return Look(grams, weight * share, {tap: m for tap, m in masks.items() if m is not None})
