"""Epochs that each method of chapter 12 needs to an error, with chapter 06's jitter.

`benchmark` reads them. Each method has the learning rate and the step that were best
for it in `rivals_tuning`, and jitter in place of dropped pixels.
"""

from experiments import rivals

TITLE = "Epochs to an error: Forward-Forward and its rivals, jittered"
PAPER = None
CONFIGURATION = rivals.CONFIGURATION | {
    "jitter": 1,
    "dropped_pixels": 0.0,
    "epochs": 10,
}
VARIANTS = {
    method: changes | {"dropped_pixels": 0.0}
    for method, changes in rivals.VARIANTS.items()
    if method != "output layer alone"
}
SEEDS = (0, 1, 2)
STAGES = ("validation_and_test",)
Trial = rivals.Trial
