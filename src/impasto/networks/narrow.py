"""Convolutions with few output channels, as fast as those with many."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NarrowConv(nn.Conv2d):
    """A convolution that computes four neighbouring outputs as one of four times the channels.

    Processors work on sixteen channels at a time, whether there are as many or not: the last layer
    of a network has three, and took longer than all others together. Weights, names and results are
    those of ``nn.Conv2d`` with stride 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W)  ->  (B, out, H - kernel + 1, W - kernel + 1)"""
        height, width = self.kernel_size
        if (x.shape[-2] - height) % 2 == 0 or (x.shape[-1] - width) % 2 == 0:  # an odd output
            return super().forward(x)
        w = self.weight
        # Each of the four sees the window from its own corner; (4 out, C, kernel + 1, kernel + 1)
        four = [F.pad(w, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
        filters = torch.stack(four, 1).flatten(0, 1)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(x, filters, bias, stride=2), 2)
