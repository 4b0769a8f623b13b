"""Forward-Forward, its descendant and backpropagation, each at its quickest.

Gradients are written out (`ffutils.fast`), matrix products may be in bfloat16, and all
else is in float32.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.experiment import Config, Fraction, Precision, Widths, checked
from experiments.trials.shared import (
    NetTrial,
    autocast_bf16,
    judge,
    layer_scores,
    nets_of_one_layer,
    scores_of_nets,
)
from ffutils import FFNet, batches, cosine_decay, drop_pixels, jitter
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer
from ffutils.fast import broadcast_gradients, ff_gradients
from ffutils.rivals import MLP, NormalizedMLP
from ffutils.training import set_lr


def backprop_gradients(
    net: nn.Module, x: Tensor, y: Tensor, scale: float = 30.0, half: bool = False
) -> Tensor:
    """Give all weights of an `MLP` the gradient of its loss, by PyTorch's autograd.

    Args: as those of `ff_gradients`; there is no goodness for `scale` to multiply.
    """
    net.zero_grad(set_to_none=True)
    with autocast_bf16(x.device, half):
        loss = cross_entropy(net(x), y)
    loss.backward()
    return loss.detach()


# By method: the kind of net, and the function that computes its gradients.
FAST = {
    "backpropagation": (MLP, backprop_gradients),
    "label in the image": (FFNet, ff_gradients),
    "label in every layer": (BroadcastNet, broadcast_gradients),
}


def independent_gradients(
    nets: nn.ModuleList, x: Tensor, y: Tensor, scale: float = 30.0, half: bool = False
) -> Tensor:
    """Give nets of one layer, which never meet, the gradients of `ff_gradients`."""
    return torch.cat([ff_gradients(net, x, y, scale, half) for net in nets])


METHODS = FAST | {  # and the controls for images and initial weights, and for depth
    "backpropagation, normalised": (NormalizedMLP, backprop_gradients),
    "independent layers": (
        lambda *network: nets_of_one_layer(network, 1.0), independent_gradients,
    ),
}  # fmt: skip


def fused_adam(net: nn.Module, lr: float = 0.003) -> torch.optim.Adam:
    """PyTorch's quickest Adam for all weights of a net."""
    return torch.optim.Adam(net.parameters(), lr=lr, fused=True)


@checked
class FastConfig(Config):
    """What the methods share.

    Attributes:
        network: and ten scores, for backpropagation.
        scale: of the differences of goodness, in the loss and for the negatives.
    """

    method: Literal[
        "backpropagation", "backpropagation, normalised", "label in the image",
        "label in every layer", "independent layers",
    ]  # fmt: skip
    network: Widths = (784, 500, 500, 500)
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.003
    lr_schedule: Literal["half cosine"] = "half cosine"
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    jitter: NonNegativeInt = 1
    dropped_pixels: Fraction = 0.0
    scale: PositiveFloat = 30.0
    precision: Precision = "bfloat16"


class FastTrial(NetTrial):
    def __init__(self, config: FastConfig, split):
        self.config, self.split = config, split
        make_net, self.gradients = METHODS[config.method]
        self.net = make_net(*config.network).to(split.images.device)
        self.optimizers = [fused_adam(self.net)]

    def train_epoch(self, epoch):
        c, total = self.config, 0
        set_lr(self.optimizers, c.lr * cosine_decay(epoch / c.epochs))
        half = c.precision == "bfloat16"
        for x, y in batches(self.split, c.batch_size):
            losses = self.gradients(self.net, self.augment(x), y, c.scale, half)
            total = total + len(x) * losses
            self.optimizers[0].step()
        return total / len(self.split.labels)

    def augment(self, x):
        x, dropped = self.move(x), self.config.dropped_pixels
        return drop_pixels(x, dropped) if dropped else x

    def move(self, x):
        return jitter(x, self.config.jitter) if self.config.jitter else x

    @torch.no_grad()
    def errors(self, split):
        if isinstance(self.net, FFNet):
            return super().errors(split)
        if isinstance(self.net, MLP):
            return judge({"output layer": self.net(split.images)}, split.labels)
        every = isinstance(self.net, BroadcastNet)
        scores_of = broadcast_goodness_per_layer if every else scores_of_nets
        return judge(layer_scores(scores_of(self.net, split.images)), split.labels)
