"""What each trick of chapter 06 is worth: alone, on top of those before it, taken away.

Every row is trained on 50,000 images for 5 epochs and evaluated on the other 10,000
and, once, on the test set.
"""

from experiments import supervised

TITLE = "Ablation of chapter 06's recipe"
PAPER = None
CONFIGURATION = supervised.RECIPE | {"jitter": 1, "epochs": 5, "precision": "bfloat16"}
SEEDS = (0, 1, 2)
STAGES = ("validation_and_test",)
Trial = supervised.Trial

PLAIN = {
    "loss": "logistic", "scale": 0, "negatives": "random", "lr": 0.001,
    "lr_schedule": "constant", "jitter": 0,
}  # fmt: skip
PUBLISHED = PLAIN | {
    "normalization": "length 1", "threshold": 2, "scale": 1, "negatives": "fixed",
    "lr": 0.03,
}  # fmt: skip
DECAY = {"lr": 0.003, "lr_schedule": "half cosine"}
HARD = {"negatives": "hard, layer 1"}
PAIR = {"loss": "pair", "scale": 30}

LADDER = {
    "as published": PUBLISHED,
    "RMS 1": PUBLISHED | {"normalization": "RMS 1", "lr": 0.001},
    "one θ per unit": PLAIN | {"negatives": "fixed"},
    "fresh negatives (part 1)": PLAIN,
    "hard negatives": PLAIN | HARD,
    "pair loss": PLAIN | HARD | PAIR,
    "cosine decay": PLAIN | HARD | PAIR | DECAY,
    "jitter (the recipe)": {},
}
ALONE = {
    "hard negatives": PLAIN | HARD,
    "hard negatives, from a softmax": PLAIN | {"negatives": "hard, softmax"},
    "label strength 3": PLAIN | {"label_strength": 3},
    "pair loss": PLAIN | PAIR,
    "cosine decay": PLAIN | DECAY,
    "dropped pixels 0.3": PLAIN | {"dropped_pixels": 0.3},
    "jitter": PLAIN | {"jitter": 1},
    "width 1000": PLAIN | {"network": [784, 1000, 1000, 1000]},
}
CHANGED = {
    "random negatives": {"negatives": "random"},
    "negatives from a softmax": {"negatives": "hard, softmax"},
    "negatives from all layers": {"negatives": "hard, all layers"},
    "logistic loss": {"loss": "logistic", "scale": 0},
    "no cosine decay": {"lr": 0.001, "lr_schedule": "constant"},
    "label strength 3": {"label_strength": 3},
    "label strength 10": {"label_strength": 10},
    "no jitter": {"jitter": 0},
    "dropped pixels 0.3 for jitter": {"jitter": 0, "dropped_pixels": 0.3},
    "width 250": {"network": [784, 250, 250, 250]},
    "width 1000": {"network": [784, 1000, 1000, 1000]},
    "one layer": {"network": [784, 500]},
    "two layers": {"network": [784, 500, 500]},
    "five layers": {"network": [784, 500, 500, 500, 500, 500]},
    "upper layers frozen": {"frozen": [1, 2]},
    "margin of the layers below": {"margin": 1},
    "upper layers at a third of the rate": {"upper_lr_factor": 1 / 3},
    "upper layers at three times the rate": {"upper_lr_factor": 3},
}


def named(kind, rows):
    """The rows of a kind under their full names, less those of the ladder."""
    return {
        f"{kind}: {name}": changes
        for name, changes in rows.items()
        if changes not in LADDER.values()
    }


VARIANTS = (
    {f"ladder: {name}": changes for name, changes in LADDER.items()}
    | named("alone", ALONE)
    | named("changed", CHANGED)
)
