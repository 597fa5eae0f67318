"""Artefacts: found where they were put, and nowhere else."""

import pytest
import torch
from torch import Tensor

from impasto.evaluate.artefacts import blobs, border, checkerboard


@pytest.fixture
def sky() -> Tensor:
    """Flat, with a little noise, above a busy ground.  ->  (1, 3, 96, 96)"""
    torch.manual_seed(0)
    picture = 0.6 + 0.005 * torch.randn(1, 3, 96, 96)
    picture[:, :, 64:] = torch.rand(1, 3, 32, 96)
    return picture


def test_blobs_are_counted_in_flat_parts_only(sky: Tensor) -> None:
    assert blobs(sky, sky) == 0
    spotted = sky.clone()
    for top, left in ((15, 20), (30, 70), (80, 40)):  # the last one is on the ground
        spotted[:, :, top : top + 6, left : left + 6] = 1.0
        spotted[:, :, top + 2 : top + 4, left + 2 : left + 4] = 0.0
    assert blobs(spotted, sky) == 2


def test_even_texture_is_no_blob(sky: Tensor) -> None:
    strokes = sky + 0.1 * torch.sin(torch.arange(96) * 0.7)
    assert blobs(strokes.clamp(0, 1), sky) == 0


def test_a_photo_without_flat_parts_has_none() -> None:
    torch.manual_seed(0)
    noise = torch.rand(1, 3, 64, 64)
    assert blobs(noise, noise) == 0


def test_a_checkerboard_is_all_high(sky: Tensor) -> None:
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 64, 64)
    wave = (0.5 + 0.4 * torch.sin(columns * 0.3)).expand(1, 3, 64, 64)
    assert checkerboard(board) > 0.9
    assert checkerboard(wave) < 1e-3
    assert checkerboard(0.9 * wave + 0.1 * board) > 10 * checkerboard(wave)


def test_one_colour_has_no_energy() -> None:
    flat = torch.full((1, 3, 40, 40), 0.3)
    assert checkerboard(flat) < 0.5 and border(flat) < 1e-2 and blobs(flat, flat) == 0


def test_a_frame_shows() -> None:
    torch.manual_seed(0)
    even = torch.rand(1, 3, 64, 64)
    assert border(even) == pytest.approx(1, abs=0.15)
    framed = 0.5 + 0.1 * (even - 0.5)
    framed[:, :, :3] = even[:, :, :3]
    assert border(framed) > 3
