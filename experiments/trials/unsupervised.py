"""Layers trained without labels, real images against hybrids, and softmaxes on them.

The layers are trained as in Hinton's published code. A fully connected layer is a
`LocallyConnected2d` with one window, all of the grid below. Its experiments are those
of §3.2: fully connected layers at half the paper's width and at all of it, and local
fields on its grid.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import torch
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from experiments.experiment import (
    FROM_LIST,
    Config,
    Experiment,
    Fraction,
    Paper,
    Precision,
    Widths,
    checked,
)
from experiments.trials.shared import (
    NetTrial,
    constant_then_linear,
    damped_sgd,
    judge,
)
from ffutils import batches, cosine_decay, goodness, normalize
from ffutils.hybrids import hybrids
from ffutils.local import LocallyConnected2d, peer_loss
from ffutils.training import set_lr

Grid = Annotated[tuple[PositiveInt, ...], Field(min_length=5, max_length=5), FROM_LIST]
FIELDS_KEPT = 4  # units of each window, whose weights the record holds
Grids = Annotated[tuple[Grid, ...], Field(min_length=2), FROM_LIST]


@checked
class UnsupervisedConfig(Config):
    """What both experiments share; they add `grids` and `epochs`.

    Attributes:
        grids: of each layer, the size and the channels of what lies below, the kernel's
            size, the stride, and the output channels.
        network: the same, for a table.
        decayed: what weight decay shrinks. The published code leaves biases alone.
        softmax_weight_decay: of the softmaxes; 0.003 in the published code.
    """

    network: Widths | str
    grids: Grids
    loss: Literal["logistic, width x (goodness - 1)"] = (
        "logistic, width x (goodness - 1)"
    )
    negatives: Literal["hybrids of two digits"] = "hybrids of two digits"
    blurs: NonNegativeInt = 6
    peer_weight: NonNegativeFloat = 0.03
    running_mean_decay: Fraction = 0.9
    optimizer: Literal["SGD, momentum 0.9, dampening 0.9"] = (
        "SGD, momentum 0.9, dampening 0.9"
    )
    lr: PositiveFloat = 0.01
    weight_decay: NonNegativeFloat = 0.001
    decayed: Literal["weights and biases", "weights"] = "weights and biases"
    lr_schedule: Literal["constant for half the epochs, then linear to 0"] = (
        "constant for half the epochs, then linear to 0"
    )
    batch_size: PositiveInt = 100
    softmax_epochs: PositiveInt = 10
    softmax_lr: PositiveFloat = 0.003
    softmax_weight_decay: NonNegativeFloat = 0.0
    softmax_optimizer: Literal["Adam, half cosine"] = "Adam, half cosine"
    precision: Precision = "bfloat16"

    @model_validator(mode="after")
    def check(self) -> UnsupervisedConfig:
        expected = shape_of(self.grids)
        if self.network != expected:
            raise ValueError(f"network: its grids make {expected!r}")
        return self


def shape_of(grids):
    """Widths where all layers are fully connected, else each grid and its channels."""
    sizes = [(size - kernel) // stride + 1 for size, _, kernel, stride, _ in grids]
    if all(size == 1 for size in sizes):
        size, channels, *_ = grids[0]
        return (channels * size**2, *(grid[-1] for grid in grids))
    shapes = zip(sizes, grids, strict=True)
    return ", ".join(f"{size}x{size}x{grid[-1]}" for size, grid in shapes)


class UnsupervisedTrial(NetTrial):
    def __init__(self, config: UnsupervisedConfig, split):
        self.config, self.split = config, split
        self.device = split.images.device
        self.net = nn.ModuleList(LocallyConnected2d(*grid) for grid in config.grids)
        self.net.to(self.device)
        for layer in self.net:
            nn.init.normal_(layer.weight, std=layer.weight.shape[1] ** -0.5)
        biases_too = config.decayed == "weights and biases"
        self.optimizers = [
            damped_sgd(layer, config.weight_decay, biases_too) for layer in self.net
        ]
        self.running_means = [
            torch.full((layer.out_features,), 0.5, device=self.device)
            for layer in self.net
        ]
        count = len(self.net)
        self.layers_of = {f"layer {k + 1}": [k] for k in range(count)}
        self.layers_of["all layers without layer 1"] = list(range(1, count))
        self.layers_of["all layers"] = list(range(count))

    def train_epoch(self, epoch):
        c = self.config
        set_lr(self.optimizers, c.lr * constant_then_linear(epoch, c.epochs))
        totals = [0] * len(self.net)
        for x, _ in batches(self.split, c.batch_size):
            h = torch.cat([x, hybrids(x, c.blurs)])
            for k, layer in enumerate(self.net):
                h, loss = self.train_layer(k, layer, h)
                totals[k] += len(x) * loss
        return torch.stack(totals) / len(self.split.labels)

    def train_layer(self, k, layer, h):
        """One step of a layer on a batch whose first half is real images.

        Returns its activations and the loss.
        """
        c, real = self.config, slice(0, len(h) // 2)
        with self.autocast(c.precision):
            preactivation = layer.preactivation(h).float()
        h = torch.relu(preactivation)
        distance = layer.out_features * (goodness(h) - 1)
        distance[real] *= -1
        decay, mean = c.running_mean_decay, h[real].detach().mean(dim=0)
        self.running_means[k] = decay * self.running_means[k] + (1 - decay) * mean
        loss = softplus(distance).mean()
        loss = loss + peer_loss(
            preactivation[real], self.running_means[k], c.peer_weight
        )
        self.optimizers[k].zero_grad()
        loss.backward()
        self.optimizers[k].step()
        return h.detach(), loss.detach()

    def errors(self, split):
        """Of softmaxes on the normalised activations of each layer, and of several.

        They are fitted here, from random numbers of their own: the training goes on
        as if nobody had looked.
        """
        with torch.random.fork_rng(devices=[]):  # all are drawn on the CPU
            heads = self.fit_heads()
        batches_of_scores = []
        with torch.no_grad():
            for x in split.images.split(1000):
                batches_of_scores.append(self.scores(heads, x))
        scores = {
            key: torch.cat([batch[key] for batch in batches_of_scores]) for key in heads
        }
        return judge(scores, split.labels)

    def fit_heads(self):
        c = self.config
        widths = [layer.out_features for layer in self.net]
        heads = nn.ModuleDict(
            {
                key: nn.Linear(sum(widths[k] for k in layers), 10)
                for key, layers in self.layers_of.items()
            }
        ).to(self.device)
        decay = c.softmax_weight_decay
        optimizer = torch.optim.Adam(heads.parameters(), weight_decay=decay)
        for epoch in range(c.softmax_epochs):
            factor = cosine_decay(epoch / c.softmax_epochs)
            set_lr([optimizer], c.softmax_lr * factor)
            for x, y in batches(self.split, c.batch_size):
                scores = self.scores(heads, x)
                loss = sum(cross_entropy(score, y) for score in scores.values())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return heads

    def scores(self, heads, x):
        with torch.no_grad(), self.autocast(self.config.precision):
            features = []
            for layer in self.net:
                x = layer(x)
                features.append(normalize(x))
        with self.autocast(self.config.precision):
            return {
                key: heads[key](torch.cat([features[k] for k in layers], dim=1)).float()
                for key, layers in self.layers_of.items()
            }

    def kept(self):
        """What the strongest units of each window of layer 1 look for.

        Weights in thousandths, (windows, FIELDS_KEPT, what a window sees), of the units
        whose weights have the greatest length, the longest first.
        """
        weight = self.net[0].weight.detach().transpose(1, 2)
        longest = weight.norm(dim=2).topk(FIELDS_KEPT).indices[:, :, None]
        fields = weight.gather(1, longest.expand(-1, -1, weight.shape[2]))
        return {"fields": (1000 * fields).round().int().tolist()}

    def state_dict(self):
        return super().state_dict() | {"running_means": self.running_means}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.running_means = [mean.to(self.device) for mean in state["running_means"]]


# ---- Experiments


def fully_connected(width):
    """Four layers of so many units, each with one window: all of what lies below."""
    above = ((1, width, 1, 1, width),) * 3
    return {"network": (784, *[width] * 4), "grids": ((28, 1, 28, 1, width), *above)}


HYBRIDS = Experiment(
    name="hybrids",
    title="Unsupervised, hybrid images, fully connected",
    paper=Paper(
        section="3.2",
        test_error=1.37,
        network="4 layers of 2000, 100 epochs",
        judge="all layers without layer 1",
    ),
    trial=UnsupervisedTrial,
    config=UnsupervisedConfig(
        **fully_connected(1000),
        decayed="weights",
        softmax_weight_decay=0.003,
        epochs=40,
    ),
    seeds=(0,),
    stages=("validation_and_test",),
    core_hours=0.6,
)

HYBRIDS_WIDE = dataclasses.replace(
    HYBRIDS,
    name="hybrids_wide",
    title="Unsupervised, hybrid images, fully connected, the paper's size",
    config=HYBRIDS.config.changed(**fully_connected(2000), epochs=100),
    core_hours=4.0,
)

LOCAL_FIELDS = Experiment(
    name="local_fields",
    title="Unsupervised, hybrid images, local fields",
    paper=Paper(
        section="3.2",
        test_error=1.16,
        network="the same grid, 60 epochs",
        judge="all layers without layer 1",
    ),
    trial=UnsupervisedTrial,
    config=UnsupervisedConfig(
        network="4x4x128, 3x3x220, 2x2x512",
        grids=((28, 1, 10, 6, 128), (4, 128, 2, 1, 220), (3, 220, 2, 1, 512)),
        decayed="weights",
        epochs=60,
    ),
    seeds=(0, 1),
    stages=("validation_and_test",),
    core_hours=1.2,
)
