"""Does depth pay? Three layers against one, and against what else three could be."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from experiments.experiment import Experiment, Fraction, checked
from experiments.trials.shared import (
    NetTrial,
    autocast_bf16,
    judge,
    layer_scores,
    nets_of_one_layer,
    scores_of_nets,
)
from experiments.trials.supervised import SupervisedConfig, SupervisedTrial
from ffutils import (
    FFNet,
    batches,
    cosine_decay,
    hard_negatives,
    pair_loss,
    sample_wrong_labels,
    train_epoch,
    wrong_labels,
)
from ffutils.depth import BroadcastNet, broadcast_goodness_per_layer, broadcast_step
from ffutils.fast import ff_gradients, first_layer, sum_of_goodness
from ffutils.layers import full_precision
from ffutils.rivals import MLP, NormalizedMLP, backprop_step
from ffutils.training import set_lr

Method = Literal[
    "label in the image",
    "label in the image, gradients through all layers",
    "label in the image, one loss on the sum, gradients through all layers",
    "independent layers",
    "label in every layer",
    "cross-entropy in every layer",
    "softmax on every layer",
    "backpropagation",
    "backpropagation, normalised",
]


@checked
class DepthConfig(SupervisedConfig):
    """What all methods share, and what some have.

    Attributes:
        method: which of them.
        random_share: of the negatives, which are drawn at random instead.
    """

    method: Method = "label in the image"
    random_share: Fraction = 0.0


class LabelInImage(SupervisedTrial):
    """FF as published: the label is in the image, and nowhere else."""

    def errors(self, split):
        return with_last_wrong(super().errors(split))

    def train_epoch(self, epoch):
        c = self.config
        if c.negatives != "hard, all layers":
            return super().train_epoch(epoch)
        total, half = 0, c.precision == "bfloat16"
        self.set_rates(epoch)
        for x, y in batches(self.split, c.batch_size):
            losses = ff_gradients(self.net, self.augment(x), y, c.scale, half)
            for optimizer in self.optimizers:
                optimizer.step()
            total += len(x) * losses
        return total / len(self.split.labels)

    @torch.no_grad()
    def negative_labels(self, net, x, y):
        hard = super().negative_labels(net, x, y)
        if not self.config.random_share:
            return hard
        random = torch.rand(len(y), device=y.device) < self.config.random_share
        return torch.where(random, wrong_labels(y), hard)


class Alternative(NetTrial):
    """What the other methods share; a subclass sets `net` and has `step` and `scores`.

    `optimizers` has one for each layer, or one for all of them.
    """

    augment = SupervisedTrial.augment
    set_rates = SupervisedTrial.set_rates

    def __init__(self, config: DepthConfig, split):
        self.config, self.split = config, split
        self.net = self.make_net(config).to(split.images.device)
        self.optimizers = [
            torch.optim.Adam(part.parameters(), lr=config.lr)
            for part in self.parts(self.net)
        ]

    @staticmethod
    def parts(net):
        return net.layers

    def train_epoch(self, epoch):
        self.set_rates(epoch)
        total = 0
        for x, y in batches(self.split, self.config.batch_size):
            with self.autocast(self.config.precision):
                total += len(x) * self.step(self.augment(x), y)
        return total / len(self.split.labels)

    @torch.no_grad()
    def errors(self, split):
        scores = [self.scores(x) for x in split.images.split(1000)]
        return with_last_wrong(judge(layer_scores(torch.cat(scores)), split.labels))


class ThroughAllLayers(LabelInImage):
    """The same losses; their gradients go on, down through all layers below."""

    train_epoch = Alternative.train_epoch

    def step(self, x, y):
        net = self.net
        positive = net.write_label(x, y)
        negative = net.write_label(x, self.hard_for_all_layers(x, y))
        pairs = []
        for layer in net.layers:
            positive, negative = layer(positive), layer(negative)  # nothing is detached
            pairs.append((positive, negative))
        losses = self.losses(pairs)
        net.zero_grad()
        losses.sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def losses(self, pairs):
        """One for each layer, of its activations (positive, negative)."""
        return torch.stack([self.loss_fn(*pair, self.net.goodness) for pair in pairs])

    @torch.no_grad()
    def hard_for_all_layers(self, x, y):
        """Wrong labels (B,), drawn as `ff_gradients` draws them."""
        net, half = self.net, self.config.precision == "bfloat16"
        first, *upper = net.layers
        _, light, sums = first_layer(net, x, half)
        h = light[:, :, None] * first.weight[:, : net.n_classes].T
        h.add_(sums[:, None]).relu_()
        return sample_wrong_labels(
            self.config.scale * sum_of_goodness(upper, h, half), y
        )


class OneLossThroughAllLayers(ThroughAllLayers):
    """One loss on the pairs, for the sum of all layers' goodness, which also judges.

    Three goodnesses are in the sum, so the arm has a third of the others' scale.
    """

    def losses(self, pairs):
        goodness = self.net.goodness
        gap = sum(
            goodness(positive) - goodness(negative) for positive, negative in pairs
        )
        return softplus(-self.config.scale * gap).mean()[None]


class IndependentLayers(Alternative):
    """A net of one layer in place of each layer."""

    @staticmethod
    def make_net(c):
        return nets_of_one_layer(c.network, c.label_strength)

    @staticmethod
    def parts(net):
        return net

    def train_epoch(self, epoch):
        c = self.config
        set_lr(self.optimizers, c.lr * cosine_decay(epoch / c.epochs))
        with self.autocast(c.precision):
            losses = [
                train_epoch(
                    net, [optimizer], self.split, [0], c.batch_size, self.loss_fn,
                    self.negative_labels, self.augment,
                )
                for net, optimizer in zip(self.net, self.optimizers, strict=True)
            ]  # fmt: skip
        return torch.cat(losses)

    def loss_fn(self, positive, negative, goodness):
        return pair_loss(positive, negative, goodness, self.config.scale)

    def negative_labels(self, net, x, y):
        with autocast_bf16(x.device, enabled=False):
            return hard_negatives(net, x, y)

    def scores(self, x):
        return scores_of_nets(self.net, x)


class LabelInEveryLayer(Alternative):
    """The descendant of chapter 07."""

    @staticmethod
    def make_net(c):
        return BroadcastNet(*c.network, label_strength=c.label_strength)

    def step(self, x, y):
        return broadcast_step(self.net, self.optimizers, x, y, self.config.scale)

    def scores(self, x):
        return broadcast_goodness_per_layer(self.net, x)


class CrossEntropyInEveryLayer(LabelInEveryLayer):
    """The same layers and goodness, without negatives: a softmax over ten labels."""

    def step(self, x, y):
        losses = []
        for layer, optimizer in zip(self.net.layers, self.optimizers, strict=True):
            sums = layer.sums(x)
            h = torch.relu(sums[:, None] + layer.label_sums())
            goodness = h.square().mean(dim=2)  # as `label_goodness`, with a gradient
            loss = cross_entropy(self.config.scale * goodness, y)
            x = layer.neutral(sums).detach()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)


class SoftmaxLayer(nn.Module):
    """A normalised ReLU layer under a linear softmax of its own."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.units = FFNet(in_features, out_features).layers[0]
        self.head = nn.Linear(out_features, 10)

    def forward(self, x):
        h = self.units(x)
        return h, full_precision(self.head(h))


