"""The module behind The Forward-Forward Book: one file per chapter.

Here are the names of chapters 01 to 06, and what keeps and compares nets. Those of the
later chapters are imported from their file: `from ffutils.rivals import MLP`.
"""

from ffutils.compare import compare
from ffutils.data import (
    Split,
    batches,
    load_dataset,
    load_digits,
    load_mnist,
    split_validation,
)
from ffutils.labels import neutral, overlay, wrong_labels
from ffutils.layers import FFLayer, FFNet, goodness, normalize
from ffutils.prediction import (
    error_rate,
    fit_softmax,
    label_goodness,
    label_goodness_per_layer,
    layer_errors,
    neutral_activations,
    predict,
)
from ffutils.recipe import (
    RECIPE,
    cosine_decay,
    drop_pixels,
    hard_negatives,
    jitter,
    label_goodness_first_layer,
    pair_loss,
    sample_wrong_labels,
)
from ffutils.results import load_results
from ffutils.saving import load_net, save_net
from ffutils.tables import Table
from ffutils.training import (
    logistic_loss,
    random_negatives,
    set_lr,
    train,
    train_batch,
    train_epoch,
    train_layer,
)

__all__ = [
    "RECIPE", "FFLayer", "FFNet", "Split", "Table", "batches", "compare",
    "cosine_decay", "drop_pixels", "error_rate", "fit_softmax", "goodness",
    "hard_negatives", "jitter", "label_goodness", "label_goodness_first_layer",
    "label_goodness_per_layer", "layer_errors", "load_dataset", "load_digits",
    "load_mnist", "load_net", "load_results", "logistic_loss", "neutral",
    "neutral_activations", "normalize", "overlay", "pair_loss", "predict",
    "random_negatives", "sample_wrong_labels", "save_net", "set_lr",
    "split_validation", "train", "train_batch", "train_epoch", "train_layer",
    "wrong_labels",
]  # fmt: skip
