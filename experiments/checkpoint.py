"""A run between two epochs, and after its last: files whose names say which run it is.

They lie in the user's cache and not in the clone, so that a run that was begun in one
clone goes on in another, and one that had finished is not lost with its clone. Their
names hold a fingerprint of the code that can change a number: a run never goes on with
other code than it began with, since the result would be that of neither. Nothing is
overwritten for it: with the old code checked out again, the old file goes on.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from experiments.experiment import Experiment
from experiments.storage import locked, replacing
from tools.chapters import fingerprint

KEYS = {
    "configuration", "stage", "epoch", "seconds", "history", "finished", "trial", "rng",
    "cuda_rng",
}  # fmt: skip
FINISHED_KEYS = {"configuration", "stages", "date", "entry"}


def code_of(experiment: Experiment) -> str:
    """A hash over all code that can change a number of a run.

    As for a chapter, that is what the trial's class leads to, here and in ffutils, with
    what seeds it and chooses its images; comments and titles are left out.
    """
    own = next(
        cls
        for cls in experiment.trial.__mro__
        if cls.__module__.partition(".")[0] == "experiments"
    )
    imports = (
        f"from {own.__module__} import {own.__name__}\n"
        "from experiments.runner import images_of, start"
    )
    cells = [imports, *own.sources()]
    return fingerprint(
        {
            "cells": [
                {"cell_type": "code", "metadata": {}, "source": cell} for cell in cells
            ]
        }
    )


class Left(NamedTuple):
    """Where a checkpoint left a stage."""

    epoch: int = 0  # those that are done
    seconds: float = 0.0
    history: list = []  # noqa: RUF012, it is never changed


class Checkpoint:
    """Two files of a run: one until it has finished, and one from then on.

    The first, .pt, holds a network, optimisers, random numbers, and the stages that are
    finished. The second, .json, is what goes into the results.

    Args:
        folder: where they lie.
        experiment, variant, seed: of the run. They are in the files' names, with a hash
            of the configuration and one of the code, so that no run takes another's
            file for its own.
        code: that hash, `code_of(experiment)`.
    """

    def __init__(
        self,
        folder: str | Path,
        experiment: Experiment,
        variant: str,
        seed: int,
        code: str,
    ):
        name, dataset = experiment.name, experiment.dataset
        self.seed, self.config = seed, experiment.configs[variant]
        self.configuration = {"dataset": dataset} | self.config.as_dict()
        self.stages = list(experiment.stages)
        self.title = f"{name}, {variant}, seed {seed}"
        identity = json.dumps([name, variant, seed, self.configuration], sort_keys=True)
        words = re.sub(r"[^A-Za-z0-9.]+", "_", f"{name} {variant} {seed}")
        digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
        self.path = Path(folder) / f"{words}_{digest}_{code}.pt"
        self.result = self.path.with_suffix(".json")

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

    # ---- A run that goes on

    def load(self) -> dict:
        """What the file holds, on the CPU; {} where there is none.

        One that cannot be read, or that holds something else, is moved aside.

        Raises:
            OSError: where the file is there, but may not or cannot be read just now.
        """
        try:
            with zipfile.ZipFile(self.path) as file:  # torch.load checks no sums
                if file.testzip() is not None:
                    raise zipfile.BadZipFile("its bytes have changed")
            held = torch.load(self.path, weights_only=True, map_location="cpu")
            self.check(held, KEYS)
        except FileNotFoundError:
            return {}
        except (OSError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # whatever unpickling makes of bytes that are damaged
            self.move_aside(self.path, error)
            return {}
        return held

    def check(self, held, keys: set[str]) -> None:
        """Raise ValueError unless that is what one of the two files holds."""
        if not isinstance(held, dict) or held.keys() != keys:
            raise ValueError("it is no checkpoint of an experiment")
        if held["configuration"] != self.configuration:
            raise ValueError("it belongs to another configuration")

    def move_aside(self, path: Path, error: Exception) -> None:
        """Give a file that cannot be used another name, and say which."""
        aside = rename_aside(path, "unreadable")
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        say(
            f"{path} cannot be used ({reason}): moved to {aside.name}, and this run "
            "starts anew. To try the file again, stop and give it its name back."
        )

    def restore(self, trial, stage: str, device: torch.device) -> Left | None:
        """Put a new trial where it was left.

        Returns None where the file does not fit the trial, which must be made again.
        """
        held = self.load()
        if held.get("stage") != stage:
            return Left()
        try:
            trial.load_state_dict(held["trial"])
            torch.set_rng_state(held["rng"])
            if held["cuda_rng"] is not None and device.type == "cuda":
                torch.cuda.set_rng_state(held["cuda_rng"], device)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            self.move_aside(self.path, error)
            return None
        return Left(held["epoch"], held["seconds"], held["history"])

    def save(self, trial, stage, left: Left, finished: dict, device: torch.device):
        on_gpu = device.type == "cuda"
        held = {
            "configuration": self.configuration,
            "stage": stage,
            **left._asdict(),
            "finished": finished,
            "trial": trial.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if on_gpu else None,
        }
        with replacing(self.path) as unfinished:
            torch.save(held, unfinished)

    # ---- A run that has finished

    def adopt(self) -> dict | None:
        """The run's entry, where it has finished before with this code; says so."""
        try:
            held = json.loads(self.result.read_text(encoding="utf-8"))
            self.check(held, FINISHED_KEYS)
        except FileNotFoundError:
            return None
        except ValueError as error:
            self.move_aside(self.result, error)
            return None
        if held["stages"] != self.stages:
            return None
        print(
            f"{self.title}: finished on {held['date']} with the same code, on "
            f"{held['entry']['device']}; taken from {self.result}, unless you say "
            "--fresh",
            flush=True,
        )
        return held["entry"]

    def finish(self, entry: dict) -> None:
        """Keep the entry of a finished run."""
        held = {
            "configuration": self.configuration,
            "stages": self.stages,
            "date": datetime.date.today().isoformat(),
            "entry": entry,
        }
        with replacing(self.result) as unfinished:
            unfinished.write_text(json.dumps(held), encoding="utf-8")

    def delete(self) -> None:
        """Remove the checkpoint; what has finished stays."""
        self.path.unlink(missing_ok=True)

    # ---- Files that this run does not use

    def set_aside(self) -> None:
        """Give this run's files other names, so that it starts anew."""
        for path in (self.path, self.result):
            if path.exists():
                aside = rename_aside(path, "before-fresh")
                say(f"{self.title}: {path} is now {aside.name}")

    def tell_of_other_code(self) -> None:
        """Say where the same run lies, begun or finished with other code."""
        same = self.path.stem.rpartition("_")[0]
        for path in sorted(self.path.parent.glob(f"{same}_*")):
            if path.suffix in (".pt", ".json") and path.stem != self.path.stem:
                date = datetime.date.fromtimestamp(path.stat().st_mtime).isoformat()
                done = "has finished" if path.suffix == ".json" else "was begun"
                say(
                    f"{self.title} {done} with other code on {date}, which this run "
                    f"does not mix with its own: {path} stays as it is"
                )


def rename_aside(path: Path, why: str) -> Path:
    count = 1
    while (aside := path.with_suffix(f".{why}-{count}")).exists():
        count += 1
    os.replace(path, aside)
    return aside


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
