"""The module behind The Forward-Forward Book: one file per chapter, and here the names of chapters 01 to 06.

Those of the later chapters are imported from their file: `from ffutils.rivals import train_backprop`.
"""

from ffutils.data import Split, batches, hold_out, load_dataset, load_digits, load_mnist
from ffutils.labels import neutral, overlay, wrong_labels
from ffutils.layers import FFLayer, FFNet, goodness, normalize
from ffutils.prediction import (
    error_rate,
    fit_softmax,
    label_goodness,
    layer_goodness,
    neutral_activities,
    predict,
)
from ffutils.recipe import (
    RECIPE,
    cool_down,
    draw_wrong,
    drop_pixels,
    first_layer_goodness,
    hard_labels,
    jitter,
    pair_loss,
)
from ffutils.results import load_results
from ffutils.training import logistic_loss, random_negatives, train, train_batch, train_epoch, train_layer

__all__ = [
    "RECIPE", "FFLayer", "FFNet", "Split", "batches", "cool_down", "draw_wrong", "drop_pixels", "error_rate",
    "first_layer_goodness", "fit_softmax", "goodness", "hard_labels", "hold_out", "jitter", "label_goodness",
    "layer_goodness", "load_dataset", "load_digits", "load_mnist", "load_results", "logistic_loss", "neutral",
    "neutral_activities", "normalize", "overlay", "pair_loss", "predict", "random_negatives", "train",
    "train_batch", "train_epoch", "train_layer", "wrong_labels",
]  # fmt: skip
