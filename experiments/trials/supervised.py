"""A supervised net in training whose every trick can be set, and what it is for.

Its experiment is the ablation of chapter 06's recipe.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch.nn.functional import softplus

from experiments.experiment import (
    FROM_LIST,
    Config,
    Experiment,
    Fraction,
    Precision,
    Widths,
    checked,
)
from experiments.trials.shared import NetTrial, SoftmaxNegatives, autocast_bf16
from ffutils import (
    FFNet,
    cosine_decay,
    drop_pixels,
    hard_negatives,
    jitter,
    label_goodness,
    neutral,
    normalize,
    pair_loss,
    sample_wrong_labels,
    train_epoch,
    wrong_labels,
)
from ffutils.training import set_lr


@checked
class SupervisedConfig(Config):
    """The recipe of chapter 06 without jitter, and what else each field may be.

    Attributes:
        scale: of the differences in the loss; 0 is a layer's width.
        threshold: of the logistic loss.
        margin: of the layers below that is added, detached, to each layer's own.
        frozen: layers that stay at their random initial weights, counted from 0.
        upper_lr_factor: on the learning rate of all layers but the first.
    """

    network: Widths = (784, 500, 500, 500)
    normalization: Literal["RMS 1", "length 1"] = "RMS 1"
    loss: Literal["pair", "logistic"] = "pair"
    scale: NonNegativeFloat = 30.0
    threshold: NonNegativeFloat = 1.0
    negatives: Literal[
        "hard, layer 1", "hard, all layers", "hard, softmax", "random", "fixed"
    ] = "hard, layer 1"
    label_strength: PositiveFloat = 1.0
    dropped_pixels: Fraction = 0.0
    jitter: NonNegativeInt = 0
    optimizer: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 0.003
    lr_schedule: Literal["half cosine", "constant"] = "half cosine"
    margin: NonNegativeFloat = 0.0
    frozen: Annotated[tuple[NonNegativeInt, ...], FROM_LIST] = ()
    upper_lr_factor: PositiveFloat = 1.0
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    precision: Precision = "float32"

    @model_validator(mode="after")
    def check(self) -> SupervisedConfig:
        layers = len(self.network) - 1
        if self.loss == "pair" and self.threshold != 1:
            raise ValueError("a threshold other than 1 is for the logistic loss")
        if self.loss == "pair" and not self.scale:
            raise ValueError("a scale of 0, the width, is for the logistic loss")
        if self.loss == "logistic" and self.margin:
            raise ValueError("a margin is for the loss on pairs")
        if any(k >= layers for k in self.frozen):
            raise ValueError(f"frozen: expected some of 0 to {layers - 1}")
        if self.negatives == "hard, softmax" and layers == 1:
            raise ValueError("negatives: no layer above the first for the softmax")
        return self


def unit_length(h):
    """Scale each row to a length of 1, as the paper's text does."""
    return normalize(h) * (1 / h.shape[1] ** 0.5)


class SupervisedTrial(NetTrial):
    def __init__(self, config: SupervisedConfig, split):
        self.config, self.split = config, split
        self.device = split.images.device
        self.net = FFNet(
            *config.network,
            label_strength=config.label_strength,
            normalize=unit_length if config.normalization == "length 1" else normalize,
        ).to(self.device)
        layers = self.net.layers
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), lr=config.lr) for layer in layers
        ]
        self.layer_indices = [k for k in range(len(layers)) if k not in config.frozen]
        if config.negatives == "hard, softmax":
            self.softmax = SoftmaxNegatives(
                sum(config.network[2:]),
                lambda head: torch.optim.Adam(head.parameters(), lr=0.001),
                self.device,
            )

    def set_rates(self, epoch):
        c = self.config
        decays = c.lr_schedule == "half cosine"
        lr = c.lr * (cosine_decay(epoch / c.epochs) if decays else 1)
        set_lr(self.optimizers[:1], lr)
        set_lr(self.optimizers[1:], lr * c.upper_lr_factor)

    def train_epoch(self, epoch):
        c = self.config
        self.set_rates(epoch)
        with self.autocast(c.precision):
            return train_epoch(
                self.net, self.optimizers, self.split, self.layer_indices, c.batch_size,
                self.loss_fn, self.negative_labels, self.augment,
            )  # fmt: skip

    def augment(self, x):
        if self.config.jitter:
            x = jitter(x, self.config.jitter)
        dropped = self.config.dropped_pixels
        return drop_pixels(x, dropped) if dropped else x

    def loss_fn(self, positive, negative, goodness):
        """One layer's loss. Layers come in order after a call of `negative_labels`."""
        c = self.config
        above, below = goodness(positive), goodness(negative)
        if c.loss == "logistic":
            scale = c.scale or positive.shape[1]
            over, under = above - c.threshold, c.threshold - below
            loss = softplus(-scale * over).mean() + softplus(-scale * under).mean()
            return loss / 2
        if not c.margin:
            return pair_loss(positive, negative, goodness, c.scale)
        own = c.scale * (above - below)
        loss = softplus(-own - self.margin_below).mean()
        self.margin_below = self.margin_below + c.margin * own.detach()
        return loss

    @torch.no_grad()
    def negative_labels(self, net, x, y):
        self.margin_below = 0
        match self.config.negatives:
            case "random":
                return wrong_labels(y)
            case "fixed":  # by the image, which keeps its wrong label for good
                return (y + 1 + (255 * x).round().sum(dim=1).long() % 9) % 10
            case "hard, layer 1":
                with autocast_bf16(self.device, enabled=False):
                    return hard_negatives(net, x, y)
            case "hard, all layers":
                with autocast_bf16(self.device, enabled=False):
                    return sample_wrong_labels(30 * label_goodness(net, x), y)
            case "hard, softmax":  # on all layers but the first
                return self.softmax.draw(net(neutral(x))[1:], y)


