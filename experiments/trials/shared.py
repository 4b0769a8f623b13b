"""What trials share: errors by layer, negatives from a softmax, half precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ffutils import (
    FFNet,
    error_rate,
    label_goodness_per_layer,
    normalize,
    sample_wrong_labels,
)
from ffutils.checks import warn_of_ties


class NetTrial:
    """What trials of an `FFNet` share.

    A subclass sets `split`, `net` and `optimizers`, a list, and has `train_epoch`. It
    may set `softmax`, a `SoftmaxNegatives`.
    """

    softmax = None

    def autocast(self, precision):
        """Matrix products in this precision, inside a `with` block."""
        return autocast_bf16(self.split.images.device, precision == "bfloat16")

    def errors(self, split):
        return judge(net_scores(self.net, split.images), split.labels)

    def kept(self):
        """What the record of a run holds of its net, by name."""
        return {}

    def state_dict(self):
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        softmax = {"softmax": self.softmax.state_dict()} if self.softmax else {}
        return {"net": self.net.state_dict(), "optimizers": optimizers} | softmax

    def load_state_dict(self, state):
        self.net.load_state_dict(state["net"])
        pairs = zip(self.optimizers, state["optimizers"], strict=True)
        for optimizer, held in pairs:
            optimizer.load_state_dict(held)
        if self.softmax:
            self.softmax.load_state_dict(state["softmax"])

    @staticmethod
    def sources() -> list[str]:
        """The code that a trial runs and does not import."""
        return []


# ---- Errors


def judge(scores: dict[str, Tensor], labels: Tensor) -> dict:
    """The errors of the labels with the largest scores, and where they were made.

    Args:
        scores: tensors (B, n_classes), by the name of the judge.
        labels: (B,).

    Returns:
        {"error": {judge: per cent, rounded}, "wrong": {judge: [numbers of images]}}.
    """
    found = {name: score.argmax(dim=1) for name, score in scores.items()}
    return {
        "error": {
            name: round(error_rate(guess, labels), 2) for name, guess in found.items()
        },
        "wrong": {
            name: (guess != labels).nonzero().flatten().tolist()
            for name, guess in found.items()
        },
    }


def net_scores(net, images: Tensor) -> dict[str, Tensor]:
    """The scores of an `FFNet`'s layers and of their sums, named as `layer_errors`."""
    per_layer = label_goodness_per_layer(net, images)
    warn_of_ties(per_layer.sum(dim=2))
    return layer_scores(per_layer)


def layer_scores(per_layer: Tensor, without_first: bool = True) -> dict[str, Tensor]:
    """The scores of each layer, and of sums where there are two layers or more.

    Args:
        per_layer: (B, n_classes, layers).
        without_first: whether the paper's rule is among them, the sum without layer 1.
    """
    count = per_layer.shape[2]
    scores = {f"layer {k + 1}": per_layer[:, :, k] for k in range(count)}
    if count > 1 and without_first:
        scores["sum without layer 1"] = per_layer[:, :, 1:].sum(dim=2)
    if count > 1:
        scores["sum of all layers"] = per_layer.sum(dim=2)
    return scores


# ---- Nets of one layer, the control for depth


def nets_of_one_layer(network, label_strength: float) -> nn.ModuleList:
    """A net for each layer: all of them see the image, and none another net.

    Args:
        network: the number of pixels, then the width of each net.
    """
    pixels, *widths = network
    return nn.ModuleList(
        FFNet(pixels, width, label_strength=label_strength) for width in widths
    )


def scores_of_nets(nets, images: Tensor) -> Tensor:
    """The scores of nets of one layer, side by side (B, n_classes, nets)."""
    return torch.cat([label_goodness_per_layer(net, images) for net in nets], dim=2)


# ---- Negatives


class SoftmaxNegatives:
    """A softmax that proposes wrong labels, and learns from each batch as it goes.

    Args:
        width: of all activations that it sees, side by side.
        make_optimizer: called with the softmax's weights, an `nn.Linear`.
        device: where they lie.
    """

    def __init__(self, width: int, make_optimizer, device: torch.device):
        self.head = nn.Linear(width, 10, device=device)
        self.optimizer = make_optimizer(self.head)

    def draw(self, activations: list[Tensor], y: Tensor) -> Tensor:
        """Wrong labels (B,), drawn as the softmax believes in them.

        Args:
            activations: [(B, width), …], of layers that saw no label.
            y: the true labels (B,).
        """
        with torch.no_grad():
            features = torch.cat([normalize(h) for h in activations], dim=1)
        with torch.enable_grad():
            scores = self.head(features).float()
            self.optimizer.zero_grad()
            cross_entropy(scores, y).backward()
        self.optimizer.step()
        return sample_wrong_labels(scores.detach(), y)

    def state_dict(self):
        return {
            "head": self.head.state_dict(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state):
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])


# ---- Steps


def autocast_bf16(device: torch.device, enabled: bool = True) -> torch.autocast:
    """Matrix products in bfloat16, inside a `with` block.

    Without the cache, which would hold the weights of the first step for the epoch.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled, cache_enabled=False)


def damped_sgd(module, weight_decay=0.0, biases_too=True, momentum=0.9):
    """SGD that steps along a running average of gradients, as Hinton's code does.

    Args:
        weight_decay: of the weights, and of the biases, too, if biases_too.
        momentum: 0.9 averages about the last ten gradients, 0.999 the last thousand.
    """
    groups = [
        {"params": [p], "weight_decay": weight_decay * (name != "bias" or biases_too)}
        for name, p in module.named_parameters()
    ]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=momentum, dampening=momentum)
    for parameter in module.parameters():  # else the first gradient is not dampened
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def constant_then_linear(epoch, epochs):
    """The factor on the learning rate: 1 for half the epochs, then linear towards 0."""
    return min(1, (1 + 2 * (epochs - epoch - 1)) / epochs)
