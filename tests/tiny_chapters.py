"""Run a chapter's code on a few images, in this process.

Only what cannot hold at that size is changed: of `assert claim` the claim is computed, and
no longer believed; nor does a table of claims stop the chapter. All else is the chapter's
own code, cell by cell, solutions included.
"""

import ast
import hashlib
import linecache
import os
import subprocess
import sys
from unittest.mock import patch

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from ffutils import files, load_digits, pipeline
from tools.chapters import code_cells, parse, read, source, tags


def write_idx(path, tensor):
    sizes = b"".join(size.to_bytes(4, "big") for size in tensor.shape)
    path.write_bytes(bytes([0, 0, 8, tensor.dim()]) + sizes + tensor.numpy().tobytes())


def write_tiny_mnist(folder, training, test):
    """Write small digits where MNIST and Fashion-MNIST would lie; returns their MD5 sums."""
    md5 = {}
    for name, inner in files.FOLDERS.items():
        raw = folder / inner / "raw"
        raw.mkdir(parents=True)
        parts = []
        for split, count in zip(load_digits(), (training, test), strict=True):
            parts.append((255 * split.images[:count]).round().byte().view(-1, 28, 28))
            parts.append(split.labels[:count].byte())
        for file, part in zip(files.NAMES, parts, strict=True):
            write_idx(raw / file, part)
        md5[name] = tuple(
            hashlib.md5((raw / file).read_bytes()).hexdigest() for file in files.NAMES
        )
    return md5


# What would be slow, or wants more images than there are. Each is the same code with fewer
# units, layers, seeds or images.
FEW = {"SUBSET": 200}
SMALLER = {
    "03_normalized_relu_layers": {"WIDTHS": [50, 1000], "SEEDS": 1},
    "08_unsupervised_hybrids": {"STEPS": 2},
    "11_sequences": {"STRINGS": 21, "EPOCHS": 1},
    "13_cost_and_scale": {"DEPTHS": (2, 3), "WIDTHS": (16, 32)},
    "14_pitfalls": {"SEEDS": (0,), "EPOCHS": 1, "SUBSET": 1000, "BATCH": 500},
    "15_your_own_data": {"SEEDS": (0,)},
}
# Training images, where 240 would not do: the tests of chapter 14 take 1,000 of those that are not set aside.
TRAINING = {"14_pitfalls": 1260}


def launch(processes, folder, on_start=None):
    """In place of chapter 13's processes, which cost seconds each: nothing is learnt.

    They know of no GPU, so nothing of the job may lie on it; test_functions.py starts some.
    """
    net, (split, *_), _, lrs, _, rng = torch.load(
        folder / "job", "cpu", weights_only=False
    )
    assert {tensor.device.type for tensor in (*split, *net.parameters())} == {"cpu"}
    if on_start:  # which is about to kill the second
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
        ) as victim:
            on_start([os.getpid(), victim.pid])
        raise RuntimeError("a process has died")
    for rank, layers in enumerate(pipeline.assign_layers(len(net.layers), processes)):
        spans = torch.arange(3 * len(lrs), dtype=torch.float64).view(-1, 3)
        states = [net.layers[k].state_dict() for k in layers]
        torch.save(
            (torch.ones(len(lrs), len(layers)), spans, states, rng),
            folder / f"{rank}.result",
        )


class Tiny(ast.NodeTransformer):
    """Changes the constants that are named, and computes what is claimed without believing it."""

    def __init__(self, constants):
        self.constants, self.changed = constants, set()

    def visit_Assert(self, node):
        return ast.copy_location(ast.Expr(node.test), node)

    def visit_Assign(self, node):
        names = {
            name.id
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
        names &= self.constants.keys()
        self.changed |= names
        return [
            node,
            *(
                ast.parse(f"{name} = {self.constants[name]!r}").body[0]
                for name in sorted(names)
            ),
        ]


def interact(function=None, **controls):
    """In place of ipywidgets.interact, which would swallow an error: call the function once."""
    if function is None:
        return lambda function: interact(function, **controls)
    values = {}
    for name, control in controls.items():
        if isinstance(control, ipywidgets.Widget):
            values[name] = control.value
        else:
            values[name] = list(control)[0]
    function(**values)
    return function


def run_chapter(path, edit=lambda text: text, **constants):
    """Run all code cells of a notebook; an error names its cell.

    Args:
        edit: changes the text of a cell, as a reader would.
        constants: values that names of the notebook have, whatever it assigns to them.
    """
    notebook = read(path)
    smaller = SMALLER.get(path.stem, {}) | constants
    tiny = Tiny(FEW | smaller)
    space = {"__name__": "__main__"}  # so that cloudpickle takes its functions along
    changes = (
        patch.object(ipywidgets, "interact", interact),
        patch.object(pipeline, "launch", launch),
        patch.object(
            Figure, "savefig", lambda *args, **kwargs: None
        ),  # tensors were read before
    )
    with changes[0], changes[1], changes[2], patch.dict(os.environ):
        os.environ.pop("FF_STRICT", None)
        for cell in code_cells(notebook):
            name = f"{path.stem}, cell {notebook['cells'].index(cell)}"
            text = edit(source(cell))
            linecache.cache[name] = (
                len(text),
                None,
                text.splitlines(keepends=True),
                name,
            )
            tree = ast.fix_missing_locations(tiny.visit(parse(text)))
            try:
                exec(compile(tree, name, "exec"), space)
            except Exception as error:
                if "raises-exception" not in tags(cell) or "device" in str(error):
                    raise
            finally:
                plt.close("all")
    assert smaller.keys() <= tiny.changed, (
        f"{path.stem} has none of {smaller.keys() - tiny.changed}"
    )
    return space
