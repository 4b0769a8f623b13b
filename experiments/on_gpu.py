"""Milliseconds and memory of a training step on a GPU: python -m experiments.on_gpu

Backpropagation's step and two of Forward-Forward's, with random negatives and with hard
ones, in turn on the same batch: chapter 13's steps, on images of noise. What a step's
memory grows by at its peak is the allocator's own count, above what is there before the
step: weights, the optimisers' averages, the batch, the gradients of the step before. A
step lets these gradients go before it makes its own: backpropagation all of them, after
its forward pass; Forward-Forward each layer's, in that layer's turn. Writes on_gpu.json
among the stored results.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
from pathlib import Path

import torch

from experiments.runner import RESULTS, environment
from experiments.storage import replacing
from ffutils import FFNet, hard_negatives, pair_loss, train_batch, wrong_labels
from ffutils.rivals import MLP, backprop_step

NETS = [(width, depth) for width in (500, 2000) for depth in (3, 32)]
BATCHES = 256, 4096
ROUNDS = 11  # the first of which does not count


def random_labels(net, x, y):
    return wrong_labels(y)


def ff_step(choose, net, optimizers, x, y):
    """One step of Forward-Forward, negatives drawn by choose(net, x, y)."""
    negative = net.write_label(x, choose(net, x, y))
    positive = net.write_label(x, y)
    train_batch(net, optimizers, positive, negative, range(len(net.layers)), pair_loss)


def adam(module):
    return torch.optim.Adam(module.parameters(), fused=True)


def backpropagation(hidden, device):
    with device:
        net = MLP(784, *hidden)
    return functools.partial(backprop_step, net, adam(net))


def forward_forward(choose, hidden, device):
    with device:
        net = FFNet(784, *hidden)
    optimizers = [adam(layer) for layer in net.layers]
    return functools.partial(ff_step, choose, net, optimizers)


METHODS = {
    "backpropagation": backpropagation,
    "Forward-Forward, random negatives": functools.partial(
        forward_forward, random_labels
    ),
    "Forward-Forward, hard negatives": functools.partial(
        forward_forward, hard_negatives
    ),
}


def measure(width: int, depth: int, batch: int, device: torch.device) -> dict:
    """{method: {"milliseconds": median, "bytes": growth at the peak}}"""
    torch.manual_seed(0)
    x = torch.rand(batch, 784, device=device)
    y = torch.randint(10, (batch,), device=device)
    steps = {name: make([width] * depth, device) for name, make in METHODS.items()}
    times, grown = {name: [] for name in steps}, {}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            torch.cuda.synchronize(device)
            held = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            started = time.perf_counter()
            step(x, y)
            torch.cuda.synchronize(device)
            times[name].append(1000 * (time.perf_counter() - started))
            grown[name] = torch.cuda.max_memory_allocated(device) - held
    return {
        name: {
            "milliseconds": round(statistics.median(times[name][1:]), 3),
            "bytes": grown[name],
        }
        for name in steps
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    device, rows = torch.device(args.device), []
    for batch in BATCHES:
        for width, depth in NETS:
            measured = measure(width, depth, batch, device)
            rows.append({"width": width, "depth": depth, "batch": batch} | measured)
            print(rows[-1], flush=True)
    record = {"name": "on_gpu"} | environment(device) | {"rows": rows}
    with replacing(args.results / "on_gpu.json") as unfinished:
        unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
