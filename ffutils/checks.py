"""Clear errors for bad input: each function raises, saying what was wrong, what was expected and what to do."""

import hashlib
import math
import os
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
                f"{file} is missing: expected the four unpacked files of MNIST there. {_remedy(file)}, "
                "or set FF_DATASET=digits to do without"
            )
        found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            raise OSError(
                f"{file} is damaged: {file.stat().st_size:,} bytes with MD5 {found}, expected {expected}. {_remedy(file)}"
            )


def _remedy(file):
    """What to do about a file of MNIST that is missing or damaged."""
    if "FF_DATA" in os.environ:
        return "FF_DATA must name the folder that holds MNIST/raw: correct it, copy the files there, or unset FF_DATA to download them"
    return f"Delete the folder {file.parent} and load again"


def check_strength(strength):
    """Raise ValueError unless a label's strength is a finite number."""
    if not math.isfinite(strength):
        raise ValueError(f"strength must be a finite number, such as 1.0, got {strength}")


def check_share(share):
    """Raise ValueError unless share is a number from 0 up to, but not including, 1."""
    if not 0 <= share < 1:
        raise ValueError(f"share must be a number in [0, 1), such as 0.3, got {share}")


def check_batch_size(batch_size):
    """Raise ValueError unless batch_size is a whole number of at least 1."""
    check_count("batch_size", batch_size)


def check_count(name, count, least=1):
    """Raise ValueError unless count is a whole number of at least `least`."""
    if not isinstance(count, int) or count < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {count}")


def check_fields(side, channels, field, stride, units):
    """Raise ValueError unless square fields, `stride` apart, reach from edge to edge of a side exactly."""
    sizes = {"side": side, "channels": channels, "field": field, "stride": stride, "units": units}
    for name, count in sizes.items():
        check_count(name, count)
    if field > side or (side - field) % stride:
        raise ValueError(
            f"fields of {field}, {stride} apart, do not cover a side of {side} from edge to edge: "
            "side - field must be a multiple of the stride"
        )


def check_features(features):
    """Raise TypeError or ValueError unless features is a non-empty batch of finite numbers (N, width)."""
    if not torch.is_tensor(features) or not features.is_floating_point():
        kind = features.dtype if torch.is_tensor(features) else type(features).__name__
        raise TypeError(f"features must be a floating-point tensor, got {kind}")
    if features.dim() != 2 or features.numel() == 0:
        raise ValueError(f"features must have the shape (images, width), got {tuple(features.shape)}")
    if not features.isfinite().all():
        raise ValueError("features must be finite, got NaN or infinity; look at what made them")


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
    check_input(net, split.images)
    if torch.is_tensor(split.labels) and split.labels.device != split.images.device:
        raise ValueError(f"the images are on {split.images.device} but their labels on {split.labels.device}; move one")
    check_labels(split.labels, count=len(split.images))
    check_count("epochs", epochs)
    if not (lr > 0 and math.isfinite(lr)):
        raise ValueError(f"lr must be a positive number, got {lr}")


def check_input(net, x):
    """Raise TypeError or ValueError unless x is a batch of images that the net can take."""
    check_images(x)
    check_width(x, net.layers[0].in_features)
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
            + ("; a net of one layer has none above the first, so say layers=[0]" if count == 1 else "")
        )
