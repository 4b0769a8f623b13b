"""The paper's supervised experiment (§3.3): 4 layers of 2000 and the logistic loss.

Its negatives are hard, from a pass with a neutral label. What the paper leaves out is
taken from Hinton's published Matlab code: inputs of RMS 1, a threshold of 1 per unit,
all layers trained on every batch of 100, momentum 0.9, a learning rate that stays for
half the epochs and then falls to 0. His code also has a weak peer normalisation here,
which the paper does not mention for this experiment; we leave it out.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import nn

from experiments.experiment import Config, Experiment, Paper, Precision, Widths, checked
from experiments.trials.shared import (
    NetTrial,
    SoftmaxNegatives,
    constant_then_linear,
    damped_sgd,
)
from ffutils import FFNet, neutral, train_epoch
from ffutils.training import set_lr


@checked
class PaperConfig(Config):
    network: Annotated[Widths, Field(min_length=3)] = (784, 2000, 2000, 2000, 2000)
    loss: Literal["logistic, width x (goodness - 1)"] = (
        "logistic, width x (goodness - 1)"
    )
    negatives: Literal["hard, softmax on all but layer 1 from the neutral label"] = (
        "hard, softmax on all but layer 1 from the neutral label"
    )
    optimizer: Literal["SGD, momentum 0.9, dampening 0.9"] = (
        "SGD, momentum 0.9, dampening 0.9"
    )
    lr: PositiveFloat = 0.01
    weight_decay: NonNegativeFloat = 0.001
    decayed: Literal["weights and biases", "weights"] = "weights and biases"
    softmax_lr: PositiveFloat = 0.1
    softmax_weight_decay: NonNegativeFloat = 0.003
    lr_schedule: Literal["constant for half the epochs, then linear to 0"] = (
        "constant for half the epochs, then linear to 0"
    )
    batch_size: PositiveInt = 100
    epochs: PositiveInt = 60
    precision: Precision = "bfloat16"


class PaperTrial(NetTrial):
    def __init__(self, config: PaperConfig, split):
        self.config, self.split = config, split
        device = split.images.device
        self.net = FFNet(*config.network).to(device)
        layers = self.net.layers
        for layer in layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        biases_too = config.decayed == "weights and biases"
        self.softmax = SoftmaxNegatives(
            sum(config.network[2:]),
            lambda head: damped_sgd(head, config.softmax_weight_decay, biases_too),
            device,
        )
        self.optimizers = [
            damped_sgd(layer, config.weight_decay, biases_too) for layer in layers
        ]

    def train_epoch(self, epoch):
        c, layers = self.config, self.optimizers
        factor = constant_then_linear(epoch, c.epochs)
        set_lr(layers, c.lr * factor)
        set_lr([self.softmax.optimizer], c.softmax_lr * factor)
        with self.autocast(c.precision):
            return train_epoch(
                self.net, layers, self.split, list(range(len(layers))), c.batch_size,
                negative_labels=self.negative_labels,
            )  # fmt: skip

    @torch.no_grad()
    def negative_labels(self, net, x, y):
        return self.softmax.draw(net(neutral(x))[1:], y)


PAPER_RECIPE = Experiment(
    name="paper_recipe",
    title="Supervised, the paper's recipe",
    paper=Paper(
        section="3.3",
        test_error=1.36,
        network="the same",
        judge="sum without layer 1",
    ),
    trial=PaperTrial,
    config=PaperConfig(decayed="weights", eval_every=10),
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=4.5,
)
