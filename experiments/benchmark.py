"""Seconds, in one run on the machine at hand: python -m experiments.benchmark

Times an epoch and a prediction of each method, beside the machine's own rate of matrix
products, then steps and predictions in turn (`step_times`), and writes benchmark.json
and benchmark.md. The numbers of epochs that each method needs to reach an error are not
measured here: they come from the stored runs of `published`, `paper_recipe`,
`milestones` and `milestones_fast`, and the seconds to an error are computed, epochs
times seconds per epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from experiments import step_times
from experiments.__main__ import usable_device
from experiments.catalogue import EXPERIMENTS
from experiments.runner import processor, synchronize
from experiments.storage import replacing
from experiments.tables import stored
from experiments.trials.published import PublishedTrial
from ffutils import FFNet, Split, load_mnist, predict, split_validation

FOLDER = Path(__file__).parent
GOALS = (
    6.8,
    5.0,
    2.0,
    1.5,
    1.36,
)  # per cent; the first is what the full batch's code states
TRAIN_IMAGES = 60_000
FF, BACKPROP = "Forward-Forward, chapter 06", "backpropagation"
FULL_BATCH = "full batch, as most copied"


def method(title, experiment, variant, images, error, turns=1):
    """What is timed: an experiment's trial on so many images; all of them for None.

    turns: the number of layers, if they are trained in turn; error: which of the stored
    runs' validation errors counts.
    """
    return {
        "title": title, "experiment": experiment, "variant": variant, "images": images,
        "error": error, "turns": turns,
    }  # fmt: skip


DIFFERENCE = "difference target propagation"
METHODS = [
    method(
        "the article's recipe", "published", "the article's", 6400,
        "sum of all layers", 3,
    ),
    method(FULL_BATCH, "published", "full batch", None, "sum of all layers", 2),
    method(
        "the paper's recipe", "paper_recipe", "default", 4000, "sum without layer 1",
    ),
    method(FF, "milestones", "Forward-Forward", 25600, "sum of all layers"),
    method(BACKPROP, "milestones", "backpropagation", 25600, "output layer"),
    method(
        "target propagation", "milestones", "target propagation", 25600, "output layer"
    ),
    method(DIFFERENCE, "milestones", DIFFERENCE, 25600, "output layer"),
]  # fmt: skip


def measure(
    split: Split,
    test: Split,
    methods: list[dict] = METHODS,
    repeats: int = 3,
    size: int = 2048,
    **in_turn,
) -> dict:
    """Run the whole benchmark, and print what it is at.

    Args:
        split, test: to train and to predict on.
        methods: what is timed, as `method` makes it.
        repeats: how often; the median counts.
        size: of the square matrices that the machine's own rate is measured with.
        in_turn: the sizes of what is timed in turn, as `measure_in_turn` takes them.

    Returns:
        The record, which is JSON.
    """
    device = split.images.device
    record = {
        "machine": machine(device),
        "matmul_rate": {
            "float32": matmul_rate(size, device, torch.float32),
            "bfloat16": matmul_rate(size, device, torch.bfloat16),
        },
        "rows": [],
    }
    print(record["matmul_rate"], flush=True)
    for timed in methods:
        row = time_training(timed, split, repeats)
        row |= time_prediction(timed, split, test, repeats)
        precision = row["configuration"].get("precision", "float32")
        rate = row["operations_per_epoch"] / row["seconds_per_epoch"]
        row["share_of_matmul_rate"] = rate / record["matmul_rate"][precision]
        row["precision"] = precision
        row |= reached_goals(timed, row)
        record["rows"].append(row)
        shown = {key: row[key] for key in ("title", "seconds_per_epoch", "to_error")}
        print(json.dumps(shown), flush=True)
    record["in_turn"] = step_times.measure(split, test, record["machine"], **in_turn)
    record["ratios"] = ratios(record)
    return record


def machine(device):
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def seconds_of(work, repeats, device):
    """The median of some runs, after one that warms up."""
    seconds = []
    for _ in range(repeats + 1):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def matmul_rate(size, device, dtype):
    """Operations per second of a square matrix product."""
    a = torch.rand(size, size, device=device, dtype=dtype)
    return 2 * size**3 / seconds_of(lambda: a @ a, 5, device)


class MatmulCounter(TorchDispatchMode):
    """Counts the operations of matrix products inside a `with` block.

    A multiplication and an addition for each pair. PyTorch's own counter cannot follow
    a gradient that ends at a state, as target propagation takes it.
    """

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.operations += 2 * result.numel() * args[-2].shape[1]
        return result


def trial_of(timed, split):
    """A method's trial and its configuration, from seed 0."""
    experiment = EXPERIMENTS[timed["experiment"]]
    config = experiment.configs[timed["variant"]]
    torch.manual_seed(0)
    return experiment.trial(config, split), config


