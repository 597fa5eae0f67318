"""A picture with something in every part of it, and a machine with little memory."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor


@pytest.fixture
def picture(_astronaut: Tensor) -> Callable[[int, int], Tensor]:
    """A grainy photo of any size.  (height, width)  ->  (1, 3, H, W), [0, 1]

    Normalisation blows rounding up where a picture is flat, as this one is at no size.
    """

    def scaled(height: int, width: int) -> Tensor:
        generator = torch.Generator().manual_seed(4)
        image = F.interpolate(_astronaut, (height, width), mode="bilinear", antialias=True)
        return image.clamp(0, 1).lerp(torch.rand(image.shape, generator=generator), 0.5)

    return scaled


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let convolutions fail on more than so many positions, as torch fails."""

    def limit(positions: int) -> None:
        convolve = F.conv2d

        def conv2d(x: Tensor, *others: Any, **settings: Any) -> Tensor:
            if x.shape[-2] * x.shape[-1] > positions:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return convolve(x, *others, **settings)

        monkeypatch.setattr(F, "conv2d", conv2d)

    return limit
