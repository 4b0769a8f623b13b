"""Chapter 08: images that nobody drew, made of two digits, as negative data for learning without labels."""

import math

import torch

from ffutils.checks import check_count, check_images, check_width


def blurred_masks(count, side=28, blurs=10, device=None):
    """Random masks of zeros and ones in large patches: random bits, blurred again and again, and cut at one half.

    blurs: how often [¼, ½, ¼] is laid over the rows and over the columns; 0 leaves the bits as they are. Beyond the
    edge the image goes on as at the edge. Returns (count, side · side) in {0, 1}. Raises ValueError for a count or side
    below 1. Hinton 2022, §3.2, where the number of blurs is left open; derived in chapter 08.
    """
    check_count("count", count)
    check_count("side", side)
    check_count("blurs", blurs, least=0)
    blur = torch.zeros(side, side, device=device)
    here = torch.arange(side, device=device)
    for shift, weight in ((-1, 0.25), (0, 0.5), (1, 0.25)):
        blur[here, (here + shift).clamp(0, side - 1)] += weight
    blur = torch.linalg.matrix_power(blur, blurs)
    bits = torch.randint(2, (count, side, side), device=device).float()
    return (blur @ bits @ blur.T > 0.5).float().flatten(1)


def hybrids(x, blurs=10):
    """Mix each image of a batch with another one: where a blurred mask is 1 its own pixels, elsewhere the other's.

    x: (B, side · side) in [0, 1], B of 2 or more, in random order; returns (B, side · side).
    Raises TypeError or ValueError for bad images. Hinton 2022, §3.2; derived in chapter 08.
    """
    check_images(x)
    check_count("images in the batch", len(x), least=2)
    side = math.isqrt(x.shape[1])
    check_width(x, side * side)
    mask = blurred_masks(len(x), side, blurs, x.device)
    return mask * x + (1 - mask) * x.roll(1, dims=0)
