"""Files that several processes write: locks, and files that are replaced as a whole."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from ffutils import files

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


def runs_folder() -> Path:
    """Where unfinished and finished runs are kept, whichever clone they began in.

    $FF_CACHE/experiments, else a folder beside the data sets in the user's cache.

    Raises:
        ValueError: for a relative FF_CACHE, which would be another one in each folder.
    """
    return (files.chosen_folder("FF_CACHE") or files.cache_folder()) / "experiments"


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Keep other processes out of a `with` block that names the same path.

    What is locked is a file PATH.lock, which is there for as long as the block runs.
    The system lifts the lock of a process that dies, so nothing is locked for good.

    Args:
        path: of the file that only one process may change.
        wait: whether to wait for another's block to end.

    Raises:
        BlockingIOError: where another process is in its block, unless we wait.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock")
    while True:
        file = open(lock, "a", encoding="utf-8")  # noqa: SIM115, it is closed below
        try:
            acquire(file, wait)
            if os.path.samestat(os.stat(lock), os.fstat(file.fileno())):
                break
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()  # its owner deleted it before we had it: lock the next one
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows deletes no open file: it may stay
            lock.unlink()
        file.close()


def acquire(file, wait: bool) -> None:
    """Lock an open file until it is closed."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(f"{file.name} is locked by another process") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields a path beside it, of a name that nobody else has. What was written there
    takes the file's place when the block ends well, and is removed when it does not.
    """
    path = path.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
