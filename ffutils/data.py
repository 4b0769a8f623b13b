"""Chapter 01: a data set is two plain tensors, and batches of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ffutils.checks import check_batch, check_count, check_dataset, check_label_batch
from ffutils.files import open_dataset


class Split(NamedTuple):
    """Images and their labels, row by row.

    Attributes:
        images: (N, pixels), float32 in [0, 1].
        labels: (N,), int64, the classes counted from 0.

    Source: chapter 01.
    """

    images: Tensor
    labels: Tensor


def load_dataset(
    name: str | None = None, device: str | torch.device = "cpu"
) -> tuple[str, Split, Split]:
    """Load the data set that was asked for, or the one that this machine can have.

    Args:
        name: "mnist", "fashion", "digits" or "auto", which is MNIST or, where it can be
            neither found nor downloaded, the digits; $FF_DATASET unless given.
        device: where the tensors will lie.

    Returns:
        The name of what was loaded, and its training and test `Split`.

    Raises:
        ValueError: for an unknown name.
        FileNotFoundError, OSError: for files that are missing or damaged.
        ConnectionError: where MNIST or Fashion-MNIST was asked for and cannot be had.

    Source: chapter 01.
    """
    name = name or os.environ.get("FF_DATASET") or "auto"
    check_dataset(name)
    if name == "digits":
        return name, *load_digits(device)
    try:
        wanted = "mnist" if name == "auto" else name
        return wanted, *load_mnist(device, wanted)
    except ConnectionError as error:
        if name != "auto":
            raise
        warnings.warn(f"{error} Using scikit-learn's digits instead.", stacklevel=2)
    return "digits", *load_digits(device)


def load_mnist(
    device: str | torch.device = "cpu", name: str = "mnist"
) -> tuple[Split, Split]:
    """Load MNIST, or Fashion-MNIST, through torchvision.

    Args:
        device: where the tensors will lie.
        name: "mnist" or "fashion".

    Returns:
        The training and the test `Split`, 60,000 and 10,000 images.

    Raises:
        FileNotFoundError, OSError, ConnectionError: as `load_dataset`.

    Source: LeCun et al. 1998; Xiao et al. 2017; chapter 01.
    """
    return tuple(
        Split((part.data.flatten(1).float() / 255).to(device), part.targets.to(device))
        for part in open_dataset(name)
    )


def load_digits(device: str | torch.device = "cpu") -> tuple[Split, Split]:
    """Load the small digits that scikit-learn brings along.

    Each 8×8 image is enlarged to 20×20 and centred in 28×28, as MNIST's digits are, so
    that every chapter runs unchanged. The same writers appear in both splits.

    Args:
        device: where the tensors will lie.

    Returns:
        The training and the test `Split`, 1,500 and 297 images.

    Source: Alpaydin and Kaynak 1998; chapter 01.
    """
    from sklearn import datasets as bundled  # here, so that `import ffutils` is quick

    digits = bundled.load_digits()
    small = torch.from_numpy(digits.images).float()[:, None] / 16
    large = torch.nn.functional.interpolate(small, size=20, mode="bilinear")
    images = torch.nn.functional.pad(large, (4, 4, 4, 4)).flatten(1)
    order = fixed_order(len(images))
    labels = torch.from_numpy(digits.target).long()
    everything = Split(images[order].to(device), labels[order].to(device))
    train = Split(*(tensor[:1500] for tensor in everything))
    return train, Split(*(tensor[1500:] for tensor in everything))


def fixed_order(count: int) -> Tensor:
    """A random order (count,) that is the same on every call, on the CPU."""
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randperm(count, generator=generator, device="cpu")


def split_validation(split: Split) -> tuple[Split, Split]:
    """Set a random sixth of a split aside, the same on every call and device.

    Args:
        split: such as MNIST's 60,000 training images.

    Returns:
        Two `Split`s, for training and for validation: 50,000 and 10,000 of MNIST.

    Source: chapter 01.
    """
    images, labels = split
    order = fixed_order(len(labels)).to(labels.device)
    train, validation = order[len(order) // 6 :], order[: len(order) // 6]
    return tuple(Split(images[rows], labels[rows]) for rows in (train, validation))


def batches(
    data, batch_size: int, shuffle: bool = True, device: torch.device | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through the data once, in batches.

    A `Split` is sliced where it lies, so no worker, copy or file is involved; the order
    comes from PyTorch's global generator.

    Args:
        data: a `Split`, or any iterable of batches (x, y), which keep their own size
            and order.
        batch_size: images in each batch of a `Split`; its last one may be smaller.
        shuffle: whether a `Split` comes in random order.
        device: where batches of other iterables are moved to.

    Yields:
        Images (B, pixels) and their labels (B,).

    Raises:
        TypeError, ValueError: for a bad batch_size, or a batch of another shape.

    Source: chapter 01.
    """
    check_count("batch_size", batch_size)
    if not hasattr(data, "images"):
        for x, y in data:
            check_batch(x)
            check_label_batch(y, count=len(x))
            yield x.to(device), y.to(device)
        return
    count = len(data.labels)
    order_of = torch.randperm if shuffle else torch.arange
    order = order_of(count, device="cpu").to(data.labels.device)
    for rows in order.split(int(batch_size)):
        yield data.images[rows], data.labels[rows]
