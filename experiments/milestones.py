"""How many epochs each method of chapter 12 needs to reach an error, with chapter 06's jitter: what `benchmark` reads.

Each has the learning rate and the step that were best for it in `rivals_tuning`, and jitter in place of dropped pixels.
"""

from experiments import rivals

TITLE = "Epochs to an error: Forward-Forward and its rivals, jittered"
PAPER = None
CONFIGURATION = rivals.CONFIGURATION | {"jitter": 1, "dropped pixels": 0.0, "epochs": 10}
VARIANTS = {
    method: changes | {"dropped pixels": 0.0}
    for method, changes in rivals.VARIANTS.items()
    if changes["method"] != "scores alone"
}
SEEDS = (0, 1, 2)
STAGES = ("held out",)
Trial = rivals.Trial
