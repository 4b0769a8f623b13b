"""Chapter 07: a descendant of FF in which every layer is told the label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ffutils.checks import check_batch, check_label_batch, check_number, check_sizes
from ffutils.layers import full_precision, normalize
from ffutils.recipe import sample_wrong_labels


class BroadcastLayer(nn.Linear):
    """A ReLU layer that is told the label beside its input.

    For label k it computes relu(W z + b + s V[k]), with z the normalised input. So the
    sums W z + b are the same for all labels, and each label only adds a row of its own.

    Args:
        in_features, out_features: as in `torch.nn.Linear`.
        n_classes: how many labels.
        label_strength: the factor s.

    Source: chapter 07.
    """

    def __init__(
        self, in_features: int, out_features: int, n_classes: int = 10,
        label_strength: float = 3.0,
    ):  # fmt: skip
        super().__init__(in_features, out_features)
        self.label_strength = label_strength
        self.label_weight = nn.Parameter(torch.empty(n_classes, out_features))
        nn.init.normal_(self.label_weight, std=(2 / in_features) ** 0.5)

    def reset_parameters(self):  # nn.Linear calls it: the start of chapter 03's layer
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)

    def sums(self, x: Tensor) -> Tensor:
        """What the units add up before the label (B, out_features), for x (B, in)."""
        return full_precision(super().forward(normalize(x)))

    def label_sums(self) -> Tensor:
        """What each label adds to it (n_classes, out_features)."""
        return self.label_strength * self.label_weight

    @torch.no_grad()
    def label_goodness(self, sums: Tensor) -> Tensor:
        """The goodness for each label (B, n_classes), from sums (B, out_features).

        Without a gradient: a loss takes the passes that it compares.
        """
        h, lengths = torch.empty_like(sums), []
        # The goodness of relu(sums + row), one label at a time, without new memory.
        for row in self.label_sums():
            torch.add(sums, row, out=h).relu_()
            lengths.append(torch.linalg.vector_norm(h, dim=1))
        return torch.stack(lengths, dim=1).square() / sums.shape[1]

    def neutral(self, sums: Tensor) -> Tensor:
        """The activations for a label that favours no class (B, out_features)."""
        return torch.relu(sums + self.label_sums().mean(dim=0))


class BroadcastNet(nn.Module):
    """Layers that are each told the label; what goes up is the neutral pass.

    `BroadcastNet(784, 500, 500)` has two layers of 500 units above 784 pixels, in which
    no label is written.

    Args:
        sizes: the number of pixels, and each layer's number of units.
        n_classes, label_strength: as in `BroadcastLayer`.

    Raises:
        TypeError, ValueError: for fewer than two sizes, or a bad one.

    Source: chapter 07.
    """

    def __init__(self, *sizes: int, n_classes: int = 10, label_strength: float = 3.0):
        check_sizes(sizes, n_classes, label_strength)
        super().__init__()
        self.n_classes, self.label_strength = n_classes, label_strength
        self.layers = nn.ModuleList(
            BroadcastLayer(*pair, n_classes, label_strength) for pair in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return each layer's goodness for each label [(B, n_classes), …]."""
        check_batch(x, self.layers[0].in_features)
        scores = []
        for layer in self.layers:
            sums = layer.sums(x)
            scores.append(layer.label_goodness(sums))
            x = layer.neutral(sums)
        return scores


@torch.no_grad()
def broadcast_goodness_per_layer(net: BroadcastNet, x: Tensor) -> Tensor:
    """Every layer's goodness for every label, in one pass.

    Args:
        net: a `BroadcastNet`.
        x: images (B, pixels) in [0, 1].

    Returns:
        (B, n_classes, layers).

    Source: chapter 07.
    """
    return torch.cat([torch.stack(net(part), dim=2) for part in x.split(1000)])


def broadcast_step(
    net: BroadcastNet, optimizers: Sequence, x: Tensor, y: Tensor, scale: float = 30.0
) -> Tensor:
    """Take one step with every layer, each on hard negatives of its own.

    Args:
        net: a `BroadcastNet`; optimizers: one for each of its layers.
        x: images (B, pixels) in [0, 1]; y: their labels (B,).
        scale: of the differences of goodness, in the loss and for the negatives.

    Returns:
        The losses (layers,).

    Source: chapter 07; the loss is that of chapter 06.
    """
    check_batch(x, net.layers[0].in_features)
    check_label_batch(y, count=len(x))
    check_number("scale", scale, 0, ends="()")
    losses = []
    for layer, optimizer in zip(net.layers, optimizers, strict=True):
        sums = layer.sums(x)
        with torch.no_grad():
            wrong = sample_wrong_labels(scale * layer.label_goodness(sums), y)
            x = layer.neutral(sums)  # for the layer above, before the update
        labels = layer.label_sums()
        positive, negative = (sums + labels[k] for k in (y, wrong))
        gap = positive.relu().square() - negative.relu().square()
        loss = softplus(-scale * gap.mean(dim=1)).mean()
        optimizer.zero_grad()
        loss.backward()  # through this one layer
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)
