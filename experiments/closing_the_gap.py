"""Chapter 06's recipe without jitter: layers that know nothing of the image's plane."""

from experiments import supervised
from experiments.supervised import Trial

__all__ = ["CONFIGURATION", "PAPER", "SEEDS", "STAGES", "TITLE", "VARIANTS", "Trial"]

TITLE = "Supervised, chapter 06's recipe, permutation-invariant"
PAPER = {"section": "3.3", "test_error": 1.36}
CONFIGURATION = supervised.RECIPE | {
    "network": [784, 1000, 1000, 1000],
    # Chosen on the validation split, as were the width and the batch size.
    "dropped_pixels": 0.3,
    "epochs": 80,
    "precision": "bfloat16",
    "eval_every": 20,
}
VARIANTS = {"default": {}}
SEEDS = (0, 1, 2)
STAGES = ("test",)
