"""What pixels say, without a network: likeness of structure, of colours, and of patches.

Pictures are (1, 3, H, W), sRGB in [0, 1].
"""

from collections.abc import Iterator

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage import color, filters
from skimage.metrics import structural_similarity
from torch import Tensor

from impasto.errors import BadInput
from impasto.evaluate import sliced
from impasto.evaluate.sliced import Profile
from impasto.media.image import resize

Plane = NDArray[np.float32]

WINDOW = 11
"""Side of SSIM's Gaussian window of 1.5 pixels' deviation."""

PATCH = 8
"""Side of a patch, pixels."""

BANDS = 4
"""Octaves of detail in which patches are compared."""

COLOR_QUANTILES = 1024


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity of the luma of two pictures of one size.  ->  [-1, 1], 1 is the same

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    with the paper's Gaussian window.

    Raises BadInput for pictures of different size.
    """
    return _similarity(luma(a), luma(b))


def edge_ssim(a: Tensor, b: Tensor) -> float:
    """``ssim`` of the edges: of the magnitudes of Sobel's gradient of luma.  ->  [-1, 1]

    What stays when only colours and light have changed. After Chen et al. 2006, "Edge-based
    structural similarity for image quality assessment". Differs: of magnitudes as a picture, not
    of histograms of directions.

    Raises BadInput for pictures of different size.
    """
    return _similarity(_edges(a), _edges(b))


def luma(picture: Tensor) -> Plane:
    """Weighted sum of the channels (ITU-R BT.709).  (1, 3, H, W)  ->  (H, W), [0, 1]"""
    plane: Plane = color.rgb2gray(_rows(picture))
    return plane


def _edges(picture: Tensor) -> Plane:
    edges: Plane = filters.sobel(luma(picture))  # type: ignore[no-untyped-call]
    return edges


def _similarity(a: Plane, b: Plane) -> float:
    if a.shape != b.shape:
        raise BadInput(
            f"Pictures of {a.shape[1]} x {a.shape[0]} and {b.shape[1]} x {b.shape[0]} pixels do "
            "not compare pixel by pixel: bring them to one size."
        )
    height, width = (max(0, WINDOW - side) for side in a.shape)
    margin = ((height // 2, height - height // 2), (width // 2, width - width // 2))
    a, b = (np.pad(plane, margin, mode="symmetric") for plane in (a, b))
    kernel = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, data_range=1.0, **kernel))  # type: ignore[no-untyped-call]


def colors(picture: Tensor) -> Profile:
    """The distribution of lightness, green to red, and blue to yellow (CIELAB, D65).  -> (3, Q)"""
    lab = color.rgb2lab(_rows(picture)).reshape(-1, 3)
    return sliced.quantiles(np.ascontiguousarray(lab.T, dtype=np.float32), COLOR_QUANTILES)


def color_distance(a: Profile, b: Profile) -> float:
    """``histogram_distance`` of pictures whose ``colors`` are known."""
    return float(sliced.wasserstein(a, b).mean())


def histogram_distance(a: Tensor, b: Tensor) -> float:
    """Wasserstein distance of the colours, mean over the channels of CIELAB.  ->  >= 0

    How far a colour has to move on average. Black and white are 33.3 apart, 100 in one channel of
    three; blue and green, the farthest, 137. Pictures of any sizes.

    Rubner et al. 2000, "The earth mover's distance as a metric for image retrieval". Differs: each
    channel for itself.
    """
    return color_distance(colors(a), colors(b))


def patches(picture: Tensor) -> list[Profile]:
    """The distribution of patches of 8 x 8 pixels in each octave, finest first."""
    return [sliced.profile(sliced.sample(_at_least(b, PATCH), PATCH)) for b in octaves(picture)]


def compare_patches(a: list[Profile], b: list[Profile]) -> float:
    """``patch_distance`` of pictures whose ``patches`` are known."""
    pairs = zip(a, b, strict=True)
    return sum(sliced.relative_distance(one, other) for one, other in pairs) / len(a)


def patch_distance(a: Tensor, b: Tensor) -> float:
    """Sliced Wasserstein distance of patches, mean over the octaves.  ->  [0, 1], 0 is the same

    Brush strokes and palette, wherever they are. Pictures of any sizes.

    Karras et al. 2018, arXiv:1710.10196, section 5. Differs: patches of 8 pixels, and relative in
    each octave; the paper normalises by the deviation of the real pictures.
    """
    return compare_patches(patches(a), patches(b))


def octaves(picture: Tensor) -> Iterator[Tensor]:
    """What each halving loses, finest first, and what is left in the end; BANDS in all.

    Burt & Adelson 1983, "The Laplacian pyramid as a compact image code".
    """
    for _ in range(BANDS - 1):
        height, width = picture.shape[-2:]
        smaller = resize(picture, (max(1, height // 2), max(1, width // 2)))
        yield picture - resize(smaller, (height, width))
        picture = smaller
    yield picture


def _at_least(picture: Tensor, side: int) -> Tensor:
    """The picture, its last row and column repeated where it is smaller."""
    down, right = (max(0, side - length) for length in picture.shape[-2:])
    return F.pad(picture, (0, right, 0, down), mode="replicate") if down or right else picture


def _rows(picture: Tensor) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = picture[0].float().permute(1, 2, 0).cpu().numpy()
    return rows
