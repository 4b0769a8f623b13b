"""CIFAR-10 (§4): maps of ReLUs that see 11×11 places of the map below and above them.

As in the paper each hidden layer is a map of 32×32 places with three units each, and no
weights are shared. The Forward-Forward nets are those of §3.4: they hear the layer
above, too, the label stands on top, and their goodness is to be high on positive data,
or low. Backpropagation trains the same connections upwards. Training goes by chapter
06's loss on pairs and Adam, instead of the paper's logistic loss and momentum.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision import datasets

from experiments.experiment import (
    Config,
    Experiment,
    Fraction,
    Paper,
    Precision,
    checked,
)
from experiments.trials.shared import NetTrial, SoftmaxNegatives, judge
from ffutils import Split, batches, cosine_decay, goodness, normalize
from ffutils.files import data_folder
from ffutils.recurrent import RecurrentNet, goodness_over_time, recurrent_loss
from ffutils.rivals import MLP
from ffutils.training import set_lr

HIGH, LOW = "Forward-Forward, high", "Forward-Forward, low"


@checked
class CifarConfig(Config):
    """What the methods share.

    Attributes:
        method: of training; high or low is the goodness of positive data.
        side: of the image, and of each layer's map.
        units: at each place of a map.
        field: how many places wide what a unit sees is.
    """

    method: Literal[HIGH, LOW, "backpropagation"] = HIGH
    layers: Annotated[PositiveInt, Field(ge=2)] = 2
    side: PositiveInt = 32
    units: PositiveInt = 3
    field: PositiveInt = 11
    damping: Fraction = 0.3
    label_strength: PositiveFloat = 3.0
    steps: Annotated[int, Field(ge=6)] = 10
    scale: PositiveFloat = 10.0
    weight_decay: NonNegativeFloat = 0.1
    optimizer: Literal["AdamW"] = "AdamW"
    lr: PositiveFloat = 0.001
    lr_schedule: Literal["half cosine"] = "half cosine"
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 30
    precision: Precision = "bfloat16"


class CentredNet(RecurrentNet):
    """A `RecurrentNet` that subtracts half of white from its images."""

    def start(self, x):
        return super().start(x - 0.5)


class CifarTrial(NetTrial):
    def __init__(self, config: CifarConfig, split):
        self.config, self.split = config, split
        c, device = config, split.images.device
        pixels, width = split.images.shape[1], c.units * c.side**2
        sizes = pixels, *[width] * c.layers
        self.backprop = c.method == "backpropagation"
        if self.backprop:
            self.net = MLP(*sizes)
            maps = self.net.layers
        else:
            sign = 1 if c.method == HIGH else -1
            self.net = CentredNet(
                *sizes, 10, damping=c.damping, label_strength=c.label_strength,
                goodness=lambda h: sign * goodness(h),
            )  # fmt: skip
            maps = [*self.net.up, *self.net.down[:-1]]
        self.net.to(device)
        for layer in maps:
            confine(layer, c.side, c.field)
        self.optimizers = [self.make_optimizer(self.net)]
        if not self.backprop:
            self.softmax = SoftmaxNegatives(
                c.layers * width, self.make_optimizer, device
            )

    def make_optimizer(self, module):
        c = self.config
        return torch.optim.AdamW(
            module.parameters(), lr=c.lr, weight_decay=c.weight_decay
        )

    def train_epoch(self, epoch):
        c, total = self.config, 0
        (optimizer,) = self.optimizers
        softmax = [] if self.backprop else [self.softmax.optimizer]
        set_lr([optimizer, *softmax], c.lr * cosine_decay(epoch / c.epochs))
        with self.autocast(c.precision):
            for x, y in batches(self.split, c.batch_size):
                loss = self.loss(x, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += len(x) * loss.detach()
        return total / len(self.split.labels)

    def loss(self, x, y):
        if self.backprop:
            return cross_entropy(self.net(x - 0.5).float(), y)
        _, states = self.upwards(x)
        wrong = self.softmax.draw(states, y)
        c = self.config
        return recurrent_loss(self.net, x, y, wrong, c.steps, c.scale)

    @torch.no_grad()
    def upwards(self, x):
        return self.net.start(x)

    @torch.no_grad()
    def errors(self, split):
        """By the paper's iterations 4 to 6, and by the softmax on one upward pass."""
        with self.autocast(self.config.precision):
            if self.backprop:
                scores = [self.net(x - 0.5) for x in split.images.split(1000)]
                return judge({"output layer": torch.cat(scores)}, split.labels)
            values = goodness_over_time(self.net, split.images, self.config.steps)
            guesses = [
                self.softmax.head(
                    torch.cat([normalize(h) for h in self.upwards(x)[1]], dim=1)
                )
                for x in split.images.split(1000)
            ]
        middle = values[:, :, :, 3:6].sum(dim=3)  # (images, labels, layers)
        scores = {f"layer {k + 1}": middle[:, :, k] for k in range(middle.shape[2])}
        scores["sum of all layers"] = middle.sum(dim=2)
        scores["softmax on one pass"] = torch.cat(guesses)
        return judge(scores, split.labels)


def confine(layer: nn.Linear, side: int, field: int) -> None:
    """Let each unit of a map see a square of places of another map, and no more.

    Weights from elsewhere become 0, and stay there, since their gradient does. A
    field at the map's edge is cut off.

    Args:
        layer: from a map to a map of the same side; of both, all places of the first
            unit come first, then those of the second.
        side: of the maps.
        field: the square's side.
    """
    place = torch.arange(side, device=layer.weight.device)
    near = (place[:, None] - place).abs() <= field // 2
    seen = torch.kron(near.float(), near.float())  # (places, places)
    repeats = layer.out_features // side**2, layer.in_features // side**2
    seen = seen.repeat(*repeats)
    with torch.no_grad():
        layer.weight.normal_().mul_(seen / seen.sum(dim=1, keepdim=True).sqrt())
        if layer.bias is not None:
            layer.bias.zero_()
    layer.weight.register_hook(lambda gradient: gradient * seen)


# Tried with 8,000 images of 16×16 pixels, the same for both kinds of goodness.
RATES = {HIGH: 0.002, LOW: 0.002, "backpropagation": 0.001}

CIFAR = Experiment(
    name="cifar",
    title="CIFAR-10, maps with local fields, top-down",
    paper=Paper(section="4", network="the same maps"),
    trial=CifarTrial,
    config=CifarConfig(eval_every=5),
    variants={
        f"{method}, {layers} layers": {
            "method": method, "layers": layers, "lr": RATES[method],
        }
        for layers in (2, 3)
        for method in RATES
    },
    seeds=(0,),
    stages=("validation_and_test",),
    core_hours=0.4,
    dataset="cifar10",
)  # fmt: skip


def load_cifar10(device) -> tuple[Split, Split]:
    """The training and the test `Split`, pixels in [0, 1], a colour after the other.

    From $FF_DATA/cifar-10-batches-py or, where that is not set, by one download into
    the user's cache.

    Source: Krizhevsky 2009.
    """
    root, fetch = data_folder(), not os.environ.get("FF_DATA")
    parts = [datasets.CIFAR10(root, train, download=fetch) for train in (True, False)]
    return tuple(
        Split(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).flatten(1).to(device) / 255,
            torch.tensor(part.targets, device=device),
        )
        for part in parts
    )
