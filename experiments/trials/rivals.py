"""Forward-Forward, backpropagation, two kinds of target propagation (chapter 12).

Same data, widths, epochs and number of tries: each has the settings that were best for
it in `rivals_tuning`, where each was given twelve tries. Two controls give
backpropagation what its rivals have beside their method: Forward-Forward's normalised
images and initial weights, or the network of target propagation. Both target
propagations were then given twelve more, with a learning rate for their inverses and
dropped pixels. The third control trains nothing but the output layer, on hidden layers
at their random initial weights.
"""

from __future__ import annotations

import functools
import time
from typing import Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from experiments.experiment import Config, Experiment, Fraction, Widths, checked
from experiments.trials.shared import NetTrial, judge
from ffutils import (
    FFNet,
    Split,
    batches,
    cosine_decay,
    drop_pixels,
    hard_negatives,
    jitter,
    pair_loss,
    train_epoch,
)
from ffutils.rivals import (
    MLP,
    NormalizedMLP,
    TargetPropNet,
    backprop_step,
    target_optimizers,
    target_step,
)
from ffutils.training import set_lr

TARGETS = "target propagation", "difference target propagation"


class TanhNet(TargetPropNet):
    """The network of target propagation, for backpropagation."""

    def forward(self, x):  # nothing is detached
        for layer in self.layers:
            x = self.activation(layer(x))
        return self.output(x)


BACKPROP = {
    "backpropagation": MLP,
    "backpropagation, normalised": NormalizedMLP,
    "backpropagation, tanh network": TanhNet,
}


@checked
class RivalsConfig(Config):
    """What the methods share.

    Attributes:
        network: and ten scores, but for Forward-Forward.
        images: of the split, the first so many.
        scale: of Forward-Forward's loss on pairs.
        step: of target propagation's highest target.
        noise: near the states, where the inverses learn.
        inverse_lr_factor: the inverses' learning rate, over that of all else.
    """

    method: Literal[
        "Forward-Forward",
        "backpropagation",
        "backpropagation, normalised",
        "backpropagation, tanh network",
        "target propagation",
        "difference target propagation",
        "output layer alone",
    ]
    network: Widths = (784, 500, 500, 500)
    images: PositiveInt = 50000
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.003
    lr_schedule: Literal["half cosine"] = "half cosine"
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 20
    dropped_pixels: Fraction = 0.0
    jitter: NonNegativeInt = 0
    scale: PositiveFloat = 30.0
    step: PositiveFloat = 0.1
    noise: NonNegativeFloat = 0.1
    inverse_lr_factor: PositiveFloat = 1.0


