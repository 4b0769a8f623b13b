"""The next character of Aesop's Fables, with negatives that the net makes (chapter 11).

Days of positive batches and nights of negative ones, as long as each other. With a day
of one batch this is Forward-Forward as in every other chapter.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import nn

from experiments.experiment import Config, Experiment, Fraction, Widths, checked
from experiments.trials.shared import NetTrial, damped_sgd, judge, net_scores
from ffutils import (
    FFNet,
    Split,
    batches,
    cosine_decay,
    error_rate,
    fit_softmax,
    neutral_activations,
    set_lr,
    wrong_labels,
)
from ffutils.rivals import backprop_step
from ffutils.sequences import (
    ALPHABET,
    CONTEXT,
    cut_strings,
    decode,
    hold_out_end,
    load_fables,
    read_contexts,
    run_on,
    sample_next,
    self_generated,
    simplify,
    teacher_forced,
    train_in_phases,
    windows,
)


@checked
class SequencesConfig(Config):
    """What the methods share.

    Attributes:
        network: and thirty scores, for backpropagation.
        scale: of each layer's goodness in the loss.
        sampling_scale: of their sum, where the net draws a character.
        length: of a string that the net writes, its ten true characters included.
        phase: batches in a day, and in the night that follows.
        momentum: Adam's first beta, or SGD's momentum and dampening.
        dropped_units: of each hidden layer, in backpropagation.
    """

    method: Literal[
        "teacher forcing",
        "teacher forcing, true ones too",
        "self-generated",
        "random next characters",
        "backpropagation",
    ] = "teacher forcing"
    network: Widths = (len(ALPHABET) * (CONTEXT + 1), 300, 300, 300)
    scale: PositiveFloat = 10.0
    sampling_scale: PositiveFloat = 10.0
    length: PositiveInt = 20
    phase: PositiveInt = 1
    optimizer: Literal["Adam", "SGD"] = "Adam"
    lr: PositiveFloat = 0.003
    momentum: Fraction = 0.9
    lr_schedule: Literal["half cosine"] = "half cosine"
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10
    dropped_units: Fraction = 0.0
    softmax_epochs: PositiveInt = 10
    softmax_lr: PositiveFloat = 0.003


class SequencesTrial(NetTrial):
    """Its splits hold strings in place of images, so that a validation split has whole
    strings."""

    def __init__(self, config: SequencesConfig, split):
        self.config, self.split = config, windows(split.images)
        device = split.images.device
        if config.method == "backpropagation":
            self.net = plain_net(config.network, config.dropped_units).to(device)
            parts = [self.net]
        else:
            self.net = FFNet(*config.network, n_classes=len(ALPHABET)).to(device)
            self.untrained = copy.deepcopy(self.net)
            parts = self.net.layers
        self.optimizers = [self.make_optimizer(part) for part in parts]

    def make_optimizer(self, part):
        c = self.config
        if c.optimizer == "Adam":
            betas = c.momentum, 0.999
            return torch.optim.Adam(part.parameters(), lr=c.lr, betas=betas)
        return damped_sgd(part, momentum=c.momentum)

    def train_epoch(self, epoch):
        c = self.config
        set_lr(self.optimizers, c.lr * cosine_decay(epoch / c.epochs))
        if c.method != "backpropagation":
            train_in_phases(
                self.net, self.optimizers, self.split, self.make_negatives, c.phase,
                c.batch_size, c.scale,
            )  # fmt: skip
            return
        self.net.train()
        for x, y in batches(self.split, c.batch_size):
            backprop_step(self.net, self.optimizers[0], x, y)
        self.net.eval()

    def make_negatives(self, net, day):
        c = self.config
        match c.method:
            case "teacher forcing":
                return teacher_forced(net, day, c.sampling_scale)
            case "teacher forcing, true ones too":
                return Split(day.images, sample_next(net, day.images, c.sampling_scale))
            case "self-generated":
                return self_generated(net, day, c.sampling_scale, c.length)
            case "random next characters":
                return Split(day.images, wrong_labels(day.labels, len(ALPHABET)))

    @torch.no_grad()
    def errors(self, split):
        """By goodness, and by softmaxes on the upper layers, trained and untrained."""
        split = windows(split.images)
        if self.config.method == "backpropagation":
            self.net.eval()
            scores = {"output layer": self.net(split.images)}
            return {"error": judge(scores, split.labels)["error"]}
        scores = net_scores(self.net, split.images)
        found = {"error": judge(scores, split.labels)["error"]}
        if len(self.net.layers) == 1:  # none for a softmax to read
            return found
        gpu = [split.images.device] if split.images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpu):
            for key, net in (("", self.net), ("_untrained", self.untrained)):
                found[f"error_softmax{key}"] = {
                    "output layer": self.softmax_error(net, split)
                }
            start = read_contexts(split.images[:3])
            found["text"] = [*map(decode, run_on(self.net, start, 90))]
        return found

    @torch.enable_grad()
    def softmax_error(self, net, split):
        """In per cent, of a softmax on all layers but the first, which see no label."""
        c = self.config
        head = fit_softmax(
            neutral_activations(net, self.split.images), self.split.labels,
            len(ALPHABET), c.softmax_epochs, c.batch_size, c.softmax_lr,
        )  # fmt: skip
        scores = head(neutral_activations(net, split.images))
        return round(error_rate(scores.argmax(dim=1), split.labels), 2)


def plain_net(sizes, dropped_units):
    """Hidden layers with dropout, and a score for each character."""
    net = nn.Sequential()
    for below, size in pairwise(sizes):
        net.extend([nn.Linear(below, size), nn.ReLU(), nn.Dropout(dropped_units)])
    return net.append(nn.Linear(sizes[-1], len(ALPHABET)))


# ---- Experiments

# Hinton 2022, §5, asks for a very low rate and an extremely high momentum: here a tenth
# of the rate, for ten times as many epochs. No gradient crosses layers, so the first
# learns the same without the others.
ONE_LAYER = {
    "method": "random next characters",
    "network": (len(ALPHABET) * (CONTEXT + 1), 300),
    "optimizer": "SGD",
    "lr": 0.03,
}
LONG = {"epochs": 100, "eval_every": 20}
LOW_RATE = LONG | {"lr": 0.003}

SEQUENCES = Experiment(
    name="sequences",
    title="The next character of Aesop's Fables",
    trial=SequencesTrial,
    config=SequencesConfig(eval_every=1),
    variants={
        "teacher forcing": {},
        "teacher forcing, 10 batches by day": {"phase": 10},
        "teacher forcing, an epoch by day": {"phase": 126},
        "teacher forcing, an epoch by day, low rate": {
            "phase": 126, "optimizer": "SGD", "lr": 0.03, "momentum": 0.99,
        },
        "teacher forcing, true ones too": {
            "method": "teacher forcing, true ones too",
        },
        "random next characters": {"method": "random next characters"},
        "random next characters, 10 batches by day": {
            "method": "random next characters", "phase": 10,
        },
        "random next characters, an epoch by day": {
            "method": "random next characters", "phase": 126,
        },
        "self-generated": {"method": "self-generated", "sampling_scale": 3.0},
        "self-generated, 10 batches by day": {
            "method": "self-generated", "sampling_scale": 3.0, "phase": 10,
        },
        "self-generated, an epoch by day": {
            "method": "self-generated", "sampling_scale": 3.0, "phase": 126,
        },
        "self-generated, strings of 100": {
            "method": "self-generated", "sampling_scale": 3.0, "length": 100,
            "phase": 10,
        },
        "teacher forcing, drawn less sharply": {"sampling_scale": 3.0},
        "teacher forcing, an epoch by day, a tenth of the rate": {
            "phase": 126, "lr": 0.0003,
        },
        "random next characters, an epoch by day, a tenth of the rate": {
            "method": "random next characters", "phase": 126, "lr": 0.0003,
        },
        "layer 1 alone, SGD": ONE_LAYER,
        "layer 1 alone, SGD, 100 epochs": ONE_LAYER | LONG,
        "layer 1 alone, SGD, low rate": ONE_LAYER | LOW_RATE,
        "layer 1 alone, SGD, an epoch by day": ONE_LAYER | {"phase": 126},
        "layer 1 alone, SGD, an epoch by day, 100 epochs": (
            ONE_LAYER | {"phase": 126} | LONG
        ),
        "layer 1 alone, SGD, an epoch by day, low rate": (
            ONE_LAYER | {"phase": 126} | LOW_RATE
        ),
        "layer 1 alone, SGD, an epoch by day, low rate, high momentum": (
            ONE_LAYER | {"phase": 126, "momentum": 0.999} | LOW_RATE
        ),
        "backpropagation": {"method": "backpropagation", "lr": 0.001},
        "backpropagation, dropout": {
            "method": "backpropagation", "lr": 0.001, "dropped_units": 0.4,
        },
    },
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=1.1,
    dataset="aesop",
)  # fmt: skip


def load_strings(device) -> tuple[Split, Split]:
    """Strings for training and for the test; what stands for labels is not used."""
    strings = cut_strings(simplify(load_fables()), count=248).to(device)
    return tuple(Split(part, part[:, -1]) for part in hold_out_end(strings))
