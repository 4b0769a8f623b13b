"""Where the files of MNIST and Fashion-MNIST lie, how they are checked and fetched."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from torchvision import datasets

# For each data set: its folder, torchvision's class, and the MD5 sums of its unpacked
# files, in the order train images, train labels, test images, test labels.
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FOLDERS = {"mnist": "MNIST", "fashion": "FashionMNIST"}
MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}


# What the operating system says of a folder that files cannot be put into.
UNWRITABLE = {
    errno.EACCES, errno.EEXIST, errno.EFBIG, errno.EIO, errno.EISDIR, errno.ELOOP,
    errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EPERM,
    errno.EROFS,
}  # fmt: skip


def open_dataset(name: str) -> list:
    """torchvision's data sets (train, test) for "mnist" or "fashion", files checked.

    The files are those of `dataset_root`, which also says what it raises.
    """
    root = dataset_root(name)
    kind = getattr(datasets, FOLDERS[name])
    return [kind(root, train=train) for train in (True, False)]


def dataset_root(name: str) -> Path:
    """The folder that holds MNIST/raw or FashionMNIST/raw with four valid files.

    It is $FF_DATA or, where that is not set, a cache folder of the user's, into which
    one attempt is made to download them.

    Raises FileNotFoundError or OSError where FF_DATA lacks valid files, ConnectionError
    where the download failed, ValueError for a relative path.
    """
    root = data_folder()
    # os.path.isdir is false, too, for a folder that this user may not look into.
    if not os.environ.get("FF_DATA") and not os.path.isdir(raw_folder(root, name)):
        download(root, name)
    check_files(root, name)
    return root


def raw_folder(root, name: str) -> Path:
    return Path(root) / FOLDERS[name] / "raw"


def cache_folder() -> Path:
    """The folder of the user's cache that is the book's.

    A relative XDG_CACHE_HOME counts as not set, as its specification has it. Without a
    home folder the cache lies among the temporary files.
    """
    cache = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME", "")))
    try:
        cache = cache if cache.is_absolute() else Path.home() / ".cache"
        return cache / "ffutils"
    except RuntimeError:  # a user without a name or a home, as in some containers
        return Path(tempfile.gettempdir()) / "ffutils-data"


def chosen_folder(variable: str) -> Path | None:
    """The folder that an environment variable names; None where it is not set.

    A ~ is expanded, and an empty variable counts as not set. Raises ValueError for a
    relative path, since each notebook runs in a folder of its own.
    """
    chosen = os.environ.get(variable)
    if not chosen:
        return None
    path = Path(os.path.expanduser(chosen))
    if not path.is_absolute():
        raise ValueError(
            f"{variable} must be an absolute path, got {chosen!r}; "
            f"try export {variable}=\"$(realpath '{chosen}')\""
        )
    return path


def data_folder() -> Path:
    """The folder that holds the data sets: $FF_DATA, else the book's in the cache."""
    return chosen_folder("FF_DATA") or cache_folder()


def check_files(root, name: str) -> None:
    """Raise unless the four files of a data set lie below root, byte for byte.

    Raises FileNotFoundError for a missing file, OSError for one whose MD5 sum is wrong.
    """
    for file, expected in zip(NAMES, MD5[name], strict=True):
        path = raw_folder(root, name) / file
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: expected the four unpacked files of "
                f"{FOLDERS[name]} there. {remedy(path)}, or set FF_DATASET=digits to "
                "do without"
            )
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if md5 != expected:
            raise OSError(
                f"{path} is damaged: {path.stat().st_size:,} bytes with MD5 {md5}, "
                f"expected {expected}. {remedy(path)}"
            )


def remedy(path: Path) -> str:
    """What to do about a file that is missing or damaged."""
    if os.environ.get("FF_DATA"):
        return (
            f"FF_DATA must name the folder that holds {path.parent.parent.name}/raw: "
            "correct it, copy the files there, or unset FF_DATA to download them"
        )
    return f"Delete the folder {path.parent} and load again"


def download(root: Path, name: str) -> None:
    """Bring a data set into its folder below root, whole or not at all.

    Raises ConnectionError, which says why and what to do.
    """
    target = raw_folder(root, name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        sweep(root)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=root) as folder:
            with socket_timeout(10):
                getattr(datasets, FOLDERS[name])(folder, download=True)
            check_files(folder, name)
            target.parent.mkdir(exist_ok=True)
            os.rename(raw_folder(folder, name), target)
    except (OSError, RuntimeError, HTTPException) as error:
        # Another process may have been quicker: then its files are as good as ours.
        try:
            check_files(root, name)
        except OSError:
            raise ConnectionError(
                f"{FOLDERS[name]} could not be downloaded: {advice(error)}, or set "
                f"FF_DATA to a folder that holds {FOLDERS[name]}/raw, or set "
                "FF_DATASET=digits, or name 'digits' where you named the data set. "
                f"({cause(error)})"
            ) from error


def cause(error: BaseException) -> str:
    """What went wrong, in one line."""
    return " ".join(str(error).split()).rstrip(":") or type(error).__name__


def advice(error: BaseException) -> str:
    """The remedy that fits what went wrong with a download."""
    text, code = str(error), getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free 100 MB there"
    if code in UNWRITABLE:
        return f"{data_folder()} cannot be written; set XDG_CACHE_HOME to one that can"
    if "CERTIFICATE" in text.upper():
        return "the network's certificate is not trusted; set SSL_CERT_FILE to its own"
    if re.search("HTTP Error (429|5..)", text):
        return "the server is busy; try again later"
    if "damaged" in text or "corrupted" in text or "HTTP Error" in text:
        return "the server sent something else, as a proxy or a login page would"
    return "check the network"


def sweep(root: Path) -> None:
    """Remove what downloads that were cut off left behind more than a day ago."""
    for folder in root.glob("unfinished-*"):
        with suppress(OSError):  # another process may sweep, too
            if time.time() - folder.stat().st_mtime > 86_400:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def socket_timeout(seconds: float):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
