"""The module behind the Forward-Forward book: one file per chapter of its first part, and chapter 06's recipe, in reading order."""

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
from ffutils.recipe import RECIPE, cool_down, drop_pixels, first_layer_goodness, hard_labels, jitter, pair_loss
from ffutils.results import load_results
from ffutils.training import logistic_loss, random_negatives, train, train_batch, train_epoch, train_layer

__all__ = [
    "RECIPE", "cool_down", "drop_pixels", "first_layer_goodness", "hard_labels", "jitter", "load_results", "pair_loss",
    "FFLayer", "FFNet", "Split", "batches", "error_rate", "fit_softmax", "goodness", "hold_out", "label_goodness",
    "layer_goodness", "load_dataset", "load_digits", "load_mnist", "logistic_loss", "neutral", "neutral_activities",
    "normalize", "overlay", "predict", "random_negatives", "train", "train_batch", "train_epoch", "train_layer", "wrong_labels",
]  # fmt: skip
