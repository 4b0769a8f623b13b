"""Chapter 01: load MNIST, or scikit-learn's digits where there is no network, as two plain tensors."""

import os
import socket
import tempfile
import warnings
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import torch
from torchvision import datasets

from ffutils.checks import check_batch_size, check_mnist_files


class Split(NamedTuple):
    """Images and their labels, row by row: images (N, 784) float32 in [0, 1], labels (N,) int64 in 0..9.

    Derived in chapter 01.
    """

    images: torch.Tensor
    labels: torch.Tensor


def load_dataset(name=None, device="cpu"):
    """Load the data set that this machine can have: returns (name, train, test).

    name: "mnist", "digits", or "auto" (the default, unless the environment variable FF_DATASET says otherwise): MNIST
    where its files are present or one download brings them, and otherwise, with a warning, the digits. The name that
    is returned is that of what was loaded, "mnist" or "digits"; train and test are `Split`s on the device.
    Raises ValueError for an unknown name, and what `load_mnist` raises. Derived in chapter 01.
    """
    name = name or os.environ.get("FF_DATASET", "auto")
    if name not in ("auto", "mnist", "digits"):
        raise ValueError(f"unknown data set {name!r}: expected 'auto', 'mnist' or 'digits' (see FF_DATASET)")
    if name != "digits":
        try:
            return "mnist", *load_mnist(device)
        except ConnectionError as error:
            if name == "mnist":
                raise
            warnings.warn(f"{error} Using scikit-learn's digits instead.", stacklevel=2)
    return "digits", *load_digits(device)


def load_mnist(device="cpu"):
    """Load MNIST through torchvision: returns the two `Split`s (train, test), 60,000 and 10,000 images.

    Their files are those of `mnist_folder`, which also says what it raises. Derived in chapter 01; the data are
    LeCun et al. 1998.
    """
    root = mnist_folder()
    return tuple(
        Split((part.data.flatten(1).float() / 255).to(device), part.targets.to(device))
        for part in (datasets.MNIST(root, train=train) for train in (True, False))
    )


def mnist_folder():
    """The folder that holds MNIST/raw with the four files, whose MD5 sums are checked each time.

    It is $FF_DATA or, where that is not set, a cache folder of the user's, into which one attempt is made to download
    them. Raises FileNotFoundError or OSError where FF_DATA lacks valid files, ConnectionError where the download
    failed, ValueError for a relative path.
    """
    root = data_folder()
    if not (root / "MNIST" / "raw").is_dir() and "FF_DATA" not in os.environ:
        _download_mnist(root)
    check_mnist_files(root)
    return root


def data_folder():
    """The folder that holds MNIST/raw: FF_DATA where that is set, otherwise a cache folder of the user's.

    Raises ValueError unless FF_DATA is an absolute path: each notebook runs in a folder of its own.
    """
    chosen = os.environ.get("FF_DATA")
    if chosen is None:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ffutils"
    if not Path(chosen).is_absolute():
        advice = f"try export FF_DATA=\"$(realpath '{chosen}')\""
        raise ValueError(f"FF_DATA must be an absolute path, got {chosen!r}; {advice}")
    return Path(chosen)


def load_digits(device="cpu"):
    """Load the digits that scikit-learn brings along: returns the two `Split`s (train, test), 1,500 and 297 images.

    Each 8×8 image is enlarged to 20×20 and centred in 28×28, as MNIST's digits are, so that every chapter runs
    unchanged. The same writers appear in both splits. Derived in chapter 01; the data are Alpaydin and Kaynak 1998.
    """
    from sklearn import datasets as bundled  # here, so that `import ffutils` stays quick

    digits = bundled.load_digits()
    small = torch.from_numpy(digits.images).float()[:, None] / 16
    large = torch.nn.functional.interpolate(small, size=20, mode="bilinear")
    images = torch.nn.functional.pad(large, (4, 4, 4, 4)).flatten(1)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    everything = Split(images[order].to(device), torch.from_numpy(digits.target).long()[order].to(device))
    return Split(*(part[:1500] for part in everything)), Split(*(part[1500:] for part in everything))


def hold_out(split):
    """Set a sixth of a split aside for validation: returns two `Split`s (fit, validation), 50,000 and 10,000 for MNIST.

    Which rows go where is random, and the same on every call and device. Derived in chapter 01.
    """
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(0)).to(split.labels.device)
    fit, validation = order[len(order) // 6 :], order[: len(order) // 6]
    return Split(split.images[fit], split.labels[fit]), Split(split.images[validation], split.labels[validation])


def batches(split, batch_size, shuffle=True):
    """Yield a split once, in random order, as pairs of images (B, 784) and labels (B,); the last pair may be smaller.

    It slices tensors that already lie on their device, so no worker, copy or file is involved; the order comes from
    PyTorch's global generator. Raises ValueError for a batch_size below 1. Derived in chapter 01.
    """
    check_batch_size(batch_size)
    order = torch.randperm(len(split.labels)) if shuffle else torch.arange(len(split.labels))
    for rows in order.to(split.labels.device).split(batch_size):
        yield split.images[rows], split.labels[rows]


def _download_mnist(root):
    """Bring MNIST into root/MNIST/raw, whole or not at all. Raises ConnectionError where it cannot be had."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as unfinished, _socket_timeout(10):
            datasets.MNIST(unfinished, download=True)
            check_mnist_files(unfinished)
            (root / "MNIST").mkdir(exist_ok=True)
            if not (root / "MNIST" / "raw").is_dir():  # another process may have been quicker
                os.rename(Path(unfinished) / "MNIST" / "raw", root / "MNIST" / "raw")
    except (OSError, RuntimeError, HTTPException) as error:  # RuntimeError: torchvision's, where every mirror failed
        raise ConnectionError(
            "MNIST could not be downloaded: check the network, or set FF_DATA to a folder that holds MNIST/raw, "
            f"or set FF_DATASET=digits. ({(str(error) or type(error).__name__).splitlines()[0].rstrip(':')})"
        ) from error


@contextmanager
def _socket_timeout(seconds):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
