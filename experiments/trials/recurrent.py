"""A still image as a boring video (§3.4): two layers that hear each other and settle.

Smaller than the paper's net of 2 or 3 layers of 2000, and trained by chapter 06's loss
on pairs, Adam and a cosine decay instead of the paper's logistic loss and momentum.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from experiments.experiment import (
    Config,
    Experiment,
    Fraction,
    Paper,
    Precision,
    Widths,
    checked,
)
from experiments.trials.shared import NetTrial, SoftmaxNegatives, judge
from ffutils import batches, cosine_decay, drop_pixels
from ffutils.recurrent import RecurrentNet, goodness_over_time, recurrent_loss
from ffutils.training import set_lr


@checked
class RecurrentConfig(Config):
    """The network's last size is that of the label."""

    network: Annotated[Widths, Field(min_length=3)] = (784, 500, 500, 10)
    damping: Fraction = 0.3
    label_strength: PositiveFloat = 3.0
    steps: Annotated[int, Field(ge=5)] = 8
    loss: Literal["pair"] = "pair"
    scale: PositiveFloat = 10.0
    negatives: Literal["hard, softmax on one upward pass"] = (
        "hard, softmax on one upward pass"
    )
    dropped_pixels: Fraction = 0.3
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.002
    lr_schedule: Literal["half cosine"] = "half cosine"
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 60
    precision: Precision = "bfloat16"

    @model_validator(mode="after")
    def check(self) -> RecurrentConfig:
        if self.network[-1] != 10:
            raise ValueError("network: the last size is the label's, 10")
        return self


class RecurrentTrial(NetTrial):
    def __init__(self, config: RecurrentConfig, split):
        self.config, self.split = config, split
        device = split.images.device
        self.net = RecurrentNet(
            *config.network,
            damping=config.damping,
            label_strength=config.label_strength,
        ).to(device)
        widths = config.network[1:-1]
        self.softmax = SoftmaxNegatives(sum(widths), self.make_optimizer, device)
        self.optimizers = [self.make_optimizer(self.net)]

    def make_optimizer(self, module):
        return torch.optim.Adam(module.parameters(), lr=self.config.lr)

    def train_epoch(self, epoch):
        c, total = self.config, 0
        (optimizer,) = self.optimizers
        lr = c.lr * cosine_decay(epoch / c.epochs)
        set_lr([optimizer, self.softmax.optimizer], lr)
        with self.autocast(c.precision):
            for x, y in batches(self.split, c.batch_size):
                x = drop_pixels(x, c.dropped_pixels)
                wrong = self.negative_labels(x, y)
                loss = recurrent_loss(self.net, x, y, wrong, c.steps, c.scale)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += len(x) * loss.detach()
        return total / len(self.split.labels)

    @torch.no_grad()
    def negative_labels(self, x, y):
        """Wrong labels from what a softmax makes of one upward pass."""
        _, states = self.net.start(x)
        return self.softmax.draw(states, y)

    def errors(self, split):
        """Of each layer and of all at the paper's iterations 3 to 5; of all at each."""
        with self.autocast(self.config.precision):
            values = goodness_over_time(
                self.net, split.images, self.config.steps
            )  # (images, labels, layers, steps)
        layers = {
            f"layer {k + 1}": values[:, :, k, 2:5].sum(dim=2)
            for k in range(values.shape[2])
        }
        layers["sum of all layers"] = values[:, :, :, 2:5].sum(dim=(2, 3))
        iterations = {
            f"iteration {t + 1}": values[:, :, :, t].sum(dim=2)
            for t in range(values.shape[3])
        }
        by_iteration = judge(iterations, split.labels)["error"]
        return judge(layers, split.labels) | {"error_by_iteration": by_iteration}


RECURRENT = Experiment(
    name="recurrent",
    title="Supervised, recurrent, top-down",
    paper=Paper(
        section="3.4", test_error=1.31, network="2 or 3 layers of 2000, 60 epochs"
    ),
    trial=RecurrentTrial,
    config=RecurrentConfig(eval_every=15),
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=1.5,
)
