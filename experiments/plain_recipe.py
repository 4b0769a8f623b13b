"""The plain recipe of chapters 01-05, with a control whose upper layers stay as they were drawn."""

import copy

import torch

from experiments.runner import NetTrial, net_errors
from ffutils import FFNet, train_epoch

TITLE = "Supervised, the plain recipe of part 1"
PAPER = {"section": "3.3, without its hard negatives", "test error": None}
CONFIGURATION = {
    "network": [784, 500, 500, 500],
    "loss": "logistic, width x (goodness - 1)",
    "negatives": "random, fresh on every batch",
    "label strength": 1.0,
    "optimizer": "Adam",
    "lr": 0.001,
    "batch size": 256,
    "epochs": 15,
    "judge every": 1000,
}
VARIANTS = {"": {}}
SEEDS = (0, 1, 2, 3, 4)
STAGES = ("validation", "test")


class Trial(NetTrial):
    def __init__(self, configuration, split):
        self.configuration, self.split = configuration, split
        self.net = FFNet(*configuration["network"]).to(split.images.device)
        self.drawn = copy.deepcopy(self.net)
        self.optimizers = [torch.optim.Adam(layer.parameters(), lr=configuration["lr"]) for layer in self.net.layers]

    def train_epoch(self, epoch):
        layers = list(range(len(self.net.layers)))
        train_epoch(
            self.net, self.optimizers, self.split, layers, self.configuration["batch size"], progress=False
        )  # fmt: skip

    def errors(self, split):
        """Of the net, and of the control: its trained first layer below the upper layers as they were drawn."""
        control = copy.deepcopy(self.drawn)
        control.layers[0] = self.net.layers[0]
        return super().errors(split) | {"error, upper layers random": net_errors(control, split)}

    def state_dict(self):
        return super().state_dict() | {"drawn": self.drawn.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.drawn.load_state_dict(state["drawn"])
