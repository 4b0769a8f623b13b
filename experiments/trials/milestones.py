"""Epochs that each method needs to an error, with 1 pixel of jitter.

`benchmark` multiplies them by the seconds of an epoch. `milestones` has the methods of
chapter 12 as they are written there; `milestones_fast` has what chapter 07 compares by
the clock: Forward-Forward and its descendant, gradients written out, each beside
backpropagation, and each at the best of four learning rates.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.experiment import Config, Experiment, Precision, Widths, checked
from experiments.trials.rivals import METHODS, RivalsConfig, RivalsTrial
from experiments.trials.shared import NetTrial, autocast_bf16, judge, layer_scores
from ffutils import FFNet, batches, cosine_decay, jitter
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer
from ffutils.fast import broadcast_gradients, ff_gradients
from ffutils.rivals import MLP
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

    method: Literal["backpropagation", "label in the image", "label in every layer"]
    network: Widths = (784, 500, 500, 500)
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.003
    lr_schedule: Literal["half cosine"] = "half cosine"
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    jitter: NonNegativeInt = 1
    scale: PositiveFloat = 30.0
    precision: Precision = "bfloat16"


class FastTrial(NetTrial):
    def __init__(self, config: FastConfig, split):
        self.config, self.split = config, split
        make_net, self.gradients = FAST[config.method]
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
        return jitter(x, self.config.jitter) if self.config.jitter else x

    @torch.no_grad()
    def errors(self, split):
        if isinstance(self.net, BroadcastNet):
            per_layer = broadcast_goodness_per_layer(self.net, split.images)
            return judge(layer_scores(per_layer), split.labels)
        if isinstance(self.net, MLP):
            return judge({"output layer": self.net(split.images)}, split.labels)
        return super().errors(split)


# ---- Experiments

MILESTONES = Experiment(
    name="milestones",
    title="Epochs to an error: Forward-Forward and its rivals, jittered",
    trial=RivalsTrial,
    config=RivalsConfig(method="Forward-Forward", jitter=1, epochs=10, eval_every=1),
    variants={
        method: changes | {"dropped_pixels": 0.0}
        for method, changes in METHODS.items()
        if method != "output layer alone"
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.55,
)

RATES = 0.001, 0.002, 0.004, 0.008  # equal tries: these four for each method

FAST_TUNING = Experiment(
    name="milestones_fast_tuning",
    title="Epochs to an error, gradients written out: the tries",
    trial=FastTrial,
    config=FastConfig(method="backpropagation", eval_every=1),
    variants={
        f"{method}: lr {lr:g}": {"method": method, "lr": lr}
        for method in FAST
        for lr in RATES
    },
    seeds=(0,),
    stages=("validation",),
    core_hours=0.25,
)

# The best of the four tries: the fewest epochs to 1.5 % error, then the least error.
CHOSEN = {
    "backpropagation": 0.002,
    "label in the image": 0.002,
    "label in every layer": 0.004,
}

FAST_MILESTONES = Experiment(
    name="milestones_fast",
    title="Epochs to an error: gradients written out, beside backpropagation",
    trial=FastTrial,
    config=FastConfig(method="backpropagation", eval_every=1),
    variants={method: {"method": method, "lr": lr} for method, lr in CHOSEN.items()},
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.2,
)
