"""A supervised net in training whose every trick can be set.

It is what closing_the_gap, jittered and ablation share.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from experiments.runner import NetTrial, autocast_bf16
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

# The recipe of chapter 06 without jitter. What else each key may be is said below.
RECIPE = {
    "network": [784, 500, 500, 500],
    "normalization": "RMS 1",  # or "length 1"
    "loss": "pair",  # or "logistic"
    "scale": 30,  # or 0, the layer's width, for the logistic loss
    "threshold": 1,  # of the logistic loss
    # "hard, layer 1", "hard, all layers", "hard, softmax", "random" or "fixed"
    "negatives": "hard, layer 1",
    "label_strength": 1,
    "dropped_pixels": 0.0,
    "jitter": 0,
    "optimizer": "Adam",
    "lr": 0.003,
    "lr_schedule": "half cosine",  # or "constant"
    "margin": 0,  # of the layers below that is added, detached, to each layer's own
    "frozen": [],  # layers that stay at their random initial weights, counted from 0
    "batch_size": 256,
    "epochs": 10,
    "precision": "float32",  # or "bfloat16", of matrix products
    "eval_every": 1000,
}


def unit_length(h):
    """Scale each row to a length of 1, as the paper's text does."""
    return normalize(h) * (1 / h.shape[1] ** 0.5)


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        self.device = split.images.device
        self.net = FFNet(
            *c["network"],
            label_strength=c["label_strength"],
            normalize=unit_length if c["normalization"] == "length 1" else normalize,
        ).to(self.device)
        layers = self.net.layers
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), lr=c["lr"]) for layer in layers
        ]
        self.layer_indices = [k for k in range(len(layers)) if k not in c["frozen"]]
        if c["negatives"] == "hard, softmax":
            self.head = nn.Linear(sum(c["network"][2:]), 10, device=self.device)
            self.optimizers.append(torch.optim.Adam(self.head.parameters(), lr=0.001))

    def train_epoch(self, epoch):
        c = self.configuration
        decays = c["lr_schedule"] == "half cosine"
        lr = c["lr"] * (cosine_decay(epoch / c["epochs"]) if decays else 1)
        layers = self.optimizers[: len(self.net.layers)]
        set_lr(layers[:1], lr)
        # A factor that only the ablation's variants set.
        set_lr(layers[1:], lr * c.get("upper_lr_factor", 1))
        with autocast_bf16(self.device, c["precision"] == "bfloat16"):
            return train_epoch(
                self.net, self.optimizers, self.split, self.layer_indices,
                c["batch_size"], self.loss_fn, self.negative_labels, self.augment,
            )  # fmt: skip

    def augment(self, x):
        c = self.configuration
        if c["jitter"]:
            x = jitter(x, c["jitter"])
        return drop_pixels(x, c["dropped_pixels"]) if c["dropped_pixels"] else x

    def loss_fn(self, positive, negative, goodness):
        """One layer's loss. Layers come in order after a call of `negative_labels`."""
        c = self.configuration
        above, below = goodness(positive), goodness(negative)
        if c["loss"] == "logistic":
            scale = c["scale"] or positive.shape[1]
            over, under = above - c["threshold"], c["threshold"] - below
            loss = softplus(-scale * over).mean() + softplus(-scale * under).mean()
            return loss / 2
        if not c["margin"]:
            return pair_loss(positive, negative, goodness, c["scale"])
        own = c["scale"] * (above - below)
        loss = softplus(-own - self.margin_below).mean()
        self.margin_below = self.margin_below + c["margin"] * own.detach()
        return loss

    @torch.no_grad()
    def negative_labels(self, net, x, y):
        self.margin_below = 0
        match self.configuration["negatives"]:
            case "random":
                return wrong_labels(y)
            case (
                "fixed"
            ):  # a function of the image, which keeps its wrong label for good
                return (y + 1 + (255 * x).round().sum(dim=1).long() % 9) % 10
            case "hard, layer 1":
                with autocast_bf16(self.device, enabled=False):
                    return hard_negatives(net, x, y)
            case "hard, all layers":
                with autocast_bf16(self.device, enabled=False):
                    return sample_wrong_labels(30 * label_goodness(net, x), y)
            case "hard, softmax":
                return sample_wrong_labels(self.softmax_scores(net, x, y), y)
            case other:
                raise ValueError(f"unknown negatives {other!r}")

    def softmax_scores(self, net, x, y):
        """What a softmax on all layers but the first makes of a neutral label.

        It learns from the batch as it goes.
        """
        features = torch.cat([normalize(h) for h in net(neutral(x))[1:]], dim=1)
        with torch.enable_grad():
            scores = self.head(features).float()
            self.optimizers[-1].zero_grad()
            cross_entropy(scores, y).backward()
        self.optimizers[-1].step()
        return scores.detach()

    def state_dict(self):
        has_head = hasattr(self, "head")
        head = {"head": self.head.state_dict()} if has_head else {}
        return super().state_dict() | head

    def load_state_dict(self, state):
        super().load_state_dict(state)
        if "head" in state:
            self.head.load_state_dict(state["head"])
