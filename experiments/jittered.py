"""Chapter 06's recipe on images that are shifted by up to two pixels, as in the paper's longest run (§3.3).

Fewer epochs than the paper's 500, and layers of half the width.
"""

from experiments import supervised
from experiments.supervised import Trial

__all__ = ["CONFIGURATION", "PAPER", "SEEDS", "STAGES", "TITLE", "VARIANTS", "Trial"]

TITLE = "Supervised, chapter 06's recipe, jittered"
PAPER = {"section": "3.3", "test error": 0.64}
CONFIGURATION = supervised.RECIPE | {
    "network": [784, 1000, 1000, 1000],
    "paper's size": "4 layers of 2000, 500 epochs",
    "jitter": 2,
    "epochs": 60,
    "matrix products": "bfloat16",
    "judge every": 15,
}
VARIANTS = {"": {}, "more epochs": {"epochs": 150, "judge every": 50}}
SEEDS = (0,)
STAGES = ("test",)
