"""Milliseconds of a step and of a prediction, the methods in turn; `benchmark` asks.

In each round every method takes one step on the same batch, so that whatever else the
machine is doing hits all of them alike. What counts is the ratio of the medians.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from experiments.runner import synchronize
from experiments.tables import stored
from experiments.trials.fast import backprop_gradients, fused_adam
from experiments.trials.milestones import FAST_MILESTONES
from experiments.trials.shared import autocast_bf16
from ffutils import (
    FFNet,
    Split,
    batches,
    goodness,
    hard_negatives,
    jitter,
    pair_loss,
    predict,
    train_batch,
)
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer, broadcast_step
from ffutils.fast import (
    broadcast_gradients,
    ff_gradients,
    first_layer,
    layer_gradients,
)
from ffutils.rivals import MLP

BACKPROP = "backpropagation"
CHAPTER_06 = "label in the image, chapter 06 in autograd"
UNSHARED = "… written out"
SHARED = "… written out, layer 1's products shared"
WHOLE_NET = "label in the image, negatives hard for the whole net, written out"
BROADCAST = "label in every layer, in autograd"
WRITTEN_OUT = "label in every layer, written out"
FEEDING = "a batch fetched and jittered"
# What the stored runs to an error took their steps with.
STEP_OF = {
    "backpropagation": BACKPROP,
    "label in the image": WHOLE_NET,
    "label in every layer": WRITTEN_OUT,
}
GOAL = 1.5  # per cent of the validation images
PREDICTED = 10_000  # images that a prediction is stated for
PRECISIONS = "float32", "bfloat16"


# ---- What is timed


@torch.no_grad()
def unshared_gradients(
    net: FFNet, x: Tensor, y: Tensor, scale: float = 30.0, half: bool = False
) -> Tensor:
    """As `ff_gradients` for layer 1's negatives, but layer 1 is as the layers above."""
    with autocast_bf16(x.device, half):
        wrong = hard_negatives(net, x, y, scale)
    passes = net.write_label(x, y), net.write_label(x, wrong)
    return torch.stack(layer_gradients(net.layers, *passes, scale, half))


def chapter_06_step(net: FFNet, optimizers, x: Tensor, y: Tensor) -> Tensor:
    """A step as `train` takes it, by autograd."""
    wrong = hard_negatives(net, x, y)
    positive, negative = (net.write_label(x, labels) for labels in (y, wrong))
    indices = range(len(net.layers))
    return train_batch(net, optimizers, positive, negative, indices, pair_loss)


def steps(sizes, device: torch.device, half: bool) -> dict[str, Callable]:
    """A function (x, y) → loss for each method, which takes a step with its own net.

    All have PyTorch's fused Adam.
    """

    def by_gradients(make_net, gradients):
        net = make_net(*sizes).to(device)
        optimizer = fused_adam(net)

        def step(x, y):
            loss = gradients(net, x, y, half=half)
            optimizer.step()
            return loss

        return step

    def by_autograd(make_net, layers_step):
        net = make_net(*sizes).to(device)
        optimizers = [fused_adam(layer) for layer in net.layers]

        def step(x, y):
            with autocast_bf16(device, half):
                return layers_step(net, optimizers, x, y)

        return step

    shared = functools.partial(ff_gradients, whole_net=False)
    return {
        BACKPROP: by_gradients(MLP, backprop_gradients),
        CHAPTER_06: by_autograd(FFNet, chapter_06_step),
        UNSHARED: by_gradients(FFNet, unshared_gradients),
        SHARED: by_gradients(FFNet, shared),
        WHOLE_NET: by_gradients(FFNet, ff_gradients),
        BROADCAST: by_autograd(BroadcastNet, broadcast_step),
        WRITTEN_OUT: by_gradients(BroadcastNet, broadcast_gradients),
    }


@torch.no_grad()
def quick_predict(net: FFNet, x: Tensor, half: bool = False) -> Tensor:
    """`predict`'s labels, but for rounding: one product serves layer 1's ten labels."""
    first, *above = net.layers
    _, light, sums = first_layer(net, x, half)
    scores = []
    for label in range(net.n_classes):
        h = torch.relu(sums + light * first.weight[:, label])
        score = goodness(h)
        for layer in above:
            with autocast_bf16(x.device, half):
                h = layer(h)
            score = score + goodness(h)
        scores.append(score)
    return torch.stack(scores, dim=1).argmax(dim=1)


def predictions(sizes, device: torch.device, half: bool) -> dict[str, Callable]:
    """A function (x, y) for each way to predict, which leaves the labels y alone."""
    mlp, net, told = (kind(*sizes).to(device) for kind in (MLP, FFNet, BroadcastNet))
    ways = {
        BACKPROP: lambda x: mlp(x).argmax(dim=1),
        "label in the image, ten passes": lambda x: predict(net, x),
        "label in the image, layer 1's product shared": lambda x: quick_predict(
            net, x, half
        ),
        "label in every layer, one pass": lambda x: (
            broadcast_goodness_per_layer(told, x).sum(dim=2).argmax(dim=1)
        ),
    }

    def without_gradients(way):
        def work(x, y):
            with torch.no_grad(), autocast_bf16(device, half):
                way(x)

        return work

    return {title: without_gradients(way) for title, way in ways.items()}


