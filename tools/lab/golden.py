"""Write what `ffutils` makes of fixed numbers, for the playground's JavaScript.

python tools/lab/golden.py

Everything is computed in float64, from numbers of Python's own generator, by the
functions of the book: forward passes, one training step of each loss, normalisation and
optimiser, and short training runs. `tests/test_lab_golden.py` fails when the file is
old, and when the JavaScript comes to other numbers.
"""

from __future__ import annotations

import json
import random
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch.nn.functional import layer_norm

from ffutils.labels import overlay
from ffutils.layers import FFNet, normalize
from ffutils.prediction import label_goodness_per_layer
from ffutils.recipe import label_goodness_first_layer, pair_loss
from ffutils.training import logistic_loss, train_batch

TARGET = Path(__file__).resolve().parents[2] / "tests" / "lab" / "golden.json"
WIDTHS = [14, 8, 7, 6]  # ten inputs for the label, four for the data
ROWS, STEPS = 6, 25


def keep(share):
    """What divides by less than the length: that to the power of `share` is left."""
    return lambda h: (
        h * ((h.square().mean(dim=1, keepdim=True) + 1e-8) ** ((share - 1) / 2))
    )


# "kept": above the first layer, some of the length goes up to the next.
KEPT = {"kept 1": 1.0, "kept 0.4": 0.4}
NORMALIZATIONS = {
    "none": lambda h: h,
    "rms": normalize,
    "layernorm": lambda h: layer_norm(h, h.shape[1:]),
    **{name: keep(share) for name, share in KEPT.items()},
}
LOSSES = {
    "logistic": {"threshold": 1.0},
    "logistic with another threshold": {"threshold": 2.5},
    "pair": {"scale": 30.0},
    "pair with another scale": {"scale": 4.0},
}
# What a layer may be judged by, as the playground's menu has it: a function, and whether
# positive data are to have the high or the low values.
GOODNESS = {
    "squares": lambda h: h.square().mean(dim=1),
    "rms": lambda h: (h.square().mean(dim=1) + 1e-8).sqrt(),
    "abs": lambda h: h.abs().mean(dim=1),
}
JUDGED = [("squares", -1), ("rms", 1), ("rms", -1), ("abs", 1), ("abs", -1)]
OPTIMIZERS = {"sgd": (torch.optim.SGD, 0.05), "adam": (torch.optim.Adam, 0.01)}


def make_inputs():
    """Weights, data and labels, as plain lists."""
    source = random.Random(0)
    layers = [
        {
            "weights": [
                source.gauss(0, (2 / below) ** 0.5) for _ in range(above * below)
            ],
            "bias": [source.gauss(0, 0.1) for _ in range(above)],
        }
        for below, above in zip(WIDTHS, WIDTHS[1:], strict=False)
    ]
    y = [source.randrange(10) for _ in range(ROWS)]
    return {
        "widths": WIDTHS,
        "layers": layers,
        "x": [source.random() for _ in range(ROWS * WIDTHS[0])],
        "y": y,
        "negative_labels": [
            [(label + source.randrange(1, 10)) % 10 for label in y]
            for _ in range(STEPS)
        ],
    }


def make_net(inputs, normalization, goodness="squares", sign=1):
    net = FFNet(
        *inputs["widths"],
        normalize=NORMALIZATIONS[normalization],
        goodness=lambda h: sign * GOODNESS[goodness](h),
    ).double()
    if normalization in KEPT:
        net.layers[0].normalize = normalize
    with torch.no_grad():
        for layer, values in zip(net.layers, inputs["layers"], strict=True):
            layer.weight.copy_(torch.tensor(values["weights"]).view_as(layer.weight))
            layer.bias.copy_(torch.tensor(values["bias"]))
    return net


def make_loss_fn(name, sign=1):
    """Upside down, goodness is handed in as a negative number, and so is its threshold."""
    if name.startswith("logistic"):
        return partial(logistic_loss, threshold=sign * LOSSES[name]["threshold"])
    return partial(pair_loss, **LOSSES[name])


def flat(tensor):
    return [
        float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()
    ]


def parameters(net):
    return [
        {"weights": flat(layer.weight), "bias": flat(layer.bias)}
        for layer in net.layers
    ]


