"""How `rivals` came by its settings: twelve tries for each method, judged on the validation split alone.

Four learning rates for each, times three values of one more setting: dropped pixels for Forward-Forward and for
backpropagation, the step of the highest target for both target propagations. The control has no second setting.
A try is short: 20,000 images, 5 epochs, one seed. Which values to try was settled by some two dozen rougher tries.
"""

from experiments import rivals

TITLE = "Forward-Forward and its rivals: the tries on the validation split"
PAPER = None
CONFIGURATION = rivals.CONFIGURATION | {"images": 20000, "epochs": 5, "judge every": 1000}
SEEDS = (0,)
STAGES = ("validation",)
Trial = rivals.Trial

RATES = 0.0003, 0.001, 0.003, 0.01
SECOND = {
    "Forward-Forward": ("dropped pixels", (0.0, 0.1, 0.2)),
    "backpropagation": ("dropped pixels", (0.0, 0.1, 0.2)),
    "target propagation": ("step", (10, 100, 1000)),
    "difference target propagation": ("step", (0.01, 0.1, 1)),
}
VARIANTS = {
    f"{method}: lr {lr:g}, {name} {value:g}": {"method": method, "lr": lr, name: value}
    for method, (name, values) in SECOND.items()
    for lr in RATES
    for value in values
} | {f"scores alone: lr {lr:g}": {"method": "scores alone", "lr": lr} for lr in (0.003, 0.01, 0.03, 0.1)}