# ---- The clock


def endless(split: Split, batch_size: int) -> Iterable:
    """Full batches of a split, over and over."""
    while True:
        for x, y in batches(split, batch_size):
            if len(x) == batch_size:
                yield x, y


def in_turn(works: dict, inputs: Iterable, device: torch.device, warm_up: int = 3):
    """Seconds of each work in each round: every work once, then every work again.

    Args:
        works: functions by key.
        inputs: the arguments of all works, one tuple for each round.
        warm_up: rounds at the start that do not count.

    Returns:
        {key: [seconds, …]}.
    """
    seconds = {key: [] for key in works}
    for arguments in inputs:
        for key, work in works.items():
            synchronize(device)
            started = time.perf_counter()
            work(*arguments)
            synchronize(device)
            seconds[key].append(time.perf_counter() - started)
    return {key: taken[warm_up:] for key, taken in seconds.items()}


def compare(seconds: list[float], base: list[float]) -> dict:
    """The median of some rounds, its ratio to another's, and the ratios' quartiles."""
    ratios = [mine / its for mine, its in zip(seconds, base, strict=True)]
    first, _, third = statistics.quantiles(ratios, n=4)
    median = statistics.median(seconds)
    return {
        "milliseconds": 1000 * median,
        "ratio": median / statistics.median(base),
        "quartiles": [first, third],
    }


