"""Inverse roots of covariances by matrix products alone: what ``transforms.roots`` does by eigh.

ONNX knows no eigenvalues. Both iterations are Newton-Schulz (Higham 2008, "Functions of Matrices",
sections 5.3 and 6.3), scaled as in Chen & Chow 2014, "A Stable Scaling of Newton-Schulz for
Improving the Sign Function Computation of a Hermitian Matrix", which takes half the steps. In
double precision: features have directions with a millionth of the variance of others. Matrices are
as wide as a layer has channels, so what this takes does not grow with the picture.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

SQUARINGS = 6
"""For the largest eigenvalue, which comes out at most ``C ** (1 / 128)`` times too large."""

NEAR = 1e-8
"""How near the floor, as a share of the largest eigenvalue, a sign is left open."""

NARROW = 1e-5
"""Root of the least eigenvalue that roots are taken of, as a share of the sum of squares' root."""

SETTLED = 1e-8
"""How far from 1 an iteration may end."""

LEAST = 1e-100
"""What is divided by, at least: pictures of one colour have no covariance at all."""


def inverse_root(covariance: Tensor, floor: float, nothing: Tensor) -> Tensor:
    """Inverse square root with eigenvalues that are at least ``floor`` times the largest.

    covariance: (B, C, C), symmetric; nothing: (B, 1), the least eigenvalue besides, above 0
    ->  (B, C, C), float32
    """
    matrix = covariance.double()
    least = nothing.double()[:, :, None]  # (B, 1, 1)
    if floor > 0:
        least = (largest(matrix) * floor).maximum(least)
    return _inverse_root(floored(matrix, least)).float()


def largest(matrix: Tensor) -> Tensor:
    """The largest eigenvalue, by size, of symmetric matrices.  (B, C, C)  ->  (B, 1, 1)"""
    size = _size(matrix)
    power = matrix / size
    for _ in range(SQUARINGS):
        power = power @ power
    return size * _size(power) ** (0.5**SQUARINGS)


def floored(matrix: Tensor, least: Tensor) -> Tensor:
    """The matrices with eigenvalues of ``least`` at least.  (B, C, C), (B, 1, 1)  ->  (B, C, C)

    max(x, least) is the mean of both and of |x - least| / 2, and |x| is x times its sign.
    """
    level = least * torch.eye(matrix.shape[1]).to(matrix)
    above = matrix - level
    lifted = (matrix + level + above @ _sign(above)) / 2
    return (lifted + lifted.mT) / 2


def _sign(matrix: Tensor) -> Tensor:
    """Every eigenvalue becomes 1 or -1; one that is nearly 0 stays between."""
    sign = matrix / _size(matrix)
    for scale in _scales(NEAR):
        square = sign @ sign
        sign = torch.baddbmm(sign, sign, square, beta=1.5 * scale, alpha=-0.5 * scale**3)
    return sign


def _inverse_root(matrix: Tensor) -> Tensor:
    """matrix: (B, C, C), positive definite  ->  (B, C, C)"""
    size = _size(matrix)
    unit = torch.eye(matrix.shape[1]).to(matrix).expand_as(matrix)
    root, inverse = matrix / size, unit
    for scale in _scales(NARROW):
        step = torch.baddbmm(unit, inverse, root, beta=1.5 * scale, alpha=-0.5 * scale**3)
        root, inverse = root @ step, step @ inverse
    return inverse * size.rsqrt()


def _scales(least: float) -> Iterator[float]:
    """The scale of each step, so that what lies between ``least`` and 1 comes to 1 soonest."""
    while 1 - least > SETTLED:
        scale = math.sqrt(3 / (1 + least + least**2))
        yield scale
        least = scale * least * (3 - (scale * least) ** 2) / 2


def _size(matrix: Tensor) -> Tensor:
    """Root of the sum of squares, which no eigenvalue exceeds.  (B, C, C)  ->  (B, 1, 1)"""
    return matrix.square().sum((1, 2), keepdim=True).sqrt().clamp_min(LEAST)
