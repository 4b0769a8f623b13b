"""Forward-Forward, backpropagation, two kinds of target propagation (chapter 12).

Same data, widths, epochs and number of tries: each has the settings that were best for
it in `rivals_tuning`, where each of the four was given twelve tries. The control trains
nothing but the output layer, on hidden layers at their random initial weights.
"""

import functools
import time

import torch

from experiments.runner import NetTrial, net_errors, score_errors
from ffutils import (
    FFNet,
    Split,
    batches,
    cosine_decay,
    drop_pixels,
    hard_negatives,
    jitter,
    pair_loss,
    train_epoch,
)
from ffutils.rivals import (
    MLP,
    TargetPropNet,
    backprop_step,
    target_optimizers,
    target_step,
)
from ffutils.training import set_lr

TITLE = "Forward-Forward and its rivals, permutation-invariant"
PAPER = None
CONFIGURATION = {
    "network": [784, 500, 500, 500],  # and ten scores, but for Forward-Forward
    "images": 50000,
    "optimizer": "Adam",
    "lr_schedule": "half cosine",
    "batch_size": 256,
    "epochs": 20,  # of five methods and three seeds: half an hour of one core
    "dropped_pixels": 0.0,
    "scale": 30,  # of Forward-Forward's loss on pairs
    "step": 0.1,  # of target propagation's highest target
    "noise": 0.1,  # near the states, where the inverses learn
    "eval_every": 1,
}
VARIANTS = {
    "Forward-Forward": {
        "method": "Forward-Forward", "lr": 0.003, "dropped_pixels": 0.1,
    },
    "backpropagation": {
        "method": "backpropagation", "lr": 0.003, "dropped_pixels": 0.1,
    },
    "target propagation": {"method": "target propagation", "lr": 0.003, "step": 100},
    "difference target propagation": {
        "method": "difference target propagation", "lr": 0.003,
    },
    "output layer alone": {"method": "output layer alone", "lr": 0.03},
}  # fmt: skip
SEEDS = (0, 1, 2)
STAGES = ("validation_and_test",)


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = Split(*(tensor[: c["images"]] for tensor in split))
        self.cpu_seconds = 0.0
        sizes, device = c["network"], split.images.device
        match c["method"]:
            case "Forward-Forward":
                self.net = FFNet(*sizes).to(device)
                self.optimizers = [
                    torch.optim.Adam(layer.parameters()) for layer in self.net.layers
                ]
            case "backpropagation":
                self.net = MLP(*sizes).to(device)
                self.optimizers = [torch.optim.Adam(self.net.parameters())]
            case "target propagation" | "difference target propagation":
                self.net = TargetPropNet(*sizes).to(device)
                self.optimizers = list(target_optimizers(self.net))
            case "output layer alone":
                self.net = TargetPropNet(*sizes).to(device)
                self.optimizers = [torch.optim.Adam(self.net.output.parameters())]
            case other:
                raise ValueError(f"unknown method {other!r}")

    def train_epoch(self, epoch):
        c, started = self.configuration, time.process_time()
        set_lr(self.optimizers, c["lr"] * cosine_decay(epoch / c["epochs"]))
        if c["method"] == "Forward-Forward":
            losses = train_epoch(
                self.net, self.optimizers, self.split, range(len(self.net.layers)),
                c["batch_size"], functools.partial(pair_loss, scale=c["scale"]),
                hard_negatives, self.augment,
            )  # fmt: skip
        else:
            total = 0
            for x, y in batches(self.split, c["batch_size"]):
                total += len(x) * self.train_step(self.augment(x), y)
            losses = total / len(self.split.labels)
        self.cpu_seconds += time.process_time() - started
        return losses

    def train_step(self, x, y):
        c = self.configuration
        # No gradient passes the hidden layers of a TargetPropNet.
        if c["method"] in ("backpropagation", "output layer alone"):
            return backprop_step(self.net, self.optimizers[0], x, y)
        difference = c["method"] == "difference target propagation"
        return target_step(
            self.net, self.optimizers, x, y, c["step"], difference, c["noise"]
        )

    def augment(self, x):
        c = self.configuration
        pixels = c.get("jitter", 0)  # as in `milestones`
        x = jitter(x, pixels) if pixels else x
        return drop_pixels(x, c["dropped_pixels"]) if c["dropped_pixels"] else x

    @torch.no_grad()
    def errors(self, split):
        """The error in per cent, and the seconds of CPU that the training has taken."""
        if self.configuration["method"] == "Forward-Forward":
            error = net_errors(self.net, split)
        else:
            error = score_errors({"output layer": self.net(split.images)}, split.labels)
        return {"error": error, "cpu_seconds": round(self.cpu_seconds, 1)}

    def state_dict(self):
        return super().state_dict() | {"cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.cpu_seconds = state["cpu_seconds"]
