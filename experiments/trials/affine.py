"""Images turned, stretched, slanted and shifted: what `python -m ffutils` trains.

Forward-Forward, its descendant and backpropagation, each at the best of four rates and
for as many epochs as the command gives it, or for equally many.
"""

from __future__ import annotations

import math

import torch
from pydantic import NonNegativeFloat

from experiments.experiment import Experiment, Fraction, checked
from experiments.trials.fast import FastConfig, FastTrial
from ffutils.augment import affine


@checked
class AffineConfig(FastConfig):
    """What the methods share; `jitter` is the greatest shift, in pixels.

    Attributes:
        degrees: the most that an image is turned.
        share: the most that it is stretched or slanted.
        mirrored: whether half of the images, drawn anew, are mirrored left to right.
    """

    degrees: NonNegativeFloat = 12.0
    share: Fraction = 0.12
    mirrored: bool = False


class AffineTrial(FastTrial):
    def move(self, x):
        c = self.config
        x = mirror(x) if c.mirrored else x
        if c.degrees == c.share == c.jitter == 0:
            return x
        return affine(x, c.degrees, c.share, c.jitter)


def mirror(x):
    """New images (B, side · side); each is mirrored left to right with chance 1/2."""
    side = math.isqrt(x.shape[1])
    mirrored = x.view(-1, side, side).flip(-1).flatten(1)
    return torch.where(torch.rand(len(x), 1, device=x.device) < 0.5, mirrored, x)


CONFIG = AffineConfig(method="backpropagation", jitter=2, epochs=36)
# The command's epochs: one of FF costs twice one of the others.
EPOCHS = {
    "label in the image": 18, "label in every layer": 36, "backpropagation": 36,
    "backpropagation, normalised": 36,
}  # fmt: skip
RATES = 0.001, 0.002, 0.003, 0.006  # equal tries: these four for each method

AFFINE_TUNING = Experiment(
    name="affine_tuning",
    title="Images turned, stretched and shifted: the tries",
    trial=AffineTrial,
    config=CONFIG,
    variants={
        f"{method}: lr {lr:g}": {"method": method, "lr": lr, "epochs": EPOCHS[method]}
        for method in EPOCHS
        for lr in RATES
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.35,
)

# The best of the four tries, by the error of the sum or the output.
CHOSEN = {
    "label in the image": 0.002, "label in every layer": 0.002,
    "backpropagation": 0.001, "backpropagation, normalised": 0.001,
}  # fmt: skip

AFFINE = Experiment(
    name="affine",
    title="Images turned, stretched and shifted: Forward-Forward and backpropagation",
    trial=AffineTrial,
    config=CONFIG,
    variants={
        method: {"method": method, "lr": lr, "epochs": EPOCHS[method]}
        for method, lr in CHOSEN.items()
    }
    | {
        "label in the image, 36 epochs": {"method": "label in the image", "lr": 0.002},
        # Does depth pay? Controls of as many weights, 893,500.
        "one layer, as many weights, 36 epochs": {
            "method": "label in the image", "network": (784, 1138), "lr": 0.002,
        },
        "three independent layers, as many weights, 36 epochs": {
            "method": "independent layers", "network": (784, 379, 379, 379),
            "lr": 0.002,
        },
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.8,
)  # fmt: skip

# Four times as wide and as long, for a GPU. Nothing was tried at this size: the rate is
# half of what Forward-Forward took above.
AFFINE_WIDE = Experiment(
    name="affine_wide",
    title="Images turned, stretched and shifted: 3 layers of 2000, 150 epochs",
    trial=AffineTrial,
    config=CONFIG.changed(network=(784, 2000, 2000, 2000), lr=0.001, epochs=150),
    variants={
        "label in the image": {"method": "label in the image"},
        "backpropagation": {},
    },
    seeds=(0,),
    stages=("validation_and_test",),
    core_hours=0.08,
)

# ---- Clothes, which stand upright: half as much or none, mirrored or not

AMOUNTS = {
    "none": {"degrees": 0.0, "share": 0.0, "jitter": 0},
    "half": {"degrees": 6.0, "share": 0.06, "jitter": 1},
}
AMOUNTS["mirrored"] = AMOUNTS["none"] | {"mirrored": True}
AMOUNTS["half, mirrored"] = AMOUNTS["half"] | {"mirrored": True}

AFFINE_FASHION_TUNING = Experiment(
    name="affine_fashion_tuning",
    title="Fashion-MNIST, images varied by half as much, or not at all: the tries",
    trial=AffineTrial,
    config=CONFIG,
    variants={
        f"{method}: {amount}, lr {lr:g}": {
            "method": method, "lr": lr, **AMOUNTS[amount],
        }
        for method in EPOCHS
        for amount in AMOUNTS
        for lr in RATES[:2]
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.8,
    dataset="fashion",
)  # fmt: skip

# The best of the eight tries, by the error of the sum or the output.
CHOSEN_FASHION = {
    "label in the image": ("mirrored", 0.002),
    "backpropagation": ("mirrored", 0.001),
    "label in every layer": ("mirrored", 0.002),
    "backpropagation, normalised": ("half", 0.001),
}

AFFINE_FASHION = Experiment(
    name="affine_fashion",
    title="Fashion-MNIST: Forward-Forward and backpropagation at their best",
    trial=AffineTrial,
    config=CONFIG,
    variants={
        method: {"method": method, "lr": lr, **AMOUNTS[amount]}
        for method, (amount, lr) in CHOSEN_FASHION.items()
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.4,
    dataset="fashion",
)
