"""A picture with something in every part of it, and a machine with little memory."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        convolve = nn.Conv2d.forward

        def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
            if x.shape[-2] * x.shape[-1] > positions:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return convolve(self, x)

        monkeypatch.setattr(nn.Conv2d, "forward", forward)

    return limit
