"""Images varied at random in every batch, as the command and `affine` train on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ffutils.checks import check_number, check_square


def affine(
    x: Tensor, degrees: float = 12, share: float = 0.12, pixels: float = 2
) -> Tensor:
    """Turn, stretch, slant and shift every image by a little; what enters is black.

    Each of the six numbers of an image is drawn evenly between its two ends.

    Args:
        x: square images (B, side · side) in [0, 1].
        degrees: the most that an image is turned, each way.
        share: the most that its width and height change, and that it is slanted.
        pixels: the most that it is shifted, each way.

    Returns:
        New images of the same shape; a pixel between four old ones is their mean,
        weighted by its distance to each.

    Raises:
        TypeError, ValueError: for images that are not square, or a bad number.

    Source: Simard, Steinkraus and Platt 2003, who also bend the images.
    """
    check_square(x, advice="; colours cannot be told from pixels here, use jitter")
    check_number("degrees", degrees, 0, 180)
    check_number("share", share, 0, 1, ends="[)")
    check_number("pixels", pixels, 0)
    count, side = len(x), math.isqrt(x.shape[1])
    r = 2 * torch.rand(6, count, dtype=x.dtype, device=x.device) - 1
    turn, slant = math.radians(degrees) * r[0], share * r[1]
    wide, high = 1 + share * r[2:4]
    right, down = 2 * pixels / side * r[4:]
    rows = (wide * turn.cos(), high * (slant - turn.sin()), right,
            wide * turn.sin(), high * turn.cos(), down)  # fmt: skip
    shape = (count, 1, side, side)
    matrices = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = affine_grid(matrices, shape, align_corners=False)
    return grid_sample(x.view(shape), grid, align_corners=False).flatten(1)
