"""Chapter 06: nothing but dropped pixels against overfitting, three layers of 1000.

No method knows that pixels have neighbours: with the pixels shuffled, all would be as
good. Forward-Forward has one setting, with the learning rate of `affine`;
backpropagation has the best of four, and so has backpropagation normalised, with
Forward-Forward's normalised images and initial weights. The negatives of
Forward-Forward are hard for the whole net.
"""

from experiments.experiment import Experiment
from experiments.trials.fast import FastConfig, FastTrial

CONFIG = FastConfig(
    method="backpropagation", network=(784, 1000, 1000, 1000), jitter=0, epochs=60,
    eval_every=20,
)  # fmt: skip

METHODS = {"": {}, "normalised: ": {"method": "backpropagation, normalised"}}

PERMUTATION_TUNING = Experiment(
    name="permutation_tuning",
    title="Permutation-invariant: the tries of backpropagation",
    trial=FastTrial,
    config=CONFIG.changed(epochs=30, eval_every=1000),
    variants={
        f"{prefix}dropped {dropped:g}, lr {lr:g}": (
            method | {"dropped_pixels": dropped, "lr": lr}
        )
        for prefix, method in METHODS.items()
        for dropped in (0.2, 0.4)
        for lr in (0.001, 0.002)
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.7,
)

PERMUTATION_INVARIANT = Experiment(
    name="permutation_invariant",
    title="Permutation-invariant: Forward-Forward and backpropagation, dropped pixels",
    trial=FastTrial,
    config=CONFIG,
    variants={
        "label in the image": {
            "method": "label in the image", "dropped_pixels": 0.3, "lr": 0.002,
        },
        "backpropagation": {"dropped_pixels": 0.4, "lr": 0.002},
        "backpropagation, normalised": {
            "method": "backpropagation, normalised", "dropped_pixels": 0.4, "lr": 0.001,
        },
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=1.2,
)  # fmt: skip
