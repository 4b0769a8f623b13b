"""Chapter 13: count the bytes that are saved for the backward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch.autograd.graph import saved_tensors_hooks


class SavedTensorMemory:
    """Count what autograd saves for backward passes inside a `with` block, in bytes.

    Several tensors in one piece of memory count once. `now` is what is held at present,
    also after the block, and `peak` the most that was held at one time.

    Args:
        parameters: tensors that are in memory anyway and are not counted.

    Source: chapter 13.
    """

    def __init__(self, parameters: Iterable[torch.Tensor] = ()):
        self.now = self.peak = 0
        self.refcounts = Counter()
        self.ignored = {p.untyped_storage().data_ptr() for p in parameters}
        self.hooks = saved_tensors_hooks(
            lambda tensor: SavedTensor(self, tensor), lambda saved: saved.tensor
        )

    def __enter__(self):
        self.hooks.__enter__()
        return self

    def __exit__(self, *error):
        self.hooks.__exit__(*error)

    def count(self, storage, change):
        key = storage.data_ptr()
        before = self.refcounts[key]
        self.refcounts[key] += change
        if key not in self.ignored and 0 in (before, self.refcounts[key]):
            self.now += change * storage.nbytes()
            self.peak = max(self.peak, self.now)


class SavedTensor:
    """A tensor that a graph holds: it tells a `SavedTensorMemory` of its life.

    Made by hand, it counts a tensor that no graph holds, such as one that waits.

    Source: chapter 13.
    """

    def __init__(self, memory: SavedTensorMemory, tensor: torch.Tensor):
        self.memory, self.tensor = memory, tensor
        memory.count(tensor.untyped_storage(), +1)

    def __del__(self):
        self.memory.count(self.tensor.untyped_storage(), -1)
