"""Four fully connected layers that learn without labels (§3.2), at half its width."""

from experiments import unsupervised
from experiments.unsupervised import Trial

__all__ = ["CONFIGURATION", "PAPER", "SEEDS", "STAGES", "TITLE", "VARIANTS", "Trial"]

TITLE = "Unsupervised, hybrid images, fully connected"
PAPER = {"section": "3.2", "test_error": 1.37}
CONFIGURATION = unsupervised.RECIPE | {
    "network": [784, 1000, 1000, 1000, 1000],
    "paper_network": "4 layers of 2000, 100 epochs",
    "grids": [[28, 1, 28, 1, 1000], *[[1, 1000, 1, 1, 1000]] * 3],
    "epochs": 40,
}
VARIANTS = {"default": {}}
SEEDS = (0,)
STAGES = ("test",)