class SoftmaxOnEveryLayer(Alternative):
    """No goodness at all: each layer learns for a linear softmax of its own."""

    @staticmethod
    def make_net(c):
        net = nn.Module()
        net.layers = nn.ModuleList(SoftmaxLayer(*pair) for pair in pairwise(c.network))
        return net

    def step(self, x, y):
        losses = []
        for layer, optimizer in zip(self.net.layers, self.optimizers, strict=True):
            h, scores = layer(x)
            loss = cross_entropy(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            x = h.detach()
            losses.append(loss.detach())
        return torch.stack(losses)

    def scores(self, x: Tensor) -> Tensor:
        found = []
        for layer in self.net.layers:
            x, scores = layer(x)
            found.append(scores.log_softmax(dim=1))
        return torch.stack(found, dim=2)


class Backpropagation(Alternative):
    """All layers at once, for the cross-entropy of ten scores on top."""

    @staticmethod
    def make_net(c):
        return MLP(*c.network)

    @staticmethod
    def parts(net):
        return [net]

    def step(self, x, y):
        return backprop_step(self.net, self.optimizers[0], x, y)

    @torch.no_grad()
    def errors(self, split):
        return judge({"output layer": self.net(split.images)}, split.labels)


class NormalizedBackpropagation(Backpropagation):
    """The same, from Forward-Forward's normalised images and initial weights."""

    @staticmethod
    def make_net(c):
        return NormalizedMLP(*c.network)


METHODS = {
    "label in the image": LabelInImage,
    "label in the image, gradients through all layers": ThroughAllLayers,
    "label in the image, one loss on the sum, gradients through all layers": (
        OneLossThroughAllLayers
    ),
    "independent layers": IndependentLayers,
    "label in every layer": LabelInEveryLayer,
    "cross-entropy in every layer": CrossEntropyInEveryLayer,
    "softmax on every layer": SoftmaxOnEveryLayer,
    "backpropagation": Backpropagation,
    "backpropagation, normalised": NormalizedBackpropagation,
}


class DepthTrial(NetTrial):
    """Makes the trial of a configuration's method."""

    def __new__(cls, config: DepthConfig, split):
        return METHODS[config.method](config, split)


def with_last_wrong(found: dict) -> dict:
    """What `judge` returns, less the wrong images of all but the last of the judges.

    That is the sum of all layers, the only layer or the output: what arms are compared
    by. The others would make up most of the file.
    """
    *_, last = found["wrong"]
    return found | {"wrong": {last: found["wrong"][last]}}


# ---- Experiments


EPOCHS = 12


def through_all_layers(network: list) -> dict:
    """What learning apart is compared by; for narrow layers alone, as it is slow."""
    if network[1] >= 1000:
        return {}
    return {
        "three layers, the same, gradients through all layers": {
            "network": network, "negatives": "hard, all layers",
            "method": "label in the image, gradients through all layers",
        },
        "three layers, one loss on the sum, gradients through all layers": {
            "network": network, "negatives": "hard, all layers", "scale": 10.0,
            "method": (
                "label in the image, one loss on the sum, gradients through all layers"
            ),
        },
    }  # fmt: skip


def arms(width: int) -> dict:
    """What is compared, with layers of one width, at the best of its tries.

    Backpropagation's rates fall with the width: for wide layers no other rate, of those
    in `WIDE_RATES`, does better.
    """
    wide = width >= 1000
    one, three = [784, width], [784, width, width, width]
    weights = sum(a * b for a, b in pairwise(three))
    alike, third = round(weights / 784), round(weights / 3 / 784)
    every = {"network": three, "label_strength": 3.0}
    return {
        "one layer": {"network": one},
        "one layer, three times as wide": {"network": [784, 3 * width]},
        "one layer, as many weights": {"network": [784, alike]},
        "three layers": {"network": three},
        "three layers, upper layers untrained": {"network": three, "frozen": [1, 2]},
        "three layers, half of the negatives random": {
            "network": three, "random_share": 0.5,
        },
        "three layers, negatives hard for the whole net": {
            "network": three, "negatives": "hard, all layers",
        },
        **through_all_layers(three),
        "three layers, negatives from a softmax": {
            "network": three, "negatives": "hard, softmax",
        },
        "three independent layers": {
            "network": three, "method": "independent layers",
        },
        "three independent layers, as many weights": {
            "network": [784, third, third, third], "method": "independent layers",
        },
        "label in every layer": every | {"method": "label in every layer"},
        "one layer told the label, as many weights": {
            "network": [784, alike], "label_strength": 3.0,
            "method": "label in every layer",
        },
        "cross-entropy in every layer": every
        | {"method": "cross-entropy in every layer"},
        "softmax on every layer": {
            "network": three, "method": "softmax on every layer",
        },
        "backpropagation, one layer": {
            "network": one, "method": "backpropagation", "lr": 0.01,
        },
        "backpropagation, one layer, as many weights": {
            "network": [784, alike], "method": "backpropagation",
            "lr": 0.003 if wide else 0.01,
        },
        "backpropagation, three layers": {
            "network": three, "method": "backpropagation",
            "lr": 0.001 if wide else 0.003,
        },
        "backpropagation, one layer, normalised": {
            "network": one, "method": "backpropagation, normalised",
        },
        "backpropagation, one layer, as many weights, normalised": {
            "network": [784, alike], "method": "backpropagation, normalised",
        },
        "backpropagation, three layers, normalised": {
            "network": three, "method": "backpropagation, normalised",
            "lr": 0.001 if wide else 0.003,
        },
    }  # fmt: skip


def with_second_rate() -> dict:
    """The arms with layers of 1000, and one layer at its best rate in `WIDE_RATES`."""
    found, wide = arms(1000), "one layer, as many weights"
    return found | {f"{wide}, lr 0.01": found[wide] | {"lr": 0.01}}


def depth(
    name: str, title: str, width: int, dataset: str, variants: dict | None = None,
    **more,
) -> Experiment:  # fmt: skip
    return Experiment(
        name=name,
        title=title,
        trial=DepthTrial,
        config=DepthConfig(
            network=(784, width, width, width), epochs=EPOCHS, precision="bfloat16",
            dropped_pixels=0.1,
        ),
        variants=variants or arms(width),
        dataset=dataset,
        stages=("validation_and_test",),
        **more,
    )  # fmt: skip


# What each arm's rates are chosen by: four tries for each, on the validation split, and
# a fifth for backpropagation as it is, which did best at the fourth with one layer.
ONE_RATE = [{"lr": lr} for lr in (0.0003, 0.001, 0.003, 0.01)]
RAW_RATE = [*ONE_RATE, {"lr": 0.03}]
TWO_RATES = [
    {"lr": lr, "upper_lr_factor": factor}
    for lr in (0.001, 0.003)
    for factor in (1 / 3, 1.0)
]  # fmt: skip


def tries(width: int) -> dict:
    """Every arm with each of its rates, by name."""
    found = {}
    for arm, changes in arms(width).items():
        for rates in rates_of(changes):
            told = ", ".join(f"{k.replace('_', ' ')} {v:.2g}" for k, v in rates.items())
            found[f"{arm}: {told}"] = changes | rates
    return found


def rates_of(changes: dict) -> list[dict]:
    if has_upper_rate(changes):
        return TWO_RATES
    return RAW_RATE if changes.get("method") == "backpropagation" else ONE_RATE


def has_upper_rate(changes: dict) -> bool:
    """Whether the arm's upper layers are trained, on losses of their own."""
    return (
        len(changes["network"]) > 2
        and not changes.get("frozen")
        and not changes.get("method", "").startswith("backpropagation")
        and changes.get("method") != "independent layers"
    )


DEPTH_TUNING = Experiment(
    name="depth_tuning",
    title="Does depth pay? The tries on the validation split",
    trial=DepthTrial,
    config=DepthConfig(
        network=(784, 150, 150, 150),
        epochs=EPOCHS,
        precision="bfloat16",
        dropped_pixels=0.1,
    ),
    variants=tries(150),
    seeds=(0,),
    stages=("validation",),
    core_hours=1.1,
)
NARROW = depth(
    "depth_narrow", "Does depth pay? Layers of 150", 150, "mnist",
    seeds=(0, 1, 2, 3, 4), core_hours=0.75,
)  # fmt: skip
NARROW_FASHION = depth(
    "depth_narrow_fashion", "Does depth pay? Layers of 150, Fashion-MNIST", 150,
    "fashion", seeds=(0, 1, 2, 3, 4), core_hours=0.75,
)  # fmt: skip
WIDE = depth(
    "depth_wide", "Does depth pay? Layers of 1000", 1000, "mnist", seeds=(0, 1, 2),
    core_hours=2.5,
)  # fmt: skip
WIDE_FASHION = depth(
    "depth_wide_fashion", "Does depth pay? Layers of 1000, Fashion-MNIST", 1000,
    "fashion", with_second_rate(), seeds=(0, 1, 2), core_hours=2.8,
)  # fmt: skip


def other_rates() -> dict:
    """What has one budget of 2,784,000 weights, at other rates than its own."""
    rates = {
        "one layer, as many weights": (0.001, 0.01, 0.03),
        "three layers": (0.001, 0.01),
        "three independent layers, as many weights": (0.001, 0.01),
        "backpropagation, one layer, as many weights": (0.001, 0.01, 0.03),
        "backpropagation, three layers": (0.0003, 0.003, 0.01),
        "backpropagation, one layer, as many weights, normalised": (0.001, 0.01),
        "backpropagation, three layers, normalised": (0.0003, 0.003, 0.01),
    }
    return {
        f"{arm}: lr {lr:g}": arms(1000)[arm] | {"lr": lr}
        for arm, tried in rates.items()
        for lr in tried
    }


WIDE_RATES = Experiment(
    name="depth_wide_rates",
    title="Does depth pay? Other rates for layers of 1000, Fashion-MNIST",
    trial=DepthTrial,
    config=WIDE_FASHION.config,
    variants=other_rates(),
    dataset="fashion",
    seeds=(0,),
    stages=("validation",),
    core_hours=0.7,
)
