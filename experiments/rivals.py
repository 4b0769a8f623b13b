"""Forward-Forward, backpropagation and two kinds of target propagation: same data, widths, epochs and tries (chapter 12).

Each has the settings that were best for it in `rivals_tuning`, where each of the four was given twelve tries. The
control trains nothing but the ten scores, on hidden layers that stay as they were drawn.
"""

import functools
import time

import torch

from experiments.runner import net_errors
from ffutils import FFNet, Split, batches, error_rate
from ffutils.recipe import cool_down, drop_pixels, hard_labels, jitter, pair_loss
from ffutils.rivals import MLP, TargetNet, backprop_step, target_optimizers, target_step
from ffutils.training import set_lr, train_epoch

TITLE = "Forward-Forward and its rivals, permutation-invariant"
PAPER = None
CONFIGURATION = {
    "network": [784, 500, 500, 500],  # and ten scores, but for Forward-Forward
    "images": 50000,
    "optimizer": "Adam",
    "schedule": "half a cosine",
    "batch size": 256,
    "epochs": 20,  # with five methods and three seeds, less than half an hour of one core
    "dropped pixels": 0.0,
    "scale": 30,  # of Forward-Forward's loss on pairs
    "step": 0.1,  # of target propagation's highest target
    "noise": 0.1,  # near the states, where the inverses learn
    "judge every": 1,
}
VARIANTS = {
    "Forward-Forward": {"method": "Forward-Forward", "lr": 0.003, "dropped pixels": 0.1},
    "backpropagation": {"method": "backpropagation", "lr": 0.003, "dropped pixels": 0.1},
    "target propagation": {"method": "target propagation", "lr": 0.003, "step": 100},
    "difference target propagation": {"method": "difference target propagation", "lr": 0.003},
    "scores alone": {"method": "scores alone", "lr": 0.03},
}
SEEDS = (0, 1, 2)
STAGES = ("held out",)


class Trial:
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = Split(*(part[: c["images"]] for part in split))
        self.cpu_seconds = 0.0
        match c["method"]:
            case "Forward-Forward":
                self.net = FFNet(*c["network"]).to(split.images.device)
                self.optimizers = [torch.optim.Adam(layer.parameters()) for layer in self.net.layers]
            case "backpropagation":
                self.net = MLP(*c["network"]).to(split.images.device)
                self.optimizers = [torch.optim.Adam(self.net.parameters())]
            case "target propagation" | "difference target propagation":
                self.net = TargetNet(*c["network"]).to(split.images.device)
                self.optimizers = list(target_optimizers(self.net))
            case "scores alone":
                self.net = TargetNet(*c["network"]).to(split.images.device)
                self.optimizers = [torch.optim.Adam(self.net.output.parameters())]

    def train_epoch(self, epoch):
        c, started = self.configuration, time.process_time()
        set_lr(self.optimizers, c["lr"] * cool_down(epoch / c["epochs"]))
        if c["method"] == "Forward-Forward":
            train_epoch(
                self.net, self.optimizers, self.split, list(range(len(self.net.layers))), c["batch size"],
                functools.partial(pair_loss, scale=c["scale"]), hard_labels, self.augment, progress=False,
            )  # fmt: skip
        else:
            for x, y in batches(self.split, c["batch size"]):
                self.take_step(self.augment(x), y)
        self.cpu_seconds += time.process_time() - started

    def take_step(self, x, y):
        c = self.configuration
        if c["method"] in ("backpropagation", "scores alone"):  # no gradient passes the hidden layers of a TargetNet
            backprop_step(self.net, self.optimizers[0], x, y)
        else:
            difference = c["method"] == "difference target propagation"
            target_step(self.net, self.optimizers, x, y, c["step"], difference, c["noise"])

    def augment(self, x):
        share, pixels = self.configuration["dropped pixels"], self.configuration.get("jitter", 0)  # as in `milestones`
        x = jitter(x, pixels) if pixels else x
        return drop_pixels(x, share) if share else x

    @torch.no_grad()
    def errors(self, split):
        """The error in per cent, and the seconds that a CPU has worked on the training, waiting not counted."""
        if self.configuration["method"] == "Forward-Forward":
            error = net_errors(self.net, split)
        else:
            error = {"scores": round(error_rate(self.net(split.images).argmax(dim=1), split.labels), 2)}
        return {"error": error, "CPU seconds": round(self.cpu_seconds, 1)}

    def state_dict(self):
        return {
            "net": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "cpu seconds": self.cpu_seconds,
        }

    def load_state_dict(self, state):
        self.net.load_state_dict(state["net"])
        for optimizer, held in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)
        self.cpu_seconds = state["cpu seconds"]