def time_training(timed, split, repeats):
    """Seconds and operations of an epoch, scaled to all training images."""
    subset = Split(*(tensor[: timed["images"]] for tensor in split))
    scale = TRAIN_IMAGES / len(subset.labels)
    trial, config = trial_of(timed, subset)
    seconds, operations = [], []
    for turn in range(timed["turns"]):
        epoch = turn * config.epochs // timed["turns"]
        once = seconds_of(
            lambda epoch=epoch: trial.train_epoch(epoch), repeats, split.images.device
        )
        with MatmulCounter() as counter:
            trial.train_epoch(epoch)
        seconds.append(scale * once)
        operations.append(scale * counter.operations)
    return {
        "title": timed["title"],
        "configuration": config.as_dict(),
        "timed_images": len(subset.labels),
        "seconds_per_epoch": sum(seconds),
        "seconds_per_epoch_by_layer": seconds if len(seconds) > 1 else None,
        "train_images_per_second": len(seconds) * TRAIN_IMAGES / sum(seconds),
        "operations_per_epoch": sum(operations),
    }


def time_prediction(timed, split, test, repeats):
    """Images per second of the method's own way to predict, in batches of 1000.

    The weights do not matter for it.
    """
    trial, _ = trial_of(timed, Split(*(tensor[:1000] for tensor in split)))
    net = trial.net

    def predict_batch(x):
        if isinstance(net, FFNet):
            predict(net, x)
        elif isinstance(trial, PublishedTrial):
            trial.errors(Split(x, test.labels[: len(x)]))
        else:
            net(x).argmax(dim=1)

    def predict_all():
        with torch.no_grad():
            for x in test.images.split(1000):
                predict_batch(x)

    seconds = seconds_of(predict_all, repeats, test.images.device)
    return {"predict_images_per_second": len(test.labels) / seconds}