class RivalsTrial(NetTrial):
    def __init__(self, config: RivalsConfig, split):
        self.config = config
        self.split = Split(*(tensor[: config.images] for tensor in split))
        self.cpu_seconds = 0.0
        sizes, device = config.network, split.images.device
        match config.method:
            case "Forward-Forward":
                self.net = FFNet(*sizes).to(device)
                self.optimizers = [
                    torch.optim.Adam(layer.parameters()) for layer in self.net.layers
                ]
            case method if method in BACKPROP:
                self.net = BACKPROP[method](*sizes).to(device)
                self.optimizers = [torch.optim.Adam(self.net.parameters())]
            case "target propagation" | "difference target propagation":
                self.net = TargetPropNet(*sizes).to(device)
                self.optimizers = list(target_optimizers(self.net))
            case "output layer alone":
                self.net = TargetPropNet(*sizes).to(device)
                self.optimizers = [torch.optim.Adam(self.net.output.parameters())]

    def train_epoch(self, epoch):
        c, started = self.config, time.process_time()
        lr = c.lr * cosine_decay(epoch / c.epochs)
        set_lr(self.optimizers, lr)
        if c.method in TARGETS:
            set_lr(self.optimizers[:1], lr * c.inverse_lr_factor)
        if c.method == "Forward-Forward":
            losses = train_epoch(
                self.net, self.optimizers, self.split, range(len(self.net.layers)),
                c.batch_size, functools.partial(pair_loss, scale=c.scale),
                hard_negatives, self.augment,
            )  # fmt: skip
        else:
            total = 0
            for x, y in batches(self.split, c.batch_size):
                total += len(x) * self.train_step(self.augment(x), y)
            losses = total / len(self.split.labels)
        self.cpu_seconds += time.process_time() - started
        return losses

    def train_step(self, x, y):
        c = self.config
        # No gradient passes the hidden layers of a TargetPropNet.
        if c.method in (*BACKPROP, "output layer alone"):
            return backprop_step(self.net, self.optimizers[0], x, y)
        difference = c.method == "difference target propagation"
        return target_step(self.net, self.optimizers, x, y, c.step, difference, c.noise)

    def augment(self, x):
        c = self.config
        x = jitter(x, c.jitter) if c.jitter else x
        return drop_pixels(x, c.dropped_pixels) if c.dropped_pixels else x

    @torch.no_grad()
    def errors(self, split):
        """The errors, and the seconds of CPU that the training has taken."""
        if self.config.method == "Forward-Forward":
            found = super().errors(split)
        else:
            found = judge({"output layer": self.net(split.images)}, split.labels)
        return found | {"cpu_seconds": round(self.cpu_seconds, 1)}

    def state_dict(self):
        return super().state_dict() | {"cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.cpu_seconds = state["cpu_seconds"]


# ---- Experiments

METHODS = {
    "Forward-Forward": {
        "method": "Forward-Forward", "lr": 0.003, "dropped_pixels": 0.1,
    },
    "backpropagation": {
        "method": "backpropagation", "lr": 0.003, "dropped_pixels": 0.1,
    },
    "target propagation": {"method": "target propagation", "lr": 0.003, "step": 100},
    "difference target propagation": {
        "method": "difference target propagation", "lr": 0.003,
    },
    "output layer alone": {"method": "output layer alone", "lr": 0.03},
    "backpropagation, normalised": {
        "method": "backpropagation, normalised", "lr": 0.003, "dropped_pixels": 0.2,
    },
    "backpropagation, tanh network": {
        "method": "backpropagation, tanh network", "lr": 0.003,
    },
}  # fmt: skip

# The best of twelve more tries of `targets_tuning`, for both: the same rate for the
# inverses, and a tenth of the pixels dropped.
DROPPED = {
    f"{method}, pixels dropped": METHODS[method] | {"dropped_pixels": 0.1}
    for method in TARGETS
}

RIVALS = Experiment(
    name="rivals",
    title="Forward-Forward and its rivals, permutation-invariant",
    trial=RivalsTrial,
    config=RivalsConfig(method="Forward-Forward", eval_every=1),
    variants=METHODS | DROPPED,
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.5,
)

# How `rivals` came by its settings: four learning rates for each method, times three
# values of one more setting: dropped pixels for Forward-Forward and for
# backpropagation, the step of the highest target for both target propagations. The
# output layer alone has no second setting. Which values to try was settled by some two
# dozen rougher tries.
RATES = 0.0003, 0.001, 0.003, 0.01
SECOND = {
    "Forward-Forward": ("dropped_pixels", (0.0, 0.1, 0.2)),
    "backpropagation": ("dropped_pixels", (0.0, 0.1, 0.2)),
    "target propagation": ("step", (10, 100, 1000)),
    "difference target propagation": ("step", (0.01, 0.1, 1)),
    "backpropagation, normalised": ("dropped_pixels", (0.0, 0.1, 0.2)),
    "backpropagation, tanh network": ("dropped_pixels", (0.0, 0.1, 0.2)),
}


def title(method, lr, key, value):
    return f"{method}: lr {lr:g}, {key.replace('_', ' ')} {value:g}"


RIVALS_TUNING = Experiment(
    name="rivals_tuning",
    title="Forward-Forward and its rivals: the tries on the validation split",
    trial=RivalsTrial,
    config=RivalsConfig(method="Forward-Forward", images=20000, epochs=5),
    variants={
        title(method, lr, key, value): {"method": method, "lr": lr, key: value}
        for method, (key, values) in SECOND.items()
        for lr in RATES
        for value in values
    }
    | {
        f"output layer alone: lr {lr:g}": {"method": "output layer alone", "lr": lr}
        for lr in (0.003, 0.01, 0.03, 0.1)
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.2,
)

# Target propagation has a second net to train, whose rate was that of the first; and it
# had no pixels dropped. So it was given twelve more tries, at its best of the others.
TARGETS_TUNING = Experiment(
    name="targets_tuning",
    title="Target propagation: a rate for its inverses, dropped pixels, the tries",
    trial=RivalsTrial,
    config=RIVALS_TUNING.config,
    variants={
        f"{method}: inverses {factor:g} times the lr, dropped pixels {dropped:g}": {
            **METHODS[method], "inverse_lr_factor": factor, "dropped_pixels": dropped,
        }
        for method in TARGETS
        for factor in (0.1, 0.3, 1, 3)
        for dropped in (0.0, 0.1, 0.2)
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.4,
)  # fmt: skip
