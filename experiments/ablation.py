"""What each trick of chapter 06 is worth: alone on the plain recipe, on top of those before it, and taken away.

Every row is trained on 50,000 images for 5 epochs and judged on the 10,000 held out and, once, on the test set.
"""

from experiments import supervised

TITLE = "Ablation of chapter 06's recipe"
PAPER = None
CONFIGURATION = supervised.RECIPE | {"jitter": 1, "epochs": 5, "matrix products": "bfloat16"}
SEEDS = (0, 1, 2)
STAGES = ("held out",)
Trial = supervised.Trial

PLAIN = {
    "loss": "logistic", "scale": 0, "negatives": "random", "lr": 0.001, "schedule": "constant", "jitter": 0,
}  # fmt: skip
PUBLISHED = PLAIN | {"input": "length 1", "threshold": 2, "scale": 1, "negatives": "drawn once", "lr": 0.03}
COOL = {"lr": 0.003, "schedule": "half a cosine"}
HARD = {"negatives": "hard, by the first layer"}
PAIR = {"loss": "pair", "scale": 30}

LADDER = {
    "as published": PUBLISHED,
    "RMS 1": PUBLISHED | {"input": "root mean square 1", "lr": 0.001},
    "one θ per unit": PLAIN | {"negatives": "drawn once"},
    "fresh negatives (part 1)": PLAIN,
    "hard negatives": PLAIN | HARD,
    "pair loss": PLAIN | HARD | PAIR,
    "cool-down": PLAIN | HARD | PAIR | COOL,
    "jitter (the recipe)": {},
}
ALONE = {
    "hard negatives": PLAIN | HARD,
    "hard negatives, by a softmax": PLAIN | {"negatives": "hard, by a softmax"},
    "label strength 3": PLAIN | {"label strength": 3},
    "pair loss": PLAIN | PAIR,
    "cool-down": PLAIN | COOL,
    "dropped pixels 0.3": PLAIN | {"dropped pixels": 0.3},
    "jitter": PLAIN | {"jitter": 1},
    "width 1000": PLAIN | {"network": [784, 1000, 1000, 1000]},
}
CHANGED = {
    "random negatives": {"negatives": "random"},
    "negatives by a softmax": {"negatives": "hard, by a softmax"},
    "negatives by all layers": {"negatives": "hard, by all layers"},
    "logistic loss": {"loss": "logistic", "scale": 0},
    "no cool-down": {"lr": 0.001, "schedule": "constant"},
    "label strength 3": {"label strength": 3},
    "label strength 10": {"label strength": 10},
    "no jitter": {"jitter": 0},
    "dropped pixels 0.3 for jitter": {"jitter": 0, "dropped pixels": 0.3},
    "width 250": {"network": [784, 250, 250, 250]},
    "width 1000": {"network": [784, 1000, 1000, 1000]},
    "one layer": {"network": [784, 500]},
    "two layers": {"network": [784, 500, 500]},
    "five layers": {"network": [784, 500, 500, 500, 500, 500]},
    "upper layers frozen": {"frozen": [1, 2]},
    "margin of those below": {"margin": 1},
    "upper layers at a third of the rate": {"upper rate": 1 / 3},
    "upper layers at three times the rate": {"upper rate": 3},
}
VARIANTS = (
    {f"ladder: {name}": changes for name, changes in LADDER.items()}
    | {f"alone: {name}": changes for name, changes in ALONE.items() if changes not in LADDER.values()}
    | {f"changed: {name}": changes for name, changes in CHANGED.items() if changes not in LADDER.values()}
)
