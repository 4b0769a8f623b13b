"""The module behind The Forward-Forward Book: one file per chapter.

Here are the names of chapters 01 to 06, and what keeps and compares nets. Those of the
later chapters are imported from their file: `from ffutils.rivals import MLP`.
"""

import torch

from ffutils.checks import check_number_formats
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

# Before the next line, or some versions of NumPy warn of it when they are first asked.
check_number_formats()
# Numbers below 1e-38 count as 0 from here on, in this process. As training goes on they
# turn up in gradients and in Adam's averages, and a CPU is so slow with them that an
# epoch comes to take twice as long; the weights are the same without them.
torch.set_flush_denormal(True)

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