# ---- Experiments

# What each trick of chapter 06 is worth: alone, on top of those before it, taken away.
PLAIN = {
    "loss": "logistic", "scale": 0, "negatives": "random", "lr": 0.001,
    "lr_schedule": "constant", "jitter": 0,
}  # fmt: skip
PUBLISHED = PLAIN | {
    "normalization": "length 1", "threshold": 2, "scale": 1, "negatives": "fixed",
    "lr": 0.03,
}  # fmt: skip
DECAY = {"lr": 0.003, "lr_schedule": "half cosine"}
HARD = {"negatives": "hard, layer 1"}
PAIR = {"loss": "pair", "scale": 30}
LADDER = {
    "as published": PUBLISHED,
    "RMS 1": PUBLISHED | {"normalization": "RMS 1", "lr": 0.001},
    "one θ per unit": PLAIN | {"negatives": "fixed"},
    "fresh negatives (part 1)": PLAIN,
    "hard negatives": PLAIN | HARD,
    "pair loss": PLAIN | HARD | PAIR,
    "cosine decay": PLAIN | HARD | PAIR | DECAY,
    "jitter (the recipe)": {},
}
ALONE = {
    "hard negatives": PLAIN | HARD,
    "hard negatives, from a softmax": PLAIN | {"negatives": "hard, softmax"},
    "label strength 3": PLAIN | {"label_strength": 3},
    "pair loss": PLAIN | PAIR,
    "cosine decay": PLAIN | DECAY,
    "dropped pixels 0.3": PLAIN | {"dropped_pixels": 0.3},
    "jitter": PLAIN | {"jitter": 1},
    "width 1000": PLAIN | {"network": [784, 1000, 1000, 1000]},
}
CHANGED = {
    "random negatives": {"negatives": "random"},
    "negatives from a softmax": {"negatives": "hard, softmax"},
    "negatives from all layers": {"negatives": "hard, all layers"},
    "logistic loss": {"loss": "logistic", "scale": 0},
    "logistic loss, scale 3": {"loss": "logistic", "scale": 3},
    "logistic loss, scale 10": {"loss": "logistic", "scale": 10},
    "logistic loss, scale 30": {"loss": "logistic"},
    "scale 500": {"scale": 500},
    "no cosine decay": {"lr": 0.001, "lr_schedule": "constant"},
    "rate 0.001": {"lr": 0.001},
    "constant rate": {"lr_schedule": "constant"},
    "label strength 3": {"label_strength": 3},
    "label strength 10": {"label_strength": 10},
    "no jitter": {"jitter": 0},
    "dropped pixels 0.3 for jitter": {"jitter": 0, "dropped_pixels": 0.3},
    "width 250": {"network": [784, 250, 250, 250]},
    "width 1000": {"network": [784, 1000, 1000, 1000]},
    "one layer": {"network": [784, 500]},
    "two layers": {"network": [784, 500, 500]},
    "five layers": {"network": [784, 500, 500, 500, 500, 500]},
    "upper layers frozen": {"frozen": [1, 2]},
    "margin of the layers below": {"margin": 1},
    "upper layers at a third of the rate": {"upper_lr_factor": 1 / 3},
    "upper layers at three times the rate": {"upper_lr_factor": 3},
}

# The ladder's steps to pairs and to the decay change two things each: one of the two.
# And the logistic loss with hard negatives at scales other than the pair loss's.
STEPS = {
    "scale 30": PLAIN | {"scale": 30},
    "scale 3, hard negatives": PLAIN | HARD | {"scale": 3},
    "scale 10, hard negatives": PLAIN | HARD | {"scale": 10},
    "scale 30, hard negatives": PLAIN | HARD | {"scale": 30},
    "rate 0.003": PLAIN | HARD | PAIR | {"lr": 0.003},
}

# From part 1's rules on, with part 1's epochs: what is not mere speed?
LONGER = {
    name: (LADDER | STEPS)[name] | {"epochs": 15}
    for name in (
        "fresh negatives (part 1)", "scale 30", "scale 3, hard negatives",
        "scale 10, hard negatives", "scale 30, hard negatives", "pair loss",
        "rate 0.003", "cosine decay", "jitter (the recipe)",
    )
}  # fmt: skip


def named(kind, rows):
    """The rows of a kind under their full names, less those of the ladder."""
    return {
        f"{kind}: {name}": changes
        for name, changes in rows.items()
        if changes not in LADDER.values()
    }


ABLATION = Experiment(
    name="ablation",
    title="Ablation of chapter 06's recipe",
    trial=SupervisedTrial,
    config=SupervisedConfig(jitter=1, epochs=5, precision="bfloat16"),
    variants={f"ladder: {name}": changes for name, changes in LADDER.items()}
    | named("alone", ALONE)
    | named("steps", STEPS)
    | named("15 epochs", LONGER)
    | named("changed", CHANGED),
    seeds=(0, 1, 2),
    stages=("validation_and_test",),
    core_hours=1.4,
)
