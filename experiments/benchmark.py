"""Seconds, in one run on the machine at hand: python -m experiments.benchmark [--folder FOLDER]

Times an epoch and a prediction of each method, beside the machine's own rate of matrix products, and writes
benchmark.json and benchmark.md. The numbers of epochs that each method needs to reach an error are not measured here:
they come from the stored runs of `published`, `paper_recipe` and `milestones`, and the seconds to an error are computed,
epochs times seconds per epoch.
"""

import argparse
import importlib
import json
import os
import statistics
import time
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from experiments import milestones, paper_recipe, published
from experiments.runner import half_precision, processor
from ffutils import RECIPE, FFNet, Split, error_rate, goodness, hold_out, load_mnist, predict, train

FOLDER = Path(__file__).parent
GOALS = 6.8, 5.0, 2.0, 1.5, 1.36  # per cent; the first is what the full-batch code states for itself
TRAINING_IMAGES = 60_000


def method(title, experiment, variant, images, error, turns=1, curve="validation history"):
    """What is timed: an experiment's trial, on that many images; turns: the layers, if they are trained in turn.

    error: which entry of the stored errors counts; curve: where they are.
    """
    name = experiment.__name__.rpartition(".")[2]
    return {
        "title": title, "experiment": name, "variant": variant, "images": images, "error": error,
        "turns": turns, "curve": curve,
    }  # fmt: skip


METHODS = [
    method("the article's recipe", published, "the article's", 6400, "all layers", turns=3),
    method("full batch, as most copied", published, "full batch", None, "all layers", turns=2),
    method("the paper's recipe", paper_recipe, "", 4000, "all but the first", curve="test history"),
    method("Forward-Forward, chapter 06", milestones, "Forward-Forward", 25600, "all layers"),
    method("backpropagation", milestones, "backpropagation", 25600, "scores"),
    method("target propagation", milestones, "target propagation", 25600, "scores"),
    method("difference target propagation", milestones, "difference target propagation", 25600, "scores"),
]


def measure(split, test, methods=METHODS, repeats=3, square=2048, wide=1000):
    """The whole benchmark on a training and a test split, as a record; prints what it is at."""
    device = split.images.device
    record = {
        "machine": machine(device),
        "matrix rate": {
            kind: matrix_rate(square, device, dtype)
            for kind, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        },
        "rows": [],
    }
    print(record["matrix rate"], flush=True)
    for chosen in methods:
        row = time_training(chosen, split, repeats) | time_prediction(chosen, split, test, repeats)
        kind = row["configuration"].get("matrix products", "float32")
        rate = row["operations per epoch"] / row["seconds per epoch"] / record["matrix rate"][kind]
        row |= {"share of the matrix rate": rate, "matrix products": kind} | goals(chosen, row)
        record["rows"].append(row)
        print(json.dumps({key: row[key] for key in ("title", "seconds per epoch", "to")}), flush=True)
    record["prediction"] = time_wide_prediction(split, test, wide, repeats)
    record["ratios"] = ratios(record)
    return record


def machine(device):
    name = torch.cuda.get_device_name() if device.type == "cuda" else processor()
    return {"device": name, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def seconds_of(work, repeats, device):
    """The median of some runs, after one that warms up."""
    found = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])


def matrix_rate(size, device, dtype):
    """Operations per second of a square matrix product."""
    a = torch.rand(size, size, device=device, dtype=dtype)
    return 2 * size**3 / seconds_of(lambda: a @ a, 5, device)


class Products(TorchDispatchMode):
    """Counts the operations of matrix products inside a `with` block: a multiplication and an addition per pair.

    PyTorch's own counter cannot follow a gradient that ends at a state, as target propagation takes it.
    """

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.operations += 2 * result.numel() * args[-2].shape[1]
        return result


def trial_of(chosen, split):
    experiment = importlib.import_module(f"experiments.{chosen['experiment']}")
    configuration = experiment.CONFIGURATION | experiment.VARIANTS[chosen["variant"]]
    return experiment.Trial(configuration, split), configuration