def goodness_by_layer(net, x):
    """Goodness of every label, a list per layer: row after row, ten labels each."""
    per_layer = label_goodness_per_layer(net, x)
    return [flat(per_layer[:, :, k]) for k in range(len(net.layers))]


def options_of(loss, optimizer):
    """What the JavaScript's `trainBatch` is to be told."""
    return {
        "loss": loss.split()[0],
        **LOSSES[loss],
        "optimizer": optimizer,
        "lr": OPTIMIZERS[optimizer][1],
    }


def train_run(
    inputs, x, y, normalization, loss, optimizer, turns, steps,
    goodness="squares", sign=1,
):  # fmt: skip
    """Train a net for some steps.

    Args:
        turns: which layers learn, a list for each equal part of the steps.

    Returns:
        The net afterwards, and the losses of each step.
    """
    net = make_net(inputs, normalization, goodness, sign)
    kind, lr = OPTIMIZERS[optimizer]
    optimizers = [kind(layer.parameters(), lr=lr) for layer in net.layers]
    positive, loss_fn, losses = overlay(x, y), make_loss_fn(loss, sign), []
    for step in range(steps):
        negative = overlay(x, torch.tensor(inputs["negative_labels"][step]))
        layer_indices = turns[step * len(turns) // steps]
        batch_losses = train_batch(
            net, optimizers, positive, negative, layer_indices, loss_fn
        )
        losses.append(flat(batch_losses))
    return net, losses


def content():
    """All of it, as it lies in the file."""
    torch.set_default_dtype(torch.float64)
    try:
        return build(make_inputs())
    finally:
        torch.set_default_dtype(torch.float32)


def build(inputs):
    x, y = torch.tensor(inputs["x"]).view(ROWS, -1), torch.tensor(inputs["y"])
    everything, in_turn = [[0, 1, 2]], [[0], [1], [2]]
    result = {"inputs": inputs, "kept": KEPT, "forward": {}, "steps": [], "runs": []}
    for normalization in NORMALIZATIONS:
        net = make_net(inputs, normalization)
        result["forward"][normalization] = {
            "activations": [flat(h) for h in net(overlay(x, y))],
            "goodness": goodness_by_layer(net, x),
        }
    scores = label_goodness_first_layer(make_net(inputs, "rms"), x)
    wrong = (30 * scores).scatter(1, y[:, None], -torch.inf)
    result["hard"] = {
        "goodness": flat(scores),
        "probabilities": flat(wrong.softmax(dim=1)),
    }
    for normalization, loss, optimizer in product(NORMALIZATIONS, LOSSES, OPTIMIZERS):
        net, losses = train_run(
            inputs, x, y, normalization, loss, optimizer, everything, 1
        )
        result["steps"].append(
            {
                "normalization": normalization,
                "options": options_of(loss, optimizer),
                "losses": losses[0],
                "layers": parameters(net),
            }
        )
    for normalization, loss, turns in [
        ("rms", "logistic", everything),
        ("rms", "pair", in_turn),
        ("layernorm", "logistic", in_turn),
        ("none", "pair", everything),
        ("kept 1", "logistic", in_turn),
        ("kept 0.4", "pair", everything),
    ]:
        net, losses = train_run(inputs, x, y, normalization, loss, "adam", turns, STEPS)
        result["runs"].append(
            {
                "normalization": normalization,
                "options": options_of(loss, "adam"),
                "turns": turns,
                "losses": losses,
                "goodness": goodness_by_layer(net, x),
            }
        )
    result["judged"] = []
    for (goodness, sign), loss in product(JUDGED, ("logistic", "pair")):
        net, losses = train_run(
            inputs, x, y, "rms", loss, "adam", everything, STEPS, goodness, sign
        )
        result["judged"].append(
            {
                "normalization": "rms",
                "options": options_of(loss, "adam"),
                "judge": {"goodness": goodness, "sign": sign},
                "losses": losses,
                "scores": goodness_by_layer(net, x),
            }
        )
    return result


if __name__ == "__main__":
    text = json.dumps(content(), separators=(",", ":"))
    TARGET.write_text(f"{text}\n", encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