def reached_goals(timed, row):
    """Epochs and computed seconds to each goal, from the stored runs.

    The median over the seeds of the first evaluated epoch at or below the goal; none of
    them where no run is stored.
    """
    runs = (stored(timed["experiment"]) or {"runs": []})["runs"]
    curves = [
        [
            (epoch, error[timed["error"]])
            for epoch, _, error in run["validation_history"]
        ]
        for run in runs
        if run["variant"] == timed["variant"]
    ]
    goals = {}
    for goal in GOALS:
        reached = sorted(step_times.first_epoch(curve, goal) for curve in curves)
        median = reached[len(reached) // 2] if reached else float("inf")
        never = median == float("inf")
        goals[f"{goal:g} %"] = (
            None if never else {"epochs": median, "seconds": seconds_to(median, row)}
        )
    return {
        "to_error": goals,
        "seeds": len(curves),
        "evaluated_on": "validation",
        "last_error": statistics.median(curve[-1][1] for curve in curves)
        if curves
        else None,
    }


def seconds_to(epochs, row):
    """Epochs of a whole net, or of one layer after another, in seconds."""
    by_layer = row["seconds_per_epoch_by_layer"]
    if by_layer is None:
        return epochs * row["seconds_per_epoch"]
    epochs_of_each = row["configuration"]["epochs"] // len(by_layer)
    return sum(by_layer[epoch // epochs_of_each] for epoch in range(epochs))


RATIOS = {
    "ff_over_backprop_to_error": "Forward-Forward to 1.5 % over backpropagation to "
    "1.5 %",
    "full_batch_over_ff_to_error": "all 1000 epochs a layer of the full batch, whose "
    "error is then still several times as large, over Forward-Forward to 1.5 %",
    "ff_over_backprop_per_epoch": "an epoch of Forward-Forward over one of "
    "backpropagation",
}


def ratios(record):
    """The headline: what Forward-Forward's recipe takes beside the others."""
    rows = {row["title"]: row for row in record["rows"]}

    def seconds_to_goal(title):
        reached = rows[title]["to_error"]["1.5 %"] if title in rows else None
        return reached and reached["seconds"]

    def seconds_per_epoch(title):
        return rows[title]["seconds_per_epoch"] if title in rows else None

    def ratio(a, b):
        return a / b if a and b else None

    full_batch = rows.get(FULL_BATCH)
    epochs = full_batch and full_batch["configuration"]["epochs"]
    whole = full_batch and seconds_to(epochs, full_batch)
    return {
        "ff_over_backprop_to_error": ratio(
            seconds_to_goal(FF), seconds_to_goal(BACKPROP)
        ),
        "full_batch_over_ff_to_error": ratio(whole, seconds_to_goal(FF)),
        "ff_over_backprop_per_epoch": ratio(
            seconds_per_epoch(FF), seconds_per_epoch(BACKPROP)
        ),
    }


def table(record):
    """The record as a Markdown table that names the machine."""
    m = record["machine"]
    rates = ", ".join(
        f"{rate / 1e9:.0f} in {kind}" for kind, rate in record["matmul_rate"].items()
    )
    titles = ["Method", "seconds per epoch", "samples/s", "share of the matrix rate"]
    titles.append("prediction, images/s")
    titles += [f"to {goal:g} %: epochs, seconds" for goal in GOALS]
    titles.append("at the end of the stored run")
    lines = [
        f"Measured on {m['device']}, {m['cores']} cores, {m['threads']} threads, "
        f"PyTorch {m['torch']}. A product of large square matrices runs at (10⁹ "
        f"operations/s): {rates}.",
        "",
        f"| {' | '.join(titles)} |",
        "|---" * len(titles) + "|",
    ]
    for row in record["rows"]:
        cells = [
            row["title"],
            f"{row['seconds_per_epoch']:.1f}",
            f"{row['train_images_per_second']:,.0f}",
            f"{100 * row['share_of_matmul_rate']:.0f} % ({row['precision']})",
            f"{row['predict_images_per_second']:,.0f}",
        ]
        for goal in row["to_error"].values():
            cells.append(
                "not reached" if goal is None
                else f"{goal['epochs']}, {goal['seconds']:.0f}"
            )  # fmt: skip
        last = row["last_error"]
        cells.append("no run is stored" if last is None else f"{last:.2f} %")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Seconds to an error are computed: epochs of stored runs (median of their "
        "seeds, evaluated on the validation split) times the seconds per epoch "
        "measured here. For recipes that train one layer after another, an epoch is "
        "one of the whole net in the second column, and one of a layer in the later "
        "ones.",
    ]
    return "\n".join(lines)


def headline(record):
    """The ratios as a Markdown table, for the results page."""
    m = record["machine"]
    lines = [
        f"| One run on {m['device']}, {m['threads']} threads | times as long |",
        "|---|---|",
    ]
    for key, title in RATIOS.items():
        ratio = record["ratios"][key]
        lines.append(
            f"| {title} | {'not reached' if ratio is None else f'{ratio:.1f}'} |"
        )
    return "\n".join(lines)


def page(record) -> str:
    """All tables, as benchmark.md has them."""
    measured = record["in_turn"]
    tables = step_times.step_table, step_times.prediction_table, step_times.error_table
    return "\n\n".join([table(record), *(make(measured) for make in tables)])


def main():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark", description=__doc__.splitlines()[0]
    )
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", type=usable_device, default=default)
    parser.add_argument(
        "--folder", type=Path, default=FOLDER,
        help="where benchmark.json and benchmark.md are written",
    )  # fmt: skip
    args = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        train_split, test = load_mnist(args.device)
        record = measure(split_validation(train_split)[0], test)
        texts = {
            "benchmark.json": json.dumps(record, indent=1),
            "benchmark.md": page(record),
        }
        for name, text in texts.items():
            with replacing(args.folder / name) as unfinished:
                unfinished.write_text(text + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        print("\nstopped: nothing was written", file=sys.stderr)
        sys.exit(130)
    except (ArithmeticError, OSError, RuntimeError, ValueError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        parser.exit(2, f"python -m experiments.benchmark: error: {message}\n")
    print(page(record))


if __name__ == "__main__":
    main()