def time_training(chosen, split, repeats):
    """Seconds and operations of an epoch, scaled from the images that are timed to all training images."""
    part = Split(*(half[: chosen["images"]] for half in split))
    scale = TRAINING_IMAGES / len(part.labels)
    torch.manual_seed(0)
    trial, configuration = trial_of(chosen, part)
    seconds, operations = [], []
    for turn in range(chosen["turns"]):
        epoch = turn * configuration["epochs"] // chosen["turns"]
        seconds.append(scale * seconds_of(lambda e=epoch: trial.train_epoch(e), repeats, split.images.device))
        with Products() as products:
            trial.train_epoch(epoch)
        operations.append(scale * products.operations)
    return {
        "title": chosen["title"],
        "configuration": configuration,
        "images timed": len(part.labels),
        "seconds per epoch": sum(seconds),
        "seconds per epoch of each layer": seconds if len(seconds) > 1 else None,
        "training samples/s": len(seconds) * TRAINING_IMAGES / sum(seconds),
        "operations per epoch": sum(operations),
    }


def time_prediction(chosen, split, test, repeats):
    """Images per second of the method's own way to predict, in batches of 1000; the weights do not matter for it."""
    torch.manual_seed(0)
    trial, _ = trial_of(chosen, Split(*(half[:1000] for half in split)))
    net = trial.net

    def judge(x):
        if isinstance(net, FFNet):
            predict(net, x)
        elif isinstance(trial, published.Trial):
            trial.errors(Split(x, test.labels[: len(x)]))
        else:
            net(x).argmax(dim=1)

    def whole():
        with torch.no_grad():
            for x in test.images.split(1000):
                judge(x)

    return {"prediction images/s": len(test.labels) / seconds_of(whole, repeats, test.images.device)}


