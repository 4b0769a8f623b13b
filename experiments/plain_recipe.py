"""The plain recipe of chapters 01-05; its control has untrained upper layers."""

import copy

import torch

from experiments.runner import NetTrial, net_errors
from ffutils import FFNet, train_epoch

TITLE = "Supervised, the plain recipe of part 1"
PAPER = {"section": "3.3, without its hard negatives", "test_error": None}
CONFIGURATION = {
    "network": [784, 500, 500, 500],
    "loss": "logistic, width x (goodness - 1)",
    "negatives": "random, new on every batch",
    "label_strength": 1.0,
    "optimizer": "Adam",
    "lr": 0.001,
    "batch_size": 256,
    "epochs": 15,
    "eval_every": 1000,
}
VARIANTS = {"default": {}}
SEEDS = (0, 1, 2, 3, 4)
STAGES = ("validation", "test")


class Trial(NetTrial):
    def __init__(self, configuration, split):
        c = self.configuration = configuration
        self.split = split
        self.net = FFNet(*c["network"], label_strength=c["label_strength"])
        self.net.to(split.images.device)
        self.untrained = copy.deepcopy(self.net)
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), lr=c["lr"])
            for layer in self.net.layers
        ]

    def train_epoch(self, epoch):
        layer_indices = range(len(self.net.layers))
        batch_size = self.configuration["batch_size"]
        return train_epoch(
            self.net, self.optimizers, self.split, layer_indices, batch_size
        )

    def errors(self, split):
        """Of the net, and of its trained first layer below untrained upper layers."""
        control = copy.deepcopy(self.untrained)
        control.layers[0] = self.net.layers[0]
        error = {"error_upper_layers_untrained": net_errors(control, split)}
        return super().errors(split) | error

    def state_dict(self):
        return super().state_dict() | {"untrained": self.untrained.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.untrained.load_state_dict(state["untrained"])
