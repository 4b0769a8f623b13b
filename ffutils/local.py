"""Chapter 09: units that see a part of the image, and peers that keep them alive."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from ffutils.checks import check_batch, check_count
from ffutils.layers import normalize


class LocallyConnected2d(nn.Module):
    """A layer of windows, as `nn.Conv2d`, but with weights of its own for each window.

    It normalises all of its input, then rectifies what each window's units add up:
    (B, in_features) → (B, out_features), so that it can stand in an `FFNet`. A row
    holds channel after channel, as `images.flatten(1)` makes it.
    LocallyConnected2d(28, 1, 10, 6, 128) has 4 · 4 windows of 10 · 10 pixels, 6 apart,
    with 128 units each; its `weight` is (windows, what a window sees, units).

    Args:
        size: height and width of the square image, or grid of units, below.
        in_channels: values at each of its points: 1 for pixels, or units of the layer
            below.
        kernel_size: height and width of a window.
        stride: distance from each window to the next.
        out_channels: units of each window.
        padding: how many rows and columns of zeros surround the normalised input.
        normalize: a function of the input (B, in_features) that returns its like.

    Raises:
        ValueError: for windows that do not reach from edge to edge exactly, or an input
            of another width.

    Source: Hinton 2022, §3.2; chapter 09.
    """

    def __init__(
        self,
        size: int,
        in_channels: int,
        kernel_size: int,
        stride: int,
        out_channels: int,
        padding: int = 0,
        normalize: Callable = normalize,
    ) -> None:
        check_fields(size, in_channels, kernel_size, stride, out_channels, padding)
        super().__init__()
        self.size, self.in_channels, self.out_channels = size, in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.normalize = normalize
        self.output_size = (size + 2 * padding - kernel_size) // stride + 1
        self.in_features = in_channels * size**2
        self.out_features = out_channels * self.output_size**2
        windows, inputs = self.output_size**2, in_channels * kernel_size**2
        weight = torch.randn(windows, inputs, out_channels) * (2 / inputs) ** 0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(windows, 1, out_channels))

    def preactivation(self, x: Tensor) -> Tensor:
        """Return what each unit adds up, before it is rectified: (B, out_features)."""
        check_batch(x, self.in_features, name="the input of this layer")
        h = self.normalize(x).to(self.weight.dtype)
        h = h.view(-1, self.in_channels, self.size, self.size)
        patches = unfold(h, self.kernel_size, padding=self.padding, stride=self.stride)
        patches = patches.permute(2, 0, 1)  # (windows, B, what a window sees)
        sums = torch.baddbmm(self.bias, patches, self.weight)
        return sums.permute(1, 2, 0).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations (B, out_features) for an input (B, in_features)."""
        return torch.relu(self.preactivation(x))


def peer_loss(
    preactivation: Tensor, running_mean: Tensor, weight: float = 0.03
) -> Tensor:
    """Pull each unit's mean activation towards its peers', as if every unit were on.

    Args:
        preactivation: (B, width), before the ReLU.
        running_mean: (width,), each unit's mean activation of late, taken as given.
        weight: how strong the pull is.

    Returns:
        A scalar whose gradient with respect to each preactivation is
        weight · (running_mean − its mean over the units) / B, also where the ReLU is
        off.

    Source: Hinton 2022, §3.2, and his published code; chapter 09.
    """
    above_peers = running_mean - running_mean.mean()
    return weight * (preactivation.mean(dim=0) * above_peers).sum()


def check_fields(
    size: int,
    in_channels: int,
    kernel_size: int,
    stride: int,
    out_channels: int,
    padding: int,
) -> None:
    """Raise ValueError unless the windows reach from edge to edge exactly."""
    counts = {"size": size, "in_channels": in_channels, "kernel_size": kernel_size}
    counts |= {"stride": stride, "out_channels": out_channels}
    for name, count in counts.items():
        check_count(name, count)
    check_count("padding", padding, least=0)
    if padding >= kernel_size:
        raise ValueError(
            f"padding must be less than kernel_size, {kernel_size}, got {padding}: "
            "some windows would see nothing but zeros"
        )
    rest = size + 2 * padding - kernel_size
    if rest < 0 or rest % stride:
        raise ValueError(
            f"windows of {kernel_size}, {stride} apart, do not reach from edge to edge "
            f"of {size + 2 * padding}: size + 2 · padding - kernel_size must be 0 or "
            "more, and a multiple of the stride"
        )
