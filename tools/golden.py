"""Write what `ffutils` makes of fixed numbers, for the playground's JavaScript to be held to: python tools/golden.py

Everything is computed in float64, from numbers of Python's own generator, by the functions of the book: forward passes,
one training step of each loss, normalisation and optimiser, and short training runs. `tests/test_lab_golden.py` fails
when the file is old, and when the JavaScript comes to other numbers.
"""

import json
import random
from pathlib import Path

import torch
from torch.nn.functional import layer_norm

from ffutils.labels import overlay
from ffutils.layers import FFLayer, FFNet, normalize
from ffutils.prediction import layer_goodness
from ffutils.recipe import first_layer_goodness, pair_loss
from ffutils.training import logistic_loss, train_batch

TARGET = Path(__file__).resolve().parents[1] / "tests" / "lab" / "golden.json"
WIDTHS = [14, 8, 7, 6]  # ten inputs for the label, four for the data
ROWS, STEPS = 6, 25
NORMALISATIONS = {"none": lambda h: h, "rms": normalize, "layernorm": lambda h: layer_norm(h, h.shape[1:])}
LOSSES = {
    "logistic": {"threshold": 1.0},
    "logistic with another threshold": {"threshold": 2.5},
    "pair": {"scale": 30.0},
    "pair with another scale": {"scale": 4.0},
}
OPTIMISERS = {"sgd": (torch.optim.SGD, 0.05), "adam": (torch.optim.Adam, 0.01)}


class AnyLayer(FFLayer):
    """An `FFLayer` that normalises as it is told."""

    how = staticmethod(normalize)

    def forward(self, x):
        return torch.relu(torch.nn.functional.linear(self.how(x), self.weight, self.bias))


def make_inputs():
    """Weights, data and labels, as plain lists."""
    source = random.Random(0)
    layers = [
        {
            "weights": [source.gauss(0, (2 / below) ** 0.5) for _ in range(above * below)],
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
        "negatives": [[(label + source.randrange(1, 10)) % 10 for label in y] for _ in range(STEPS)],
    }


def make_net(inputs, normalisation):
    net = FFNet(*inputs["widths"]).double()
    if normalisation != "rms":
        for k, layer in enumerate(net.layers):
            net.layers[k] = AnyLayer(layer.in_features, layer.out_features).double()
            net.layers[k].how = NORMALISATIONS[normalisation]
    with torch.no_grad():
        for layer, values in zip(net.layers, inputs["layers"], strict=True):
            layer.weight.copy_(torch.tensor(values["weights"]).view_as(layer.weight))
            layer.bias.copy_(torch.tensor(values["bias"]))
    return net


def loss_of(name):
    function = logistic_loss if name.startswith("logistic") else pair_loss
    return lambda positive, negative: function(positive, negative, **LOSSES[name])


def flat(tensor):
    return [float(f"{value:.12g}") for value in tensor.detach().double().flatten().tolist()]


def parameters(net):
    return [{"weights": flat(layer.weight), "bias": flat(layer.bias)} for layer in net.layers]


def train_run(inputs, x, y, normalisation, loss, optimiser, turns, steps):
    """Losses of each step and the net afterwards; turns: which layers learn, a list for each share of the steps."""
    net = make_net(inputs, normalisation)
    kind, lr = OPTIMISERS[optimiser]
    optimizers = [kind(layer.parameters(), lr=lr) for layer in net.layers]
    losses = []
    for step in range(steps):
        trained = turns[step * len(turns) // steps]
        negative = overlay(x, torch.tensor(inputs["negatives"][step]))
        losses.append(flat(train_batch(net, optimizers, overlay(x, y), negative, trained, loss_of(loss))))
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
    result = {"inputs": inputs, "forward": {}, "steps": [], "runs": []}
    for normalisation in NORMALISATIONS:
        net = make_net(inputs, normalisation)
        by_label = layer_goodness(net, x)  # (rows, labels, layers)
        result["forward"][normalisation] = {
            "activities": [flat(h) for h in net(overlay(x, y))],
            "goodness": [flat(by_label[:, :, k]) for k in range(len(net.layers))],
        }
    shared = first_layer_goodness(make_net(inputs, "rms").layers[0], x)
    result["hard"] = {"goodness": flat(shared)}
    chances = (30 * shared).scatter(1, y[:, None], -torch.inf).softmax(dim=1)
    result["hard"]["chances"] = flat(chances)
    for normalisation in NORMALISATIONS:
        for loss, numbers in LOSSES.items():
            for optimiser, (_, lr) in OPTIMISERS.items():
                net, losses = train_run(inputs, x, y, normalisation, loss, optimiser, everything, 1)
                options = {"loss": loss.split()[0], **numbers, "optimiser": optimiser, "lr": lr}
                case = {"normalisation": normalisation, "options": options, "losses": losses[0]}
                result["steps"].append({**case, "layers": parameters(net)})
    for normalisation, loss, turns in [
        ("rms", "logistic", everything),
        ("rms", "pair", in_turn),
        ("layernorm", "logistic", in_turn),
        ("none", "pair", everything),
    ]:
        net, losses = train_run(inputs, x, y, normalisation, loss, "adam", turns, STEPS)
        options = {"loss": loss, **LOSSES[loss], "optimiser": "adam", "lr": OPTIMISERS["adam"][1]}
        by_label = layer_goodness(net, x)
        result["runs"].append(
            {
                "normalisation": normalisation,
                "options": options,
                "turns": turns,
                "losses": losses,
                "goodness": [flat(by_label[:, :, k]) for k in range(len(net.layers))],
            }
        )
    return result


if __name__ == "__main__":
    TARGET.write_text(json.dumps(content(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
