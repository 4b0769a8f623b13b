"""The plain recipe of chapters 01-05, and its controls.

One has untrained upper layers; one has three first layers in place of three layers,
each with random weights and wrong labels of its own; one normalises the image alone,
and nothing between layers. Another asks a softmax, in one pass.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt

from experiments.experiment import Config, Experiment, Paper, Widths, checked
from experiments.trials.shared import (
    NetTrial,
    judge,
    layer_scores,
    net_scores,
    nets_of_one_layer,
    scores_of_nets,
)
from ffutils import (
    FFNet,
    error_rate,
    fit_softmax,
    neutral_activations,
    train_epoch,
)


@checked
class PlainConfig(Config):
    network: Widths = (784, 500, 500, 500)
    loss: Literal["logistic, width x (goodness - 1)"] = (
        "logistic, width x (goodness - 1)"
    )
    negatives: Literal["random, new on every batch"] = "random, new on every batch"
    label_strength: PositiveFloat = 1.0
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.001
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 15
    layers: Literal["stacked", "independent"] = "stacked"
    normalized: Literal["every input", "the image"] = "every input"


def unchanged(h):
    """In place of `normalize`."""
    return h


class PlainTrial(NetTrial):
    def __new__(cls, config: PlainConfig, split):
        independent = config.layers == "independent"
        return super().__new__(IndependentTrial if independent else cls)

    def __init__(self, config: PlainConfig, split):
        self.config, self.split = config, split
        self.net = FFNet(*config.network, label_strength=config.label_strength)
        if config.normalized == "the image":
            for layer in self.net.layers[1:]:
                layer.normalize = unchanged
        self.net.to(split.images.device)
        self.untrained = copy.deepcopy(self.net)
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), lr=config.lr)
            for layer in self.net.layers
        ]

    def train_epoch(self, epoch):
        layer_indices = range(len(self.net.layers))
        return train_epoch(
            self.net, self.optimizers, self.split, layer_indices, self.config.batch_size
        )

    def errors(self, split):
        """Of the net, and of its trained first layer below untrained upper layers."""
        control = copy.deepcopy(self.untrained)
        control.layers[0] = self.net.layers[0]
        found = judge(net_scores(control, split.images), split.labels)
        return super().errors(split) | {"error_upper_layers_untrained": found["error"]}

    def state_dict(self):
        return super().state_dict() | {"untrained": self.untrained.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.untrained.load_state_dict(state["untrained"])


class IndependentTrial(PlainTrial):
    """A net of one layer in place of each layer."""

    def __init__(self, config: PlainConfig, split):
        self.config, self.split = config, split
        self.net = nets_of_one_layer(config.network, config.label_strength)
        self.net.to(split.images.device)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=config.lr) for net in self.net
        ]

    def train_epoch(self, epoch):
        losses = [
            train_epoch(net, [optimizer], self.split, [0], self.config.batch_size)
            for net, optimizer in zip(self.net, self.optimizers, strict=True)
        ]
        return torch.cat(losses)

    def errors(self, split):
        scores = scores_of_nets(self.net, split.images)
        return judge(layer_scores(scores), split.labels)

    state_dict, load_state_dict = NetTrial.state_dict, NetTrial.load_state_dict


class OnePassTrial(PlainTrial):
    """The plain recipe; what it has learnt is read off by a softmax, too."""

    def errors(self, split):
        """Of the net, and of a softmax on one pass: the net trained, and untrained."""
        found = {
            "softmax": self.softmax_error(self.net, split),
            "softmax on an untrained net": self.softmax_error(self.untrained, split),
        }
        return NetTrial.errors(self, split) | {"error_one_pass": found}

    def softmax_error(self, net, split):
        """In %, of a softmax that learns from the training images in this net."""
        upper = range(1, len(net.layers))
        features = neutral_activations(net, self.split.images, upper)
        with torch.random.fork_rng(devices=[]):  # the training goes on as it would
            head = fit_softmax(features, self.split.labels)
        scores = head(neutral_activations(net, split.images, upper))
        return round(error_rate(scores.argmax(dim=1), split.labels), 2)


PLAIN_RECIPE = Experiment(
    name="plain_recipe",
    title="Supervised, the plain recipe of part 1",
    paper=Paper(section="3.3, without its hard negatives"),
    trial=PlainTrial,
    config=PlainConfig(),
    variants={"default": {}, "independent layers": {"layers": "independent"}},
    seeds=(0, 1, 2, 3, 4),
    stages=("validation", "test"),
    core_hours=0.7,
)

PLAIN_FASHION = dataclasses.replace(
    PLAIN_RECIPE,
    name="plain_fashion",
    title="Supervised, the plain recipe of part 1, Fashion-MNIST",
    dataset="fashion",
    paper=None,
    variants={"default": {}},
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=0.1,
)

IMAGE_NORMALIZED = Experiment(
    name="image_normalized",
    title="The plain recipe, the image alone normalised",
    trial=PlainTrial,
    config=PlainConfig(normalized="the image"),
    seeds=(0, 1, 2),
    stages=("validation",),
    core_hours=0.1,
)

ONE_PASS = Experiment(
    name="one_pass",
    title="The plain recipe, and a softmax in one pass",
    trial=OnePassTrial,
    config=PlainConfig(),
    seeds=(0, 1, 2, 3, 4),
    stages=("validation",),
    core_hours=0.15,
)