def goals(chosen, row):
    """Epochs and computed seconds to each goal: the median over the seeds of the first judged epoch at or below it."""
    record = json.loads((FOLDER / "results" / f"{chosen['experiment']}.json").read_text(encoding="utf-8"))
    runs = [run for run in record["runs"] if run["variant"] == chosen["variant"]]
    curves = [[(epoch, error[chosen["error"]]) for epoch, _, error in run[chosen["curve"]]] for run in runs]
    told = {}
    for goal in GOALS:
        reached = sorted(next((epoch for epoch, error in curve if error <= goal), float("inf")) for curve in curves)
        middle = reached[len(reached) // 2]
        told[f"{goal:g} %"] = None if middle == float("inf") else {"epochs": middle, "seconds": seconds_to(middle, row)}
    last = statistics.median(curve[-1][1] for curve in curves)
    return {"to": told, "seeds": len(runs), "judged on": chosen["curve"].split()[0], "last error": last}


def seconds_to(epochs, row):
    """Epochs of a whole net, or of one layer after another, in seconds."""
    if row["seconds per epoch of each layer"] is None:
        return epochs * row["seconds per epoch"]
    each = row["configuration"]["epochs"] // len(row["seconds per epoch of each layer"])
    return sum(row["seconds per epoch of each layer"][epoch // each] for epoch in range(epochs))


@torch.no_grad()
def quick_predict(net, x):
    """`predict`'s labels, but for rounding: one product for the first layer's ten, bfloat16 for the layers above."""
    first, *above = net.layers
    blank = x.clone()
    blank[:, :10] = 0
    length = ((blank.square().sum(dim=1, keepdim=True) + 1) / x.shape[1] + 1e-8).sqrt()
    image = blank @ first.weight.T
    scores = []
    for label in range(10):  # as in `first_layer_goodness`, but the activities are needed
        h = torch.relu((image + first.weight[:, label]) / length + first.bias)
        found = goodness(h)
        for layer in above:
            with half_precision(x.device):
                h = layer(h)
            found = found + goodness(h.float())
        scores.append(found)
    return torch.stack(scores, dim=1).argmax(dim=1)


def time_wide_prediction(split, test, width, repeats, images=10_000):
    """Seconds to predict all test images with three layers of that width, plainly and in half precision.

    The net is trained for an epoch on some images, so that its answers are no close calls.
    """
    torch.manual_seed(0)
    device = test.images.device
    net = FFNet(test.images.shape[1], width, width, width).to(device)
    train(net, Split(*(part[:images] for part in split)), **(RECIPE | {"epochs": 1}), progress=False)

    def whole(judge):
        return torch.cat([judge(net, x) for x in test.images.split(1000)])

    plain, quick = whole(predict), whole(quick_predict)
    return {
        "width": width,
        "images": len(test.labels),
        "seconds, predict": seconds_of(lambda: whole(predict), repeats, device),
        "seconds, bfloat16": seconds_of(lambda: whole(quick_predict), repeats, device),
        "answers that agree": (plain == quick).float().mean().item(),
        "error, predict": error_rate(plain, test.labels),
        "error, bfloat16": error_rate(quick, test.labels),
    }


def ratios(record):
    """The headline: what Forward-Forward's recipe takes beside the others."""
    rows = {row["title"]: row for row in record["rows"]}
    ours, full_batch = rows.get("Forward-Forward, chapter 06"), rows.get("full batch, as most copied")

    def seconds(title, goal):
        reached = rows[title]["to"][goal] if title in rows else None
        return reached and reached["seconds"]

    def quotient(a, b):
        return a / b if a and b else None

    mine = seconds("Forward-Forward, chapter 06", "1.5 %")
    return {
        "Forward-Forward to 1.5 % over backpropagation to 1.5 %": quotient(mine, seconds("backpropagation", "1.5 %")),
        "all 1000 epochs a layer of the full batch, which it needs for the 6.8 % that it states, over Forward-Forward to 1.5 %": quotient(
            full_batch and seconds_to(full_batch["configuration"]["epochs"], full_batch), mine
        ),
        "an epoch of Forward-Forward over one of backpropagation": quotient(
            ours and ours["seconds per epoch"],
            rows["backpropagation"]["seconds per epoch"] if "backpropagation" in rows else None,
        ),
    }


def table(record):
    """The record as a Markdown table that names the machine."""
    m = record["machine"]
    rates = ", ".join(f"{rate / 1e9:.0f} in {kind}" for kind, rate in record["matrix rate"].items())
    lines = [
        f"Measured on {m['device']}, {m['cores']} cores, {m['threads']} threads, PyTorch {m['torch']}. A product of "
        f"large square matrices runs at (10⁹ operations/s): {rates}.",
        "",
        "| Method | seconds per epoch | samples/s | share of the matrix rate | prediction, images/s | "
        + " | ".join(f"to {goal:g} %: epochs, seconds" for goal in GOALS)
        + " | at the end of the stored run |",
        "|---" * (6 + len(GOALS)) + "|",
    ]
    for row in record["rows"]:
        cells = [
            row["title"],
            f"{row['seconds per epoch']:.1f}",
            f"{row['training samples/s']:,.0f}",
            f"{100 * row['share of the matrix rate']:.0f} % ({row['matrix products']})",
            f"{row['prediction images/s']:,.0f}",
        ]
        for reached in row["to"].values():
            cells.append("not reached" if reached is None else f"{reached['epochs']}, {reached['seconds']:.0f}")
        cells.append(f"{row['last error']:.2f} %")
        lines.append("| " + " | ".join(cells) + " |")
    p = record["prediction"]
    lines += [
        "",
        "Seconds to an error are computed: epochs of stored runs (median of their seeds, judged on the validation split,"
        " the paper's recipe on the test set every ten epochs) times the seconds per epoch measured here. For recipes"
        " that train one layer after another, an epoch is one of the whole net in the second column, and one of a layer"
        " in the later ones.",
        "",
        f"Predicting {p['images']:,} images with three layers of {p['width']}: {p['seconds, predict']:.1f} s with"
        f" `predict`, {p['seconds, bfloat16']:.1f} s with the shared first layer and the other products in bfloat16, which"
        f" gives the same answer for {100 * p['answers that agree']:.2f} % of the images.",
    ]
    return "\n".join(lines)


def headline(record):
    """The ratios as a Markdown table, for the README."""
    m = record["machine"]
    lines = [f"| One run on {m['device']}, {m['threads']} threads | times as long |", "|---|---|"]
    for title, ratio in record["ratios"].items():
        lines.append(f"| {title} | {'not reached' if ratio is None else f'{ratio:.1f}'} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where benchmark.json and benchmark.md are written")
    chosen = parser.parse_args()
    try:
        training, test = load_mnist(chosen.device)
        record = measure(hold_out(training)[0], test)
    except (OSError, RuntimeError, ValueError) as error:
        parser.exit(2, f"python -m experiments.benchmark: error: {error}\n")
    (chosen.folder / "benchmark.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (chosen.folder / "benchmark.md").write_text(table(record) + "\n", encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
