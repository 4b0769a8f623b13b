"""Chapter 05: predict the label that makes the network's goodness largest, or read it off in one pass."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ffutils.checks import (
    check_batch_size,
    check_count,
    check_features,
    check_input,
    check_labels,
    check_layers,
)
from ffutils.data import Split, batches
from ffutils.labels import neutral, overlay
from ffutils.layers import goodness, normalize


@torch.no_grad()
def layer_goodness(net, x, batch_size=1000):
    """The goodness of every layer for every label written into every image.

    net: an `FFNet` of L layers; x: (B, 784) in [0, 1]; returns (B, 10, L). Ten passes, batch_size images at a time.
    Raises TypeError or ValueError for bad images. Hinton 2022, §3.3; derived in chapter 05.
    """
    check_input(net, x)
    check_batch_size(batch_size)
    rows = []
    for part in x.split(batch_size):
        labels = [torch.full((len(part),), label, device=x.device) for label in range(10)]
        passes = [torch.stack([goodness(h) for h in net(overlay(part, y))], dim=1) for y in labels]
        rows.append(torch.stack(passes, dim=1))
    return torch.cat(rows)


def label_goodness(net, x, layers=None):
    """The goodness of each label, summed over layers: x (B, 784) in [0, 1] → (B, 10).

    layers: the indices of the layers to sum, counted from 0; all of them unless given.
    Raises TypeError or ValueError for bad images or layers. Hinton 2022, §3.3; derived in chapter 05.
    """
    layers = list(range(len(net.layers)) if layers is None else layers)
    check_layers(layers, len(net.layers))
    return layer_goodness(net, x)[:, :, layers].sum(dim=2)


def predict(net, x, layers=None):
    """The label with the largest summed goodness: x (B, 784) in [0, 1] → (B,) int64.

    layers and errors as in `label_goodness`. Hinton 2022, §3.3; derived in chapter 05.
    """
    return label_goodness(net, x, layers).argmax(dim=1)


def error_rate(predicted, labels):
    """The share of predictions (B,) that differ from the labels (B,), in per cent.

    Raises TypeError or ValueError for bad labels, an empty batch or shapes that differ. Derived in chapter 05.
    """
    check_labels(predicted)
    check_labels(labels, count=len(predicted))
    return 100 * (predicted != labels).float().mean().item()


@torch.no_grad()
def neutral_activities(net, x, layers=None, batch_size=1000):
    """What the layers make of an image with the neutral label: their normalised activities, side by side.

    net: an `FFNet`; x: (B, 784) in [0, 1]; layers: indices counted from 0, all but the first unless given. Returns
    (B, sum of their widths). Raises TypeError or ValueError for bad images or layers.
    Hinton 2022, §3.3; derived in chapter 05.
    """
    check_input(net, x)
    layers = list(range(1, len(net.layers)) if layers is None else layers)
    check_layers(layers, len(net.layers))
    check_batch_size(batch_size)
    rows = []
    for part in x.split(batch_size):
        activities = net(neutral(part))
        rows.append(torch.cat([normalize(activities[k]) for k in layers], dim=1))
    return torch.cat(rows)


def fit_softmax(features, labels, epochs=5, batch_size=256, lr=0.001):
    """Fit a linear softmax classifier on features that stay as they are.

    features: (N, width); labels: (N,) int64 in 0..9; returns the `nn.Linear` (width → 10), whose largest output names
    the label. Raises TypeError or ValueError for bad features, labels or epochs. Hinton 2022, §3.2 and §3.3; derived in chapter 05.
    """
    check_features(features)
    check_labels(labels, count=len(features))
    check_count("epochs", epochs)
    head = nn.Linear(features.shape[1], 10, device=features.device, dtype=features.dtype)
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    for _ in range(epochs):
        for h, y in batches(Split(features, labels), batch_size):
            loss = cross_entropy(head(h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return head
