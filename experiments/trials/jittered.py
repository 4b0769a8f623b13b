"""Images shifted by up to 2 pixels, as in the paper's longest run (§3.3).

Smaller and shorter than the paper's 4 layers of 2000 in 500 epochs, and trained by
chapter 06's loss on pairs. The negatives of Forward-Forward are hard for the whole net.
Each method has four tries, of 40 epochs; backpropagation normalised has
Forward-Forward's normalised images and initial weights.
"""

from experiments.experiment import Experiment, Paper
from experiments.trials.fast import FastConfig, FastTrial

CONFIG = FastConfig(
    method="backpropagation", network=(784, 500, 500, 500), jitter=2, epochs=100,
    eval_every=20,
)  # fmt: skip
RATES = {
    "label in the image": (0.002, 0.004),
    "backpropagation": (0.001, 0.002),
    "backpropagation, normalised": (0.001, 0.002),
}

JITTERED_TUNING = Experiment(
    name="jittered_tuning",
    title="Shifted by up to 2 pixels: the tries",
    trial=FastTrial,
    config=CONFIG.changed(epochs=40, eval_every=1000),
    variants={
        f"{method}: dropped {dropped:g}, lr {lr:g}": {
            "method": method, "dropped_pixels": dropped, "lr": lr,
        }
        for method, rates in RATES.items()
        for dropped in (0.0, 0.2)
        for lr in rates
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.35,
)  # fmt: skip

JITTERED = Experiment(
    name="jittered",
    title="Shifted by up to 2 pixels: Forward-Forward and backpropagation",
    paper=Paper(section="3.3", test_error=0.64, network="4 layers of 2000, 500 epochs"),
    trial=FastTrial,
    config=CONFIG,
    variants={
        "label in the image": {"method": "label in the image", "lr": 0.002},
        "backpropagation": {"dropped_pixels": 0.2, "lr": 0.002},
        "backpropagation, normalised": {
            "method": "backpropagation, normalised", "lr": 0.002,
        },
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.7,
)  # fmt: skip
