"""Three layers of local fields without shared weights, on the paper's grid (§3.2)."""

from experiments import unsupervised
from experiments.unsupervised import Trial

__all__ = ["CONFIGURATION", "PAPER", "SEEDS", "STAGES", "TITLE", "VARIANTS", "Trial"]

TITLE = "Unsupervised, hybrid images, local fields"
PAPER = {"section": "3.2", "test_error": 1.16}
CONFIGURATION = unsupervised.RECIPE | {
    "network": "4x4x128, 3x3x220, 2x2x512",
    "grids": [[28, 1, 10, 6, 128], [4, 128, 2, 1, 220], [3, 220, 2, 1, 512]],
    "epochs": 60,
}
VARIANTS = {"default": {}}
SEEDS = (0,)
STAGES = ("test",)
