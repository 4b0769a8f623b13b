"""Your version against the book's: train both small, see each layer."""

from __future__ import annotations

import copy
import time

import torch

from ffutils.data import Split, load_dataset, split_validation
from ffutils.layers import FFNet
from ffutils.prediction import layer_errors
from ffutils.tables import Table
from ffutils.training import train

# What `compare` understands, and whom it is handed to.
OF_THE_NET = ("overlay", "normalize", "goodness", "n_classes", "label_strength")


def compare(
    book: dict | None = None,
    yours: dict | None = None,
    sizes: tuple = (200, 200),
    images: int = 20_000,
    epochs: int = 8,
    seeds: tuple = (0, 1),
    device: str | torch.device | None = None,
) -> Table:
    """Train a net of each version for each seed, and show every layer's error.

    `compare({}, {"goodness": mine})` sets an edited goodness beside the book's. Both
    versions get the same images, first weights and batches; it takes some twelve
    seconds on two idle CPU cores.

    Args:
        book, yours: what is handed to `FFNet` (overlay, normalize, goodness,
            n_classes, label_strength) and to `train` (anything else, such as loss_fn or
            lr); "sizes" gives a version layers of its own, with the weights they have.
        sizes: the layers above the pixels, as `FFNet` takes them.
        images: how many training images; the error is that on 2,000 others, which were
            set aside for validation.
        epochs, seeds: of each training.
        device: CUDA where there is one, unless given.

    Returns:
        A table with a column for each version and seed, which a notebook renders.

    Raises:
        TypeError, ValueError: for a setting that neither `FFNet` nor `train` knows.

    Source: chapters 03 to 05.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    name, everything, _ = load_dataset(device=device)
    part, validation = split_validation(everything)
    part = Split(part.images[:images], part.labels[:images])
    judged = Split(validation.images[:2000], validation.labels[:2000])
    if name == "digits":  # so few images want more epochs
        epochs = 10 * epochs
    columns, started = {}, time.perf_counter()
    for seed in seeds:
        for title, version in (("book", book or {}), ("yours", yours or {})):
            settings = {"sizes": sizes, "epochs": epochs, "progress": False} | version
            of_net = {k: settings.pop(k) for k in OF_THE_NET if k in settings}
            torch.manual_seed(seed)
            layers = copy.deepcopy(settings.pop("sizes"))  # each seed starts afresh
            with torch.device("cpu"):
                net = FFNet(part.images.shape[1], *layers, **of_net)
            losses = train(net.to(device), part, **settings)
            if losses.isnan().any() and "on_epoch" not in settings:
                raise KeyboardInterrupt("stopped: there is nothing to compare yet")
            columns[f"{title}, seed {seed}"] = layer_errors(net, judged)
    seconds = time.perf_counter() - started
    rows = list(dict.fromkeys(row for errors in columns.values() for row in errors))
    return Table(
        ["validation error", *columns],
        [
            [row, *(f"{e[row]:.2f} %" if row in e else "–" for e in columns.values())]
            for row in rows
        ],
        f"{len(part.labels):,} images, {epochs} epochs unless a version has its own, "
        f"judged on {len(judged.labels):,} others; {seconds:.0f} s",
    )
