"""Chapter 09: units that see only a part of the image, and peers that keep each of them alive."""

import torch
from torch import nn
from torch.nn.functional import unfold

from ffutils.checks import check_fields, check_width
from ffutils.layers import normalize


class LocalLayer(nn.Module):
    """A layer whose units stand on a grid, each with weights of its own for a square of the grid below.

    LocalLayer(28, 1, 10, 6, 128) stands above images of 28 · 28 pixels with one channel: fields of 10 · 10 pixels, 6
    apart, make a grid of 4 · 4 with 128 units at each point. It takes (B, channels · side · side), normalises all of it
    and returns (B, units · grid · grid); its weights are (grid · grid, channels · field · field, units). Raises ValueError for fields that do not cover the grid below, or an input of
    another width. Hinton 2022, §3.2; derived in chapter 09.
    """

    def __init__(self, side, channels, field, stride, units):
        check_fields(side, channels, field, stride, units)
        super().__init__()
        self.side, self.channels, self.field, self.stride = side, channels, field, stride
        self.grid = (side - field) // stride + 1
        seen = channels * field * field
        self.weight = nn.Parameter(torch.randn(self.grid**2, seen, units) * (2 / seen) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(self.grid**2, 1, units))

    def drive(self, x):
        """What every unit adds up, before it is rectified: (B, units · grid · grid)."""
        check_width(x, self.channels * self.side**2)
        below = normalize(x).view(-1, self.channels, self.side, self.side)
        patches = unfold(below, self.field, stride=self.stride)
        drive = torch.baddbmm(self.bias.to(patches), patches.permute(2, 0, 1), self.weight)
        return drive.permute(1, 2, 0).flatten(1)

    def forward(self, x):
        return torch.relu(self.drive(x))


def peer_loss(drive, running, strength=0.03):
    """Pull each unit's running mean activity towards that of its peers, and pretend that every unit is on.

    drive: (B, width), before the ReLU; running: (width,), each unit's mean activity of late, which counts as given.
    Returns a scalar whose gradient with respect to each drive is strength · (running - its mean) / B, also where the
    ReLU is off. Hinton 2022, §3.2, and his published code; derived in chapter 09.
    """
    return strength * (drive.mean(dim=0) * (running - running.mean())).sum()
