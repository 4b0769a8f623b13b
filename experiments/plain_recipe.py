"""The plain recipe of chapters 01-05 over several seeds, with a control whose upper layers stay random.

    python -m experiments.plain_recipe [--seeds 0 1 2 3 4] [--epochs 15] [--device cpu] [--output FILE]

For each seed: a net trained on 50,000 images and judged on the 10,000 held out, where choices are made; a net trained on
all 60,000 and judged on the test set, once; and the control, which has that net's first layer below the upper layers as
they were drawn. Writes the output after every seed. Seeds that it holds already are not run again.
"""

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
import torchvision

from ffutils import FFNet, error_rate, hold_out, layer_goodness, load_dataset, train

RESULTS = Path(__file__).parent / "results" / "plain_recipe.json"
WIDTHS = (784, 500, 500, 500)
SUMS = {"layer 1": [0], "layer 2": [1], "layer 3": [2], "layers 2 + 3": [1, 2], "all layers": [0, 1, 2]}
KINDS = ("validation error", "test error", "test error, upper layers random")


def errors(net, split):
    """Error in per cent of each layer and each sum on a split."""
    per_layer = layer_goodness(net, split.images)
    return {
        key: round(error_rate(per_layer[:, :, layers].sum(dim=2).argmax(dim=1), split.labels), 2)
        for key, layers in SUMS.items()
    }


def trained(seed, split, epochs, device):
    """The net as it was drawn, the net as it was trained, and the seconds between. Ctrl-C ends the whole experiment."""
    torch.manual_seed(seed)
    net = FFNet(*WIDTHS).to(device)
    drawn = copy.deepcopy(net)
    started = time.perf_counter()
    losses = train(net, split, epochs=epochs)
    if losses.isnan().any():  # `train` was stopped: half a run is no result
        raise KeyboardInterrupt
    return drawn, net, round(time.perf_counter() - started, 1)


def run(seed, everything, test, epochs, device):
    fit, validation = hold_out(everything)
    _, tuned, _ = trained(seed, fit, epochs, device)
    control, final, seconds = trained(seed, everything, epochs, device)
    control.layers[0] = final.layers[0]
    on_gpu = device.startswith("cuda")
    return {
        "seed": seed,
        "seconds to train": seconds,
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU, threads: {torch.get_num_threads()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        "validation error": errors(tuned, validation),
        "test error": errors(final, test),
        "test error, upper layers random": errors(control, test),
    }


def summary(runs):
    """The median, the least and the greatest error over the seeds."""

    def spread(values):
        values = list(values)
        return {"median": round(statistics.median(values), 2), "least": min(values), "greatest": max(values)}

    return {kind: {key: spread(run[kind][key] for run in runs) for key in SUMS} for kind in KINDS}


def read(path, configuration):
    """The record at path, or a new one. Exits where path holds results of another configuration."""
    if not path.exists():
        return {"name": "plain_recipe", "dataset": "mnist", "configuration": configuration, "runs": []}
    record = json.loads(path.read_text())
    if record["configuration"] != configuration:
        sys.exit(f"{path.name} holds results of another configuration: name another file with --output")
    return record


def write(path, record):
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(unfinished, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    record = read(
        chosen.output,
        {
            "network": list(WIDTHS),
            "loss": "logistic, width x (goodness - 1)",
            "negatives": "random, fresh on every batch",
            "label strength": 1.0,
            "optimizer": "Adam",
            "lr": 0.001,
            "batch size": 256,
            "epochs": chosen.epochs,
            "published": "Forward-Forward as in Hinton 2022, section 3.3, without its hard negatives",
        },
    )
    _, everything, test = load_dataset("mnist", chosen.device)
    for seed in chosen.seeds:
        if seed not in [run["seed"] for run in record["runs"]]:
            print(f"seed {seed}", flush=True)
            record["runs"].append(run(seed, everything, test, chosen.epochs, chosen.device))
            record["summary"] = summary(record["runs"])
            write(chosen.output, record)
    print(json.dumps(record["summary"], indent=1))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the seeds that were finished are kept")
