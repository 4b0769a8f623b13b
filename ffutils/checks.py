"""Clear errors for bad input: each function raises, saying what was wrong, what was expected and what to do."""

import hashlib
import math
from pathlib import Path

import torch

# The four files of MNIST as they lie on the disk, unpacked, with their MD5 sums.
MNIST_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def check_images(x):
    """Raise unless x is a non-empty batch of finite images (B, pixels) in [0, 1], pixels > 10.

    Raises TypeError for anything but a floating-point tensor, ValueError for a wrong shape or value.
    """
    if not torch.is_tensor(x) or not x.is_floating_point():
        kind = x.dtype if torch.is_tensor(x) else type(x).__name__
        raise TypeError(f"images must be a floating-point tensor in [0, 1], got {kind}; try images.float() / 255")
    if x.dim() != 2 or x.shape[1] <= 10:
        raise ValueError(
            f"images must have the shape (batch, pixels), such as (B, 784), got {tuple(x.shape)}; try images.flatten(1)"
        )
    if len(x) == 0:
        raise ValueError("the batch of images is empty; expected at least one image")
    low, high = (bound.item() for bound in x.detach().aminmax())
    if not (low >= 0 and high <= 1):  # false for NaN, too
        if low != low:
            raise ValueError("images must be finite, got NaN; look for a division by zero where they were made")
        raise ValueError(f"images must lie in [0, 1], got {low:g} to {high:g}; divide raw pixels by 255")


def check_labels(y, count=None):
    """Raise unless y is a tensor (B,) of int64 labels in 0..9, with B = count where that is given.

    Raises TypeError for anything but an int64 tensor, ValueError for a wrong shape or value.
    """
    if not torch.is_tensor(y) or y.dtype != torch.int64:
        kind = y.dtype if torch.is_tensor(y) else type(y).__name__
        raise TypeError(f"labels must be an int64 tensor, got {kind}; try torch.tensor(labels) or labels.long()")
    if y.dim() != 1 or (count is not None and len(y) != count):
        expected = "(batch,)" if count is None else f"({count},), one per image"
        raise ValueError(f"labels must have the shape {expected}, got {tuple(y.shape)}")
    if len(y) == 0:
        raise ValueError("the batch of labels is empty; expected at least one label")
    low, high = (bound.item() for bound in y.aminmax())
    if low < 0 or high > 9:
        raise ValueError(f"labels must be in 0..9, got {low if low < 0 else high}")


def check_mnist_files(root):
    """Raise unless root/MNIST/raw holds the four files of MNIST, byte for byte.

    Raises FileNotFoundError for a missing file, OSError for one whose MD5 sum is wrong.
    """
    for name, expected in MNIST_FILES.items():
        file = Path(root) / "MNIST" / "raw" / name
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is missing: expected the four unpacked files of MNIST there; set FF_DATA to the folder that "
                "holds MNIST/raw, unset it to let ffutils download them, or set FF_DATASET=digits to do without"
            )
        found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            raise OSError(
                f"{file} is damaged: {file.stat().st_size:,} bytes with MD5 {found}, expected {expected}; "
                "delete the folder that holds it and load again, or copy a good one"
            )


def check_batch_size(batch_size):
    """Raise ValueError unless batch_size is at least 1."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def check_width(x, expected):
    """Raise ValueError unless x has the shape (B, expected)."""
    if x.dim() != 2 or x.shape[1] != expected:
        raise ValueError(f"this layer expects an input of shape (batch, {expected}), got {tuple(x.shape)}")


def check_widths(widths):
    """Raise ValueError unless there are two widths or more, all of them whole numbers of at least 1."""
    if len(widths) < 2 or not all(isinstance(width, int) and width >= 1 for width in widths):
        raise ValueError(
            "expected the number of pixels and one width or more, all of them whole numbers of at least 1, "
            f"such as FFNet(784, 500, 500), got {widths}"
        )


def check_training(net, split, epochs, lr):
    """Raise TypeError or ValueError unless the split and the settings can train the net."""
    check_images(split.images)
    check_labels(split.labels, count=len(split.images))
    check_width(split.images, net.layers[0].in_features)
    check_device(net, split.images)
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if not (lr > 0 and math.isfinite(lr)):
        raise ValueError(f"lr must be a positive number, got {lr}")


def check_device(net, x):
    """Raise ValueError unless the net and x lie on the same device, TypeError unless they have the same dtype."""
    weight = next(net.parameters())
    if weight.device != x.device:
        raise ValueError(
            f"the net is on {weight.device} but its images are on {x.device}; move one of them with .to(device)"
        )
    if weight.dtype != x.dtype:
        raise TypeError(f"the net computes in {weight.dtype} but its images are {x.dtype}; try images.float()")


def check_losses(losses, trained, epoch):
    """Raise FloatingPointError unless the losses of the trained layers in this epoch are finite."""
    for k in trained:
        if not losses[k].isfinite():
            raise FloatingPointError(
                f"the loss of layer {k + 1} is {losses[k]:g} in epoch {epoch + 1}: the training has diverged; "
                "lower lr and start from a new net"
            )


def check_layers(layers, count):
    """Raise ValueError unless layers names at least one of the net's layers 0..count − 1, each once at the most."""
    if not layers or len(set(layers)) < len(layers) or not all(k in range(count) for k in layers):
        raise ValueError(
            f"layers must name some of the net's layers 0..{count - 1}, counted from 0, got {list(layers)}"
        )
