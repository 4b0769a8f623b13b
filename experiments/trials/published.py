"""Two recipes that many readers know, as published: the article's, and the most copied.

Both scale a layer's input to a length of 1, compare the mean square of its activations
with a threshold of 2, and train one layer after another. The article
(https://github.com/MurageKibicho/Forward-Forward) takes batches of 64 and 5 epochs a
layer, and in training writes the label over the first ten activations of every layer,
while prediction writes it into the image alone. The most copied code
(https://github.com/mpezeshki/pytorch_forward_forward) takes all images in one batch,
1000 times a layer, with wrong labels that are drawn once, by shuffling the true ones;
its images are standardised. An epoch here is an epoch of one layer. Written anew from
their settings; what was changed: it learns from 50,000 images held apart from the
validation split, and the full batch has matrix products in bfloat16.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import nn
from torch.nn.functional import linear, softplus

from experiments.experiment import Config, Experiment, Precision, Widths, checked
from experiments.trials.shared import NetTrial, judge, layer_scores
from ffutils import batches, goodness, wrong_labels
from ffutils.layers import full_precision

EVERY_LAYER = (
    "over the input of every layer in training, in the image alone in prediction"
)


@checked
class PublishedConfig(Config):
    """The article's recipe, unless said otherwise."""

    network: Widths = (784, 500, 500, 500)
    loss: Literal["logistic, mean square - 2"] = "logistic, mean square - 2"
    normalization: Literal["length 1"] = "length 1"
    negatives: Literal["random", "labels shuffled once"] = "random"
    label: Literal[EVERY_LAYER, "in the image"] = EVERY_LAYER
    pixels: Literal["in [0, 1]", "standardised"] = "in [0, 1]"
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.01
    lr_schedule: Literal["constant, one layer after another"] = (
        "constant, one layer after another"
    )
    batch_size: PositiveInt | Literal["all images"] = 64
    epochs: PositiveInt = 15
    precision: Precision = "float32"

    @model_validator(mode="after")
    def check(self) -> PublishedConfig:
        one_batch = self.batch_size == "all images"
        expected = {
            "negatives": "labels shuffled once" if one_batch else "random",
            "label": "in the image" if one_batch else EVERY_LAYER,
        }
        for name, value in expected.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name}: batches of {self.batch_size}, so {value!r}")
        return self


class Layer(nn.Linear):
    """Called on x (B, in_features), returns the activations (B, out_features)."""

    def forward(self, x):
        x = full_precision(x)
        x = x / (x.norm(dim=1, keepdim=True) + 1e-4)
        return torch.relu(linear(x, self.weight, self.bias))


class PublishedTrial(NetTrial):
    def __init__(self, config: PublishedConfig, split):
        self.config, self.split = config, split
        device = split.images.device
        self.net = nn.ModuleList(Layer(*sizes) for sizes in pairwise(config.network))
        self.net.to(device)
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), lr=config.lr) for layer in self.net
        ]
        if config.batch_size == "all images":
            order = torch.randperm(len(split.labels)).to(device)
            x = self.prepared(split.images)
            positive = write_label(x, split.labels)
            negative = write_label(x, split.labels[order])
            self.inputs = 0, positive, negative  # of the layer with that number

    def train_epoch(self, epoch):
        c = self.config
        k = epoch * len(self.net) // c.epochs  # the layer whose turn it is
        with self.autocast(c.precision):
            if c.batch_size == "all images":
                return self.train_step(k, *self.inputs_of(k))
            total = 0
            for x, y in batches(self.split, c.batch_size):
                h = self.below(k, self.prepared(x))
                positive, negative = write_label(h, y), write_label(h, wrong_labels(y))
                total += len(x) * self.train_step(k, positive, negative)
        return total / len(self.split.labels)

    def train_step(self, k, positive, negative):
        loss = published_loss(self.net[k](positive), self.net[k](negative))
        self.optimizers[k].zero_grad()
        loss.backward()
        self.optimizers[k].step()
        return loss.detach()

    def inputs_of(self, k):
        done, positive, negative = self.inputs
        while done < k:
            with torch.no_grad():
                positive, negative = self.net[done](positive), self.net[done](negative)
            done += 1
        self.inputs = done, positive, negative
        return positive, negative

    @torch.no_grad()
    def below(self, k, x):
        for layer in self.net[:k]:
            x = layer(x)
        return x

    def prepared(self, images):
        standardised = self.config.pixels == "standardised"
        return (images - 0.1307) / 0.3081 if standardised else images

    @torch.no_grad()
    def errors(self, split):
        x, columns = self.prepared(split.images), []
        for label in range(10):
            h, column = write_label(x, torch.full_like(split.labels, label)), []
            for layer in self.net:
                h = layer(h)
                column.append(goodness(h))
            columns.append(torch.stack(column, dim=1))
        per_layer = torch.stack(columns, dim=1)  # (images, labels, layers)
        return judge(layer_scores(per_layer, without_first=False), split.labels)


def published_loss(positive, negative, threshold=2.0):
    distances = threshold - goodness(positive), goodness(negative) - threshold
    return softplus(torch.cat(distances)).mean()


def write_label(h, labels):
    """The label over the first ten values of each row, as strong as its strongest."""
    h, label_strength = h.clone(), h.amax(dim=1)
    h[:, :10] = 0
    h[torch.arange(len(h), device=h.device), labels] = label_strength
    return h


PUBLISHED = Experiment(
    name="published",
    title="Two widely read recipes, as published",
    trial=PublishedTrial,
    config=PublishedConfig(eval_every=1),
    variants={
        "the article's": {},
        "full batch": {
            "network": [784, 500, 500],
            "negatives": "labels shuffled once",
            "label": "in the image",
            "pixels": "standardised",
            "lr": 0.03,
            "batch_size": "all images",
            "epochs": 2000,
            "precision": "bfloat16",
            "eval_every": 50,
        },
    },
    seeds=(0,),
    stages=("validation_and_test",),
    core_hours=1.5,
)
