"""Epochs that each method needs to an error, with 1 pixel of jitter.

`benchmark` multiplies them by the seconds of an epoch. `milestones` has the methods of
chapter 12 as they are written there; `milestones_fast` has what chapter 07 compares by
the clock: Forward-Forward and its descendant, gradients written out, each beside
backpropagation, and each at the best of four learning rates.
"""

from experiments.experiment import Experiment
from experiments.trials.fast import FAST, FastConfig, FastTrial
from experiments.trials.rivals import (
    BACKPROP,
    METHODS,
    TARGETS,
    RivalsConfig,
    RivalsTrial,
)

MILESTONES = Experiment(
    name="milestones",
    title="Epochs to an error: Forward-Forward and its rivals, jittered",
    trial=RivalsTrial,
    config=RivalsConfig(method="Forward-Forward", jitter=1, epochs=10, eval_every=1),
    variants={
        method: METHODS[method] | {"dropped_pixels": 0.0}
        for method in ("Forward-Forward", *TARGETS, *BACKPROP)
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.55,
)

RATES = 0.001, 0.002, 0.004, 0.008  # equal tries: these four for each method

FAST_TUNING = Experiment(
    name="milestones_fast_tuning",
    title="Epochs to an error, gradients written out: the tries",
    trial=FastTrial,
    config=FastConfig(method="backpropagation", eval_every=1),
    variants={
        f"{method}: lr {lr:g}": {"method": method, "lr": lr}
        for method in (*FAST, "backpropagation, normalised")
        for lr in RATES
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.25,
)

# The best of the four tries: the fewest epochs to 1.5 % error, then the least error.
CHOSEN = {
    "backpropagation": 0.002,
    "label in the image": 0.002,
    "label in every layer": 0.004,
    "backpropagation, normalised": 0.002,
}

FAST_MILESTONES = Experiment(
    name="milestones_fast",
    title="Epochs to an error: gradients written out, beside backpropagation",
    trial=FastTrial,
    config=FastConfig(method="backpropagation", eval_every=1),
    variants={method: {"method": method, "lr": lr} for method, lr in CHOSEN.items()},
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.2,
)
