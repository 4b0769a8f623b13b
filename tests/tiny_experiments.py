"""The book's experiments at a size that trains in no time."""

import torch

from experiments.trials.sequences import SequencesTrial, load_strings
from ffutils import Split, load_digits

LOCAL = [[28, 1, 10, 6, 3], [4, 3, 2, 1, 4], [3, 4, 2, 1, 5]]
CONNECTED = [[28, 1, 28, 1, 24], *[[1, 24, 1, 1, 24]] * 3]


def tiny(config, epochs=3):
    """The same configuration with few units in each layer, and few epochs."""
    values = config.as_dict()
    changes = {"epochs": epochs, "batch_size": 20, "softmax_epochs": 1, "images": 50}
    changes |= {"side": 28, "units": 1}  # the maps of CIFAR-10, for images of 28×28
    if values.get("batch_size") == "all images":
        del changes["batch_size"]
    if "grids" in values:
        local = len(values["grids"]) == 3
        changes["grids"] = LOCAL if local else CONNECTED
        changes["network"] = "4x4x3, 3x3x4, 2x2x5" if local else [784, *[24] * 4]
    elif "network" in values:
        pixels, *widths = values["network"]
        classes = [10] if "damping" in values else []
        changes["network"] = [pixels, *[24] * (len(widths) - len(classes)), *classes]
    return config.changed(**{key: changes[key] for key in changes.keys() & values})


def make_splits(count=60):
    """Random images, always the same: a training and a test `Split`."""
    torch.manual_seed(0)
    images, labels = torch.rand(count, 784), torch.arange(count) % 10
    return Split(images, labels), Split(images[: count // 2], labels[: count // 2])


def few_digits(train=100, test=50):
    """Some of scikit-learn's digits, which a tiny net can tell apart."""
    splits = zip(load_digits(), (train, test), strict=True)
    return tuple(
        Split(split.images[:count], split.labels[:count]) for split, count in splits
    )


def few_examples(trial, train=100, test=50):
    """`few_digits`, or for the trial of text a few strings of it."""
    if trial is not SequencesTrial:
        return few_digits(train, test)
    return tuple(
        Split(split.images[:4], split.labels[:4]) for split in load_strings("cpu")
    )
