"""Colour modes: keep the photo's colours, or take the style's in the photo's range.

Everything is (B, 3, H, W), float32, sRGB in [0, 1], unless a name says linear.
"""

import torch
from torch import Tensor

from impasto.media.levels import floats, strips

# Ottosson 2020, "A perceptual color space for image processing": linear sRGB to cone responses,
# and their cube roots to OkLab. The inverses are computed, so that there and back is exact.
LMS = ((0.4122214708, 0.5363325363, 0.0514459929),
       (0.2119034982, 0.6806995451, 0.1073969566),
       (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
OKLAB = ((0.2104542553, 0.7936177850, -0.0040720468),
         (1.9779984951, -2.4285922050, 0.4505937099),
         (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip

LEAST_VARIANCE = 1e-5
"""Variance below which a direction in colour space counts as flat: about half a step of 8 bits.

It bounds how far ``match`` stretches the noise of a picture that has no colour.
"""

Statistics = tuple[Tensor, Tensor]
"""Mean (B, 3, 1) and covariance (B, 3, 3) of the colours of pictures."""


def luma(painted: Tensor, photo: Tensor) -> Tensor:
    """Lightness of ``painted`` with the colour of ``photo``, both in OkLab.

    painted, photo: (B, 3, H, W), sRGB in [0, 1]  ->  (B, 3, H, W)

    Gatys et al. 2016, arXiv:1606.05897, luminance-only transfer. Differs: OkLab for YIQ, in which
    a change of lightness shifts the hue; and applied to the result rather than to the style.
    Where sRGB has no such colour, chroma is reduced and lightness kept.
    """
    lightness = to_oklab(painted)[:, :1]  # (B, 1, H, W)
    chroma = to_oklab(photo)[:, 1:]  # (B, 2, H, W)
    return to_srgb(_fit_chroma(lightness, chroma).clamp(0, 1))


def match(style: Tensor, photo: Tensor, seen: Tensor | None = None) -> Tensor:
    """The style recoloured: mean and covariance of its colours become those of the photo.

    style: (B, 3, h, w); photo: (B, 3, H, W), sRGB in [0, 1], or (1, 3, H, W) in integers; seen:
    (1, 1, h, w), boolean, what counts of the style  ->  (B, 3, h, w), clipped to [0, 1]

    The linear map of least displacement (Monge-Kantorovich): Pitie & Kokaram 2007, "The linear
    Monge-Kantorovitch linear colour mapping for example-based colour transfer". In gamma sRGB,
    where colours are spread evenly enough that little is clipped. A picture of one colour becomes
    the photo's mean colour.
    """
    return transferred(style, statistics(style, seen), statistics(photo))


def transferred(image: Tensor, own: Statistics, aim: Statistics) -> Tensor:
    """``match`` for statistics that are known.  (B, 3, H, W)  ->  the same, clipped to [0, 1]"""
    mapping = _transport(own[1], aim[1])  # (B, 3, 3)
    centred = image.flatten(2) - own[0]  # (B, 3, HW)
    return (mapping @ centred + aim[0]).clamp(0, 1).view_as(image)


def to_linear(image: Tensor) -> Tensor:
    """Undo the sRGB transfer curve (IEC 61966-2-1).  (...) in [0, 1]  ->  (...) in [0, 1]"""
    bent = ((image.clamp_min(0) + 0.055) / 1.055).pow(2.4)
    return torch.where(image <= 0.04045, image / 12.92, bent)


def to_srgb(image: Tensor) -> Tensor:
    """Apply the sRGB transfer curve (IEC 61966-2-1).  (...) in [0, 1]  ->  (...) in [0, 1]"""
    bent = 1.055 * image.clamp_min(0.0031308).pow(1 / 2.4) - 0.055
    return torch.where(image <= 0.0031308, image * 12.92, bent)


def to_oklab(image: Tensor) -> Tensor:
    """Lightness in [0, 1] and two axes of colour, 0 for grey.  (B, 3, H, W)  ->  (B, 3, H, W)"""
    cones = _mix(image.new_tensor(LMS), to_linear(image)).clamp_min(0)
    return _mix(image.new_tensor(OKLAB), cones.pow(1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """Linear sRGB, outside [0, 1] where sRGB lacks the colour.  (B, 3, H, W)  ->  (B, 3, H, W)"""
    cones = _mix(_inverse(lab, OKLAB), lab).pow(3)
    return _mix(_inverse(lab, LMS), cones)


def _mix(matrix: Tensor, image: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix, image)


def _inverse(like: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.tensor(matrix, dtype=torch.float64).inverse().to(like)


def _fit_chroma(lightness: Tensor, chroma: Tensor, steps: int = 8) -> Tensor:
    """Linear sRGB of the colours, with the most of their chroma that sRGB can show."""
    image = from_oklab(torch.cat([lightness, chroma], 1))  # (B, 3, H, W)
    outside = ((image < 0) | (image > 1)).any(1)  # (B, H, W)
    if not outside.any():
        return image
    light = lightness.movedim(1, -1)[outside].mT[None, :, None]  # (1, 1, 1, N)
    colour = chroma.movedim(1, -1)[outside].mT[None, :, None]  # (1, 2, 1, N)
    low, high = torch.zeros_like(light), torch.ones_like(light)
    for _ in range(steps):  # bisection
        middle = (low + high) / 2
        trial = from_oklab(torch.cat([light, middle * colour], 1))
        inside = ((trial >= 0) & (trial <= 1)).all(1, keepdim=True)
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    fitted = from_oklab(torch.cat([light, low * colour], 1))  # (1, 3, 1, N)
    image.movedim(1, -1)[outside] = fitted[0, :, 0].mT
    return image


def statistics(image: Tensor, inside: Tensor | None = None) -> Statistics:
    """Mean and covariance of the colours.

    image: (B, 3, H, W), floats in [0, 1], or integers, which go strip by strip; inside: (1, 1, H,
    W), which pixels of a single picture count
    """
    if image.is_floating_point():
        colours = _inside(image, inside)  # (B, 3, HW)
        mean = colours.mean(2, keepdim=True)
        centred = colours - mean
        return mean, centred @ centred.mT / colours.shape[2]
    count = 0
    total, square = torch.zeros(1, 3, 1).double(), torch.zeros(1, 3, 3).double()
    for rows in strips(image):
        shown = None if inside is None else inside[:, :, rows]
        colours = _inside(floats(image[:, :, rows]), shown).double()
        count += colours.shape[2]
        total, square = total + colours.sum(2, keepdim=True), square + colours @ colours.mT
    mean = total / max(count, 1)
    return mean.float(), (square / max(count, 1) - mean @ mean.mT).float()


def _inside(image: Tensor, inside: Tensor | None) -> Tensor:
    return image.flatten(2) if inside is None else image.flatten(2)[:, :, inside.flatten()]


def _transport(source: Tensor, target: Tensor) -> Tensor:
    """The symmetric A with A source A = target, of covariances.  (B, 3, 3)  ->  (B, 3, 3)"""
    # In double precision on the CPU: three by three, and not every device has float64.
    values, vectors = torch.linalg.eigh(source.double().cpu())  # (B, 3), (B, 3, 3)
    deviation = values.clamp_min(LEAST_VARIANCE).sqrt()
    root, inverse = _rebuild(vectors, deviation), _rebuild(vectors, 1 / deviation)
    values, vectors = torch.linalg.eigh(root @ target.double().cpu() @ root)
    middle = _rebuild(vectors, values.clamp_min(0).sqrt())
    return (inverse @ middle @ inverse).to(source)


def _rebuild(vectors: Tensor, values: Tensor) -> Tensor:
    return (vectors * values.unsqueeze(1)) @ vectors.mT  # (B, 3, 3)
