"""Chapter 05: predict the label with the largest goodness, or in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ffutils.checks import (
    check_count,
    check_fit,
    check_goodness,
    check_input,
    check_labels,
    check_layers,
    check_split,
    check_weights,
    warn_of_dead_layers,
    warn_of_ties,
)
from ffutils.data import Split, batches


@torch.no_grad()
def label_goodness_per_layer(net, x: Tensor, batch_size: int = 1000) -> Tensor:
    """The goodness of every layer for every label written into every image.

    Args:
        net: an `FFNet` of L layers.
        x: images (B, pixels) in [0, 1].
        batch_size: images that go through the net at a time, once for each class.

    Returns:
        (B, n_classes, L).

    Raises:
        TypeError, ValueError: for bad images.
        FloatingPointError: where a goodness is not finite.

    Source: Hinton 2022, §3.3; chapter 05.
    """
    check_input(net, x)
    check_count("batch_size", batch_size)
    rows = []
    for images in x.split(int(batch_size)):
        columns = []
        for label in range(net.n_classes):
            y = torch.full((len(images),), label, device=x.device)
            activations = net(net.write_label(images, y))
            columns.append(torch.stack([net.goodness(h) for h in activations], dim=1))
        rows.append(torch.stack(columns, dim=1))
    scores = torch.cat(rows)
    check_goodness(scores)
    warn_of_dead_layers(net, x)
    return scores


def label_goodness(net, x: Tensor, layers: Sequence[int] | None = None) -> Tensor:
    """The goodness of each label, summed over layers.

    Args:
        net: an `FFNet`.
        x: images (B, pixels) in [0, 1].
        layers: the layers to sum, counted from 0; all of them unless given.

    Returns:
        (B, n_classes).

    Raises:
        TypeError, ValueError: for bad images or layers.
        FloatingPointError: where a goodness is not finite.

    Source: Hinton 2022, §3.3; chapter 05.
    """
    check_layers(net, layers)
    layers = range(len(net.layers)) if layers is None else layers
    return label_goodness_per_layer(net, x)[:, :, [int(k) for k in layers]].sum(dim=2)


def predict(net, x: Tensor, layers: Sequence[int] | None = None) -> Tensor:
    """The label with the largest summed goodness.

    Args:
        net, x, layers: as in `label_goodness`.

    Returns:
        Labels (B,), int64. A warning says where all labels tie, as in a dead net.

    Raises:
        TypeError, ValueError, FloatingPointError: as `label_goodness`.

    Source: Hinton 2022, §3.3; chapter 05.
    """
    scores = label_goodness(net, x, layers)
    warn_of_ties(scores)
    return scores.argmax(dim=1)


def error_rate(predictions: Tensor, labels: Tensor) -> float:
    """The share of predictions that differ from the labels, in per cent.

    Args:
        predictions, labels: (B,), int64.

    Raises:
        TypeError, ValueError: for a wrong type or shapes that differ.

    Source: chapter 05.
    """
    check_labels(predictions, n_classes=None)
    check_labels(labels, n_classes=None, count=len(predictions))
    return 100 * (predictions != labels).float().mean().item()


def layer_errors(net, split: Split) -> dict[str, float]:
    """The error of each layer alone, of their sum, and of the sum without layer 1.

    Args:
        net: an `FFNet`; split: images and labels.

    Returns:
        A dict with the errors in per cent of "layer 1", … and, where there are two
        layers or more, of the "sum without layer 1" (the paper's rule) and the "sum of
        all layers".

    Raises:
        TypeError, ValueError, FloatingPointError: as `label_goodness`.

    Source: Hinton 2022, §3.3; chapter 05.
    """
    check_split(split)
    scores, count = label_goodness_per_layer(net, split.images), len(net.layers)
    check_labels(split.labels, net.n_classes)
    warn_of_ties(scores.sum(dim=2))
    sums = {f"layer {k + 1}": [k] for k in range(count)}
    if count > 1:
        sums["sum without layer 1"] = list(range(1, count))
        sums["sum of all layers"] = list(range(count))
    return {
        name: error_rate(scores[:, :, layers].sum(dim=2).argmax(dim=1), split.labels)
        for name, layers in sums.items()
    }


@torch.no_grad()
def neutral_activations(
    net, x: Tensor, layers: Sequence[int] | None = None, batch_size: int = 1000
) -> Tensor:
    """What the layers make of images with the neutral label, normalised, side by side.

    Args:
        net: an `FFNet`.
        x: images (B, pixels) in [0, 1].
        layers: counted from 0; all but the first unless given.
        batch_size: images that go through the net at a time.

    Returns:
        (B, sum of these layers' widths).

    Raises:
        TypeError, ValueError: for bad images or layers.

    Source: Hinton 2022, §3.3; chapter 05.
    """
    check_input(net, x)
    check_layers(net, layers, first=1)
    check_count("batch_size", batch_size)
    layers = range(1, len(net.layers)) if layers is None else layers
    rows = []
    for images in x.split(int(batch_size)):
        activations = net(net.write_neutral(images))
        rows.append(torch.cat([net.normalize(activations[k]) for k in layers], dim=1))
    return torch.cat(rows)


def fit_softmax(
    features: Tensor, labels: Tensor, n_classes: int = 10, epochs: int = 5,
    batch_size: int = 256, lr: float = 0.001,
) -> nn.Linear:  # fmt: skip
    """Fit a linear softmax classifier on features that stay as they are.

    Args:
        features: (N, width).
        labels: (N,), int64 in 0..n_classes - 1.
        epochs, batch_size, lr: of Adam.

    Returns:
        A layer width → n_classes, whose largest output names the label.

    Raises:
        TypeError, ValueError: for bad features, labels or settings.
        FloatingPointError: where a weight is not finite at the end.

    Source: Hinton 2022, §3.2 and §3.3; chapter 05.
    """
    check_fit(features, labels, n_classes, epochs, lr)
    head = nn.Linear(
        features.shape[1], n_classes, device=features.device, dtype=features.dtype
    )
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    for _ in range(epochs):
        for h, y in batches(Split(features, labels), batch_size):
            loss = cross_entropy(head(h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    check_weights(head)
    return head
