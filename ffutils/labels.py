"""Chapter 02: write a label, right, wrong or neutral, into the first ten pixels of an image."""

import torch

from ffutils.checks import check_images, check_labels, check_strength


def overlay(x, y, strength=1.0):
    """Write label y into the first ten pixels of x: pixel y gets the strength, the other nine 0.

    x: (B, 784) in [0, 1]; y: (B,) int64 in 0..9; returns a new (B, 784) and leaves x as it was.
    Raises TypeError or ValueError for a wrong type, shape or value. Hinton 2022, §3.3; derived in chapter 02.
    """
    check_images(x)
    check_labels(y, count=len(x))
    check_strength(strength)
    x = x.clone()
    x[:, :10] = 0
    x[torch.arange(len(x)), y] = strength
    return x


def neutral(x, strength=1.0):
    """Write no label into x: each of the first ten pixels gets a tenth of the strength.

    x: (B, 784) in [0, 1]; returns a new (B, 784) and leaves x as it was.
    Raises TypeError or ValueError for a wrong type, shape or value. Hinton 2022, §3.3; derived in chapter 02.
    """
    check_images(x)
    check_strength(strength)
    x = x.clone()
    x[:, :10] = strength / 10
    return x


def wrong_labels(y):
    """Draw for each label one of the nine others, all equally likely: never the true one.

    y: (B,) int64 in 0..9; returns a new (B,) int64. Raises TypeError or ValueError for a wrong type, shape or value.
    Derived in chapter 02.
    """
    check_labels(y)
    return (y + torch.randint(1, 10, y.shape, device=y.device)) % 10
