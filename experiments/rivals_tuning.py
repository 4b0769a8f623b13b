"""How `rivals` came by its settings: tries for each method, on the validation split.

Four learning rates for each, times three values of one more setting: dropped pixels for
Forward-Forward and for backpropagation, the step of the highest target for both target
propagations. The control has no second setting. A try is short: 20,000 images, 5
epochs, one seed. Which values to try was settled by some two dozen rougher tries.
"""

from experiments import rivals

TITLE = "Forward-Forward and its rivals: the tries on the validation split"
PAPER = None
CONFIGURATION = rivals.CONFIGURATION | {
    "images": 20000,
    "epochs": 5,
    "eval_every": 1000,
}
SEEDS = (0,)
STAGES = ("validation",)
Trial = rivals.Trial

RATES = 0.0003, 0.001, 0.003, 0.01
SECOND = {
    "Forward-Forward": ("dropped_pixels", (0.0, 0.1, 0.2)),
    "backpropagation": ("dropped_pixels", (0.0, 0.1, 0.2)),
    "target propagation": ("step", (10, 100, 1000)),
    "difference target propagation": ("step", (0.01, 0.1, 1)),
}


def title(method, lr, key, value):
    return f"{method}: lr {lr:g}, {key.replace('_', ' ')} {value:g}"


VARIANTS = {
    title(method, lr, key, value): {"method": method, "lr": lr, key: value}
    for method, (key, values) in SECOND.items()
    for lr in RATES
    for value in values
} | {
    f"output layer alone: lr {lr:g}": {"method": "output layer alone", "lr": lr}
    for lr in (0.003, 0.01, 0.03, 0.1)
}
