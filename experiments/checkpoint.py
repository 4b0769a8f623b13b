"""A run between two epochs, in a file whose name says which run it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.storage import locked, replacing

KEYS = {
    "configuration", "stage", "epoch", "seconds", "history", "finished", "trial", "rng",
    "cuda_rng",
}  # fmt: skip


class Checkpoint:
    """One file that holds a network, optimisers, random numbers, and what is finished.

    Args:
        folder: where it lies.
        name, variant, seed, configuration: of the run. All four are in the file's name,
            the configuration as a hash, so that no run takes another's file for its
            own.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        variant: str,
        seed: int,
        configuration: dict,
    ):
        self.seed, self.configuration = seed, configuration
        self.title = f"{name}, {variant}, seed {seed}"
        identity = json.dumps([name, variant, seed, configuration], sort_keys=True)
        words = re.sub(r"[^A-Za-z0-9.]+", "_", f"{name} {variant} {seed}")
        digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
        self.path = Path(folder) / f"{words}_{digest}.pt"

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Make this process the only one that trains the run, inside a `with` block.

        Raises:
            BlockingIOError: where another process is at it.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path, wait=False))
            except BlockingIOError as error:
                raise BlockingIOError(
                    f"{self.title} is being trained by another process, which holds "
                    f"{self.path}: wait for it, or choose other --seeds"
                ) from error
            yield

    def load(self) -> dict:
        """What the file holds, on the CPU; {} where there is none.

        One that cannot be read, or that holds something else, is moved aside.

        Raises:
            OSError: where the file is there, but may not or cannot be read just now.
        """
        try:
            held = torch.load(self.path, weights_only=True, map_location="cpu")
            if not isinstance(held, dict) or held.keys() != KEYS:
                raise ValueError("it is no checkpoint of an experiment")
            if held["configuration"] != self.configuration:
                raise ValueError("it belongs to another configuration")
        except FileNotFoundError:
            return {}
        except (OSError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # whatever unpickling makes of bytes that are damaged
            self.move_aside(error)
            return {}
        return held

    def move_aside(self, error: Exception) -> None:
        """Give the file another name, and say which."""
        count = 1
        while (aside := self.path.with_suffix(f".unreadable-{count}")).exists():
            count += 1
        os.replace(self.path, aside)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        print(
            f"{self.path} cannot be used ({reason}): moved to {aside.name}, and this "
            "run starts anew. To try the file again, stop and give it its name back.",
            file=sys.stderr,
            flush=True,
        )

    def restore(self, trial, stage: str, device: torch.device):
        """Put a new trial where it was left: (epochs done, seconds so far, history).

        Returns None where the file does not fit the trial, which must be made again.
        """
        held = self.load()
        if held.get("stage") != stage:
            return 0, 0.0, []
        try:
            trial.load_state_dict(held["trial"])
            torch.set_rng_state(held["rng"])
            if held["cuda_rng"] is not None and device.type == "cuda":
                torch.cuda.set_rng_state(held["cuda_rng"], device)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            self.move_aside(error)
            return None
        return held["epoch"], held["seconds"], held["history"]

    def save(self, trial, stage, epoch, seconds, history, finished, device):
        on_gpu = device.type == "cuda"
        held = {
            "configuration": self.configuration,
            "stage": stage,
            "epoch": epoch,
            "seconds": seconds,
            "history": history,
            "finished": finished,
            "trial": trial.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if on_gpu else None,
        }
        with replacing(self.path) as unfinished:
            torch.save(held, unfinished)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
