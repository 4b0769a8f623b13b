"""Chapter 08: images made of two digits, as negatives for learning without labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ffutils.checks import check_count, check_square


def blurred_masks(
    count: int,
    side: int = 28,
    blurs: int = 10,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw random masks of large patches: random bits, blurred and cut at one half.

    Args:
        count: how many masks.
        side: height and width of a mask, in pixels.
        blurs: how often the filter [¼, ½, ¼] runs over the rows and the columns; 0
            leaves the bits as they are. Beyond its edge a mask goes on as at the edge.
        device: where the masks are made; PyTorch's default device unless given.

    Returns:
        (count, side · side) float32, each value 0 or 1.

    Raises:
        ValueError: for a count or side below 1, or blurs below 0.

    Source: Hinton 2022, §3.2, which does not say how many blurs; chapter 08.
    """
    check_count("count", count)
    check_count("side", side)
    check_count("blurs", blurs, least=0)
    blur = torch.zeros(side, side, device=device)
    here = torch.arange(side, device=device)
    for shift, weight in ((-1, 0.25), (0, 0.5), (1, 0.25)):
        blur[here, (here + shift).clamp(0, side - 1)] += weight
    blur = torch.linalg.matrix_power(blur, blurs)
    bits = torch.randint(2, (count, side, side), device=device).to(blur.dtype)
    return (blur @ bits @ blur.T > 0.5).float().flatten(1)


def hybrids(x: Tensor, blurs: int = 10, channels: int = 1) -> Tensor:
    """Mix each image with the next of its batch: its own pixels where a mask is 1.

    Args:
        x: square images (B, channels · side · side), two or more, in random order.
        blurs: of the masks, as in `blurred_masks`.
        channels: of an image, such as 3 for colours; one mask serves them all.

    Returns:
        New images, shaped as x and of its dtype.

    Raises:
        TypeError, ValueError: for a wrong type, dtype or shape, or a single image.

    Source: Hinton 2022, §3.2; chapter 08.
    """
    check_square(x, channels)
    check_count("the number of images to mix", len(x), least=2)
    side = math.isqrt(x.shape[1] // channels)
    mask = blurred_masks(len(x), side, blurs, x.device).to(x.dtype).repeat(1, channels)
    return mask * x + (1 - mask) * x.roll(1, dims=0)