def measure_in_turn(
    split: Split, test: Split, machine: dict, widths=(500, 1000), rounds: int = 40,
    batch_size: int = 256, images: int = 1000,
) -> dict:  # fmt: skip
    """Time the steps and the predictions of nets of three layers.

    Args:
        split, test: where the batches for steps and for predictions come from.
        machine: what the record calls it.
        rounds: of steps; half as many of predictions.
        images: in a prediction.

    Returns:
        The record, which is JSON.
    """
    device = split.images.device
    feed = endless(split, batch_size)

    def fetch():
        x, y = next(feed)
        return jitter(x), y

    rows, feeding = [], []
    for width in widths:
        sizes = split.images.shape[1], width, width, width
        for kind, make in (("step", steps), ("prediction", predictions)):
            works = {
                (precision, title): work
                for precision in PRECISIONS
                for title, work in make(sizes, device, precision == "bfloat16").items()
            }
            if kind == "step":
                works[FEEDING] = lambda *_: fetch()
                inputs = (fetch() for _ in range(rounds + 3))
            else:
                inputs = itertools.islice(endless(test, images), rounds // 2 + 3)
            seconds = in_turn(works, inputs, device)
            feeding += seconds.pop(FEEDING, [])
            for (precision, title), taken in seconds.items():
                row = {"kind": kind, "width": width, "precision": precision}
                row |= {"method": title, "rounds": len(taken)}
                rows.append(row | compare(taken, seconds[precision, BACKPROP]))
    return {
        "machine": machine,
        "batch_size": batch_size,
        "images": images,
        "feeding_milliseconds": 1000 * statistics.median(feeding),
        "rows": rows,
    }


# ---- Seconds to an error


def first_epoch(curve: Iterable, goal: float) -> float:
    """The first epoch of [(epoch, error), …] at or below a goal; infinite for none."""
    return next((epoch for epoch, error in curve if error <= goal), math.inf)


def curve_of(run: dict) -> list[tuple[int, float]]:
    """The validation error after each epoch, of the sum of all layers or the output."""
    return [
        (epoch, error.get("output layer", error.get("sum of all layers")))
        for epoch, _, error in run["validation_history"]
    ]


def best_try(runs: list[dict]) -> dict:
    """The run with the fewest epochs to the goal; of several, the least last error."""
    curves = [(curve_of(run), run) for run in runs]
    return min(curves, key=lambda c: (first_epoch(c[0], GOAL), c[0][-1][1]))[1]


def times_to_error(measured: dict, record: dict | None) -> list[dict]:
    """What methods of `milestones_fast` need whose steps are timed: epochs, seconds.

    Args:
        measured: what `measure_in_turn` returned; the widths of the runs are among its.
        record: the stored runs, or None.

    Returns:
        A row for each method; epochs are None where a run does not get there.
    """
    made = []
    for method, timed_as in STEP_OF.items():
        config = FAST_MILESTONES.configs[method]
        runs = [r for r in (record or {"runs": []})["runs"] if r["variant"] == method]
        reached = sorted(first_epoch(curve_of(run), GOAL) for run in runs)
        width = config.network[1]
        step = find(measured, "step", width, config.precision, timed_as)
        if not (reached and step):
            continue
        milliseconds = step["milliseconds"] + measured["feeding_milliseconds"]
        seconds = math.ceil(50_000 / config.batch_size) * milliseconds / 1000
        median = statistics.median(reached)
        finite = [None if epoch == math.inf else epoch for epoch in reached]
        made.append(
            {
                "method": method, "lr": config.lr, "precision": config.precision,
                "width": width, "epochs": finite, "seconds_per_epoch": seconds,
                "seconds": None if median == math.inf else seconds * median,
            }
        )  # fmt: skip
    return made


def find(measured: dict, kind, width, precision, method) -> dict | None:
    """The row of a measurement."""
    wanted = {"kind": kind, "width": width, "precision": precision, "method": method}
    return next(
        (row for row in measured["rows"] if wanted.items() <= row.items()), None
    )


def measure(split: Split, test: Split, machine: dict, **sizes) -> dict:
    """Everything in this file: what is timed in turn, and what follows from it."""
    measured = measure_in_turn(split, test, machine, **sizes)
    return measured | {"to_error": times_to_error(measured, stored("milestones_fast"))}


# ---- Tables


def quicker_ratio(measured: dict, kind: str, width: int, method: str) -> float:
    """A method over backpropagation, each in the quicker of the two precisions."""
    least = [
        min(find(measured, kind, width, p, m)["milliseconds"] for p in PRECISIONS)
        for m in (method, BACKPROP)
    ]
    return least[0] / least[1]


def table_of(measured: dict, kind: str) -> list[str]:
    """The lines of a table: a row for each method, a column for width and precision."""
    rows = [row for row in measured["rows"] if row["kind"] == kind]
    widths = dict.fromkeys(row["width"] for row in rows)
    factor = PREDICTED / measured["images"] if kind == "prediction" else 1
    titles = ["Method"]
    for width in widths:
        titles += [f"3 × {width}, {precision}, ms" for precision in PRECISIONS]
        titles.append(f"3 × {width}, each in its quicker precision")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = [method]
        for width in widths:
            for precision in PRECISIONS:
                row = find(measured, kind, width, precision, method)
                low, high = row["quartiles"]
                cell = f"{factor * row['milliseconds']:.1f}"
                if method != BACKPROP:
                    cell += f"; × {row['ratio']:.2f} ({low:.2f}–{high:.2f})"
                cells.append(cell)
            cells.append(f"× {quicker_ratio(measured, kind, width, method):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def on_machine(measured: dict) -> str:
    m = measured["machine"]
    return (
        f"{m['device']}, {m['cores']} cores, {m['threads']} thread"
        f"{'s' * (m['threads'] > 1)}, PyTorch {m['torch']}"
    )


IN_TURN = (
    "the methods in turn, each round on the same images. Medians; × is the ratio to "
    "backpropagation's median, in brackets the quartiles of the rounds' own ratios."
)


def step_table(measured: dict) -> str:
    """A step of each method, and what sharing layer 1's products brings."""
    shares = []
    for width in dict.fromkeys(row["width"] for row in measured["rows"]):
        for precision in PRECISIONS:
            pair = [
                find(measured, "step", width, precision, m)["milliseconds"]
                for m in (SHARED, UNSHARED)
            ]
            shares.append(f"{pair[0] / pair[1]:.2f} at 3 × {width} in {precision}")
    rounds = next(row["rounds"] for row in measured["rows"] if row["kind"] == "step")
    return "\n".join(
        [
            f"A step on {measured['batch_size']} images: forward, backward, PyTorch's "
            f"fused Adam. {on_machine(measured)}; {rounds} rounds, {IN_TURN}",
            "",
            *table_of(measured, "step"),
            "",
            "A step with layer 1's products shared takes, as a part of one without: "
            f"{', '.join(shares)}.",
        ]
    )


def prediction_table(measured: dict) -> str:
    """A prediction in each way."""
    rounds = next(
        row["rounds"] for row in measured["rows"] if row["kind"] == "prediction"
    )
    return "\n".join(
        [
            f"Milliseconds to predict {PREDICTED:,} images, timed in batches of "
            f"{measured['images']:,}. {on_machine(measured)}; {rounds} rounds, "
            f"{IN_TURN}",
            "",
            *table_of(measured, "prediction"),
        ]
    )


def error_table(measured: dict) -> str:
    """Seconds to an error."""
    rows = measured["to_error"]
    if not rows:
        return "No run of `milestones_fast` is stored."
    base = next((row["seconds"] for row in rows if row["method"] == BACKPROP), None)
    titles = [
        "Method", "learning rate", f"epochs to {GOAL:g} %, by seed",
        "seconds per epoch", f"seconds to {GOAL:g} %", "times backpropagation's",
    ]  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        epochs = ["not reached" if e is None else str(e) for e in row["epochs"]]
        reached = row["seconds"] is not None
        cells = [
            row["method"], f"{row['lr']:g}", ", ".join(epochs),
            f"{row['seconds_per_epoch']:.1f}",
            f"{row['seconds']:.0f}" if reached else "not reached",
            f"{row['seconds'] / base:.2f}" if reached and base else "–",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    width, precision = rows[0]["width"], rows[0]["precision"]
    return "\n".join(
        [
            f"3 × {width}, products in {precision}, jitter of 1 px, 50,000 images; "
            f"{on_machine(measured)}. The epochs are those of stored runs, on the "
            "validation split, at the best of four learning rates for each method; the "
            "seconds are the median's epochs times the steps of an epoch, as timed in "
            "turn, with fetching and jittering the images.",
            "",
            *lines,
        ]
    )
