"""Chapter 06's recipe on images shifted by up to two pixels (§3.3's longest run).

Fewer epochs than the paper's 500, and layers of half the width.
"""

from experiments import supervised
from experiments.supervised import Trial

__all__ = ["CONFIGURATION", "PAPER", "SEEDS", "STAGES", "TITLE", "VARIANTS", "Trial"]

TITLE = "Supervised, chapter 06's recipe, jittered"
PAPER = {"section": "3.3", "test_error": 0.64}
CONFIGURATION = supervised.RECIPE | {
    "network": [784, 1000, 1000, 1000],
    "paper_network": "4 layers of 2000, 500 epochs",
    "jitter": 2,
    "epochs": 60,
    "precision": "bfloat16",
    "eval_every": 15,
}
VARIANTS = {"default": {}, "more epochs": {"epochs": 150, "eval_every": 50}}
SEEDS = (0,)
STAGES = ("test",)
