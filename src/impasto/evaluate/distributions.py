"""Whole sets of pictures against each other: FID and ArtFID."""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from impasto.errors import BadInput

Rows = NDArray[np.float64]


def fid(features: Tensor, target: Tensor) -> float:
    """Frechet distance of the Gaussians that fit two sets of features.  (N, C), (M, C)  ->  >= 0

    Heusel et al. 2017, arXiv:1706.08500, eq. (6), with unbiased covariances. Few pictures make it
    too large (Chong & Forsyth 2020, arXiv:1911.07023): compare sets of equal number only.

    Raises BadInput for a set of less than two, or sets of different features.
    """
    if features.shape[1:] != target.shape[1:] or min(len(features), len(target)) < 2:
        raise BadInput(
            f"FID compares two sets of at least 2 pictures each, seen by one network, not "
            f"{tuple(features.shape)} and {tuple(target.shape)} features."
        )
    (mean, root), (mean_target, root_target) = _gaussian(features), _gaussian(target)
    # With covariances A'A and B'B the trace of (A'A B'B)^(1/2) is the sum of the singular values
    # of A B': exact where there are fewer pictures than features, unlike a root of matrices.
    common = linalg.svdvals(root @ root_target.T).sum()
    spread = np.square(root).sum() + np.square(root_target).sum() - 2 * common
    return float(max(np.square(mean - mean_target).sum() + spread, 0.0))


def art_fid(lpips: float, fid: float) -> float:
    """(1 + LPIPS) (1 + FID): content and style in one figure.  ->  >= 1, lower is better

    lpips: mean over all pairs of photo and painting; fid: paintings against styles

    Wright & Ommer 2022, arXiv:2207.12280. A photo left as it is can have the best ArtFID
    of all: read it beside the controls.
    """
    return (1 + lpips) * (1 + fid)


def _gaussian(features: Tensor) -> tuple[Rows, Rows]:
    """The mean (C,) and a root (K, C) of the covariance: root.T @ root, K <= C."""
    rows: Rows = features.detach().double().cpu().numpy()
    mean: Rows = rows.mean(0)
    (root,) = linalg.qr((rows - mean) / np.sqrt(len(rows) - 1), mode="r")
    return mean, root[: min(rows.shape)]
