"""Chapter 06's recipe without jitter: three layers that know nothing of the plane in which the pixels lie."""

from experiments import supervised
from experiments.supervised import Trial

__all__ = ["CONFIGURATION", "PAPER", "SEEDS", "STAGES", "TITLE", "VARIANTS", "Trial"]

TITLE = "Supervised, chapter 06's recipe, permutation-invariant"
PAPER = {"section": "3.3", "test error": 1.36}
CONFIGURATION = supervised.RECIPE | {
    "network": [784, 1000, 1000, 1000],
    "dropped pixels": 0.3,  # chosen on the validation split, as were the width and the batch
    "epochs": 80,
    "matrix products": "bfloat16",
    "judge every": 20,
}
VARIANTS = {"": {}}
SEEDS = (0, 1, 2)
STAGES = ("test",)
