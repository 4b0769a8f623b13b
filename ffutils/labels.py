"""Chapter 02: write a label into the image, right or wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from ffutils.checks import check_label_batch, check_room


def overlay(
    x: Tensor, y: Tensor, n_classes: int = 10, label_strength: float = 1.0
) -> Tensor:
    """Write each image's label into its first pixels, one pixel for each class.

    Args:
        x: images (B, pixels) in [0, 1], more pixels than classes; left as they are.
        y: labels (B,), int64 in 0..n_classes - 1.
        n_classes: how many pixels the label takes.
        label_strength: the value of the pixel that is lit; the others become 0.

    Returns:
        New images (B, pixels).

    Raises:
        TypeError, ValueError: for a wrong type, dtype or shape.
        RuntimeError: PyTorch's, for a label outside 0..n_classes - 1.

    Source: Hinton 2022, §3.3; chapter 02.
    """
    check_room(x, n_classes)
    check_label_batch(y, count=len(x))
    x = x.clone()
    x[:, :n_classes] = 0
    x[:, :n_classes].scatter_(1, y[:, None], label_strength)
    return x


def neutral(x: Tensor, n_classes: int = 10, label_strength: float = 1.0) -> Tensor:
    """Write a label that favours no class: the same value into each of its pixels.

    Args:
        x, n_classes, label_strength: as in `overlay`.

    Returns:
        New images (B, pixels), with label_strength / n_classes in their first pixels.

    Raises:
        TypeError, ValueError: for a wrong type, dtype or shape.

    Source: Hinton 2022, §3.3; chapter 02.
    """
    check_room(x, n_classes)
    x = x.clone()
    x[:, :n_classes] = label_strength / n_classes
    return x


def wrong_labels(y: Tensor, n_classes: int = 10) -> Tensor:
    """Draw a wrong label for each image, all wrong ones being equally likely.

    Args:
        y: the true labels (B,), int64 in 0..n_classes - 1.
        n_classes: how many classes there are, 2 or more.

    Returns:
        Labels (B,), int64, none of them the true one.

    Raises:
        TypeError, ValueError: for a wrong type, dtype or shape.

    Source: Hinton 2022, §3.3; chapter 02.
    """
    check_label_batch(y)
    return (y + torch.randint(1, n_classes, y.shape, device=y.device)) % n_classes
