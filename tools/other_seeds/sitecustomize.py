"""With this folder on PYTHONPATH, every seed of a program is another: FF_SEEDS more.

Python imports a module of this name when it starts. A claim of the text that holds for
the book's seeds alone is no claim, and `make test STEPS=seeds ALL=1` finds it.
"""

import os

if os.environ.get("FF_SEEDS"):
    import torch

    manual_seed, more = torch.manual_seed, int(os.environ["FF_SEEDS"])
    torch.manual_seed = lambda seed: manual_seed(int(seed) + more)
